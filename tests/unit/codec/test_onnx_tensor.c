/* SPDX-License-Identifier: MIT */
/* TensorProto: each way to store each type, by onnx.proto's comments; and bad ones. */
#include "base/buf.h"
#include "codec/onnx.h"
#include "codec/pbwire.h"
#include "unit.h"

#include <string.h>

enum {
    FLOAT = 1,
    UINT8,
    INT8,
    UINT16,
    INT16,
    INT32,
    INT64,
    STRING,
    BOOL,
    FLOAT16,
    DOUBLE,
    UINT32,
    UINT64,
    COMPLEX64,
    COMPLEX128,
    BFLOAT16,
    UINT4 = 21,
    INT4,
    UINT2 = 25
};

static vly_arena arena; /* of the running test */
static vly_buf file;

static int set_up(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    vly_buf_init(&file, VLY_MEM_CODEC, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_arena_release(&arena);
    vly_buf_release(&file);
    return 0;
}

/* Begins a tensor "t"; the test puts its data. */
static void begin(int type, size_t n_dims, const int64_t *dims)
{
    vly_buf_clear(&file);
    vly_pb_put_bytes(&file, 8, VLY_STR("t"));
    for (size_t i = 0; i < n_dims; i++)
        vly_pb_put_varint(&file, 1, (uint64_t)dims[i]);
    vly_pb_put_varint(&file, 2, (uint64_t)type);
}

static void begin_vector(int type, int64_t n)
{
    begin(type, 1, &n);
}

static void put_prop(const char *key, const char *value)
{
    size_t prop = vly_pb_open(&file, 13);
    vly_pb_put_bytes(&file, 1, vly_str_from(key));
    vly_pb_put_bytes(&file, 2, vly_str_from(value));
    vly_pb_close(&file, prop);
}

static const vly_onnx_tensor *parse(void)
{
    const vly_onnx_tensor *t = NULL;
    vly_err err = VLY_ERR_INIT;

    if (vly_onnx_tensor_parse(file.ptr, file.len, &arena, &t, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return t;
}

static void check_data(const void *want, size_t n_bytes)
{
    const vly_onnx_tensor *t = parse();

    assert_int_equal(t->n_bytes, n_bytes);
    assert_memory_equal(t->data, want, n_bytes);
}

static void check_error(vly_status want, const char *message)
{
    const vly_onnx_tensor *t = NULL;
    vly_err err = VLY_ERR_INIT;

    assert_int_equal(vly_onnx_tensor_parse(file.ptr, file.len, &arena, &t, &err), want);
    assert_string_equal(err.msg, message);
    assert_null(t);
}

static void reads_raw_data_in_place(void **state)
{
    (void)state;
    begin(INT16, 2, (int64_t[]){2, 2});
    vly_pb_put_bytes(&file, 9, VLY_STR("\x01\x00\xff\xff\x03\x00\x04\x80"));
    const vly_onnx_tensor *t = parse();

    assert_true(vly_str_is(t->name, "t"));
    assert_int_equal(t->data_type, INT16);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->n_elems, 4);
    assert_int_equal(t->n_bytes, 8);
    assert_ptr_equal(t->data, file.ptr + file.len - 8);
}

static void reads_scalars_and_empty(void **state)
{
    (void)state;
    begin(UINT8, 0, NULL);
    vly_pb_put_bytes(&file, 9, VLY_STR("x"));
    assert_int_equal(parse()->n_elems, 1);
    begin(FLOAT, 3, (int64_t[]){0, INT64_MAX, INT64_MAX});
    const vly_onnx_tensor *t = parse();
    assert_int_equal(t->n_elems, 0);
    assert_int_equal(t->n_bytes, 0);
    assert_int_equal(t->n_dims, 3);
}

static void reads_packed_dims(void **state)
{
    (void)state;
    vly_buf_clear(&file);
    vly_pb_put_bytes(&file, 1, VLY_STR("\x02\x03"));
    vly_pb_put_varint(&file, 2, UINT8);
    vly_pb_put_bytes(&file, 9, VLY_STR("abcdef"));
    assert_int_equal(parse()->dims[1], 3);
}

static void reads_float_data(void **state)
{
    (void)state;
    const float want[] = {1, 2, 3};
    begin_vector(FLOAT, 3);
    vly_pb_put_bytes(&file, 4, (vly_str){(const char *)want, sizeof(want)}); /* one run: in place */
    assert_ptr_equal(parse()->data, file.ptr + file.len - sizeof(want));
    check_data(want, sizeof(want));
    begin_vector(FLOAT, 3); /* runs and single ones */
    vly_pb_put_bytes(&file, 4, (vly_str){(const char *)want, 4});
    vly_pb_put_float(&file, 4, 2);
    vly_pb_put_bytes(&file, 4, (vly_str){NULL, 0});
    vly_pb_put_bytes(&file, 4, (vly_str){(const char *)(want + 2), 4});
    check_data(want, sizeof(want));
    begin_vector(FLOAT, 1);
    vly_pb_put_float(&file, 4, 1);
    check_data(want, 4);
    begin_vector(COMPLEX64, 1);
    vly_pb_put_float(&file, 4, 1);
    vly_pb_put_float(&file, 4, 2);
    check_data(want, 8);
}

static void reads_double_data(void **state)
{
    (void)state;
    const double want[] = {1, -2};
    begin_vector(DOUBLE, 2);
    vly_pb_put_double(&file, 10, 1);
    vly_pb_put_double(&file, 10, -2);
    check_data(want, sizeof(want));
    begin_vector(COMPLEX128, 1);
    vly_pb_put_bytes(&file, 10, (vly_str){(const char *)want, sizeof(want)});
    check_data(want, sizeof(want));
}

static void put_int32s(size_t n, const int32_t *values)
{
    size_t packed = vly_pb_open(&file, 5);
    for (size_t i = 0; i < n; i++)
        vly_pb_put_raw_varint(&file, (uint64_t)(int64_t)values[i]);
    vly_pb_close(&file, packed);
}

static void reads_int32_data(void **state)
{
    (void)state;
    const int32_t small[] = {-1, 0, 127, -128};
    const int32_t large[] = {INT32_MIN, INT32_MAX};
    begin_vector(INT8, 4);
    put_int32s(4, small);
    check_data((int8_t[]){-1, 0, 127, -128}, 4);
    begin_vector(UINT8, 2);
    put_int32s(2, (int32_t[]){200, 255});
    check_data((uint8_t[]){200, 255}, 2);
    begin_vector(INT32, 2);
    put_int32s(2, large);
    check_data(large, sizeof(large));
    begin_vector(BOOL, 2);
    put_int32s(2, (int32_t[]){1, 0});
    check_data((uint8_t[]){1, 0}, 2);
    begin_vector(FLOAT16, 2);
    put_int32s(2, (int32_t[]){0x3c00, 0xc000});
    check_data((uint16_t[]){0x3c00, 0xc000}, 4);
    begin_vector(BFLOAT16, 1);
    put_int32s(1, (int32_t[]){0x3f80});
    check_data((uint16_t[]){0x3f80}, 2);
    begin_vector(UINT16, 2);
    vly_pb_put_varint(&file, 5, 65535);
    vly_pb_put_varint(&file, 5, 1);
    check_data((uint16_t[]){65535, 1}, 4);
    begin_vector(INT4, 3); /* two to a byte, a byte to an int32 */
    put_int32s(2, (int32_t[]){0x21, 0x03});
    check_data("\x21\x03", 2);
    begin_vector(UINT2, 5);
    put_int32s(2, (int32_t[]){0xe4, 0x01});
    check_data("\xe4\x01", 2);
}

static void reads_int64_and_uint64_data(void **state)
{
    (void)state;
    begin_vector(INT64, 2);
    vly_pb_put_varint(&file, 7, (uint64_t)-5);
    vly_pb_put_varint(&file, 7, 5);
    check_data((int64_t[]){-5, 5}, 16);
    begin_vector(UINT64, 1);
    vly_pb_put_varint(&file, 11, UINT64_MAX);
    check_data((uint64_t[]){UINT64_MAX}, 8);
    begin_vector(UINT32, 2);
    vly_pb_put_bytes(&file, 11, VLY_STR("\x07\xff\xff\xff\xff\x0f"));
    check_data((uint32_t[]){7, UINT32_MAX}, 8);
}

static void reads_strings(void **state)
{
    (void)state;
    begin_vector(STRING, 2);
    vly_pb_put_bytes(&file, 6, VLY_STR("one"));
    vly_pb_put_bytes(&file, 6, VLY_STR("\0"));
    const vly_onnx_tensor *t = parse();

    assert_null(t->data);
    assert_true(vly_str_is(t->strings[0], "one"));
    assert_int_equal(t->strings[1].len, 1);
    begin_vector(STRING, 2);
    vly_pb_put_bytes(&file, 6, VLY_STR("one"));
    check_error(VLY_EFORMAT, "tensor 't': expected 2 strings for its shape, got 1");
    begin_vector(STRING, 1);
    vly_pb_put_bytes(&file, 9, VLY_STR("x"));
    check_error(VLY_EFORMAT, "tensor 't': strings cannot be in raw_data");
    begin_vector(STRING, 1);
    vly_pb_put_varint(&file, 14, 1);
    put_prop("location", "w");
    check_error(VLY_EFORMAT, "tensor 't': strings cannot be external data");
}

static void checks_size_against_shape(void **state)
{
    (void)state;
    begin_vector(FLOAT, 2);
    vly_pb_put_bytes(&file, 9, VLY_STR("1234567"));
    check_error(VLY_EFORMAT, "tensor 't': expected 8 bytes for its shape, got 7");
    begin_vector(FLOAT, 2);
    vly_pb_put_bytes(&file, 9, VLY_STR("123456789"));
    check_error(VLY_EFORMAT, "tensor 't': expected 8 bytes for its shape, got 9");
    begin_vector(FLOAT, 2);
    check_error(VLY_EFORMAT, "tensor 't': expected 8 bytes for its shape, got 0");
    begin_vector(FLOAT, 2);
    vly_pb_put_float(&file, 4, 1);
    check_error(VLY_EFORMAT, "tensor 't': expected 2 elements in float_data for its shape, got 1");
    begin_vector(INT4, 3);
    put_int32s(3, (int32_t[]){1, 2, 3});
    check_error(VLY_EFORMAT, "tensor 't': expected 2 elements in int32_data for its shape, got 3");
    begin_vector(FLOAT, 0);
    vly_pb_put_float(&file, 4, 1);
    check_error(VLY_EFORMAT, "tensor 't': expected 0 elements in float_data for its shape, got 1");
}

static void checks_dims(void **state)
{
    (void)state;
    begin(FLOAT, 2, (int64_t[]){3, -1});
    check_error(VLY_EFORMAT, "tensor 't': dimension 1 is negative: -1");
    begin(FLOAT, 2, (int64_t[]){0, INT64_MIN});
    check_error(VLY_EFORMAT, "tensor 't': dimension 1 is negative: -9223372036854775808");
    begin(FLOAT, 3, (int64_t[]){1 << 30, 1 << 30, 1 << 30});
    check_error(VLY_EFORMAT, "tensor 't': the product of the dimensions overflows");
    begin(UINT8, 2,
          (int64_t[]){1 << 30, INT64_C(1) << 32}); /* 2^62 elements fit, 2^65 bits do not */
    check_error(VLY_EFORMAT, "tensor 't': the product of the dimensions overflows");
    begin(FLOAT, 1, (int64_t[]){INT64_C(1) << 40}); /* 4 TiB that the file does not have */
    vly_pb_put_float(&file, 4, 1);
    check_error(VLY_EFORMAT, "tensor 't': expected 1099511627776 elements in float_data for its "
                             "shape, got 1");
}

static void checks_where_the_data_are(void **state)
{
    (void)state;
    begin_vector(FLOAT, 1);
    vly_pb_put_float(&file, 4, 1);
    vly_pb_put_bytes(&file, 9, VLY_STR("1234"));
    check_error(VLY_EFORMAT, "tensor 't': holds both raw_data and float_data");
    begin_vector(FLOAT, 1);
    vly_pb_put_varint(&file, 7, 1);
    check_error(VLY_EFORMAT, "tensor 't': holds data in a field of another type than 1");
    begin_vector(INT8, 2);
    put_int32s(2, (int32_t[]){1, 256});
    check_error(VLY_EFORMAT, "tensor 't': int32_data: 256 does not fit into 1 byte(s)");
    begin_vector(INT16, 1);
    put_int32s(1, (int32_t[]){-32769});
    check_error(VLY_EFORMAT, "tensor 't': int32_data: -32769 does not fit into 2 byte(s)");
    begin_vector(INT64, 1);
    vly_pb_put_bytes(&file, 7, VLY_STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    check_error(VLY_EFORMAT, "tensor 't': int64_data: a varint is over 64 bits");
}

static void rejects_unknown_types(void **state)
{
    (void)state;
    static const int types[] = {0, 27, 255, -1};
    static const char *const messages[] = {
        "tensor 't': unknown data type 0", "tensor 't': unknown data type 27",
        "tensor 't': unknown data type 255", "tensor 't': unknown data type -1"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        begin_vector(types[i], 1);
        check_error(VLY_EUNSUPPORTED, messages[i]);
    }
}

static void begin_external(const char *location)
{
    begin_vector(FLOAT, 4);
    vly_pb_put_varint(&file, 14, 1);
    if (location != NULL)
        put_prop("location", location);
}

static void reads_external_data(void **state)
{
    (void)state;
    begin_external("weights/part..1.bin");
    const vly_onnx_tensor *t = parse();
    assert_true(vly_str_is(t->external->location, "weights/part..1.bin"));
    assert_int_equal(t->external->offset, 0);
    assert_int_equal(t->n_bytes, 16);
    assert_null(t->data);

    begin_external("w.bin");
    put_prop("offset", "4096");
    put_prop("length", "16");
    put_prop("checksum", "0123abcd");
    put_prop("later_key", "ignored");
    t = parse();
    assert_int_equal(t->external->offset, 4096);
    assert_true(vly_str_is(t->external->checksum, "0123abcd"));
}

static void checks_external_data(void **state)
{
    (void)state;
    static const char *const locations[] = {
        NULL, "", "/etc/passwd", "..", "../w", "a/../../w", "a/..", "..\\w", "C:\\w",
    };
    for (size_t i = 0; i < sizeof(locations) / sizeof(locations[0]); i++) {
        begin_external(locations[i]);
        check_error(VLY_EFORMAT, "tensor 't': external data: location is not a path below the "
                                 "model's directory");
    }
    begin_external(NULL);
    vly_pb_put_bytes(&file, 13, VLY_STR("\x0a\x08location\x12\x03w\0x"));
    check_error(VLY_EFORMAT, "tensor 't': external data: location is not a path below the model's "
                             "directory");
    begin_external("w");
    put_prop("offset", "-1");
    check_error(VLY_EFORMAT, "tensor 't': external data: bad offset");
    begin_external("w");
    put_prop("length", "18446744073709551616");
    check_error(VLY_EFORMAT, "tensor 't': external data: bad length");
    begin_external("w");
    put_prop("length", "15");
    check_error(VLY_EFORMAT, "tensor 't': external data: expected 16 bytes, got 15");
    begin_external("w");
    put_prop("offset", "9223372036854775800");
    check_error(VLY_EFORMAT, "tensor 't': external data: offset and length overflow");
    begin_external("w");
    vly_pb_put_bytes(&file, 9, VLY_STR("1234567890123456"));
    check_error(VLY_EFORMAT, "tensor 't': holds both external data and data");
    begin_vector(FLOAT, 1);
    vly_pb_put_varint(&file, 14, 2);
    check_error(VLY_EFORMAT, "tensor 't': unknown data_location 2");
}

/* The shapes that onnx gives to SequenceProto (elem_type 2, tensors 3) and OptionalProto. */
static void rejects_sequences(void **state)
{
    (void)state;
    vly_buf_clear(&file);
    vly_pb_put_bytes(&file, 1, VLY_STR("name"));
    vly_pb_put_varint(&file, 2, 1);
    vly_pb_put_bytes(&file, 3, VLY_STR("\x08\x01\x10\x01"));
    const vly_onnx_tensor *t = NULL;
    vly_err err = VLY_ERR_INIT;
    assert_int_equal(vly_onnx_tensor_parse(file.ptr, file.len, &arena, &t, &err), VLY_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "sequences and optionals are not read"));

    vly_buf_clear(&file);
    vly_pb_put_bytes(&file, 1, VLY_STR("name")); /* an empty sequence: "name" read as dims */
    vly_pb_put_varint(&file, 2, 1);
    assert_int_equal(vly_onnx_tensor_parse(file.ptr, file.len, &arena, &t, NULL), VLY_EFORMAT);
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    begin(INT8, 2, (int64_t[]){2, 1});
    put_int32s(2, (int32_t[]){1, 2});
    for (int64_t n = 0;; n++) {
        vly_arena small;
        const vly_onnx_tensor *t = NULL;
        vly_arena_init(&small, VLY_MEM_CODEC, 16, 1 << 20); /* a block for each */
        vly_mem_fail_after(n);
        vly_status st = vly_onnx_tensor_parse(file.ptr, file.len, &small, &t, NULL);
        vly_mem_fail_after(-1);
        vly_arena_release(&small);
        assert_true(st == VLY_OK ? t != NULL : t == NULL && st == VLY_ENOMEM);
        if (st == VLY_OK) {
            assert_int_equal(n, 3); /* the tensor, its dims, its data */
            return;
        }
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

UNIT_TESTS(TEST(reads_raw_data_in_place), TEST(reads_scalars_and_empty), TEST(reads_packed_dims),
           TEST(reads_float_data), TEST(reads_double_data), TEST(reads_int32_data),
           TEST(reads_int64_and_uint64_data), TEST(reads_strings), TEST(checks_size_against_shape),
           TEST(checks_dims), TEST(checks_where_the_data_are), TEST(rejects_unknown_types),
           TEST(reads_external_data), TEST(checks_external_data), TEST(rejects_sequences),
           TEST(survives_every_failing_allocation))
