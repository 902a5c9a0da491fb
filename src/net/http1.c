/* SPDX-License-Identifier: MIT */
/*
 * llhttp without any leniency refuses bare LF, folded headers, duplicate or malformed lengths, and
 * Transfer-Encoding beside Content-Length. Checked here: Host, transfer codings other than chunked,
 * the form of the target, Expect, and every limit.
 *
 * Bytes of the head are copied into msg->head, which is reserved whole and so never moves: views
 * into it may be taken while it fills.
 */
#include "net/http1.h"

#include "base/assert.h"

#define HEADER_OVERHEAD 4 /* ": " and the end of the line */

static vly_http1 *self(llhttp_t *parser)
{
    return parser->data;
}

static int refuse(vly_http1 *p, int status, const char *reason)
{
    p->status = status;
    p->reason = reason;
    return HPE_USER;
}

/* Counts n more bytes of the head; past the limit, status is the answer. */
static int count_head(vly_http1 *p, size_t n, int status)
{
    p->head_bytes += n;
    if (p->head_bytes <= p->msg->limits->max_header_bytes)
        return 0;
    return refuse(p, status,
                  status == 414 ? "the request target is too long"
                                : "the request header is too large");
}

/* Trailers and extensions of chunks are counted, not kept. */
static int add_head(vly_http1 *p, const char *at, size_t n, int status)
{
    int rc = count_head(p, n, status);
    if (rc == 0 && !p->is_in_body)
        vly_buf_add(&p->msg->head, at, n);
    return rc;
}

/* View of the last n bytes of the head, which an append makes one longer. */
static vly_str head_tail(const vly_buf *head, size_t n)
{
    return (vly_str){head->ptr + head->len - n, n};
}

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
    vly_http1 *p = self(parser);
    int rc = add_head(p, at, n, 414);
    if (rc == 0)
        p->msg->target = head_tail(&p->msg->head, p->msg->target.len + n);
    return rc;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t n)
{
    vly_http1 *p = self(parser);
    vly_http_msg *m = p->msg;
    int rc = add_head(p, at, n, 431);

    if (rc != 0 || p->is_in_body)
        return rc;
    if (m->n_headers == m->limits->max_headers)
        return refuse(p, 431, "the request has too many headers");
    vly_str *name = &m->headers[m->n_headers].name;
    *name = head_tail(&m->head, name->len + n);
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t n)
{
    vly_http1 *p = self(parser);
    vly_http_msg *m = p->msg;
    int rc = add_head(p, at, n, 431);

    if (rc != 0 || p->is_in_body)
        return rc;
    vly_str *value = &m->headers[m->n_headers].value;
    *value = head_tail(&m->head, value->len + n);
    return 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
    vly_http1 *p = self(parser);
    vly_http_msg *m = p->msg;

    int rc = count_head(p, HEADER_OVERHEAD, 431);

    if (rc != 0 || p->is_in_body)
        return rc;
    vly_str *value = &m->headers[m->n_headers].value;
    *value = value->ptr != NULL ? vly_str_trim(*value) : VLY_STR("");
    m->n_headers++;
    if (m->n_headers < m->limits->max_headers)
        m->headers[m->n_headers] = (vly_http_header){0};
    return 0;
}

/* Extensions of chunks mean nothing here, but must not be endless. */
static int on_chunk_extension(llhttp_t *parser, const char *at, size_t n)
{
    vly_http1 *p = self(parser);
    return add_head(p, at, n, 431);
}

static vly_http_method method_of(uint8_t method)
{
    static const struct {
        uint8_t llhttp;
        vly_http_method ours;
    } methods[] = {
        {HTTP_GET, VLY_HTTP_GET},       {HTTP_HEAD, VLY_HTTP_HEAD},
        {HTTP_POST, VLY_HTTP_POST},     {HTTP_PUT, VLY_HTTP_PUT},
        {HTTP_DELETE, VLY_HTTP_DELETE}, {HTTP_OPTIONS, VLY_HTTP_OPTIONS},
        {HTTP_PATCH, VLY_HTTP_PATCH},
    };
    for (size_t i = 0; i < VLY_COUNT(methods); i++)
        if (methods[i].llhttp == method)
            return methods[i].ours;
    return VLY_HTTP_OTHER;
}

/* What stands behind "http://authority" in the absolute form, or all of the target. */
static vly_str strip_authority(vly_str target)
{
    static const vly_str schemes[] = {{"http://", 7}, {"https://", 8}};

    for (size_t i = 0; i < VLY_COUNT(schemes); i++) {
        vly_str scheme = schemes[i];
        if (target.len <= scheme.len ||
            !vly_str_eq_nocase((vly_str){target.ptr, scheme.len}, scheme))
            continue;
        target = (vly_str){target.ptr + scheme.len, target.len - scheme.len};
        while (target.len > 0 && *target.ptr != '/' && *target.ptr != '?') {
            target.ptr++;
            target.len--;
        }
        return target.len > 0 && *target.ptr == '/' ? target : VLY_STR("/");
    }
    return target;
}

static int check_target(vly_http1 *p)
{
    int status = vly_http__msg_set_path(p->msg, strip_authority(p->msg->target), &p->reason);
    return status == 0 ? 0 : refuse(p, status, p->reason);
}

static size_t count_headers(const vly_http_msg *m, vly_str name)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_headers; i++)
        n += vly_str_eq_nocase(m->headers[i].name, name);
    return n;
}

/* Where messages could be cut differently by a proxy before us, refuse. */
static int check_framing(vly_http1 *p)
{
    const vly_http_msg *m = p->msg;
    size_t n_hosts = count_headers(m, VLY_STR("host"));
    vly_str coding = vly_http_msg_header(m, "transfer-encoding");

    if (n_hosts > 1 || (n_hosts == 0 && m->minor_version == 1))
        return refuse(p, 400, "expected exactly one Host header");
    if (coding.ptr == NULL)
        return 0;
    if (m->minor_version == 0)
        return refuse(p, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (count_headers(m, VLY_STR("transfer-encoding")) > 1 ||
        !vly_str_eq_nocase(coding, VLY_STR("chunked")))
        return refuse(p, 501, "the only supported Transfer-Encoding is chunked");
    return 0;
}

static int check_body(vly_http1 *p)
{
    vly_http_msg *m = p->msg;
    vly_str expect = vly_http_msg_header(m, "expect");
    uint64_t len = (p->parser.flags & F_CONTENT_LENGTH) != 0 ? p->parser.content_length : 0;

    p->is_chunked = (p->parser.flags & F_CHUNKED) != 0;
    int status = vly_http__msg_expect_body(m, len, &p->reason);
    if (status != 0)
        return refuse(p, status, p->reason);
    if (expect.ptr == NULL || m->minor_version == 0)
        return 0;
    if (!vly_str_eq_nocase(expect, VLY_STR("100-continue")))
        return refuse(p, 417, "the only supported Expect is 100-continue");
    p->wants_continue = p->is_chunked || len > 0;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    vly_http1 *p = self(parser);
    vly_http_msg *m = p->msg;

    m->method = method_of(parser->method);
    m->method_name = vly_str_from(llhttp_method_name((llhttp_method_t)parser->method));
    m->major_version = parser->http_major;
    m->minor_version = parser->http_minor;
    if (parser->http_major != 1)
        return refuse(p, 505, "the only supported version is HTTP/1");
    if (parser->method == HTTP_CONNECT)
        return refuse(p, 501, "CONNECT is not supported");
    parser->upgrade = 0; /* an upgrade may be ignored: the request is then a plain one */
    int rc = check_framing(p);
    if (rc == 0)
        rc = check_target(p);
    if (rc == 0)
        rc = check_body(p);
    p->is_in_body = true;
    if (rc == 0 && p->stops_at_head && (p->is_chunked || m->body_bytes > 0))
        return HPE_PAUSED;
    return rc;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    vly_http1 *p = self(parser);

    p->wants_continue = false;
    int status = vly_http__msg_add_body(p->msg, at, n, &p->reason);
    return status == 0 ? 0 : refuse(p, status, p->reason);
}

static int on_message_complete(llhttp_t *parser)
{
    vly_http1 *p = self(parser);

    p->is_complete = true;
    p->msg->keep_alive = llhttp_should_keep_alive(parser) != 0;
    p->wants_continue = false;
    return HPE_PAUSED; /* feed returns here; the next message gets its own begin */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void vly_http1_init(vly_http1 *p)
{
    *p = (vly_http1){0};
    llhttp_init(&p->parser, HTTP_REQUEST, &settings);
    p->parser.data = p;
}

void vly_http1_begin(vly_http1 *p, vly_http_msg *msg)
{
    VLY_ASSERT(p->msg == NULL && msg->limits->max_headers > 0);
    p->msg = msg;
    p->head_bytes = 0;
    p->is_in_body = false;
    p->is_complete = false;
    p->wants_continue = false;
    msg->headers[0] = (vly_http_header){0};
}

/* Status and text of what llhttp itself refused. */
static void explain(vly_http1 *p, llhttp_errno_t code)
{
    const char *reason = llhttp_get_error_reason(&p->parser);

    p->status = 400;
    if (code == HPE_INVALID_METHOD)
        p->status = 501;
    if (code == HPE_INVALID_VERSION || code == HPE_PAUSED_H2_UPGRADE)
        p->status = 505;
    p->reason = reason != NULL && *reason != '\0' ? reason : llhttp_errno_name(code);
}

vly_http1_event vly_http1_feed(vly_http1 *p, vly_str bytes, size_t *ret_used)
{
    VLY_ASSERT(p->msg != NULL);
    p->status = 0;
    llhttp_errno_t code = llhttp_execute(&p->parser, bytes.ptr, bytes.len);

    *ret_used = bytes.len;
    if (code == HPE_OK)
        return VLY_HTTP1_MORE;
    if (code == HPE_PAUSED) {
        *ret_used = (size_t)(llhttp_get_error_pos(&p->parser) - bytes.ptr);
        llhttp_resume(&p->parser);
        if (!p->is_complete)
            return VLY_HTTP1_HEAD;
        p->msg = NULL;
        return VLY_HTTP1_MESSAGE;
    }
    if (p->status == 0)
        explain(p, code);
    p->msg = NULL;
    return VLY_HTTP1_ERROR;
}
