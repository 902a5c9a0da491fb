/* SPDX-License-Identifier: MIT */
/* The messages as bytes: what Python's protobuf makes of them with tritonclient's descriptors. */
#include "codec/grpc_infer.h"

#include "codec/pbwire.h"

#include "unit.h"

#define BYTES(literal) ((vly_str){literal, sizeof(literal) - 1})

static const char request[] =
    "\012\006simple\022\0013\032\006req-\303\251\042\032\012\013sequence_id\022\013\020"
    "\373\377\377\377\377\377\377\377\377\001*\042\012\001A\022\005INT32\032\015\002\377"
    "\377\377\377\377\377\377\377\377\001\254\002\042\007\012\001p\022\002\010\001*\012"
    "\012\001B\022\005BYTES2\033\012\003OUT\022\024\012\016classification\022\002\020\003"
    ":\003\001\002\003:\000";

static const char parameters[] =
    "\042\007\012\001b\022\002\010\000\042\016\012\001d\022\011!\000\000\000\000\000\000"
    "\340\277\042\020\012\001i\022\013\020\200\200\200\200\200\200\200\200\200\001\042"
    "\013\012\001s\022\006\032\004text\042\020\012\001u\022\013(\377\377\377\377\377\377"
    "\377\377\377\001\042\005\012\001z\022\000";

static void reads_a_request(void **state)
{
    vly_grpc_infer_request r;
    vly_arena arena;
    vly_err err;

    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    assert_int_equal(vly_grpc_infer_request_parse(BYTES(request), &arena, &r, &err), VLY_OK);
    assert_true(vly_str_is(r.model_name, "simple"));
    assert_true(vly_str_is(r.model_version, "3"));
    assert_true(vly_str_is(r.id, "req-\xc3\xa9"));
    const vly_grpc_param *p = vly_grpc_params_find(&r.params, "sequence_id");
    assert_non_null(p);
    assert_int_equal(p->kind, VLY_GRPC_INT);
    assert_true((int64_t)p->number == -5);
    assert_int_equal(r.n_inputs, 2);
    assert_true(vly_str_is(r.inputs[0].name, "A"));
    assert_true(vly_str_is(r.inputs[0].datatype, "INT32"));
    assert_int_equal(r.inputs[0].rank, 3);
    assert_true(r.inputs[0].shape[0] == 2 && r.inputs[0].shape[1] == -1 &&
                r.inputs[0].shape[2] == 300);
    assert_int_equal(vly_grpc_params_find(&r.inputs[0].params, "p")->number, 1);
    assert_null(r.inputs[0].contents.ptr);
    assert_int_equal(r.inputs[1].rank, 0);
    assert_int_equal(r.n_outputs, 1);
    assert_true(vly_str_is(r.outputs[0].name, "OUT"));
    assert_int_equal(vly_grpc_params_find(&r.outputs[0].params, "classification")->number, 3);
    assert_null(vly_grpc_params_find(&r.outputs[0].params, "nothing"));
    assert_int_equal(r.n_raw, 2);
    assert_true(vly_str_is(r.raw[0], "\x01\x02\x03"));
    assert_int_equal(r.raw[1].len, 0);
    vly_arena_release(&arena);
}

static void reads_each_kind_of_parameter(void **state)
{
    vly_grpc_infer_request r;
    vly_arena arena;
    vly_err err;

    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    assert_int_equal(vly_grpc_infer_request_parse(BYTES(parameters), &arena, &r, &err), VLY_OK);
    assert_int_equal(r.params.n, 6);
    const vly_grpc_param *p = r.params.items;
    assert_true(p[0].kind == VLY_GRPC_BOOL && p[0].number == 0);
    assert_true(p[1].kind == VLY_GRPC_DOUBLE && p[1].real == -0.5);
    assert_true(p[2].kind == VLY_GRPC_INT && (int64_t)p[2].number == INT64_MIN);
    assert_true(p[3].kind == VLY_GRPC_STRING && vly_str_is(p[3].text, "text"));
    assert_true(p[4].kind == VLY_GRPC_UINT && p[4].number == UINT64_MAX);
    assert_true(p[5].kind == VLY_GRPC_NONE && vly_str_is(p[5].key, "z"));

    vly_buf b;
    vly_buf_init(&b, VLY_MEM_CODEC, 1024);
    for (size_t i = 0; i < r.params.n; i++)
        vly_grpc_put_param(&b, 4, &p[i]);
    assert_int_equal(b.len, sizeof(parameters) - 1);
    assert_memory_equal(b.ptr, parameters, b.len);
    vly_buf_release(&b);
    vly_arena_release(&arena);
}

/* Map entries may repeat a key, and shapes need not be packed: "\x18" is field 3 as a varint. */
static void reads_what_other_writers_may_send(void **state)
{
    static const char bytes[] = "*\x06\x18\x02\x18\x03\x12\x00"
                                "\"\x07\n\x01k\x12\x02\x10\x01"
                                "\"\x07\n\x01k\x12\x02\x10\x02"
                                "\xd8\x04\x07"; /* an unknown field, 75 */
    vly_grpc_infer_request r;
    vly_arena arena;
    vly_err err;

    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    assert_int_equal(vly_grpc_infer_request_parse(BYTES(bytes), &arena, &r, &err), VLY_OK);
    assert_int_equal(r.inputs[0].rank, 2);
    assert_true(r.inputs[0].shape[0] == 2 && r.inputs[0].shape[1] == 3);
    assert_int_equal(vly_grpc_params_find(&r.params, "k")->number, 2);
    vly_arena_release(&arena);
}

static void expect_refused(vly_str bytes, vly_status status, const char *text)
{
    vly_grpc_infer_request r = {.n_raw = 77};
    vly_arena arena;
    vly_err err;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    assert_int_equal(vly_grpc_infer_request_parse(bytes, &arena, &r, &err), status);
    assert_non_null(strstr(err.msg, text));
    assert_int_equal(r.n_raw, 77);
    vly_arena_release(&arena);
}

static void refuses_malformed_requests(void **state)
{
    (void)state;
    expect_refused(BYTES("\x0a\x05simp"), VLY_EFORMAT, "malformed ModelInferRequest");
    expect_refused(BYTES("\x0a\x02\xc3\x28"), VLY_EFORMAT, "malformed ModelInferRequest");
    expect_refused(BYTES("*\x02\x0a\x05"), VLY_EFORMAT, "malformed input tensor");
    expect_refused(BYTES("*\x03\x1a\x01\x80"), VLY_EFORMAT, "malformed shape");
    expect_refused(BYTES("2\x02\x0a\x05"), VLY_EFORMAT, "malformed requested output");
    expect_refused(BYTES("\"\x02\x12\x05"), VLY_EFORMAT, "malformed parameter");
    expect_refused(BYTES("*\x0b\x1a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01"), VLY_ELIMIT,
                   "at most 8 dimensions");
}

static void keeps_its_limits(void **state)
{
    vly_buf b;

    (void)state;
    vly_buf_init(&b, VLY_MEM_CODEC, 1 << 16);
    for (int i = 0; i <= VLY_INFER_JSON_TENSORS_MAX; i++)
        vly_buf_add(&b, ":\0", 2);
    expect_refused(vly_buf_str(&b), VLY_ELIMIT, "at most 1024");
    vly_buf_clear(&b);
    for (int i = 0; i <= VLY_GRPC_PARAMS_MAX; i++)
        vly_buf_add(&b, "\"\0", 2);
    expect_refused(vly_buf_str(&b), VLY_ELIMIT, "at most 1024 parameters, got 1025");
    vly_buf_release(&b);
}

static const char bools[] = "\012\003\001\000\001";

static const char ints[] =
    "\022\026\200\377\377\377\377\377\377\377\377\001\000\177\377\377\377\377\377\377\377"
    "\377\377\001";

static const char int64s[] =
    "\032\023\200\200\200\200\200\200\200\200\200\001\377\377\377\377\377\377\377\377\177";

static const char uints[] = "\042\012\377\001\377\377\003\377\377\377\377\017";

static const char uint64s[] = "*\013\377\377\377\377\377\377\377\377\377\001\000";

static const char floats[] = "2\010\000\000\300\077\000\000\200\276";

static const char doubles[] = ":\010\232\231\231\231\231\231\271\077";

static const char texts[] = "B\000B\003a\000b";

static const char both[] = "\022\001\0012\004\000\000\200\077";

static vly_status read_contents(vly_str contents, vly_infer_json_class class, size_t elem_bytes,
                                size_t n, void *dst, vly_err *err)
{
    const vly_grpc_input input = {
        .name = VLY_STR("x"), .datatype = VLY_STR("FP16"), .contents = contents};

    return vly_grpc_contents_read(&input, VLY_STR("m"), class, elem_bytes, n, dst, err);
}

#define EXPECT_CONTENTS(bytes, class, type, ...)                                                   \
    do {                                                                                           \
        const type want[] = {__VA_ARGS__};                                                         \
        type got[sizeof(want) / sizeof(want[0])];                                                  \
        vly_err err;                                                                               \
        assert_int_equal(read_contents(BYTES(bytes), VLY_INFER_JSON_##class, sizeof(type),         \
                                       sizeof(want) / sizeof(want[0]), got, &err),                 \
                         VLY_OK);                                                                  \
        assert_memory_equal(got, want, sizeof(want));                                              \
    } while (0)

static void reads_typed_contents(void **state)
{
    (void)state;
    EXPECT_CONTENTS(bools, BOOL, uint8_t, 1, 0, 1);
    EXPECT_CONTENTS(ints, INT, int8_t, -128, 0, 127, -1);
    EXPECT_CONTENTS(ints, INT, int16_t, -128, 0, 127, -1);
    EXPECT_CONTENTS(ints, INT, int32_t, -128, 0, 127, -1);
    EXPECT_CONTENTS(int64s, INT, int64_t, INT64_MIN, INT64_MAX);
    EXPECT_CONTENTS(uints, UINT, uint32_t, 255, 65535, UINT32_MAX);
    EXPECT_CONTENTS(uints, UINT, uint16_t, 255, 65535, 65535); /* the low bytes, as Triton */
    EXPECT_CONTENTS(uint64s, UINT, uint64_t, UINT64_MAX, 0);
    EXPECT_CONTENTS(floats, FLOAT, float, 1.5f, -0.25f);
    EXPECT_CONTENTS(doubles, FLOAT, double, 0.1);
    /* the same numbers not packed, and packed twice */
    EXPECT_CONTENTS("\x10\x01\x12\x02\x02\x03", INT, int32_t, 1, 2, 3);
    EXPECT_CONTENTS("\x35\0\0\xc0\x3f\x32\x04\0\0\x80\xbe", FLOAT, float, 1.5f, -0.25f);
}

static void reads_text_contents(void **state)
{
    vly_str got[2];
    vly_err err;

    (void)state;
    assert_int_equal(
        read_contents(BYTES(texts), VLY_INFER_JSON_TEXT, sizeof(vly_str), 2, got, &err), VLY_OK);
    assert_int_equal(got[0].len, 0);
    assert_int_equal(got[1].len, 3);
    assert_memory_equal(got[1].ptr, "a\0b", 3);
}

static void expect_bad_contents(vly_str contents, vly_infer_json_class class, size_t elem_bytes,
                                vly_status status, const char *text)
{
    uint64_t dst[4];
    vly_err err;

    assert_int_equal(read_contents(contents, class, elem_bytes, 2, dst, &err), status);
    assert_non_null(strstr(err.msg, text));
}

static void refuses_wrong_contents(void **state)
{
    (void)state;
    expect_bad_contents(BYTES(floats), VLY_INFER_JSON_INT, 4, VLY_EINVAL,
                        "unexpected explicit tensor data for input tensor 'x' for model 'm' of "
                        "type 'FP32', expected datatype 'FP16'");
    expect_bad_contents(BYTES(floats), VLY_INFER_JSON_FLOAT, 2, VLY_EINVAL, "of type 'FP32'");
    expect_bad_contents(BYTES(both), VLY_INFER_JSON_INT, 4, VLY_EINVAL,
                        "binary data was already supplied.");
    expect_bad_contents(BYTES(bools), VLY_INFER_JSON_BOOL, 1, VLY_EINVAL,
                        "expected 2 elements, got 3");
    expect_bad_contents(BYTES("2\x03\0\0\0"), VLY_INFER_JSON_FLOAT, 4, VLY_EFORMAT, "malformed");
    expect_bad_contents(BYTES("\x12\x02\x01\x80"), VLY_INFER_JSON_INT, 4, VLY_EINVAL, "got 1");
    expect_bad_contents(BYTES("\x12\x03\x01\x01\x80"), VLY_INFER_JSON_INT, 4, VLY_EFORMAT,
                        "malformed");
    expect_bad_contents(BYTES("\x12\x03\x01"), VLY_INFER_JSON_INT, 4, VLY_EFORMAT, "malformed");
}

/* The end of the list of fields is 9, which a field of a client may be called too. */
static void empty_contents_write_nothing(void **state)
{
    enum { N = 4096 };
    uint8_t dst[8], want[sizeof(dst)];
    vly_buf contents;
    vly_err err;

    (void)state;
    memset(dst, 0xa5, sizeof(dst));
    memset(want, 0xa5, sizeof(want));
    vly_buf_init(&contents, VLY_MEM_CODEC, (size_t)2 * N);
    size_t mark = vly_pb_open(&contents, 9);
    for (int i = 0; i < N; i++)
        vly_buf_putc(&contents, 1);
    vly_pb_close(&contents, mark);
    assert_false(contents.failed);
    vly_str bytes = vly_buf_str(&contents);
    assert_int_equal(read_contents(bytes, VLY_INFER_JSON_FLOAT, 2, 0, dst, &err), VLY_OK);
    assert_int_equal(read_contents(bytes, VLY_INFER_JSON_FLOAT, 4, 0, dst, &err), VLY_OK);
    assert_memory_equal(dst, want, sizeof(want));
    assert_int_equal(read_contents(bytes, VLY_INFER_JSON_FLOAT, 2, 1, dst, &err), VLY_EINVAL);
    assert_memory_equal(dst, want, sizeof(want));
    vly_buf_release(&contents);
}

static const char response[] =
    "\012\006simple\022\0011\032\0017\042\033\012\025triton_final_response\022\002\010"
    "\001*\032\012\004OUT0\022\004FP32\032\014\001\002\377\377\377\377\377\377\377\377"
    "\377\001*\012\012\001S\022\005BYTES2\010abcdefgh2\000";

static const char streamed[] =
    "\022_\012\006simple\022\0011\032\0017\042\033\012\025triton_final_response\022\002"
    "\010\001*\032\012\004OUT0\022\004FP32\032\014\001\002\377\377\377\377\377\377\377"
    "\377\377\001*\012\012\001S\022\005BYTES2\010abcdefgh2\000";

static const char failed[] = "\012\002no\022\003\032\0017";

static void put_head(vly_buf *b)
{
    static const int64_t shape[] = {1, 2, -1};
    const vly_grpc_tensor outputs[] = {
        {.name = VLY_STR("OUT0"), .datatype = VLY_STR("FP32"), .shape = shape, .rank = 3},
        {.name = VLY_STR("S"), .datatype = VLY_STR("BYTES")},
    };
    const vly_grpc_param final = {
        .key = VLY_STR("triton_final_response"), .kind = VLY_GRPC_BOOL, .number = 1};

    vly_grpc_put_infer_response(b, &(vly_grpc_infer_response){.model_name = VLY_STR("simple"),
                                                              .model_version = VLY_STR("1"),
                                                              .id = VLY_STR("7"),
                                                              .params = {&final, 1},
                                                              .outputs = outputs,
                                                              .n_outputs = 2});
}

static void put_raw(vly_buf *b)
{
    size_t before = b->len;

    vly_grpc_put_raw_head(b, 8);
    vly_buf_puts(b, "abcdefgh");
    vly_grpc_put_raw_head(b, 0);
    assert_int_equal(b->len - before, vly_grpc_raw_size(8) + vly_grpc_raw_size(0));
}

static void writes_responses(void **state)
{
    vly_buf b;

    (void)state;
    vly_buf_init(&b, VLY_MEM_CODEC, 1024);
    put_head(&b);
    put_raw(&b);
    assert_int_equal(b.len, sizeof(response) - 1);
    assert_memory_equal(b.ptr, response, b.len);

    vly_buf_clear(&b);
    size_t mark = vly_grpc_open_stream(&b, (vly_str){NULL, 0});
    put_head(&b);
    vly_grpc_close_stream(&b, mark, vly_grpc_raw_size(8) + vly_grpc_raw_size(0));
    put_raw(&b);
    assert_int_equal(b.len, sizeof(streamed) - 1);
    assert_memory_equal(b.ptr, streamed, b.len);

    vly_buf_clear(&b);
    mark = vly_grpc_open_stream(&b, VLY_STR("no"));
    vly_grpc_put_infer_response(&b, &(vly_grpc_infer_response){.id = VLY_STR("7")});
    vly_grpc_close_stream(&b, mark, 0);
    assert_int_equal(b.len, sizeof(failed) - 1);
    assert_memory_equal(b.ptr, failed, b.len);
    vly_buf_release(&b);
}

/* 128 KiB: the length of the head takes two bytes more than was left for it. */
static void writes_large_responses(void **state)
{
    const size_t n = (size_t)1 << 17;
    vly_pb_field f;
    vly_buf b;

    (void)state;
    vly_buf_init(&b, VLY_MEM_CODEC, 1 << 20);
    size_t mark = vly_grpc_open_stream(&b, (vly_str){NULL, 0});
    put_head(&b);
    vly_grpc_close_stream(&b, mark, vly_grpc_raw_size(n));
    vly_grpc_put_raw_head(&b, n);
    for (size_t i = 0; i < n; i++)
        vly_buf_putc(&b, (char)i);
    vly_pb c = vly_pb_begin(vly_buf_str(&b));
    assert_true(vly_pb_next(&c, &f));
    assert_true(f.number == 2 && c.at == c.end);
    c = vly_pb_begin(f.bytes);
    while (vly_pb_next(&c, &f))
        ;
    assert_false(c.bad);
    assert_int_equal(f.number, 6);
    assert_int_equal(f.bytes.len, n);
    assert_int_equal((unsigned char)f.bytes.ptr[n - 1], 0xff);
    vly_buf_release(&b);
}

UNIT_TESTS(cmocka_unit_test(reads_a_request), cmocka_unit_test(reads_each_kind_of_parameter),
           cmocka_unit_test(reads_what_other_writers_may_send),
           cmocka_unit_test(refuses_malformed_requests), cmocka_unit_test(keeps_its_limits),
           cmocka_unit_test(reads_typed_contents), cmocka_unit_test(reads_text_contents),
           cmocka_unit_test(refuses_wrong_contents), cmocka_unit_test(empty_contents_write_nothing),
           cmocka_unit_test(writes_responses), cmocka_unit_test(writes_large_responses))
