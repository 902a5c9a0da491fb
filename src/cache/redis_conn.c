/* SPDX-License-Identifier: MIT */
#include "cache/redis_conn.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define ARGS_MAX      16
#define READS_OF_TURN 64 /* of 16 KiB each */

bool vly_redis_conn_init(vly_redis_conn *c, size_t max_waiting, size_t max_reply_bytes, void *ctx)
{
    *c = (vly_redis_conn){.max_reply_bytes = max_reply_bytes,
                          .functions = vly_redis_reply_functions(),
                          .n_ring = max_waiting,
                          .ctx = ctx};
    c->ring = vly_calloc(VLY_MEM_CACHE, max_waiting, sizeof(*c->ring));
    return c->ring != NULL;
}

void vly_redis_conn_release(vly_redis_conn *c)
{
    VLY_ASSERT(c->redis == NULL);
    vly_free(c->ring);
    c->ring = NULL;
}

vly_status vly_redis_conn_open(vly_redis_conn *c, const vly_redis_url *url, vly_err *err)
{
    VLY_ASSERT(c->redis == NULL);
    redisContext *redis = url->path[0] != '\0' ? redisConnectUnixNonBlock(url->path)
                                               : redisConnectNonBlock(url->host, url->port);
    if (redis == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    if (redis->err != 0) {
        vly_fail(err, VLY_EIO, "%s", redis->errstr);
        redisFree(redis);
        return VLY_EIO;
    }
    redis->reader->fn = &c->functions;
    c->redis = redis;
    c->is_connected = false;
    c->wants_write = false;
    return VLY_OK;
}

static vly_redis_waiter take_waiter(vly_redis_conn *c)
{
    vly_redis_waiter w = c->ring[c->head];

    c->head = (c->head + 1) % c->n_ring;
    c->n_waiting--;
    return w;
}

void vly_redis_conn_close(vly_redis_conn *c)
{
    if (c->redis == NULL)
        return;
    redisFree(c->redis);
    c->redis = NULL;
    while (c->n_waiting > 0) {
        vly_redis_waiter w = take_waiter(c);
        w.on_reply(c->ctx, &w, NULL);
    }
}

bool vly_redis_conn_send(vly_redis_conn *c, vly_redis_waiter w, const vly_str *args, size_t n_args)
{
    const char *ptrs[ARGS_MAX];
    size_t lens[ARGS_MAX];

    VLY_ASSERT(n_args <= ARGS_MAX);
    if (c->redis == NULL || c->n_waiting == c->n_ring)
        return false;
    for (size_t i = 0; i < n_args; i++) {
        ptrs[i] = args[i].ptr;
        lens[i] = args[i].len;
    }
    if (redisAppendCommandArgv(c->redis, (int)n_args, ptrs, lens) != REDIS_OK)
        return false;
    c->ring[(c->head + c->n_waiting++) % c->n_ring] = w;
    c->wants_write = true;
    return true;
}

int vly_redis_conn_fd(const vly_redis_conn *c)
{
    return c->redis != NULL ? c->redis->fd : -1;
}

short vly_redis_conn_events(const vly_redis_conn *c)
{
    return !c->is_connected ? POLLOUT : c->wants_write ? POLLIN | POLLOUT : POLLIN;
}

static vly_status check_connected(vly_redis_conn *c, vly_err *err)
{
    int code = 0;
    socklen_t len = sizeof(code);

    if (getsockopt(c->redis->fd, SOL_SOCKET, SO_ERROR, &code, &len) != 0)
        code = errno;
    if (code != 0)
        return vly_fail(err, VLY_EIO, "%s", strerror(code));
    c->is_connected = true;
    return VLY_OK;
}

vly_status vly_redis_conn_flush(vly_redis_conn *c, vly_err *err)
{
    int is_done = 0;

    if (!c->is_connected || !c->wants_write)
        return VLY_OK;
    if (redisBufferWrite(c->redis, &is_done) != REDIS_OK)
        return vly_fail(err, VLY_EIO, "%s", c->redis->errstr);
    c->wants_write = is_done == 0;
    return VLY_OK;
}

/* Hands on the replies that are whole. */
static vly_status take_replies(vly_redis_conn *c, vly_err *err)
{
    for (;;) {
        void *reply = NULL;
        if (redisGetReplyFromReader(c->redis, &reply) != REDIS_OK)
            return vly_fail(err, VLY_EFORMAT, "%s", c->redis->errstr);
        if (reply == NULL)
            break;
        if (c->n_waiting == 0) {
            vly_redis_reply_free(reply);
            return vly_fail(err, VLY_EFORMAT, "an answer that nobody asked for");
        }
        vly_redis_waiter w = take_waiter(c);
        w.on_reply(c->ctx, &w, reply);
        vly_redis_reply_free(reply);
    }
    if (c->redis->reader->len - c->redis->reader->pos > c->max_reply_bytes)
        return vly_fail(err, VLY_EFORMAT, "an answer of more than %zu bytes", c->max_reply_bytes);
    return VLY_OK;
}

/* A bit at a time, so that what is not yet a whole reply is bounded. */
static vly_status read_some(vly_redis_conn *c, vly_err *err)
{
    vly_status st = VLY_OK;
    size_t n = 1;

    for (int i = 0; i < READS_OF_TURN && st == VLY_OK && n > 0; i++) {
        size_t before = c->redis->reader->len;
        if (redisBufferRead(c->redis) != REDIS_OK)
            return vly_fail(err, c->redis->err == REDIS_ERR_PROTOCOL ? VLY_EFORMAT : VLY_EIO, "%s",
                            c->redis->errstr);
        n = c->redis->reader->len - before;
        st = take_replies(c, err);
    }
    return st;
}

vly_status vly_redis_conn_serve(vly_redis_conn *c, short events, vly_err *err)
{
    vly_status st = VLY_OK;

    if (!c->is_connected && (events & (POLLOUT | POLLERR | POLLHUP)) != 0)
        st = check_connected(c, err);
    if (st == VLY_OK)
        st = vly_redis_conn_flush(c, err);
    if (st == VLY_OK && c->is_connected && (events & (POLLIN | POLLERR | POLLHUP)) != 0)
        st = read_some(c, err);
    return st;
}
