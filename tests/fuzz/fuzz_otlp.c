/* SPDX-License-Identifier: MIT */
/* Any bytes as the answer of a collector, as a traceparent, and as text of a span, which stays
 * readable. */
#include "base/assert.h"
#include "codec/otlp.h"
#include "codec/pbwire.h"
#include "codec/traceparent.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

/* Every text of the message, two levels down, is UTF-8 and no longer than it may be. */
static void check_pair(vly_str pair)
{
    vly_pb c = vly_pb_begin(pair), value;
    vly_pb_field f;

    while (vly_pb_next(&c, &f)) {
        if (f.number != 2)
            continue;
        value = vly_pb_begin(f.bytes);
        VLY_ASSERT(vly_pb_next(&value, &f) && f.bytes.len <= VLY_OTLP_TEXT_MAX);
        VLY_ASSERT(vly_str_is_utf8(f.bytes));
    }
    VLY_ASSERT(!c.bad);
}

/* A parent that is taken is written as one that reads the same. */
static void check_parent(vly_str header)
{
    char text[VLY_TRACEPARENT_BYTES + 1];
    vly_traceparent t, again;

    if (!vly_traceparent_parse(header, &t))
        return;
    vly_traceparent_format(&t, text);
    VLY_ASSERT(vly_traceparent_parse(vly_str_from(text), &again));
    VLY_ASSERT(memcmp(t.trace, again.trace, sizeof(t.trace)) == 0 &&
               memcmp(t.parent, again.parent, sizeof(t.parent)) == 0 && t.flags == again.flags);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_str text = {(const char *)bytes, n}, message = {NULL, 0};
    uint64_t n_rejected = 0;
    vly_pb_field f;
    vly_buf b;
    vly_err err;

    if (vly_otlp_read_response(text, &n_rejected, &message, &err) == VLY_OK)
        VLY_ASSERT(message.len <= n);
    else
        VLY_ASSERT(n_rejected == 0 && message.ptr == NULL && err.msg[0] != '\0');
    check_parent(text);
    vly_buf_init(&b, VLY_MEM_BASE, 4096);
    vly_otlp_put_text(&b, VLY_OTLP_OF_SPAN, "key", text);
    vly_pb c = vly_pb_begin(vly_buf_str(&b));
    VLY_ASSERT(vly_pb_next(&c, &f) && f.number == VLY_OTLP_OF_SPAN && f.wire == VLY_PB_LEN);
    check_pair(f.bytes);
    VLY_ASSERT(!vly_pb_next(&c, &f) && !c.bad);
    vly_buf_release(&b);
    return 0;
}
