/* SPDX-License-Identifier: MIT */
/* Messages behind five bytes, and the escapes of grpc-message. Frames are written by hand. */
#include "net/grpc_frame.h"
#include "unit.h"

#include <string.h>
#include <zlib.h>

#define MAX_BYTES ((size_t)1000)

/* Feeds bytes in pieces; the messages end up in out, each with a '|' behind it. */
static vly_status split(vly_encoding encoding, const char *bytes, size_t len, size_t piece,
                        vly_buf *out, bool *ret_is_between)
{
    vly_grpc_reader r;
    vly_status st = VLY_OK;

    vly_grpc_reader_init(&r, encoding, MAX_BYTES);
    vly_buf_clear(out);
    while (len > 0 && st == VLY_OK) {
        vly_str in = {bytes, len < piece ? len : piece};
        bytes += in.len;
        len -= in.len;
        while (in.len > 0 && st == VLY_OK) {
            vly_buf message;
            bool is_message;
            st = vly_grpc_reader_feed(&r, &in, &message, &is_message, NULL);
            if (st != VLY_OK || !is_message)
                continue;
            vly_buf_add_str(out, vly_buf_str(&message));
            vly_buf_putc(out, '|');
            vly_buf_release(&message);
        }
    }
    *ret_is_between = vly_grpc_reader_is_between(&r);
    vly_grpc_reader_release(&r);
    return st;
}

static void messages_in_pieces(void **state)
{
    static const char bytes[] = "\0\0\0\0\5hello\0\0\0\0\0\0\0\0\0\1!\0\0\0\0\3cut";
    bool is_between;
    vly_buf out;

    (void)state;
    vly_buf_init(&out, VLY_MEM_BASE, 1 << 20);
    for (size_t piece = 1; piece < sizeof(bytes); piece++) {
        assert_int_equal(
            split(VLY_ENCODING_IDENTITY, bytes, sizeof(bytes) - 1, piece, &out, &is_between),
            VLY_OK);
        assert_string_equal(out.ptr, "hello||!|cut|");
        assert_true(is_between);
    }
    assert_int_equal(split(VLY_ENCODING_IDENTITY, bytes, sizeof(bytes) - 2, 3, &out, &is_between),
                     VLY_OK);
    assert_string_equal(out.ptr, "hello||!|");
    assert_false(is_between);
    vly_buf_release(&out);
}

static void faults(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        vly_status status;
    } cases[] = {
        {"\2\0\0\0\1a", 6, VLY_EFORMAT},      /* neither 0 nor 1 */
        {"\1\0\0\0\1a", 6, VLY_EUNSUPPORTED}, /* compressed, by nothing */
        {"\0\0\0\3\xe9", 5, VLY_ELIMIT},      /* 1001 bytes */
        {"\0\xff\xff\xff\xff", 5, VLY_ELIMIT},
    };
    bool is_between;
    vly_buf out;

    (void)state;
    vly_buf_init(&out, VLY_MEM_BASE, 1 << 20);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(
            split(VLY_ENCODING_IDENTITY, cases[i].bytes, cases[i].len, 2, &out, &is_between),
            cases[i].status);
    /* a whole one of the size that is allowed */
    static const char largest[1005] = "\0\0\0\3\xe8";
    assert_int_equal(split(VLY_ENCODING_IDENTITY, largest, 1005, 100, &out, &is_between), VLY_OK);
    assert_int_equal(out.len, 1001);
    vly_buf_release(&out);
}

/* zlib itself is the oracle; `bits` choose its wrapper. */
static size_t compress_with(int bits, const char *text, size_t len, char *out, size_t cap)
{
    z_stream z = {0};

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (unsigned)len;
    z.next_out = (unsigned char *)out;
    z.avail_out = (unsigned)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return cap - z.avail_out;
}

static void compressed_messages(void **state)
{
    static const char bomb[100000];
    char frame[2000] = "\1";
    bool is_between;
    vly_buf out;

    (void)state;
    vly_buf_init(&out, VLY_MEM_BASE, 1 << 20);
    for (int i = 0; i < 2; i++) {
        vly_encoding encoding = i == 0 ? VLY_ENCODING_GZIP : VLY_ENCODING_DEFLATE;
        int bits = i == 0 ? 15 + 16 : 15;
        size_t n = compress_with(bits, "squeezed", 8, frame + 5, 1000);
        frame[4] = (char)n;
        memcpy(frame + 5 + n, "\0\0\0\0\5plain", 10); /* one by one, each may be either */
        assert_int_equal(split(encoding, frame, 15 + n, 7, &out, &is_between), VLY_OK);
        assert_string_equal(out.ptr, "squeezed|plain|");
        frame[4]--; /* its last byte is cut off, and begins the next frame */
        assert_int_equal(split(encoding, frame, 5 + n, 7, &out, &is_between), VLY_EFORMAT);
        n = compress_with(bits, bomb, sizeof(bomb), frame + 5, 1000);
        frame[4] = (char)n;
        assert_true(n < 256);
        assert_int_equal(split(encoding, frame, 5 + n, 7, &out, &is_between), VLY_ELIMIT);
    }
    vly_buf_release(&out);
}

static void heads_and_escapes(void **state)
{
    unsigned char head[VLY_GRPC_HEAD_BYTES];
    vly_buf out;

    (void)state;
    vly_grpc_frame_head(head, true, 0x01020304);
    assert_memory_equal(head, "\1\1\2\3\4", 5);
    vly_buf_init(&out, VLY_MEM_BASE, 1000);
    vly_grpc_escape(&out, VLY_STR("50 % of '\xc3\xa9t\xc3\xa9'\n~\x7f"));
    assert_string_equal(out.ptr, "50 %25 of '%C3%A9t%C3%A9'%0A~%7F");
    vly_buf_release(&out);
}

static void knows_its_type(void **state)
{
    (void)state;
    assert_true(vly_grpc_is_type(VLY_STR("application/grpc")));
    assert_true(vly_grpc_is_type(VLY_STR("application/grpc+proto")));
    assert_true(vly_grpc_is_type(VLY_STR("application/grpc;charset=utf-8")));
    assert_false(vly_grpc_is_type(VLY_STR("application/grpc-web")));
    assert_false(vly_grpc_is_type(VLY_STR("application/json")));
    assert_false(vly_grpc_is_type((vly_str){NULL, 0}));
}

UNIT_TESTS(cmocka_unit_test(knows_its_type), cmocka_unit_test(messages_in_pieces),
           cmocka_unit_test(faults), cmocka_unit_test(compressed_messages),
           cmocka_unit_test(heads_and_escapes))
