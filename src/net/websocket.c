/* SPDX-License-Identifier: MIT */
/*
 * Messages out of frames. wslay's frame layer is used, not its event layer: that one copies every
 * message twice and takes frames of a client that are not masked.
 *
 * wslay hands out a frame in pieces of what it has read; the first piece brings the head. It takes
 * the mask off byte by byte, which was two thirds of the time for long messages: so of a long frame
 * it sees the beginning, the rest is taken past it, and it begins anew with the next frame. The key
 * it does not tell; the bytes before and after show it.
 */
#include "net/websocket.h"

#include "base/assert.h"
#include "base/bits.h"

#include <openssl/evp.h>
#include <wslay/wslay.h>

#define DIRECT_BYTES  4096 /* of a frame that are to come, worth taking past wslay */
#define CONTROL_MAX   125  /* payload of a control frame, RFC 6455 5.5 */
#define OUT_MAX_BYTES ((size_t)64 * 1024)
#define KEEP_BYTES    ((size_t)64 * 1024) /* of memory between two messages */
#define KEY_LEN       24                  /* 16 bytes in base64 */
#define FIN           0x80u
#define MASKED        0x80u
#define MASK_BYTES    4

struct vly_websocket {
    vly_websocket_opts opts;
    struct wslay_frame_context *frames;
    vly_str in;      /* what wslay has still to read; empty between calls */
    vly_buf message; /* of frames so far */
    vly_buf out;
    vly_websocket_state state;
    unsigned peer_code;
    bool is_in_message; /* a fragment has come, and its last one has not */
    bool is_text;       /* of the message */
    bool is_in_frame;   /* its head has come, and its last byte has not */
    uint8_t opcode;     /* of the frame, as the next two */
    bool is_fin;
    uint64_t left;
    bool is_direct;                /* the rest of the frame goes past wslay */
    unsigned char key[MASK_BYTES]; /* of it, for the next bytes */
    size_t n_control;
    unsigned char control[CONTROL_MAX]; /* payload of a control frame */
};

/* ---- handshake ---- */

/* A list of tokens, such as of Connection, has this one. */
static bool has_token(vly_str list, vly_str token)
{
    while (list.ptr != NULL)
        if (vly_str_eq_nocase(vly_str_trim(vly_str_split(&list, ',')), token))
            return true;
    return false;
}

static bool is_key(vly_str key)
{
    unsigned char bytes[KEY_LEN / 4 * 3];

    return key.len == KEY_LEN && key.ptr[KEY_LEN - 3] != '=' && vly_str_ends(key, VLY_STR("==")) &&
           EVP_DecodeBlock(bytes, (const unsigned char *)key.ptr, KEY_LEN) == sizeof(bytes);
}

/* RFC 6455 4.2.2, 5.4: base64 of SHA-1 of the key and a text of the standard's. */
bool vly_websocket_make_accept(vly_str key, char accept[VLY_WEBSOCKET_ACCEPT_MAX])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[KEY_LEN + sizeof(guid)];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (!is_key(key))
        return false;
    memcpy(text, key.ptr, KEY_LEN);
    memcpy(text + KEY_LEN, guid, sizeof(guid));
    if (EVP_Digest(text, sizeof(text) - 1, digest, &n, EVP_sha1(), NULL) != 1)
        return false;
    return EVP_EncodeBlock((unsigned char *)accept, digest, (int)n) == VLY_WEBSOCKET_ACCEPT_MAX - 1;
}

vly_status vly_websocket_check(const vly_http_msg *m, char accept[VLY_WEBSOCKET_ACCEPT_MAX],
                               vly_err *err)
{
    vly_str version = vly_http_msg_header(m, "Sec-WebSocket-Version");
    vly_str key = vly_http_msg_header(m, "Sec-WebSocket-Key");

    if (!has_token(vly_http_msg_header(m, "Upgrade"), VLY_STR("websocket")))
        return vly_fail(err, VLY_ENOTFOUND, "expected 'Upgrade: websocket'");
    if (m->method != VLY_HTTP_GET || m->minor_version != 1 ||
        !has_token(vly_http_msg_header(m, "Connection"), VLY_STR("upgrade")))
        return vly_fail(err, VLY_EINVAL,
                        "WebSocket: expected GET over HTTP/1.1 with 'Connection: upgrade'");
    if (m->body.len > 0)
        return vly_fail(err, VLY_EINVAL, "WebSocket: expected no body, got %zu bytes", m->body.len);
    if (!vly_str_is(version, "13"))
        return vly_fail(err, VLY_EUNSUPPORTED, "Sec-WebSocket-Version: expected 13, got '%.*s'",
                        VLY_STR_ARG(version));
    if (!is_key(key))
        return vly_fail(err, VLY_EINVAL, "Sec-WebSocket-Key: expected 16 bytes in base64");
    if (!vly_websocket_make_accept(key, accept))
        return vly_fail(err, VLY_EINTERNAL, "WebSocket: no SHA-1");
    return VLY_OK;
}

bool vly_websocket_offers(const vly_http_msg *m, const char *protocol)
{
    for (size_t i = 0; i < m->n_headers; i++)
        if (vly_str_eq_nocase(m->headers[i].name, VLY_STR("Sec-WebSocket-Protocol")) &&
            has_token(m->headers[i].value, vly_str_from(protocol)))
            return true;
    return false;
}

/* ---- out ---- */

static size_t put_head(unsigned char head[VLY_WEBSOCKET_HEAD_MAX], unsigned opcode, uint64_t len)
{
    unsigned n_len = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;

    head[0] = (unsigned char)(FIN | opcode);
    head[1] = (unsigned char)(n_len == 0 ? len : n_len == 2 ? 126 : 127);
    for (unsigned i = 0; i < n_len; i++)
        head[2 + i] = (unsigned char)(len >> (8 * (n_len - 1 - i)));
    return 2 + n_len;
}

static size_t put_ask_head(unsigned char head[VLY_WEBSOCKET_ASK_MAX], unsigned opcode, uint64_t len)
{
    size_t n = put_head(head, opcode, len);

    head[1] |= MASKED;
    memset(head + n, 0, MASK_BYTES);
    return n + MASK_BYTES;
}

static unsigned opcode_of(bool is_text)
{
    return is_text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME;
}

size_t vly_websocket_head(unsigned char head[VLY_WEBSOCKET_HEAD_MAX], bool is_text, size_t len)
{
    return put_head(head, opcode_of(is_text), len);
}

size_t vly_websocket_ask_head(unsigned char head[VLY_WEBSOCKET_ASK_MAX], bool is_text, size_t len)
{
    return put_ask_head(head, opcode_of(is_text), len);
}

/* False when there is no room. */
static bool put_control(vly_websocket *w, unsigned opcode, const void *payload, size_t len)
{
    unsigned char frame[VLY_WEBSOCKET_ASK_MAX + CONTROL_MAX];
    size_t n = w->opts.is_client ? put_ask_head(frame, opcode, len) : put_head(frame, opcode, len);

    VLY_ASSERT(len <= CONTROL_MAX);
    if (len > 0)
        memcpy(frame + n, payload, len);
    vly_buf_add(&w->out, frame, n + len);
    bool is_put = !w->out.failed;
    w->out.failed = false;
    return is_put;
}

/* As much of text as fits, and ends with a whole character. */
static size_t cut_text(vly_str text, size_t max)
{
    size_t len = 0, n;

    while (len < text.len) {
        n = vly_utf8_len((vly_str){text.ptr + len, text.len - len});
        if (n == 0 || len + n > max)
            break;
        len += n;
    }
    return len;
}

/* Says our close; the state is the caller's. Without room for it, it goes unsaid, and the peer
 * sees the end of the connection alone. */
static void say_close(vly_websocket *w, unsigned code, vly_str reason)
{
    unsigned char payload[CONTROL_MAX];
    size_t n = cut_text(reason, CONTROL_MAX - 2);

    payload[0] = (unsigned char)(code >> 8);
    payload[1] = (unsigned char)code;
    if (n > 0)
        memcpy(payload + 2, reason.ptr, n);
    (void)put_control(w, WSLAY_CONNECTION_CLOSE, payload, n + 2);
}

static void fail(vly_websocket *w, unsigned code, const char *reason)
{
    if (w->state == VLY_WEBSOCKET_OPEN)
        say_close(w, code, vly_str_from(reason));
    w->state = VLY_WEBSOCKET_CLOSED;
}

void vly_websocket_ping(vly_websocket *w)
{
    if (w->state == VLY_WEBSOCKET_OPEN)
        (void)put_control(w, WSLAY_PING, NULL, 0);
}

void vly_websocket_close(vly_websocket *w, unsigned code, const char *reason)
{
    if (w->state != VLY_WEBSOCKET_OPEN)
        return;
    say_close(w, code, vly_str_from(reason));
    w->state = VLY_WEBSOCKET_CLOSING;
}

vly_buf *vly_websocket_out(vly_websocket *w)
{
    return &w->out;
}

/* ---- in ---- */

static ssize_t on_recv(uint8_t *to, size_t len, int flags, void *ctx)
{
    vly_websocket *w = ctx;
    size_t n = len < w->in.len ? len : w->in.len;

    (void)flags;
    if (n == 0)
        return -1; /* all was read: wslay answers WANT_READ */
    memcpy(to, w->in.ptr, n);
    w->in = (vly_str){w->in.ptr + n, w->in.len - n};
    return (ssize_t)n;
}

static bool is_control(uint8_t opcode)
{
    return opcode >= WSLAY_CONNECTION_CLOSE;
}

/* RFC 6455 5.2, 5.4; NULL when the frame may stand here. wslay has checked the length of control
 * frames, and that they are not fragmented. */
static const char *frame_fault(const vly_websocket *w, const struct wslay_frame_iocb *f)
{
    if (f->rsv != 0)
        return "reserved bits are set";
    if (f->mask == 0 && !w->opts.is_client)
        return "a frame of a client is not masked";
    if (f->mask != 0 && w->opts.is_client)
        return "a frame of a server is masked";
    if ((f->opcode > WSLAY_BINARY_FRAME && f->opcode < WSLAY_CONNECTION_CLOSE) ||
        f->opcode > WSLAY_PONG)
        return "an opcode that is not in use";
    if (is_control(f->opcode))
        return NULL;
    if (w->is_in_message != (f->opcode == WSLAY_CONTINUATION_FRAME))
        return w->is_in_message ? "a message inside another" : "a continuation of nothing";
    return NULL;
}

static void begin_frame(vly_websocket *w, const struct wslay_frame_iocb *f)
{
    const char *fault = frame_fault(w, f);

    if (fault != NULL) {
        fail(w, VLY_WEBSOCKET_PROTOCOL, fault);
        return;
    }
    w->is_in_frame = true;
    w->opcode = f->opcode;
    w->is_fin = f->fin != 0;
    w->left = f->payload_length;
    w->n_control = 0;
    if (is_control(f->opcode))
        return;
    if (f->payload_length > w->opts.max_message_bytes - w->message.len) {
        fail(w, VLY_WEBSOCKET_TOO_BIG, "the message is too long");
        return;
    }
    if (!w->is_in_message)
        w->is_text = f->opcode == WSLAY_TEXT_FRAME;
    w->is_in_message = true;
}

static void add_payload(vly_websocket *w, const struct wslay_frame_iocb *f)
{
    w->left -= f->data_length;
    if (is_control(w->opcode)) {
        memcpy(w->control + w->n_control, f->data, f->data_length);
        w->n_control += f->data_length;
        return;
    }
    vly_buf_add(&w->message, f->data, f->data_length);
    if (w->message.failed)
        fail(w, VLY_WEBSOCKET_TRY_LATER, "out of memory for the message");
}

static void end_message(vly_websocket *w)
{
    bool is_text = w->is_text;

    w->is_in_message = false;
    if (is_text && !vly_str_is_utf8(vly_buf_str(&w->message)))
        fail(w, VLY_WEBSOCKET_NOT_UTF8, "text that is not UTF-8");
    else if (w->state == VLY_WEBSOCKET_OPEN)
        w->opts.on_message(w->opts.ctx, &w->message, is_text);
    vly_buf_clear(&w->message);
    if (w->message.cap > KEEP_BYTES)
        vly_buf_release(&w->message);
}

/* RFC 6455 7.4: what may stand in a close frame. */
static bool is_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != VLY_WEBSOCKET_NO_CODE &&
            code != VLY_WEBSOCKET_NO_CLOSE) ||
           (code >= 3000 && code <= 4999);
}

/* The peer's close: answered with the same code, unless it answers ours. */
static void end_close(vly_websocket *w)
{
    unsigned code = (unsigned)w->control[0] << 8 | w->control[1];
    bool has_code = w->n_control >= 2;

    if (w->n_control == 1 || (has_code && !is_close_code(code))) {
        fail(w, VLY_WEBSOCKET_PROTOCOL, "a close code that is not in use");
        return;
    }
    if (has_code && !vly_str_is_utf8((vly_str){(const char *)w->control + 2, w->n_control - 2})) {
        fail(w, VLY_WEBSOCKET_NOT_UTF8, "a reason that is not UTF-8");
        return;
    }
    w->peer_code = has_code ? code : VLY_WEBSOCKET_NO_CODE;
    if (w->state == VLY_WEBSOCKET_OPEN)
        (void)put_control(w, WSLAY_CONNECTION_CLOSE, w->control, has_code ? 2 : 0);
    w->state = VLY_WEBSOCKET_CLOSED;
}

static void end_frame(vly_websocket *w)
{
    w->is_in_frame = false;
    if (w->opcode == WSLAY_CONNECTION_CLOSE)
        end_close(w);
    else if (w->opcode == WSLAY_PING && w->state == VLY_WEBSOCKET_OPEN)
        (void)put_control(w, WSLAY_PONG, w->control, w->n_control);
    else if (!is_control(w->opcode) && w->is_fin)
        end_message(w);
}

static const struct wslay_frame_callbacks callbacks = {.recv_callback = on_recv};

/* What wslay has given out was read from right before w->in: it keeps no payload back. */
static void go_past_wslay(vly_websocket *w, const struct wslay_frame_iocb *f)
{
    const char *masked = w->in.ptr - sizeof(w->key);
    const uint8_t *plain = f->data + f->data_length - sizeof(w->key);

    for (size_t i = 0; i < sizeof(w->key); i++)
        w->key[i] = (unsigned char)masked[i] ^ plain[i];
    wslay_frame_context_free(w->frames);
    w->frames = NULL;
    if (wslay_frame_context_init(&w->frames, &callbacks, w) != 0)
        fail(w, VLY_WEBSOCKET_TRY_LATER, "out of memory for the message");
    w->is_direct = true;
}

static void unmask(char *to, const char *from, size_t n, const unsigned char key[4])
{
    uint64_t wide_key = (uint64_t)vly_load_le32(key) << 32 | vly_load_le32(key);
    size_t i = 0;

    for (; n - i >= sizeof(wide_key); i += sizeof(wide_key)) {
        uint64_t v = vly_load_le64(from + i) ^ wide_key;
        memcpy(to + i, &v, sizeof(v));
    }
    for (; i < n; i++)
        to[i] = (char)(from[i] ^ key[i % 4]);
}

static void take_direct(vly_websocket *w)
{
    size_t n = w->in.len < w->left ? w->in.len : (size_t)w->left;
    unsigned char key[sizeof(w->key)];

    if (!vly_buf_reserve(&w->message, n)) {
        fail(w, VLY_WEBSOCKET_TRY_LATER, "out of memory for the message");
        return;
    }
    unmask(w->message.ptr + w->message.len, w->in.ptr, n, w->key);
    w->message.len += n;
    w->message.ptr[w->message.len] = '\0';
    w->in = (vly_str){w->in.ptr + n, w->in.len - n};
    w->left -= n;
    memcpy(key, w->key, sizeof(key));
    for (size_t i = 0; i < sizeof(key); i++)
        w->key[i] = key[(i + n) % sizeof(key)];
    w->is_direct = w->left > 0;
    if (!w->is_direct)
        end_frame(w);
}

static void take_piece(vly_websocket *w, const struct wslay_frame_iocb *f)
{
    if (!w->is_in_frame)
        begin_frame(w, f);
    if (w->state != VLY_WEBSOCKET_CLOSED)
        add_payload(w, f);
    if (w->state == VLY_WEBSOCKET_CLOSED)
        return;
    if (w->left == 0)
        end_frame(w);
    else if (w->left >= DIRECT_BYTES && f->data_length >= sizeof(w->key))
        go_past_wslay(w, f);
}

/* False: it takes more input to go on. */
static bool feed_wslay(vly_websocket *w)
{
    struct wslay_frame_iocb f = {0};
    ssize_t n = wslay_frame_recv(w->frames, &f);

    if (n == WSLAY_ERR_WANT_READ)
        return false;
    if (n < 0)
        fail(w, VLY_WEBSOCKET_PROTOCOL, "a malformed frame");
    else
        take_piece(w, &f);
    return true;
}

void vly_websocket_feed(vly_websocket *w, vly_str in)
{
    bool goes_on = true;

    VLY_ASSERT(w->in.len == 0);
    w->in = in;
    while (goes_on && w->state != VLY_WEBSOCKET_CLOSED) {
        if (w->is_direct)
            take_direct(w);
        else
            goes_on = feed_wslay(w);
        goes_on = goes_on && !(w->is_direct && w->in.len == 0);
    }
    w->in = (vly_str){NULL, 0};
}

/* ---- life ---- */

vly_status vly_websocket_new(const vly_websocket_opts *opts, vly_websocket **ret, vly_err *err)
{
    vly_websocket *w = vly_calloc(VLY_MEM_NET, 1, sizeof(*w));

    if (w == NULL || wslay_frame_context_init(&w->frames, &callbacks, w) != 0) {
        vly_free(w);
        return vly_fail(err, VLY_ENOMEM, "out of memory for a WebSocket");
    }
    w->opts = *opts;
    w->peer_code = VLY_WEBSOCKET_NO_CLOSE;
    vly_buf_init(&w->message, VLY_MEM_NET, opts->max_message_bytes);
    vly_buf_init(&w->out, VLY_MEM_NET, OUT_MAX_BYTES);
    *ret = w;
    return VLY_OK;
}

void vly_websocket_free(vly_websocket *w)
{
    if (w == NULL)
        return;
    wslay_frame_context_free(w->frames);
    vly_buf_release(&w->message);
    vly_buf_release(&w->out);
    vly_free(w);
}

vly_websocket_state vly_websocket_get_state(const vly_websocket *w)
{
    return w->state;
}

unsigned vly_websocket_peer_code(const vly_websocket *w)
{
    return w->peer_code;
}
