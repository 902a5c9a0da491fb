/* SPDX-License-Identifier: MIT */
/*
 * Messages behind five bytes: the first bytes choose the encoding, the limit and where the rest is
 * cut. However it is cut, the same messages come out, and uncompressed ones are the bytes that went
 * in.
 */
#include "base/assert.h"
#include "net/grpc_frame.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

typedef struct outcome {
    vly_status status;
    unsigned n_messages;
    size_t n_bytes;
    uint64_t digest;
} outcome;

static void take(outcome *o, vly_buf *message, size_t max)
{
    VLY_ASSERT(message->len <= max);
    for (size_t i = 0; i < message->len; i++)
        o->digest = (o->digest ^ (unsigned char)message->ptr[i]) * UINT64_C(0x100000001b3);
    o->digest = (o->digest ^ message->len) * UINT64_C(0x100000001b3);
    o->n_bytes += message->len;
    o->n_messages++;
    vly_buf_release(message);
}

static outcome run(vly_encoding encoding, size_t max, vly_str all, size_t piece)
{
    outcome o = {.status = VLY_OK};
    vly_grpc_reader r;

    vly_grpc_reader_init(&r, encoding, max);
    while (all.len > 0 && o.status == VLY_OK) {
        vly_str in = {all.ptr, all.len < piece ? all.len : piece};
        all = (vly_str){all.ptr + in.len, all.len - in.len};
        while (in.len > 0 && o.status == VLY_OK) {
            vly_buf message;
            bool is_message;
            o.status = vly_grpc_reader_feed(&r, &in, &message, &is_message, NULL);
            VLY_ASSERT(o.status != VLY_OK || is_message || in.len == 0);
            if (o.status == VLY_OK && is_message)
                take(&o, &message, max);
        }
    }
    vly_grpc_reader_release(&r);
    return o;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    if (n < 3)
        return 0;
    vly_encoding encoding = (vly_encoding)(bytes[0] % 3);
    size_t max = (size_t)bytes[1] * 64;
    vly_str all = {(const char *)bytes + 3, n - 3};
    outcome whole = run(encoding, max, all, SIZE_MAX);
    outcome cut = run(encoding, max, all, (size_t)bytes[2] % 16 + 1);
    VLY_ASSERT(whole.n_messages == cut.n_messages && whole.digest == cut.digest);
    VLY_ASSERT(whole.status == cut.status);
    if (encoding == VLY_ENCODING_IDENTITY)
        VLY_ASSERT(whole.n_bytes + (size_t)whole.n_messages * VLY_GRPC_HEAD_BYTES <= all.len);
    return 0;
}
