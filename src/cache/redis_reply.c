/* SPDX-License-Identifier: MIT */
#include "cache/redis_reply.h"

#include "base/mem.h"

#if HIREDIS_MAJOR >= 1
typedef size_t n_elements;
#else
typedef int n_elements;
#endif

static vly_redis_reply *new_reply(const redisReadTask *task, size_t len)
{
    vly_redis_reply *r = vly_alloc(VLY_MEM_CACHE, sizeof(*r) + len + 1);

    if (r == NULL)
        return NULL;
    *r = (vly_redis_reply){.type = task->type, .len = len};
    r->bytes[len] = '\0';
    if (task->parent != NULL) {
        vly_redis_reply *parent = task->parent->obj;
        parent->items[task->idx] = r;
    }
    return r;
}

static void *new_string(const redisReadTask *task, char *bytes, size_t len)
{
    vly_redis_reply *r = new_reply(task, len);

    if (r != NULL)
        memcpy(r->bytes, bytes, len);
    return r;
}

static void *new_array(const redisReadTask *task, n_elements n)
{
    if (task->parent != NULL || n > VLY_REDIS_ITEMS_MAX)
        return NULL;
    vly_redis_reply *r = new_reply(task, 0);
    if (r != NULL)
        r->n_items = (size_t)n;
    return r;
}

static void *new_integer(const redisReadTask *task, long long value)
{
    vly_redis_reply *r = new_reply(task, 0);

    if (r != NULL)
        r->integer = value;
    return r;
}

static void *new_nil(const redisReadTask *task)
{
    vly_redis_reply *r = new_reply(task, 0);

    if (r != NULL)
        r->type = REDIS_REPLY_NIL;
    return r;
}

#if HIREDIS_MAJOR >= 1
static void *new_double(const redisReadTask *task, double value, char *bytes, size_t len)
{
    (void)value;
    return new_string(task, bytes, len);
}

static void *new_bool(const redisReadTask *task, int value)
{
    return new_integer(task, value);
}
#endif

void vly_redis_reply_free(void *reply)
{
    vly_redis_reply *r = reply;

    for (size_t i = 0; r != NULL && i < r->n_items; i++)
        vly_free(r->items[i]);
    vly_free(r);
}

redisReplyObjectFunctions vly_redis_reply_functions(void)
{
    return (redisReplyObjectFunctions)
    {
        .createString = new_string, .createArray = new_array, .createInteger = new_integer,
#if HIREDIS_MAJOR >= 1
        .createDouble = new_double, .createBool = new_bool,
#endif
        .createNil = new_nil, .freeObject = vly_redis_reply_free
    };
}
