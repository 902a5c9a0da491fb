/* SPDX-License-Identifier: MIT */
/*
 * Bytes of a server in the place of Redis, through hiredis' reader with our replies; the first one
 * chooses the pieces. However it is cut, the same replies come out, and an error at the same place;
 * replies are flat, with all of their items, and end in a NUL.
 */
#include "base/assert.h"
#include "cache/redis_reply.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

typedef struct outcome {
    unsigned n_replies;
    uint64_t digest;
    bool has_failed;
} outcome;

static void mix(outcome *o, uint64_t v)
{
    o->digest = (o->digest ^ v) * UINT64_C(0x100000001b3);
}

static void add(outcome *o, const vly_redis_reply *r)
{
    vly_str text = vly_redis_reply_str(r);

    VLY_ASSERT(text.ptr[text.len] == '\0');
    mix(o, (uint64_t)r->type);
    mix(o, (uint64_t)r->integer);
    mix(o, text.len);
    for (size_t i = 0; i < text.len; i++)
        mix(o, (unsigned char)text.ptr[i]);
}

static void add_whole(outcome *o, const vly_redis_reply *r)
{
    add(o, r);
    VLY_ASSERT(r->n_items <= VLY_REDIS_ITEMS_MAX);
    for (size_t i = 0; i < r->n_items; i++) {
        VLY_ASSERT(r->items[i] != NULL && r->items[i]->n_items == 0);
        add(o, r->items[i]);
    }
    o->n_replies++;
}

static void take_replies(redisReader *reader, outcome *o)
{
    void *reply;

    do {
        reply = NULL;
        o->has_failed = redisReaderGetReply(reader, &reply) != REDIS_OK;
        if (reply != NULL)
            add_whole(o, reply);
        vly_redis_reply_free(reply);
    } while (reply != NULL && !o->has_failed);
}

static outcome run(vly_str in, size_t piece)
{
    redisReplyObjectFunctions functions = vly_redis_reply_functions();
    redisReader *reader = redisReaderCreateWithFunctions(&functions);
    outcome o = {.n_replies = 0};

    VLY_ASSERT(reader != NULL);
    while (in.len > 0 && !o.has_failed) {
        size_t n = piece < in.len ? piece : in.len;
        VLY_ASSERT(redisReaderFeed(reader, in.ptr, n) == REDIS_OK);
        in = (vly_str){in.ptr + n, in.len - n};
        take_replies(reader, &o);
    }
    redisReaderFree(reader);
    return o;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    if (n == 0)
        return 0;
    vly_str in = {(const char *)bytes + 1, n - 1};
    outcome whole = run(in, n), cut = run(in, (size_t)bytes[0] + 1);

    VLY_ASSERT(whole.n_replies == cut.n_replies && whole.digest == cut.digest);
    VLY_ASSERT(whole.has_failed == cut.has_failed);
    return 0;
}
