/* SPDX-License-Identifier: MIT */
#include "load/load_answer.h"

#include "base/assert.h"

#include <string.h>

static vly_load_answer *self(llhttp_t *parser)
{
    return parser->data;
}

/* Keeps what fits of a text that comes in pieces; a longer one is none that matters. */
static void keep(char *text, size_t room, size_t *len, const char *at, size_t n)
{
    if (*len < room && n <= room - *len)
        memcpy(text + *len, at, n);
    *len = *len < room && n <= room - *len ? *len + n : room + 1;
}

static int on_name(llhttp_t *parser, const char *at, size_t n)
{
    vly_load_answer *a = self(parser);
    keep(a->name, sizeof(a->name), &a->n_name, at, n);
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
    vly_load_answer *a = self(parser);
    keep(a->value, sizeof(a->value), &a->n_value, at, n);
    return 0;
}

static int on_header(llhttp_t *parser)
{
    vly_load_answer *a = self(parser);
    vly_str name = {a->name, a->n_name}, value = {a->value, a->n_value};

    a->n_name = a->n_value = 0;
    if (name.len > sizeof(a->name) || value.len > sizeof(a->value) || a->is_in_body)
        return 0;
    value = vly_str_trim(value);
    if (vly_str_eq_nocase(name, VLY_STR("volley-cache"))) {
        a->is_cached = vly_str_eq_nocase(value, VLY_STR("hit"));
    } else if (vly_str_eq_nocase(name, VLY_STR("sec-websocket-accept")) &&
               value.len < sizeof(a->accept)) {
        memcpy(a->accept, value.ptr, value.len);
        a->accept[value.len] = '\0';
    }
    return 0;
}

/* 1: llhttp is to look for no body; -1: no status that there is. */
static int on_head(llhttp_t *parser)
{
    vly_load_answer *a = self(parser);
    bool is_chunked = (parser->flags & F_CHUNKED) != 0;

    if (parser->status_code < 100)
        return -1;
    a->status = parser->status_code;
    a->is_in_body = true;
    if (a->is_to_head)
        parser->flags |= F_SKIPBODY;
    a->has_keep_alive = llhttp_should_keep_alive(parser) != 0;
    parser->upgrade = 0;
    if (a->is_to_head || a->status == 101)
        return 1;
    if (a->status < 200 || a->status == 204 || a->status == 304 || is_chunked ||
        (parser->flags & F_CONTENT_LENGTH) == 0)
        return 0;
    a->body_left = parser->content_length;
    return 1;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    vly_load_answer *a = self(parser);

    if (a->on_body != NULL)
        a->on_body(a->ctx, (vly_str){at, n});
    return 0;
}

static int on_whole(llhttp_t *parser)
{
    self(parser)->is_whole = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_header,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_whole,
};

void vly_load_answer_begin(vly_load_answer *a, bool is_to_head)
{
    a->status = 0;
    a->is_cached = a->has_keep_alive = a->has_begun = a->is_in_body = a->is_whole = false;
    a->is_to_head = is_to_head;
    a->reason = (vly_str){NULL, 0};
    a->accept[0] = '\0';
    a->body_left = 0;
    a->n_name = a->n_value = 0;
    llhttp_init(&a->parser, HTTP_RESPONSE, &settings);
    a->parser.data = a;
}

static vly_load_answer_event broken(vly_load_answer *a, vly_str reason)
{
    a->reason = reason;
    return VLY_LOAD_ANSWER_BROKEN;
}

/* The head has been read, by a parser that has then seen the end of a message. */
static vly_load_answer_event after_head(vly_load_answer *a)
{
    if (a->body_left > 0)
        return VLY_LOAD_ANSWER_MORE;
    if (a->status >= 200 || a->status == 101)
        return VLY_LOAD_ANSWER_WHOLE;
    bool is_to_head = a->is_to_head;
    vly_load_answer_begin(a, is_to_head); /* informational: the answer is still to come */
    a->has_begun = true;
    return VLY_LOAD_ANSWER_MORE;
}

vly_load_answer_event vly_load_answer_skip(vly_load_answer *a, uint64_t n)
{
    VLY_ASSERT(n <= a->body_left);
    a->body_left -= n;
    return a->body_left == 0 ? VLY_LOAD_ANSWER_WHOLE : VLY_LOAD_ANSWER_MORE;
}

static vly_load_answer_event feed_body(vly_load_answer *a, vly_str *in)
{
    size_t n = in->len < a->body_left ? in->len : (size_t)a->body_left;

    if (a->on_body != NULL && n > 0)
        a->on_body(a->ctx, (vly_str){in->ptr, n});
    *in = (vly_str){in->ptr + n, in->len - n};
    return vly_load_answer_skip(a, n);
}

vly_load_answer_event vly_load_answer_feed(vly_load_answer *a, vly_str *in)
{
    while (in->len > 0) {
        if (a->body_left > 0)
            return feed_body(a, in);
        a->has_begun = true;
        llhttp_errno_t code = llhttp_execute(&a->parser, in->ptr, in->len);
        if (code == HPE_OK) {
            *in = (vly_str){in->ptr + in->len, 0};
            break;
        }
        if (code != HPE_PAUSED || !a->is_whole)
            return broken(a, VLY_STR("what came is no HTTP/1.1 answer"));
        const char *at = llhttp_get_error_pos(&a->parser);
        *in = (vly_str){at, (size_t)(in->ptr + in->len - at)};
        a->is_whole = false;
        if (after_head(a) == VLY_LOAD_ANSWER_WHOLE)
            return VLY_LOAD_ANSWER_WHOLE;
    }
    return VLY_LOAD_ANSWER_MORE;
}

vly_load_answer_event vly_load_answer_end(vly_load_answer *a)
{
    a->has_keep_alive = false;
    if (!a->has_begun)
        return broken(a, VLY_STR("the connection ended before the answer"));
    if (a->body_left > 0 || a->status == 0 || llhttp_finish(&a->parser) != HPE_PAUSED ||
        !a->is_whole)
        return broken(a, VLY_STR("the connection ended within the answer"));
    return VLY_LOAD_ANSWER_WHOLE;
}
