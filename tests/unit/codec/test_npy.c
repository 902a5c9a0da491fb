/* SPDX-License-Identifier: MIT */
/* Headers and data below are what numpy.save writes (numpy 2); the transposition is by hand. */
#include "codec/npy.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define HEADER_LEN 118 /* numpy pads small headers to this: data begin at byte 128 */

typedef struct file {
    char bytes[512];
    size_t len;
} file;

/* A version 1 file with this header text. */
static file make_file(const char *header, const void *data, size_t n_bytes)
{
    file f;

    memcpy(f.bytes, "\x93NUMPY\x01\x00", 8);
    f.bytes[8] = HEADER_LEN;
    f.bytes[9] = 0;
    f.len =
        10 + (size_t)snprintf(f.bytes + 10, sizeof(f.bytes) - 10, "%-*s\n", HEADER_LEN - 1, header);
    if (n_bytes > 0)
        memcpy(f.bytes + f.len, data, n_bytes);
    f.len += n_bytes;
    return f;
}

static vly_status parse(const file *f, vly_npy *ret)
{
    vly_err err = VLY_ERR_INIT;
    vly_status st = vly_npy_parse(f->bytes, f->len, ret, &err);

    assert_true((st == VLY_OK) == (err.msg[0] == '\0'));
    return st;
}

static vly_status parse_header(const char *header)
{
    const char data[24] = {0};
    vly_npy a;
    file f = make_file(header, data, sizeof(data));
    return parse(&f, &a);
}

static void reads_floats(void **state)
{
    (void)state;
    const float data[] = {0, 1, 2, 3, 4, 5};
    file f = make_file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", data,
                       sizeof(data));
    vly_npy a;

    assert_int_equal(parse(&f, &a), VLY_OK);
    assert_int_equal(a.data_type, 1);
    assert_int_equal(a.n_dims, 2);
    assert_int_equal(a.dims[0], 2);
    assert_int_equal(a.dims[1], 3);
    assert_int_equal(a.n_elems, 6);
    assert_int_equal(a.n_bytes, 24);
    assert_memory_equal(a.data, data, sizeof(data));
    float copy[6];
    vly_npy_copy(&a, copy);
    assert_memory_equal(copy, data, sizeof(data));
}

/* numpy.save(asfortranarray([[0, 1, 2], [3, 4, 5]])) */
static void transposes_fortran_order(void **state)
{
    (void)state;
    const int16_t stored[] = {0, 3, 1, 4, 2, 5};
    const int16_t want[] = {0, 1, 2, 3, 4, 5};
    file f = make_file("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }", stored,
                       sizeof(stored));
    vly_npy a;
    int16_t got[6];

    assert_int_equal(parse(&f, &a), VLY_OK);
    assert_true(a.is_fortran_order);
    assert_int_equal(a.data_type, 5);
    vly_npy_copy(&a, got);
    assert_memory_equal(got, want, sizeof(want));
}

/* asfortranarray(arange(12).reshape(2, 3, 2)) */
static void transposes_three_dimensions(void **state)
{
    (void)state;
    const uint8_t stored[] = {0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11};
    file f = make_file("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 2), }", stored,
                       sizeof(stored));
    vly_npy a;
    uint8_t got[12];

    assert_int_equal(parse(&f, &a), VLY_OK);
    vly_npy_copy(&a, got);
    for (int i = 0; i < 12; i++)
        assert_int_equal(got[i], i);
}

static void reads_every_type(void **state)
{
    (void)state;
    static const struct {
        const char *descr;
        int32_t data_type;
        size_t bytes;
    } cases[] = {
        {"|b1", 9, 1}, {"|i1", 3, 1},  {"|u1", 2, 1},  {"<i2", 5, 2},  {"<u2", 4, 2},
        {"<i4", 6, 4}, {"<i8", 7, 8},  {"<u4", 12, 4}, {"<u8", 13, 8}, {"<f2", 10, 2},
        {"<f4", 1, 4}, {"<f8", 11, 8}, {"<u1", 2, 1},  {"=f4", 1, 4},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        char header[HEADER_LEN];
        snprintf(header, sizeof(header), "{'descr': '%s', 'fortran_order': False, 'shape': (), }",
                 cases[i].descr);
        file f = make_file(header, data, cases[i].bytes);
        vly_npy a;
        assert_int_equal(parse(&f, &a), VLY_OK);
        assert_int_equal(a.data_type, cases[i].data_type);
        assert_int_equal(a.n_dims, 0);
        assert_int_equal(a.n_elems, 1);
        assert_int_equal(a.n_bytes, cases[i].bytes);
    }
}

static void reads_later_versions(void **state)
{
    (void)state;
    const char data[6] = {0, 0, 0, 0x3c, 0, 0x40};
    for (char version = 2; version <= 3; version++) {
        file v1 = make_file("{'descr': '<f2', 'fortran_order': False, 'shape': (3,), }", data,
                            sizeof(data));
        file f = {.len = v1.len + 2};
        memcpy(f.bytes, v1.bytes, 10);
        f.bytes[6] = version;
        memcpy(f.bytes + 12, v1.bytes + 10, v1.len - 10);
        vly_npy a;
        assert_int_equal(parse(&f, &a), VLY_OK);
        assert_int_equal(a.n_elems, 3);
        assert_memory_equal(a.data, data, sizeof(data));
        f.bytes[11] = 1; /* 16 MiB of header */
        assert_int_equal(parse(&f, &a), VLY_ELIMIT);
    }
}

static void reads_empty_arrays(void **state)
{
    (void)state;
    file f = make_file("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4), }", NULL, 0);
    vly_npy a;

    assert_int_equal(parse(&f, &a), VLY_OK);
    assert_int_equal(a.n_elems, 0);
    assert_int_equal(a.n_dims, 2);
    vly_npy_copy(&a, NULL);
}

/* Any order of keys, any quotes and blanks that Python's literals may have. */
static void reads_other_spellings(void **state)
{
    (void)state;
    const char *const headers[] = {
        "{\"shape\":(2,3),\"descr\":\"<f4\",\"fortran_order\":False}",
        "{ 'fortran_order' : True , 'shape' : ( 2L , 3L , ) , 'descr' : '<i4' }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        assert_int_equal(parse_header(headers[i]), VLY_OK);
}

static void rejects_unsupported(void **state)
{
    (void)state;
    const char *const headers[] = {
        "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<U2', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        assert_int_equal(parse_header(headers[i]), VLY_EUNSUPPORTED);
}

static void rejects_malformed(void **state)
{
    (void)state;
    const char *const headers[] = {
        "",
        "{}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 6, }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387910,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (6,), }",
        "{'descr': '', 'fortran_order': False, 'shape': (6,), }",
        "{'descr': <f4, 'fortran_order': False, 'shape': (6,), }",
        "{'descr' '<f4', 'fortran_order': False, 'shape': (6,), }",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (6,), }",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        assert_int_equal(parse_header(headers[i]), VLY_EFORMAT);
    assert_int_equal(parse_header("{'descr': '<f4', 'fortran_order': False, 'shape': "
                                  "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
                                  "1,6)}"),
                     VLY_ELIMIT);
}

static void rejects_every_cut(void **state)
{
    (void)state;
    const float data[] = {1, 2};
    const file whole =
        make_file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", data, sizeof(data));
    vly_npy a;

    for (size_t n = 0; n < whole.len; n++) {
        file f = whole;
        f.len = n;
        assert_int_equal(parse(&f, &a), VLY_EFORMAT);
    }
    file longer = whole;
    longer.len++;
    assert_int_equal(parse(&longer, &a), VLY_EFORMAT);
    file version = whole;
    version.bytes[6] = 4;
    assert_int_equal(parse(&version, &a), VLY_EUNSUPPORTED);
}

static void check_written(const char *header, int32_t type, size_t n_dims, const int64_t *dims,
                          const void *data, size_t n_bytes)
{
    file want = make_file(header, data, n_bytes);
    vly_buf out;

    vly_buf_init(&out, VLY_MEM_CODEC, 4096);
    assert_int_equal(vly_npy_write(&out, type, n_dims, dims, data, n_bytes, NULL), VLY_OK);
    assert_false(out.failed);
    assert_int_equal(out.len, want.len);
    assert_memory_equal(out.ptr, want.bytes, want.len);
    vly_buf_release(&out);
}

static void writes_as_numpy_does(void **state)
{
    (void)state;
    const float floats[] = {0, 1, 2, 3, 4, 5};
    const uint8_t bytes[] = {7, 0, 1};

    check_written("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 1, 2,
                  (int64_t[]){2, 3}, floats, sizeof(floats));
    check_written("{'descr': '|u1', 'fortran_order': False, 'shape': (), }", 2, 0, NULL, bytes, 1);
    check_written("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", 9, 1, (int64_t[]){3},
                  bytes, 3);
    check_written("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4), }", 11, 2,
                  (int64_t[]){0, 4}, NULL, 0);
}

static void write_reports_failure(void **state)
{
    (void)state;
    vly_buf out;
    vly_err err = VLY_ERR_INIT;

    vly_buf_init(&out, VLY_MEM_CODEC, 100);
    assert_int_equal(vly_npy_write(&out, 16, 0, NULL, "\0", 2, &err), VLY_EUNSUPPORTED);
    assert_int_equal(vly_npy_write(&out, 2, 0, NULL, "\0", 1, NULL), VLY_OK);
    assert_true(out.failed);
    vly_buf_release(&out);
}

UNIT_TESTS(cmocka_unit_test(reads_floats), cmocka_unit_test(transposes_fortran_order),
           cmocka_unit_test(transposes_three_dimensions), cmocka_unit_test(reads_every_type),
           cmocka_unit_test(reads_later_versions), cmocka_unit_test(reads_empty_arrays),
           cmocka_unit_test(reads_other_spellings), cmocka_unit_test(rejects_unsupported),
           cmocka_unit_test(rejects_malformed), cmocka_unit_test(rejects_every_cut),
           cmocka_unit_test(writes_as_numpy_does), cmocka_unit_test(write_reports_failure))
