/* SPDX-License-Identifier: MIT */
#include "api/steps_stream.h"

#include "base/assert.h"

#include <math.h>

#define ARENA_BLOCK_BYTES  ((size_t)4 << 10)
#define ARENA_BUDGET_BYTES ((size_t)1 << 20)
#define US_PER_S           1e6

/* ---- out ---- */

vly_buf vly_steps_stream_buf(const vly_steps_stream *s)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, s->api->max_answer_bytes);
    return b;
}

void vly_steps_stream_end(vly_steps_stream *s, unsigned code, const char *reason)
{
    vly_stream_end(atomic_load(&s->stream), &(vly_stream_end_info){code, reason});
}

void vly_steps_stream_send(vly_steps_stream *s, vly_buf *b)
{
    vly_stream *stream = atomic_load(&s->stream);
    vly_status st = VLY_ENOMEM;

    if (stream != NULL && !b->failed)
        st = vly_stream_send(stream, b, s->dialect->is_text, NULL);
    vly_buf_release(b);
    if (stream != NULL && st != VLY_OK && st != VLY_ECANCELLED)
        vly_steps_stream_end(s, s->dialect->code_behind,
                             st == VLY_EBUSY ? "the client does not read what it is told"
                                             : "out of memory");
}

/* ---- what the session tells ---- */

static void told_events(void *ctx, const vly_step_event *events, size_t n)
{
    vly_steps_stream *s = ctx;

    s->dialect->tell_events(s, events, n);
}

static void told_durable(void *ctx, uint64_t next)
{
    vly_steps_stream *s = ctx;

    if (s->dialect->put_ack == NULL || atomic_load(&s->stream) == NULL)
        return;
    vly_buf b = vly_steps_stream_buf(s);
    s->dialect->put_ack(s, next, &b);
    vly_steps_stream_send(s, &b);
}

static void tell_replaced(vly_steps_stream *s)
{
    if (atomic_exchange(&s->has_told_replaced, true))
        return;
    vly_buf b = vly_steps_stream_buf(s);
    s->dialect->put_replaced(s, &b);
    vly_steps_stream_send(s, &b);
    vly_steps_stream_end(s, s->dialect->code_replaced, "the session was taken over, or removed");
}

/* On any thread, perhaps while attach copies the id: begin looks again. */
static void told_replaced(void *ctx)
{
    vly_steps_stream *s = ctx;

    atomic_store(&s->is_replaced, true);
    if (atomic_load(&s->is_begun))
        tell_replaced(s);
}

static void told_ended(void *ctx, const vly_imu_session_info *info)
{
    vly_steps_stream *s = ctx;

    if (s->dialect->put_ended != NULL) {
        vly_buf b = vly_steps_stream_buf(s);
        s->dialect->put_ended(s, info, &b);
        vly_steps_stream_send(s, &b);
    }
    vly_steps_stream_end(s, s->dialect->code_ended, NULL);
}

static const vly_imu_session_events session_events = {.on_events = told_events,
                                                      .on_replaced = told_replaced,
                                                      .on_durable = told_durable,
                                                      .on_ended = told_ended};

/* ---- life ---- */

vly_status vly_steps_stream_attach(vly_steps_stream *s, const vly_steps_source *source,
                                   vly_imu_session_info *ret, vly_err *err)
{
    const vly_imu_open open = {.user = source->user,
                               .device = source->device,
                               .id = source->id,
                               .who = s->who,
                               .has_gyro = s->has_gyro,
                               .is_unstored = s->dialect->is_passing && source->user.len == 0,
                               .events = &session_events,
                               .ctx = s};
    vly_status st = vly_imu_session_open(s->api->imu_sessions, &open, &s->session, ret, err);

    if (st != VLY_OK)
        return st;
    memcpy(s->id, ret->id, sizeof(s->id));
    s->next = ret->next;
    return VLY_OK;
}

void vly_steps_stream_detach(vly_steps_stream *s)
{
    if (s->dialect->is_passing && s->session != NULL)
        vly_imu_session_close_forget(s->session);
    else
        vly_imu_session_close(s->session);
    s->session = NULL;
}

static void on_message(void *ctx, vly_stream *stream, vly_buf *message, bool is_text)
{
    vly_steps_stream *s = ctx;

    vly_stream_consumed(stream, message->len); /* readings are copied */
    s->dialect->on_message(s, message, is_text);
}

static void on_end(void *ctx, vly_stream *stream)
{
    vly_steps_stream *s = ctx;

    (void)stream;
    if (s->dialect->on_end != NULL)
        s->dialect->on_end(s);
}

static void on_close(void *ctx, vly_stream *stream)
{
    vly_steps_stream *s = ctx;

    vly_steps_stream_detach(s); /* nobody is told anything behind this */
    s->dialect->gone(s);
    vly_stream_unref(stream);
}

static const vly_stream_events stream_events = {
    .on_message = on_message, .on_end = on_end, .on_close = on_close};

vly_status vly_steps_stream_accept(vly_steps_stream *s, vly_http_request *req, vly_err *err)
{
    vly_stream *stream;
    vly_status st = vly_stream_accept(req, &stream_events, s, &stream, err);

    if (st != VLY_OK)
        return st;
    s->loop_idx = req->loop_idx;
    atomic_store(&s->stream, stream);
    return VLY_OK;
}

void vly_steps_stream_begin(vly_steps_stream *s)
{
    atomic_store(&s->is_begun, true);
    if (atomic_load(&s->is_replaced))
        tell_replaced(s);
}

/* ---- in ---- */

/* The time of reading k, from 0, of those that come evenly. */
static int64_t time_of(const vly_steps_stream *s, uint64_t k)
{
    return llround((double)k * (US_PER_S / s->rate_hz));
}

vly_status vly_steps_stream_push(vly_steps_stream *s, vly_imu_message *m, vly_err *err)
{
    uint64_t first = m->has_first ? m->first : s->next;

    if (first > INT64_MAX)
        return vly_fail(err, VLY_EINVAL, "'first': expected the number of the first reading");
    for (size_t i = 0; !m->has_times && i < m->n; i++)
        m->readings[i].t_us = time_of(s, first + i);
    vly_status st = vly_imu_session_push(
        s->session, s->loop_idx, m->has_first ? first : VLY_IMU_NEXT, m->readings, m->n, err);
    if (st == VLY_OK && first + m->n > s->next)
        s->next = first + m->n;
    return st;
}

static vly_status push_packet(vly_steps_stream *s, const vly_imu_packet *p, vly_arena *arena,
                              vly_err *err)
{
    vly_imu_message m = {
        .has_times = true, .has_first = p->has_first, .first = p->first, .n = p->n};
    vly_status st = VLY_OK;

    if (s->has_gyro && !p->has_gyro)
        return vly_fail(err, VLY_EINVAL,
                        "expected packets with a gyroscope: open the stream with gyro=false");
    m.readings = vly_arena_alloc(arena, p->n * sizeof(*m.readings));
    if (m.readings == NULL)
        return vly_arena_fail(arena, err);
    vly_imu_packet_read(p, m.readings);
    for (size_t i = 0; st == VLY_OK && i < m.n; i++)
        st = vly_imu_reading_check(&m.readings[i], i, err);
    return st == VLY_OK ? vly_steps_stream_push(s, &m, err) : st;
}

vly_status vly_steps_stream_push_packets(vly_steps_stream *s, vly_str bytes, vly_err *err)
{
    vly_status st = VLY_OK;
    vly_imu_packet p;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_ARENA, ARENA_BLOCK_BYTES, ARENA_BUDGET_BYTES);
    do {
        st = vly_imu_packet_open(bytes.ptr, bytes.len, &p, err);
        if (st == VLY_OK)
            st = push_packet(s, &p, &arena, err);
        if (st != VLY_OK)
            break;
        bytes.ptr += p.n_bytes;
        bytes.len -= p.n_bytes;
        vly_arena_reset(&arena);
    } while (bytes.len > 0);
    vly_arena_release(&arena);
    return st;
}

void vly_steps_stream_info(vly_steps_stream *s, vly_imu_session_info *ret)
{
    (void)vly_imu_session_run(s->session, s->loop_idx); /* another turn follows */
    vly_imu_session_info_get(s->session, ret);
}

vly_status vly_steps_stream_reset(vly_steps_stream *s, vly_imu_session_info *ret, vly_err *err)
{
    bool has_run = vly_imu_session_run(s->session, s->loop_idx);

    if (atomic_load(&s->is_replaced))
        return vly_fail(err, VLY_ECANCELLED, "the session is somebody else's, or was removed");
    if (!has_run)
        return vly_fail(err, VLY_EBUSY, "too many readings wait: reset when they have run");
    return vly_imu_sessions_reset(s->api->imu_sessions, &s->who, vly_str_from(s->id), ret, err);
}

void vly_steps_stream_finish(vly_steps_stream *s)
{
    vly_imu_session_end(s->session, s->loop_idx);
}
