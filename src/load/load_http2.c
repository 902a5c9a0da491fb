/* SPDX-License-Identifier: MIT */
/* HTTP/2: a request is a stream, as many at once as the server takes and max_in_flight says. */
#include "load/load_h2.h"

static bool is_success(const vly_load_h2_stream *s)
{
    return s->status >= 200 && s->status < 300;
}

static void ready(vly_load_h2 *h)
{
    vly_load__opened(&h->base);
}

static void begin(vly_load_h2_stream *s)
{
    (void)s;
}

static void data(vly_load_h2 *h, vly_load_h2_stream *s, vly_str bytes)
{
    (void)h;
    if (s->call != NULL)
        vly_load__body(s->call, bytes);
    if (!is_success(s))
        vly_load__h2_keep_why(s, bytes);
}

static void end_call(vly_load_h2_stream *s, vly_load_call *call)
{
    vly_load__finish(call, is_success(s) ? VLY_LOAD_OK : VLY_LOAD_STATUS,
                     (vly_str){s->why, s->n_why});
}

static vly_status init(vly_load_conn *c, vly_err *err)
{
    static const char *const fields[] = {NULL};
    static const vly_load_h2_dialect dialect = {
        .fields = fields, .ready = ready, .begin = begin, .data = data, .end_call = end_call};

    return vly_load__h2_init(c, &dialect, err);
}

const vly_load_kind vly_load__http2 = {
    .name = "http2",
    .alpn = "h2",
    .conn_bytes = sizeof(vly_load_h2),
    .init = init,
    .release = vly_load__h2_release,
    .open = vly_load__h2_open,
    .close = vly_load__h2_close,
    .feed = vly_load__h2_feed,
    .collect = vly_load__h2_collect,
    .drop = vly_load__h2_drop,
};
