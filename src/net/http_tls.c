/* SPDX-License-Identifier: MIT */
/*
 * TLS of a connection: between the socket and the protocol, which knows nothing of it.
 *
 * Out: a batch of buffers that the protocol has collected is encrypted in turns of what may wait in
 * a session; each turn is one write, and the protocol hears that its batch is written after the
 * last one. In: plaintext lies in a buffer of the loop for as long as the protocol looks at it.
 */
#include "net/http_internal.h"

#include "base/assert.h"
#include "base/log.h"

#define OUT_BYTES ((size_t)128 * 1024)
#define KEEP_BYTES                                                                                 \
    ((size_t)32 * 1024) /* of memory held by a connection that has nothing to send                 \
                         */

struct vly_http_tls {
    vly_tls_session *session;
    vly_buf out;                         /* ciphertext of the write under way */
    uv_buf_t batch[VLY_HTTP_WRITE_BUFS]; /* of the protocol; what is left to encrypt */
    unsigned n_batch, batch_pos;
    bool is_in_batch; /* collected, and the protocol waits for `written` */
    bool has_begun;   /* a byte has come */
};

bool vly_http__tls_open(vly_http_conn *c)
{
    vly_http_tls *t = vly_calloc(VLY_MEM_NET, 1, sizeof(*t));

    if (t == NULL)
        return false;
    if (vly_tls_session_new(vly_http__opts(c)->tls, OUT_BYTES, &t->session, NULL) != VLY_OK) {
        vly_free(t);
        return false;
    }
    vly_buf_init(&t->out, VLY_MEM_NET, OUT_BYTES);
    c->tls = t;
    return true;
}

void vly_http__tls_free(vly_http_conn *c)
{
    vly_http_tls *t = c->tls;

    if (t == NULL)
        return;
    vly_tls_session_free(t->session);
    vly_buf_release(&t->out);
    vly_free(t);
    c->tls = NULL;
}

vly_tls_state vly_http__tls_state(const vly_http_conn *c)
{
    return vly_tls_session_state(c->tls->session);
}

bool vly_http__tls_is_plain_http(vly_http_conn *c, vly_str in)
{
    bool is_first = !c->tls->has_begun;

    c->tls->has_begun = true;
    return is_first && in.len > 0 && in.ptr[0] >= 'A' && in.ptr[0] <= 'Z';
}

bool vly_http__tls_decrypt(vly_http_conn *c, vly_str in, vly_str *ret_plain)
{
    vly_buf *plain = &c->loop->plain;
    vly_err err;

    vly_buf_clear(plain);
    if (vly_tls_session_feed(c->tls->session, in, plain, &err) != VLY_OK) {
        vly_debug("%s: %s", c->peer, err.msg);
        vly_counter_add(&vly_http__stats(c)->parse_errors, 1);
        return false;
    }
    *ret_plain = vly_buf_str(plain);
    return true;
}

static void end_batch(vly_http_conn *c, bool is_sent)
{
    vly_http_tls *t = c->tls;

    if (!t->is_in_batch)
        return;
    t->is_in_batch = false;
    c->proto->written(c, is_sent);
}

static void begin_batch(vly_http_conn *c)
{
    vly_http_tls *t = c->tls;

    if (t->is_in_batch || c->proto == NULL || vly_http__tls_state(c) == VLY_TLS_HANDSHAKE)
        return;
    t->n_batch = c->proto->collect(c, t->batch);
    t->batch_pos = 0;
    t->is_in_batch = t->n_batch > 0;
}

/* As much of the batch as the session has room for; false when it has failed. */
static bool encrypt_batch(vly_http_tls *t)
{
    while (t->is_in_batch && t->batch_pos < t->n_batch) {
        uv_buf_t *b = &t->batch[t->batch_pos];
        size_t taken;
        if (vly_tls_session_write(t->session, (vly_str){b->base, b->len}, &taken, NULL) != VLY_OK)
            return false;
        b->base += taken;
        b->len -= taken;
        if (b->len > 0)
            break;
        t->batch_pos++;
    }
    return true;
}

unsigned vly_http__tls_collect(vly_http_conn *c, uv_buf_t *bufs)
{
    vly_http_tls *t = c->tls;

    begin_batch(c);
    if (c->state != VLY_HTTP_CONN_OPEN) /* closed for want of memory */
        return 0;
    if (!encrypt_batch(t)) {
        end_batch(c, false);
        vly_http__conn_close(c);
        return 0;
    }
    vly_tls_session_take(t->session, &t->out);
    if (t->out.len == 0) {
        end_batch(c, true); /* of buffers without bytes */
        return 0;
    }
    bufs[0] = (uv_buf_t){.base = t->out.ptr, .len = t->out.len};
    return 1;
}

void vly_http__tls_written(vly_http_conn *c, bool is_sent)
{
    vly_http_tls *t = c->tls;

    if (t->out.cap > KEEP_BYTES)
        vly_buf_release(&t->out);
    vly_buf_clear(&t->out);
    bool is_whole = t->batch_pos == t->n_batch;
    if (is_whole || !is_sent || c->state != VLY_HTTP_CONN_OPEN) /* closed: no further turn */
        end_batch(c, is_sent && is_whole);
}

/* A few bytes on a free line, so the kernel takes them; should it not, the client sees the end of
 * the connection alone, which the framing of HTTP tells from a cut. */
void vly_http__tls_end(vly_http_conn *c)
{
    vly_http_tls *t = c->tls;

    if (c->is_writing)
        return;
    if (!t->is_in_batch) /* else it is a cut, and is to look like one */
        vly_tls_session_end(t->session);
    vly_buf_clear(&t->out);
    vly_tls_session_take(t->session, &t->out);
    uv_buf_t buf = {.base = t->out.ptr, .len = t->out.len};
    if (buf.len > 0 && uv_try_write((uv_stream_t *)&c->tcp, &buf, 1) > 0)
        vly_counter_add(&vly_http__stats(c)->bytes_out, buf.len);
    end_batch(c, false); /* no write is under way that would */
}
