/* SPDX-License-Identifier: MIT */
#include "base/assert.h"
#include "net/http_internal.h"

#include <stdio.h>

#define FREE_EXCHANGES_MAX 64                  /* kept per loop */
#define HEAD_MAX_BYTES     ((size_t)64 * 1024) /* of one answer */
#define HEAD_KEEP_BYTES    ((size_t)4 * 1024)  /* a larger buffer is not kept */

vly_http_exchange *vly_http__exchange_take(vly_http_loop *loop)
{
    vly_http_exchange *ex = loop->free_exchanges;

    if (ex != NULL) {
        loop->free_exchanges = ex->next;
        loop->n_free--;
        return ex;
    }
    ex = vly_calloc(VLY_MEM_NET, 1, sizeof(*ex));
    if (ex == NULL)
        return NULL;
    if (vly_http_msg_init(&ex->req.msg, &loop->server->opts.limits, NULL) != VLY_OK) {
        vly_free(ex);
        return NULL;
    }
    vly_buf_init(&ex->head, VLY_MEM_NET, HEAD_MAX_BYTES);
    ex->req.server = loop->server;
    ex->req.loop_idx = loop->idx;
    ex->loop = loop;
    return ex;
}

static void release_parts(vly_http_exchange *ex)
{
    for (size_t i = 0; i < ex->n_parts; i++)
        vly_buf_release(&ex->parts[i]);
    ex->n_parts = 0;
}

void vly_http__exchange_free(vly_http_exchange *ex)
{
    if (ex == NULL)
        return;
    release_parts(ex);
    vly_buf_release(&ex->head);
    vly_http_msg_release(&ex->req.msg);
    vly_free(ex);
}

static void finish(vly_http_exchange *ex)
{
    const vly_http_opts *opts = &ex->loop->server->opts;

    if (opts->on_finished == NULL || (ex->status == 0 && ex->req.user == NULL))
        return;
    opts->on_finished(opts->ctx, &ex->req,
                      &(vly_http_finished){.status = ex->status,
                                           .bytes_in = ex->bytes_in,
                                           .bytes_out = ex->bytes_out,
                                           .sent_ns = ex->sent_ns});
}

void vly_http__exchange_put(vly_http_exchange *ex)
{
    vly_http_loop *loop = ex->loop;

    finish(ex);
    if (loop->n_free == FREE_EXCHANGES_MAX) {
        vly_http__exchange_free(ex);
        return;
    }
    release_parts(ex);
    if (ex->head.cap > HEAD_KEEP_BYTES)
        vly_buf_release(&ex->head);
    vly_buf_clear(&ex->head);
    vly_http_msg_clear(&ex->req.msg);
    atomic_store(&ex->req.is_cancelled, false);
    ex->req.received_ns = 0;
    ex->req.stream_kind = VLY_STREAM_NONE;
    ex->req.is_cut = false;
    ex->req.peer[0] = '\0';
    ex->req.user = NULL;
    ex->conn = NULL;
    ex->is_answered = ex->is_last = false;
    ex->status = 0;
    ex->bytes_in = ex->bytes_out = 0;
    ex->sent_ns = 0;
    ex->h2 = (typeof(ex->h2)){0};
    ex->next = loop->free_exchanges;
    loop->free_exchanges = ex;
    loop->n_free++;
}

static bool has_no_body(int status)
{
    return status == 204 || status == 304;
}

bool vly_http__exchange_has_body(const vly_http_exchange *ex)
{
    return ex->req.msg.method != VLY_HTTP_HEAD && !has_no_body(ex->status);
}

size_t vly_http__exchange_body_len(const vly_http_exchange *ex)
{
    size_t len = 0;
    for (size_t i = 0; i < ex->n_parts; i++)
        len += ex->parts[i].len;
    return len;
}

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < VLY_COUNT(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Unknown";
}

/* Adds text with control bytes as blanks, so that nothing can end the line early. */
static void add_clean(vly_buf *out, vly_str text)
{
    size_t start = out->len;

    vly_buf_add_str(out, text);
    if (out->failed)
        return;
    for (size_t i = start; i < out->len; i++)
        if ((unsigned char)out->ptr[i] < 0x20 || out->ptr[i] == 0x7f)
            out->ptr[i] = ' ';
}

/* HTTP/2: names are in small letters. */
static void add_field(vly_buf *out, vly_str name, vly_str value)
{
    size_t start = out->len;

    add_clean(out, name);
    for (size_t i = start; i < out->len; i++)
        if (out->ptr[i] >= 'A' && out->ptr[i] <= 'Z')
            out->ptr[i] = (char)(out->ptr[i] - 'A' + 'a');
    vly_buf_putc(out, '\0');
    add_clean(out, value);
    vly_buf_putc(out, '\0');
}

static void add_length_field(vly_http_exchange *ex)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%zu", vly_http__exchange_body_len(ex));

    add_field(&ex->head, VLY_STR("content-length"), (vly_str){text, (size_t)n});
    ex->n_fields++;
}

static void format_fields(vly_http_exchange *ex, const vly_http_answer *answer)
{
    vly_buf *out = &ex->head;

    vly_buf_clear(out);
    ex->n_fields = answer->n_headers;
    ex->n_trailers = answer->n_trailers;
    for (size_t i = 0; i < answer->n_headers; i++)
        add_field(out, answer->headers[i].name, answer->headers[i].value);
    if (answer->content_type != NULL) {
        add_field(out, VLY_STR("content-type"), vly_str_from(answer->content_type));
        ex->n_fields++;
    }
    if (!has_no_body(answer->status) && answer->n_trailers == 0)
        add_length_field(ex);
    for (size_t i = 0; i < answer->n_trailers; i++)
        add_field(out, answer->trailers[i].name, answer->trailers[i].value);
}

static void add_header(vly_buf *out, vly_str name, vly_str value)
{
    add_clean(out, name);
    vly_buf_puts(out, ": ");
    add_clean(out, value);
    vly_buf_puts(out, "\r\n");
}

static void format_head(vly_http_exchange *ex, const vly_http_answer *answer)
{
    vly_buf *out = &ex->head;

    ex->status = answer->status;
    if (ex->req.msg.major_version == 2) {
        format_fields(ex, answer);
        return;
    }
    vly_buf_clear(out);
    vly_buf_printf(out, "HTTP/1.1 %d %s\r\n", answer->status, status_text(answer->status));
    if (answer->content_type != NULL)
        add_header(out, VLY_STR("Content-Type"), vly_str_from(answer->content_type));
    for (size_t i = 0; i < answer->n_headers; i++)
        add_header(out, answer->headers[i].name, answer->headers[i].value);
    if (!has_no_body(answer->status))
        vly_buf_printf(out, "Content-Length: %zu\r\n", vly_http__exchange_body_len(ex));
}

/* What is left to say when the answer itself cannot be built. */
static void answer_without_body(vly_http_exchange *ex, int status)
{
    const vly_http_answer answer = {.status = status};

    release_parts(ex);
    format_head(ex, &answer);
}

void vly_http__exchange_answer(vly_http_exchange *ex, const vly_http_answer *answer)
{
    bool is_whole = true;

    VLY_ASSERT(answer->status >= 200 && answer->status <= 599);
    VLY_ASSERT(answer->n_parts <= VLY_HTTP_MAX_PARTS);
    for (size_t i = 0; i < answer->n_parts; i++) {
        vly_buf *part = &answer->parts[i];
        is_whole = is_whole && !part->failed;
        ex->parts[i] = *part;
        vly_buf_init(part, part->kind, part->max_bytes);
    }
    ex->n_parts = answer->n_parts;
    if (is_whole)
        format_head(ex, answer);
    if (!is_whole || ex->head.failed)
        answer_without_body(ex, 503);
}

void vly_http__exchange_error(vly_http_exchange *ex, int status, const char *msg)
{
    vly_buf body;
    const vly_http_answer answer = {
        .status = status, .content_type = "application/json", .parts = &body, .n_parts = 1};

    vly_buf_init(&body, VLY_MEM_NET, HEAD_MAX_BYTES);
    vly_buf_puts(&body, "{\"error\":");
    vly_buf_json_str(&body, vly_str_from(msg));
    vly_buf_putc(&body, '}');
    vly_http__exchange_answer(ex, &answer);
}
