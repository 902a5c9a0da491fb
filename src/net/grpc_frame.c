/* SPDX-License-Identifier: MIT */
#include "net/grpc_frame.h"

#include "base/bits.h"

#define RESERVE_MAX ((size_t)1024 * 1024) /* taken on the word of a length alone */

void vly_grpc_frame_head(unsigned char head[VLY_GRPC_HEAD_BYTES], bool is_compressed, size_t len)
{
    head[0] = is_compressed;
    for (int i = 0; i < 4; i++)
        head[1 + i] = (unsigned char)(len >> (24 - 8 * i));
}

void vly_grpc_reader_init(vly_grpc_reader *r, vly_encoding encoding, size_t max_message_bytes)
{
    *r = (vly_grpc_reader){.encoding = encoding, .max_message_bytes = max_message_bytes};
    vly_buf_init(&r->wire, VLY_MEM_NET, max_message_bytes);
}

void vly_grpc_reader_release(vly_grpc_reader *r)
{
    vly_buf_release(&r->wire);
}

bool vly_grpc_reader_is_between(const vly_grpc_reader *r)
{
    return r->n_head == 0;
}

static vly_status begin_message(vly_grpc_reader *r, vly_err *err)
{
    r->left = vly_load_be32(r->head + 1);
    if (r->head[0] > 1)
        return vly_fail(err, VLY_EFORMAT, "message: expected 0 or 1 before its length, got %u",
                        r->head[0]);
    if (r->head[0] == 1 && r->encoding == VLY_ENCODING_IDENTITY)
        return vly_fail(err, VLY_EUNSUPPORTED, "message: compressed, without a grpc-encoding");
    if (r->left > r->max_message_bytes)
        return vly_fail(err, VLY_ELIMIT, "message: %zu bytes are more than %zu", r->left,
                        r->max_message_bytes);
    if (!vly_buf_reserve(&r->wire, r->left < RESERVE_MAX ? r->left : RESERVE_MAX))
        return vly_fail(err, VLY_ENOMEM, "message: out of memory");
    return VLY_OK;
}

static vly_status take_head(vly_grpc_reader *r, vly_str *in, vly_err *err)
{
    while (r->n_head < VLY_GRPC_HEAD_BYTES && in->len > 0) {
        r->head[r->n_head++] = (unsigned char)*in->ptr++;
        in->len--;
    }
    return r->n_head == VLY_GRPC_HEAD_BYTES ? begin_message(r, err) : VLY_OK;
}

static vly_status end_message(vly_grpc_reader *r, vly_buf *message, vly_err *err)
{
    vly_status st = VLY_OK;

    r->n_head = 0;
    if (r->head[0] == 1) {
        vly_buf_init(message, VLY_MEM_NET, r->max_message_bytes);
        st = vly_inflate(r->encoding, vly_buf_str(&r->wire), message, err);
        if (st != VLY_OK)
            vly_buf_release(message);
        vly_buf_clear(&r->wire);
        return st;
    }
    *message = r->wire;
    vly_buf_init(&r->wire, VLY_MEM_NET, r->max_message_bytes);
    return st;
}

vly_status vly_grpc_reader_feed(vly_grpc_reader *r, vly_str *in, vly_buf *message,
                                bool *ret_is_message, vly_err *err)
{
    *ret_is_message = false;
    if (r->n_head < VLY_GRPC_HEAD_BYTES) {
        vly_status st = take_head(r, in, err);
        if (st != VLY_OK || r->n_head < VLY_GRPC_HEAD_BYTES)
            return st;
    }
    size_t n = r->left < in->len ? r->left : in->len;
    vly_buf_add(&r->wire, in->ptr, n);
    if (r->wire.failed)
        return vly_fail(err, VLY_ENOMEM, "message: out of memory");
    *in = (vly_str){in->ptr + n, in->len - n};
    r->left -= n;
    if (r->left > 0)
        return VLY_OK;
    vly_status st = end_message(r, message, err);
    *ret_is_message = st == VLY_OK;
    return st;
}

void vly_grpc_reader_recycle(vly_grpc_reader *r, vly_buf *message)
{
    if (r->wire.ptr != NULL || message->is_lent) {
        vly_buf_release(message);
        return;
    }
    vly_buf_clear(message);
    r->wire = *message;
}

bool vly_grpc_is_type(vly_str content_type)
{
    const vly_str want = VLY_STR("application/grpc");

    return vly_str_starts(content_type, want) &&
           (content_type.len == want.len || content_type.ptr[want.len] == '+' ||
            content_type.ptr[want.len] == ';');
}

void vly_grpc_escape(vly_buf *out, vly_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c <= 0x7e && c != '%')
            vly_buf_putc(out, (char)c);
        else
            vly_buf_printf(out, "%%%02X", c);
    }
}
