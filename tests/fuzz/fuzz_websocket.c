/* SPDX-License-Identifier: MIT */
/*
 * Bytes of a WebSocket client: the first two choose the limit of a message and the pieces, the rest
 * is fed. However it is cut, the same messages come out and the same frames are answered; these are
 * whole, and not one follows the close.
 */
#include "base/assert.h"
#include "net/websocket.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

typedef struct outcome {
    size_t max_bytes;
    unsigned n_messages;
    uint64_t digest;
    vly_websocket_state state;
    unsigned peer_code;
} outcome;

static void mix(outcome *o, vly_str s)
{
    for (size_t i = 0; i < s.len; i++)
        o->digest = (o->digest ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    o->digest = (o->digest ^ s.len) * UINT64_C(0x100000001b3);
}

static void on_message(void *ctx, vly_buf *message, bool is_text)
{
    outcome *o = ctx;

    VLY_ASSERT(message->len <= o->max_bytes && !message->failed);
    VLY_ASSERT(!is_text || vly_str_is_utf8(vly_buf_str(message)));
    mix(o, vly_buf_str(message));
    o->digest += is_text;
    o->n_messages++;
}

/* Ours are control frames: short heads, no mask. */
static void check_frames(const vly_buf *out)
{
    size_t pos = 0;

    while (pos < out->len) {
        unsigned char first = (unsigned char)out->ptr[pos];
        VLY_ASSERT(out->len - pos >= 2 && (first == 0x88 || first == 0x8a));
        size_t len = (unsigned char)out->ptr[pos + 1];
        VLY_ASSERT(len <= 125 && out->len - pos - 2 >= len);
        pos += 2 + len;
        VLY_ASSERT(first != 0x88 || pos == out->len);
    }
}

static outcome run(size_t max_bytes, vly_str in, size_t piece)
{
    outcome o = {.max_bytes = max_bytes};
    const vly_websocket_opts opts = {
        .max_message_bytes = max_bytes, .on_message = on_message, .ctx = &o};
    vly_websocket *w;

    vly_status st = vly_websocket_new(&opts, &w, NULL);
    VLY_ASSERT(st == VLY_OK);
    while (in.len > 0) {
        size_t len = in.len < piece ? in.len : piece;
        vly_websocket_feed(w, (vly_str){in.ptr, len});
        in = (vly_str){in.ptr + len, in.len - len};
    }
    check_frames(vly_websocket_out(w));
    mix(&o, vly_buf_str(vly_websocket_out(w)));
    o.state = vly_websocket_get_state(w);
    o.peer_code = vly_websocket_peer_code(w);
    vly_websocket_free(w);
    return o;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    if (n < 2)
        return 0;
    vly_str in = {(const char *)bytes + 2, n - 2};
    size_t max_bytes = 1 + bytes[0] * (size_t)64;
    outcome whole = run(max_bytes, in, SIZE_MAX);
    outcome cut = run(max_bytes, in, 1 + bytes[1] % 64);
    VLY_ASSERT(whole.n_messages == cut.n_messages && whole.digest == cut.digest);
    VLY_ASSERT(whole.state == cut.state && whole.peer_code == cut.peer_code);
    return 0;
}
