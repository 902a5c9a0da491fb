/* SPDX-License-Identifier: MIT */
#include "codec/otlp.h"

#include "base/assert.h"
#include "codec/pbwire.h"
#include "volley/version.h"

/* Numbers of fields, by message. */
enum { REQUEST_RESOURCE_SPANS = 1 };
enum { RESOURCE_SPANS_RESOURCE = 1, RESOURCE_SPANS_SCOPE_SPANS = 2 };
enum { SCOPE_SPANS_SCOPE = 1, SCOPE_SPANS_SPANS = 2 };
enum { SCOPE_NAME = 1, SCOPE_VERSION = 2 };
enum {
    SPAN_TRACE_ID = 1,
    SPAN_ID = 2,
    SPAN_PARENT_ID = 4,
    SPAN_NAME = 5,
    SPAN_KIND = 6,
    SPAN_BEGIN = 7,
    SPAN_END = 8,
    SPAN_STATUS = 15,
    SPAN_FLAGS = 16
};
enum { STATUS_MESSAGE = 2, STATUS_CODE = 3 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2 };
enum { VALUE_TEXT = 1, VALUE_BOOL = 2, VALUE_INT = 3 };
enum { RESPONSE_PARTIAL = 1 };
enum { PARTIAL_REJECTED = 1, PARTIAL_MESSAGE = 2 };

#define STATUS_ERROR     2
#define FLAG_SAMPLED     0x01u /* as in traceparent */
#define FLAG_KNOWS_PLACE 0x100u
#define FLAG_IS_REMOTE   0x200u

/* Cut to its maximum, not within a character; in scratch when it had to be mended. */
static vly_str mend(vly_str s, char scratch[VLY_OTLP_TEXT_MAX])
{
    size_t n = 0, at = 0;

    if (s.len <= VLY_OTLP_TEXT_MAX && vly_str_is_utf8(s))
        return s;
    while (at < s.len) {
        size_t len = vly_utf8_len((vly_str){s.ptr + at, s.len - at});
        size_t take = len > 0 ? len : 1;
        if (n + take > VLY_OTLP_TEXT_MAX)
            break;
        memcpy(scratch + n, len > 0 ? s.ptr + at : "?", take);
        n += take;
        at += take;
    }
    return (vly_str){scratch, n};
}

static void put_text(vly_buf *b, uint32_t number, vly_str text)
{
    char scratch[VLY_OTLP_TEXT_MAX];

    vly_pb_put_bytes(b, number, mend(text, scratch));
}

static void put_status(vly_buf *b, const vly_otlp_span *s)
{
    size_t mark = vly_pb_open(b, SPAN_STATUS);

    if (s->message.len > 0)
        put_text(b, STATUS_MESSAGE, s->message);
    vly_pb_put_varint(b, STATUS_CODE, STATUS_ERROR);
    vly_pb_close(b, mark);
}

size_t vly_otlp_open_span(vly_buf *b, const vly_otlp_span *s)
{
    uint32_t flags = FLAG_SAMPLED | FLAG_KNOWS_PLACE | (s->is_parent_remote ? FLAG_IS_REMOTE : 0);
    size_t mark = vly_pb_open(b, SCOPE_SPANS_SPANS);

    VLY_ASSERT(s->end_unix_ns >= s->begin_unix_ns);
    vly_pb_put_bytes(b, SPAN_TRACE_ID, (vly_str){(const char *)s->trace, VLY_TRACE_BYTES});
    vly_pb_put_bytes(b, SPAN_ID, (vly_str){(const char *)s->id, VLY_SPAN_BYTES});
    if (s->parent != NULL)
        vly_pb_put_bytes(b, SPAN_PARENT_ID, (vly_str){(const char *)s->parent, VLY_SPAN_BYTES});
    put_text(b, SPAN_NAME, s->name);
    vly_pb_put_varint(b, SPAN_KIND, (uint64_t)s->kind);
    vly_pb_put_fixed64(b, SPAN_BEGIN, s->begin_unix_ns);
    vly_pb_put_fixed64(b, SPAN_END, s->end_unix_ns);
    vly_pb_put_fixed32(b, SPAN_FLAGS, flags);
    if (s->is_error)
        put_status(b, s);
    return mark;
}

void vly_otlp_close_span(vly_buf *b, size_t mark)
{
    vly_pb_close(b, mark);
}

/* ---- attributes ---- */

typedef struct pair {
    size_t outer, inner;
} pair;

static pair open_pair(vly_buf *b, vly_otlp_owner owner, const char *key)
{
    pair p = {.outer = vly_pb_open(b, (uint32_t)owner)};

    vly_pb_put_bytes(b, PAIR_KEY, vly_str_from(key));
    p.inner = vly_pb_open(b, PAIR_VALUE);
    return p;
}

static void close_pair(vly_buf *b, pair p)
{
    vly_pb_close(b, p.inner);
    vly_pb_close(b, p.outer);
}

void vly_otlp_put_text(vly_buf *b, vly_otlp_owner owner, const char *key, vly_str value)
{
    pair p = open_pair(b, owner, key);

    put_text(b, VALUE_TEXT, value);
    close_pair(b, p);
}

void vly_otlp_put_int(vly_buf *b, vly_otlp_owner owner, const char *key, int64_t value)
{
    pair p = open_pair(b, owner, key);

    vly_pb_put_varint(b, VALUE_INT, (uint64_t)value);
    close_pair(b, p);
}

void vly_otlp_put_bool(vly_buf *b, vly_otlp_owner owner, const char *key, bool value)
{
    pair p = open_pair(b, owner, key);

    vly_pb_put_varint(b, VALUE_BOOL, value);
    close_pair(b, p);
}

/* ---- requests ---- */

void vly_otlp_put_request(vly_buf *b, vly_str resource, vly_str spans)
{
    size_t resource_spans = vly_pb_open(b, REQUEST_RESOURCE_SPANS);

    vly_pb_put_bytes(b, RESOURCE_SPANS_RESOURCE, resource);
    size_t scope_spans = vly_pb_open(b, RESOURCE_SPANS_SCOPE_SPANS);
    size_t scope = vly_pb_open(b, SCOPE_SPANS_SCOPE);
    vly_pb_put_bytes(b, SCOPE_NAME, VLY_STR("volley"));
    vly_pb_put_bytes(b, SCOPE_VERSION, VLY_STR(VOLLEY_VERSION));
    vly_pb_close(b, scope);
    vly_buf_add_str(b, spans);
    vly_pb_close(b, scope_spans);
    vly_pb_close(b, resource_spans);
}

static vly_status read_partial(vly_str bytes, uint64_t *ret_n_rejected, vly_str *ret_message,
                               vly_err *err)
{
    vly_pb c = vly_pb_begin(bytes);
    vly_pb_field f;

    while (vly_pb_next(&c, &f)) {
        if (f.number == PARTIAL_REJECTED && f.wire == VLY_PB_VARINT)
            *ret_n_rejected = f.value;
        if (f.number == PARTIAL_MESSAGE && f.wire == VLY_PB_LEN)
            *ret_message = f.bytes;
    }
    return c.bad ? vly_fail(err, VLY_EFORMAT, "malformed answer of a collector") : VLY_OK;
}

vly_status vly_otlp_read_response(vly_str body, uint64_t *ret_n_rejected, vly_str *ret_message,
                                  vly_err *err)
{
    vly_pb c = vly_pb_begin(body);
    vly_str message = VLY_STR("");
    vly_status st = VLY_OK;
    uint64_t n = 0;
    vly_pb_field f;

    while (st == VLY_OK && vly_pb_next(&c, &f))
        if (f.number == RESPONSE_PARTIAL && f.wire == VLY_PB_LEN)
            st = read_partial(f.bytes, &n, &message, err);
    if (st == VLY_OK && c.bad)
        st = vly_fail(err, VLY_EFORMAT, "malformed answer of a collector");
    if (st != VLY_OK)
        return st;
    *ret_n_rejected = n;
    *ret_message = message;
    return VLY_OK;
}
