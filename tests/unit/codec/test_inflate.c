/* SPDX-License-Identifier: MIT */
/* Compressed bytes from Python: gzip.compress(b"hello hello hello", mtime=0), zlib.compress(...),
 * zlib.compress(bytes(100000)). */
#include "codec/inflate.h"

#include "base/assert.h"
#include "base/mem.h"
#include "unit.h"

static const unsigned char gzip_hello[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9,
    0xc9, 0x57, 0xc8, 0x40, 0x90, 0x00, 0x80, 0x88, 0xf9, 0xe5, 0x11, 0x00, 0x00, 0x00};
static const unsigned char zlib_hello[] = {0x78, 0x9c, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57,
                                           0xc8, 0x40, 0x90, 0x00, 0x3a, 0x2e, 0x06, 0x7d};
/* zlib.compress(b"") */
static const unsigned char zlib_nothing[] = {0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01};
/* printf 'hello hello hello' | zstd -c */
static const unsigned char zstd_hello[] = {0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x65, 0x00, 0x00,
                                           0x30, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x20, 0x01, 0x00,
                                           0x31, 0x4a, 0x11, 0xa2, 0xed, 0x1e, 0x0c};
/* printf 'hello hello hello' | lz4 -c */
static const unsigned char lz4_hello[] = {0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, 0x11, 0x00,
                                          0x00, 0x80, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x20, 0x68,
                                          0x65, 0x6c, 0x6c, 0x6f, 0x20, 0x68, 0x65, 0x6c, 0x6c,
                                          0x6f, 0x00, 0x00, 0x00, 0x00, 0xb1, 0xcd, 0x9b, 0x87};
static const unsigned char zlib_zeros[] = {
    0x78, 0x9c, 0xed, 0xc1, 0x31, 0x01, 0x00, 0x00, 0x00, 0xc2, 0xa0, 0xf5, 0x4f, 0x6d, 0x0d,
    0x0f, 0xa0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x57, 0x03, 0x86, 0xaf, 0x00, 0x01};

#define BYTES(array) ((vly_str){(const char *)(array), sizeof(array)})

static vly_buf out;
static vly_err err;

static vly_status inflate_to(vly_encoding encoding, vly_str bytes, size_t max)
{
    vly_buf_release(&out);
    vly_buf_init(&out, VLY_MEM_CODEC, max);
    return vly_inflate(encoding, bytes, &out, &err);
}

static int end(void **state)
{
    (void)state;
    vly_buf_release(&out);
    return 0;
}

#define HELLO "hello hello hello"

static void knows_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        vly_status st;
        vly_encoding encoding;
    } rows[] = {
        {"", VLY_OK, VLY_ENCODING_IDENTITY}, {"Identity", VLY_OK, VLY_ENCODING_IDENTITY},
        {"GZIP", VLY_OK, VLY_ENCODING_GZIP}, {"deflate", VLY_OK, VLY_ENCODING_DEFLATE},
        {"zstd", VLY_OK, VLY_ENCODING_ZSTD}, {"br", VLY_EUNSUPPORTED, 0},
        {"lz4", VLY_OK, VLY_ENCODING_LZ4},   {"gzip, gzip", VLY_EUNSUPPORTED, 0},
    };
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        vly_encoding e = VLY_ENCODING_IDENTITY;
        assert_int_equal(vly_encoding_parse(vly_str_from(rows[i].name), &e, &err), rows[i].st);
        assert_int_equal(e, rows[i].encoding);
    }
}

static void inflates(void **state)
{
    (void)state;
    assert_int_equal(inflate_to(VLY_ENCODING_GZIP, BYTES(gzip_hello), 100), VLY_OK);
    assert_int_equal(out.len, strlen(HELLO));
    assert_memory_equal(out.ptr, HELLO, strlen(HELLO));
    assert_int_equal(inflate_to(VLY_ENCODING_DEFLATE, BYTES(zlib_hello), 100), VLY_OK);
    assert_int_equal(out.len, strlen(HELLO));
    assert_int_equal(inflate_to(VLY_ENCODING_LZ4, BYTES(lz4_hello), 100), VLY_OK);
    assert_int_equal(out.len, strlen(HELLO));
    assert_memory_equal(out.ptr, HELLO, strlen(HELLO));
    assert_int_equal(inflate_to(VLY_ENCODING_ZSTD, BYTES(zstd_hello), 100), VLY_OK);
    assert_int_equal(out.len, strlen(HELLO));
    assert_memory_equal(out.ptr, HELLO, strlen(HELLO));
    assert_int_equal(inflate_to(VLY_ENCODING_IDENTITY, VLY_STR(HELLO), 100), VLY_OK);
    assert_int_equal(out.len, strlen(HELLO));
    assert_int_equal(inflate_to(VLY_ENCODING_DEFLATE, BYTES(zlib_zeros), 1 << 20), VLY_OK);
    assert_int_equal(out.len, 100000);
}

/* Exactly what max_bytes allows; of nothing, with no room at all. */
static void fills_its_output(void **state)
{
    (void)state;
    static const struct {
        vly_encoding encoding;
        vly_str bytes;
    } rows[] = {
        {VLY_ENCODING_GZIP, {(const char *)gzip_hello, sizeof(gzip_hello)}},
        {VLY_ENCODING_DEFLATE, {(const char *)zlib_hello, sizeof(zlib_hello)}},
        {VLY_ENCODING_ZSTD, {(const char *)zstd_hello, sizeof(zstd_hello)}},
        {VLY_ENCODING_LZ4, {(const char *)lz4_hello, sizeof(lz4_hello)}},
    };

    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        assert_int_equal(inflate_to(rows[i].encoding, rows[i].bytes, strlen(HELLO)), VLY_OK);
        assert_int_equal(out.len, strlen(HELLO));
        assert_memory_equal(out.ptr, HELLO, strlen(HELLO));
    }
    assert_int_equal(inflate_to(VLY_ENCODING_DEFLATE, BYTES(zlib_zeros), 100000), VLY_OK);
    assert_int_equal(out.len, 100000);
    assert_int_equal(inflate_to(VLY_ENCODING_DEFLATE, BYTES(zlib_nothing), 0), VLY_OK);
    assert_int_equal(out.len, 0);
}

static void output_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(inflate_to(VLY_ENCODING_DEFLATE, BYTES(zlib_zeros), 99999), VLY_ELIMIT);
    assert_true(out.len <= 99999);
    assert_int_equal(inflate_to(VLY_ENCODING_GZIP, BYTES(gzip_hello), strlen(HELLO) - 1),
                     VLY_ELIMIT);
    assert_int_equal(inflate_to(VLY_ENCODING_ZSTD, BYTES(zstd_hello), strlen(HELLO) - 1),
                     VLY_ELIMIT);
    assert_int_equal(inflate_to(VLY_ENCODING_LZ4, BYTES(lz4_hello), strlen(HELLO) - 1), VLY_ELIMIT);
    assert_int_equal(inflate_to(VLY_ENCODING_IDENTITY, VLY_STR(HELLO), 3), VLY_ELIMIT);
}

static void refuses_damage(void **state)
{
    (void)state;
    unsigned char bytes[sizeof(gzip_hello) + 1] = {0};

    for (size_t n = 0; n < sizeof(gzip_hello); n++) /* cut anywhere */
        assert_int_equal(inflate_to(VLY_ENCODING_GZIP, (vly_str){(const char *)gzip_hello, n}, 100),
                         VLY_EFORMAT);
    for (size_t n = 0; n < sizeof(zstd_hello); n++)
        assert_int_equal(inflate_to(VLY_ENCODING_ZSTD, (vly_str){(const char *)zstd_hello, n}, 100),
                         VLY_EFORMAT);
    assert_int_equal(inflate_to(VLY_ENCODING_ZSTD, BYTES(gzip_hello), 100), VLY_EFORMAT);
    for (size_t n = 0; n < sizeof(lz4_hello); n++)
        assert_int_equal(inflate_to(VLY_ENCODING_LZ4, (vly_str){(const char *)lz4_hello, n}, 100),
                         VLY_EFORMAT);
    unsigned char lz4_bytes[sizeof(lz4_hello) + 1] = {0};
    memcpy(lz4_bytes, lz4_hello, sizeof(lz4_hello));
    assert_int_equal(
        inflate_to(VLY_ENCODING_LZ4, (vly_str){(const char *)lz4_bytes, sizeof(lz4_bytes)}, 100),
        VLY_EFORMAT);                      /* a byte too many */
    lz4_bytes[sizeof(lz4_hello) - 1] ^= 1; /* the checksum */
    assert_int_equal(
        inflate_to(VLY_ENCODING_LZ4, (vly_str){(const char *)lz4_bytes, sizeof(lz4_hello)}, 100),
        VLY_EFORMAT);
    memcpy(bytes, gzip_hello, sizeof(gzip_hello));
    assert_int_equal(
        inflate_to(VLY_ENCODING_GZIP, (vly_str){(const char *)bytes, sizeof(bytes)}, 100),
        VLY_EFORMAT);                   /* a byte too many */
    bytes[sizeof(gzip_hello) - 5] ^= 1; /* the checksum */
    assert_int_equal(
        inflate_to(VLY_ENCODING_GZIP, (vly_str){(const char *)bytes, sizeof(gzip_hello)}, 100),
        VLY_EFORMAT);
    assert_int_equal(inflate_to(VLY_ENCODING_GZIP, BYTES(zlib_hello), 100), VLY_EFORMAT);
    assert_int_equal(inflate_to(VLY_ENCODING_DEFLATE, BYTES(gzip_hello), 100), VLY_EFORMAT);
}

static void survives_without_memory(void **state)
{
    (void)state;
    vly_status st = VLY_ENOMEM;
    int n = 0;

    for (; st != VLY_OK && n < 20; n++) {
        vly_mem_fail_after(n);
        st = inflate_to(VLY_ENCODING_GZIP, BYTES(gzip_hello), 100);
        vly_mem_fail_after(-1);
        if (st != VLY_OK)
            assert_int_equal(st, VLY_ENOMEM);
    }
    assert_true(n > 1 && n < 20);
}

UNIT_TESTS(cmocka_unit_test(knows_names), cmocka_unit_test_teardown(inflates, end),
           cmocka_unit_test_teardown(fills_its_output, end),
           cmocka_unit_test_teardown(output_is_bounded, end),
           cmocka_unit_test_teardown(refuses_damage, end),
           cmocka_unit_test_teardown(survives_without_memory, end))
