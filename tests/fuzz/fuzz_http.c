/* SPDX-License-Identifier: MIT */
/*
 * The request parser: the first bytes choose limits and where the rest is cut; the rest is what a
 * client sends. However it is cut, the same messages come out, and it is refused at the same
 * message. (The status may differ: of two faults in one line, that of the limit shows first in
 * small pieces.)
 */
#include "base/assert.h"
#include "net/http1.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

typedef struct outcome {
    unsigned n_messages;
    int status; /* of the refusal; 0: none */
    uint64_t digest;
} outcome;

static void mix(outcome *o, vly_str s)
{
    for (size_t i = 0; i < s.len; i++)
        o->digest = (o->digest ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    o->digest = (o->digest ^ s.len) * UINT64_C(0x100000001b3);
}

static void check_message(outcome *o, vly_http_msg *m)
{
    vly_str value;

    VLY_ASSERT(m->n_headers <= m->limits->max_headers);
    VLY_ASSERT(m->body.len <= m->limits->max_body_bytes);
    VLY_ASSERT(m->path.len > 0 && (m->path.ptr[0] == '/' || vly_str_is(m->path, "*")));
    VLY_ASSERT(memchr(m->path.ptr, '\0', m->path.len) == NULL);
    for (size_t i = 0; i < m->n_headers; i++) {
        vly_str v = m->headers[i].value;
        VLY_ASSERT(m->headers[i].name.len > 0 && v.ptr != NULL);
        VLY_ASSERT(memchr(v.ptr, '\n', v.len) == NULL && memchr(v.ptr, '\0', v.len) == NULL);
        mix(o, m->headers[i].name);
        mix(o, v);
    }
    mix(o, m->method_name);
    mix(o, m->path);
    mix(o, m->query);
    mix(o, vly_buf_str(&m->body));
    if (vly_http_msg_query(m, "a", &value) == VLY_OK)
        mix(o, value);
    o->digest += m->keep_alive;
    o->n_messages++;
}

/* seed: of the sizes of the pieces; 0 means one piece. */
static outcome run(const vly_http_limits *limits, vly_str in, uint32_t seed)
{
    outcome o = {0};
    vly_http1 parser;
    vly_http_msg m;

    vly_status st = vly_http_msg_init(&m, limits, NULL);
    VLY_ASSERT(st == VLY_OK);
    vly_http1_init(&parser);
    vly_http1_begin(&parser, &m);
    while (in.len > 0) {
        size_t used, piece = in.len;
        seed = seed * 1664525 + 1013904223 * (seed != 0);
        if (seed != 0 && (seed >> 24) % 32 + 1 < piece)
            piece = (seed >> 24) % 32 + 1;
        vly_http1_event event = vly_http1_feed(&parser, (vly_str){in.ptr, piece}, &used);
        VLY_ASSERT(used <= piece && (event != VLY_HTTP1_MORE || used == piece));
        in = (vly_str){in.ptr + used, in.len - used};
        if (event == VLY_HTTP1_ERROR) {
            VLY_ASSERT(parser.status >= 400 && parser.reason != NULL);
            o.status = parser.status;
            break;
        }
        if (event != VLY_HTTP1_MESSAGE)
            continue;
        check_message(&o, &m);
        if (!m.keep_alive)
            break;
        vly_http_msg_clear(&m);
        vly_http1_begin(&parser, &m);
    }
    vly_http_msg_release(&m);
    return o;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    if (n < 4)
        return 0;
    vly_http_budget budget = {.max_bytes = 4096};
    const vly_http_limits limits = {
        .max_header_bytes = 64 + bytes[0] * 8u,
        .max_headers = 1 + bytes[1] % 16,
        .max_body_bytes = 1 + bytes[2] * 32u,
        .max_scratch_bytes = 65536,
        .body_budget = &budget,
    };
    vly_str in = {(const char *)bytes + 4, n - 4};
    outcome whole = run(&limits, in, 0);
    outcome cut = run(&limits, in, bytes[3] | 1u << 16);
    VLY_ASSERT(whole.n_messages == cut.n_messages && whole.digest == cut.digest);
    VLY_ASSERT((whole.status != 0) == (cut.status != 0));
    VLY_ASSERT(atomic_load(&budget.used_bytes) == 0);
    return 0;
}
