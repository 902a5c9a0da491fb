/* SPDX-License-Identifier: MIT */
#include "api/access_log.h"

#include "api/access.h"
#include "api/call.h"
#include "sys/line_log.h"

#include <stdio.h>
#include <time.h>

#define LINE_BYTES    8192
#define TEXT_MAX      512 /* of what the client chose, before escapes */
#define CLIENT_CLOSED 499 /* nginx' number for it */

static void put_u64(vly_buf *b, uint64_t v)
{
    char digits[24];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    vly_buf_add(b, digits + at, sizeof(digits) - at);
}

static void put_text(vly_buf *b, const char *key, vly_str value)
{
    if (value.len > TEXT_MAX)
        value.len = TEXT_MAX;
    vly_buf_puts(b, key);
    vly_buf_json_str(b, value);
}

static void put_count(vly_buf *b, const char *key, uint64_t v)
{
    vly_buf_puts(b, key);
    put_u64(b, v);
}

static void put_ms(vly_buf *b, const char *key, vly_nsec ns)
{
    uint64_t us = ns / VLY_NSEC_PER_US;
    char thousandths[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
                           (char)('0' + us % 10)};

    put_count(b, key, us / 1000);
    vly_buf_add(b, thousandths, sizeof(thousandths));
}

static void put_time(vly_buf *b)
{
    uint64_t ms = vly_clock_unix_ms();
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    char text[32];

    gmtime_r(&s, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    vly_buf_puts(b, "{\"time\":\"");
    vly_buf_puts(b, text);
    vly_buf_putc(b, '.');
    vly_buf_add(
        b, (char[]){(char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10)},
        3);
    vly_buf_puts(b, "Z\"");
}

static void put_protocol(vly_buf *b, const vly_http_msg *msg)
{
    vly_buf_puts(b, ",\"protocol\":\"HTTP/");
    put_u64(b, (uint64_t)msg->major_version);
    if (msg->major_version < 2) {
        vly_buf_putc(b, '.');
        put_u64(b, (uint64_t)msg->minor_version);
    }
    vly_buf_putc(b, '"');
}

static void put_call(vly_buf *b, const vly_call *call)
{
    if (call->has_times) {
        put_ms(b, ",\"queue_ms\":", call->times.queue);
        put_ms(b, ",\"compute_ms\":", call->times.infer);
    }
    if (call->model.len > 0)
        put_text(b, ",\"model\":", call->model);
    if (call->arm.len > 0)
        put_text(b, ",\"arm\":", call->arm);
    if (vly_call_cache(call) != NULL)
        put_text(b, ",\"cache\":", vly_str_from(vly_call_cache(call)));
    if (call->error.len > 0)
        put_text(b, ",\"error\":", call->error);
}

void vly_access_log_finished(const vly_api *api, const vly_http_request *req,
                             const vly_http_finished *f)
{
    const vly_http_msg *msg = &req->msg;
    const vly_call *call = vly_call_of(req);
    char memory[LINE_BYTES], client[VLY_ADDRESS_TEXT_MAX];
    vly_buf b;

    if (api->access_log == NULL)
        return;
    vly_buf_init(&b, VLY_MEM_NET, 4 * (size_t)LINE_BYTES);
    vly_buf_lend(&b, memory, 0, sizeof(memory), NULL, NULL);
    put_time(&b);
    if (call != NULL && call->id.len > 0)
        put_text(&b, ",\"id\":", call->id);
    put_text(&b, ",\"peer\":", vly_str_from(req->peer));
    if (vly_access_find_client(req, client))
        put_text(&b, ",\"client\":", vly_str_from(client));
    put_text(&b, ",\"method\":", msg->method_name);
    put_text(&b, ",\"path\":", msg->path);
    put_protocol(&b, msg);
    put_count(&b, ",\"status\":", f->sent_ns != 0 ? (uint64_t)f->status : CLIENT_CLOSED);
    put_count(&b, ",\"bytes_in\":", f->bytes_in);
    put_count(&b, ",\"bytes_out\":", f->bytes_out);
    if (req->received_ns != 0)
        put_ms(&b, ",\"total_ms\":",
               (f->sent_ns != 0 ? f->sent_ns : vly_clock_now()) - req->received_ns);
    if (call != NULL)
        put_call(&b, call);
    vly_str key = vly_access_key_name(req);
    if (key.len > 0)
        put_text(&b, ",\"key\":", key);
    vly_str agent = vly_http_msg_header(msg, "User-Agent");
    if (agent.len > 0)
        put_text(&b, ",\"user_agent\":", agent);
    vly_buf_puts(&b, "}\n");
    if (!b.failed)
        vly_line_log_add(api->access_log, vly_buf_str(&b));
    vly_buf_release(&b);
}
