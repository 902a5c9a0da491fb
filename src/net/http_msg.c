/* SPDX-License-Identifier: MIT */
#include "net/http_msg.h"

#define ARENA_BLOCK_BYTES ((size_t)16 * 1024)   /* room for all that a small request needs */
#define BODY_RESERVE_MAX  ((size_t)1024 * 1024) /* taken on the word of a length alone */
#define BODY_KEEP_BYTES   ((size_t)64 * 1024)   /* of a small body: a larger buffer is not kept */
#define BODY_ALIGN        ((size_t)64)
#define BODY_SLACK        ((size_t)128)         /* behind a large body: vectors may read there */
#define BODY_READ_MIN     ((size_t)16 * 1024)   /* worth a place of its own to be read to */
#define BODY_READ_MAX     ((size_t)1024 * 1024) /* of one read, so that others get their turn */

vly_status vly_http_msg_init(vly_http_msg *m, const vly_http_limits *limits, vly_err *err)
{
    size_t max = limits->max_scratch_bytes;

    *m = (vly_http_msg){.limits = limits};
    vly_arena_init(&m->arena, VLY_MEM_NET,
                   max / 2 < ARENA_BLOCK_BYTES ? max / 2 : ARENA_BLOCK_BYTES, max);
    vly_buf_init(&m->body, VLY_MEM_NET, limits->max_body_bytes);
    vly_buf_init(&m->head, VLY_MEM_NET, limits->max_header_bytes);
    m->headers = vly_calloc(VLY_MEM_NET, limits->max_headers, sizeof(*m->headers));
    if (m->headers == NULL || !vly_buf_reserve(&m->head, limits->max_header_bytes)) {
        vly_http_msg_release(m);
        return vly_fail(err, VLY_ENOMEM, "request: no memory for its headers");
    }
    return VLY_OK;
}

static void return_budget(vly_http_msg *m)
{
    if (m->budget_taken == 0)
        return;
    atomic_fetch_sub(&m->limits->body_budget->used_bytes, m->budget_taken);
    m->budget_taken = 0;
}

void vly_http_msg_release(vly_http_msg *m)
{
    return_budget(m);
    vly_buf_release(&m->body);
    vly_buf_release(&m->head);
    vly_free(m->headers);
    m->headers = NULL;
    vly_arena_release(&m->arena);
}

void vly_http_msg_clear(vly_http_msg *m)
{
    return_budget(m);
    if (m->body.cap > BODY_KEEP_BYTES)
        vly_buf_release(&m->body);
    vly_buf_clear(&m->body);
    vly_buf_clear(&m->head);
    vly_arena_reset(&m->arena);
    m->n_headers = 0;
    m->method = VLY_HTTP_OTHER;
    m->method_name = m->target = m->path = m->query = (vly_str){0};
    m->major_version = m->minor_version = 0;
    m->is_tls = m->keep_alive = false;
    m->body_bytes = 0;
}

vly_str vly_http_msg_header(const vly_http_msg *m, const char *name)
{
    vly_str want = vly_str_from(name);

    for (size_t i = 0; i < m->n_headers; i++)
        if (vly_str_eq_nocase(m->headers[i].name, want))
            return m->headers[i].value;
    return (vly_str){0};
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

vly_status vly_http_unescape(vly_arena *arena, vly_str s, bool plus_is_blank, vly_str *ret)
{
    size_t len = 0;
    char *out = vly_arena_alloc(arena, s.len + 1);

    if (out == NULL)
        return VLY_ELIMIT;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            int high = s.len - i > 2 ? hex_digit(s.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(s.ptr[i + 2]) : -1;
            if (low < 0 || (high == 0 && low == 0))
                return VLY_EFORMAT;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        out[len++] = c;
    }
    out[len] = '\0';
    *ret = (vly_str){out, len};
    return VLY_OK;
}

vly_status vly_http_msg_query(vly_http_msg *m, const char *name, vly_str *ret)
{
    vly_str rest = m->query;

    while (rest.ptr != NULL) {
        vly_str key;
        vly_str value = vly_str_split(&rest, '&');
        vly_str escaped_key = vly_str_split(&value, '=');
        vly_status st = vly_http_unescape(&m->arena, escaped_key, true, &key);
        if (st != VLY_OK)
            return st;
        if (vly_str_is(key, name))
            return vly_http_unescape(&m->arena, value, true, ret);
    }
    return VLY_ENOTFOUND;
}

/* ---- what the protocols share ---- */

static int refuse(int status, const char *reason, const char **ret_reason)
{
    *ret_reason = reason;
    return status;
}

int vly_http__msg_set_path(vly_http_msg *m, vly_str target, const char **ret_reason)
{
    vly_str query = target;

    if (vly_str_is(query, "*") && m->method == VLY_HTTP_OPTIONS) {
        m->path = query;
        return 0;
    }
    if (query.len == 0 || query.ptr[0] != '/' || memchr(query.ptr, '#', query.len) != NULL)
        return refuse(400, "the request target must be a path", ret_reason);
    vly_str path = vly_str_split(&query, '?');
    m->query = query;
    vly_status st = vly_http_unescape(&m->arena, path, false, &m->path);
    if (st == VLY_EFORMAT)
        return refuse(400, "the path has a bad percent escape", ret_reason);
    return st == VLY_OK ? 0 : refuse(503, "no memory for the request", ret_reason);
}

/* Moves a large body to a block with room for `bytes` of it. */
static bool move_body(vly_http_msg *m, size_t bytes)
{
    size_t at = m->limits->body_aligned_at != NULL ? m->limits->body_aligned_at(m) : 0;
    size_t gap = (BODY_ALIGN - at % BODY_ALIGN) % BODY_ALIGN, len = m->body.len;
    char *block = vly_alloc_aligned(VLY_MEM_NET, gap + bytes + BODY_SLACK);

    if (block == NULL)
        return false;
    if (len > 0)
        memcpy(block + gap, m->body.ptr, len);
    vly_buf_release(&m->body);
    vly_buf_lend(&m->body, block + gap, len, bytes + BODY_SLACK, vly_free, block);
    return true;
}

/* Room for n more bytes: at first for a part of what was announced, then, when the client has
 * shown that it means it, for all. */
static bool make_room(vly_http_msg *m, size_t n)
{
    size_t need = m->body.len + n;

    if (m->body_bytes <= BODY_KEEP_BYTES || need > m->body_bytes)
        return vly_buf_reserve(&m->body, n);
    if (m->body.cap >= need + BODY_SLACK)
        return true;
    bool is_first = need <= BODY_RESERVE_MAX && m->body_bytes > BODY_RESERVE_MAX;
    return move_body(m, is_first ? BODY_RESERVE_MAX : m->body_bytes);
}

int vly_http__msg_expect_body(vly_http_msg *m, uint64_t len, const char **ret_reason)
{
    if (len > m->limits->max_body_bytes)
        return refuse(413, "the request body is too large", ret_reason);
    m->body_bytes = (size_t)len;
    if (len > 0 && !make_room(m, len < BODY_RESERVE_MAX ? (size_t)len : BODY_RESERVE_MAX))
        return refuse(503, "no memory for the request body", ret_reason);
    return 0;
}

size_t vly_http__msg_body_room(vly_http_msg *m, char **ret)
{
    size_t left = m->body_bytes > m->body.len ? m->body_bytes - m->body.len : 0;

    if (m->body_bytes <= BODY_KEEP_BYTES || left < BODY_READ_MIN || !make_room(m, 1))
        return 0;
    size_t room = m->body.cap - BODY_SLACK - m->body.len;
    room = room < left ? room : left;
    *ret = m->body.ptr + m->body.len;
    return room < BODY_READ_MAX ? room : BODY_READ_MAX;
}

static bool take_budget(vly_http_msg *m, size_t n)
{
    vly_http_budget *budget = m->limits->body_budget;

    if (atomic_fetch_add(&budget->used_bytes, n) + n > budget->max_bytes) {
        atomic_fetch_sub(&budget->used_bytes, n);
        return false;
    }
    m->budget_taken += n;
    return true;
}

vly_status vly_http_msg_hold(vly_http_msg *m, size_t n, vly_err *err)
{
    if (take_budget(m, n))
        return VLY_OK;
    return vly_fail(err, VLY_EUNAVAILABLE, "too many request bodies in memory");
}

int vly_http__msg_add_body(vly_http_msg *m, const char *at, size_t n, const char **ret_reason)
{
    if (n > m->limits->max_body_bytes - m->body.len)
        return refuse(413, "the request body is too large", ret_reason);
    if (!take_budget(m, n))
        return refuse(503, "too many request bodies in memory", ret_reason);
    if (!make_room(m, n))
        return refuse(503, "no memory for the request body", ret_reason);
    if (at == m->body.ptr + m->body.len) { /* read to where it belongs */
        m->body.len += n;
        m->body.ptr[m->body.len] = '\0';
    } else {
        vly_buf_add(&m->body, at, n);
    }
    return 0;
}
