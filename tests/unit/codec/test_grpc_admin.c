/* SPDX-License-Identifier: MIT */
/* The messages as bytes: what Python's protobuf makes of them with tritonclient's descriptors. */
#include "codec/grpc_admin.h"
#include "codec/grpc_settings.h"

#include "unit.h"

#define BYTES(literal) ((vly_str){literal, sizeof(literal) - 1})

static const char model[] = "\012\001a\022\0012";

static const char index_[] = "\012\001r\020\001";

static const char load[] =
    "\012\001r\022\001m\032\016\012\006config\022\004\032\002{}\032\031\012\021file:1/mod"
    "el.onnx\022\004\042\002\377\000";

static const char shm[] = "\012\001n\022\002/k\030\254\002 \200\200\200\200\200 ";

static const char cuda[] = "\012\001n\022\002\377\376\030\001 \011";

static const char trace[] =
    "\012$\012\013trace_level\022\025\012\012TIMESTAMPS\012\007TENSORS\012\016\012\012tra"
    "ce_rate\022\000\022\001m";

static const char logs[] =
    "\012\017\012\010log_file\022\003\032\001f\012\016\012\010log_info\022\002\010\001"
    "\012\027\012\021log_verbose_level\022\002\020\002";

static const char by_file[] = "\012\001h\032\007a.proto";

static const char by_ext[] = "*\005\012\001t\020\003";

static void reads_names(void **state)
{
    vly_grpc_model_request m;
    vly_str name;
    vly_err err;

    (void)state;
    assert_int_equal(vly_grpc_model_request_parse(BYTES(model), &m, &err), VLY_OK);
    assert_true(vly_str_is(m.name, "a") && vly_str_is(m.version, "2"));
    /* the handle that follows is no text */
    assert_int_equal(vly_grpc_name_parse(BYTES(cuda), &name, &err), VLY_OK);
    assert_true(vly_str_is(name, "n"));
    assert_int_equal(vly_grpc_name_parse(BYTES(""), &name, &err), VLY_OK);
    assert_int_equal(name.len, 0);
    assert_int_equal(vly_grpc_name_parse(BYTES("\x0a"), &name, &err), VLY_EFORMAT);
    assert_int_equal(vly_grpc_model_request_parse(BYTES(cuda), &m, &err), VLY_EFORMAT);
}

static void reads_repository_requests(void **state)
{
    vly_grpc_repository_request r;
    vly_grpc_shm_request s;
    vly_arena arena;
    vly_err err;

    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    assert_int_equal(vly_grpc_index_request_parse(BYTES(index_), &r, &err), VLY_OK);
    assert_true(vly_str_is(r.repository, "r") && r.is_ready);
    assert_int_equal(vly_grpc_load_request_parse(BYTES(load), &arena, &r, &err), VLY_OK);
    assert_true(vly_str_is(r.repository, "r") && vly_str_is(r.model, "m"));
    assert_int_equal(r.params.n, 2);
    const vly_grpc_param *p = vly_grpc_params_find(&r.params, "config");
    assert_true(p->kind == VLY_GRPC_STRING && vly_str_is(p->text, "{}"));
    p = vly_grpc_params_find(&r.params, "file:1/model.onnx");
    assert_int_equal(p->kind, VLY_GRPC_BYTES);
    assert_int_equal(p->text.len, 2);
    assert_memory_equal(p->text.ptr, "\xff\0", 2);
    assert_int_equal(vly_grpc_shm_request_parse(BYTES(shm), &s, &err), VLY_OK);
    assert_true(vly_str_is(s.name, "n") && vly_str_is(s.key, "/k"));
    assert_true(s.offset == 300 && s.byte_size == (uint64_t)1 << 40);
    vly_arena_release(&arena);
}

static void reads_settings(void **state)
{
    vly_grpc_trace_request t;
    vly_grpc_params p;
    vly_arena arena;
    vly_err err;

    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    assert_int_equal(vly_grpc_trace_request_parse(BYTES(trace), &arena, &t, &err), VLY_OK);
    assert_true(vly_str_is(t.model, "m"));
    assert_int_equal(t.n_settings, 2);
    assert_true(vly_str_is(t.settings[0].key, "trace_level"));
    assert_int_equal(t.settings[0].n_values, 2);
    assert_true(vly_str_is(t.settings[0].values[1], "TENSORS"));
    assert_true(vly_str_is(t.settings[1].key, "trace_rate"));
    assert_int_equal(t.settings[1].n_values, 0);
    assert_int_equal(vly_grpc_log_request_parse(BYTES(logs), &arena, &p, &err), VLY_OK);
    assert_int_equal(p.n, 3);
    assert_true(vly_str_is(vly_grpc_params_find(&p, "log_file")->text, "f"));
    assert_int_equal(vly_grpc_params_find(&p, "log_info")->kind, VLY_GRPC_BOOL);
    assert_int_equal(vly_grpc_params_find(&p, "log_verbose_level")->number, 2);
    assert_int_equal(vly_grpc_trace_request_parse(BYTES("\n\x02\x12\x09"), &arena, &t, &err),
                     VLY_EFORMAT);
    vly_arena_release(&arena);
}

/* What protobuf makes of {settings: {a: {value: ["x", "y"]} b: {value: "1"}}}. */
static void turns_settings_to_and_from_json(void **state)
{
    static const char trace_message[] = "\x0a\x0b\x0a\x01"
                                        "a\x12\x06\x0a\x01x\x0a\x01y"
                                        "\x0a\x08\x0a\x01"
                                        "b\x12\x03\x0a\x01"
                                        "1";
    static const char log_message[] = "\x0a\x07\x0a\x01"
                                      "a\x12\x02\x08\x01"
                                      "\x0a\x07\x0a\x01"
                                      "b\x12\x02\x10\x02"
                                      "\x0a\x08\x0a\x01"
                                      "c\x12\x03\x1a\x01x";
    vly_grpc_trace_request t;
    vly_grpc_params p;
    vly_arena arena;
    vly_err err;
    vly_buf b;

    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    vly_buf_init(&b, VLY_MEM_CODEC, 1024);
    assert_int_equal(vly_grpc_trace_request_parse(BYTES(trace), &arena, &t, &err), VLY_OK);
    vly_grpc_put_trace_update(&t, &b);
    assert_string_equal(b.ptr,
                        "{\"trace_level\":[\"TIMESTAMPS\",\"TENSORS\"],\"trace_rate\":null}");
    vly_buf_clear(&b);
    assert_int_equal(vly_grpc_log_request_parse(BYTES(logs), &arena, &p, &err), VLY_OK);
    vly_grpc_put_log_update(&p, &b);
    assert_string_equal(b.ptr, "{\"log_file\":\"f\",\"log_info\":true,\"log_verbose_level\":2}");

    vly_buf_clear(&b);
    assert_int_equal(
        vly_grpc_put_trace_settings(VLY_STR("{\"a\":[\"x\",\"y\"],\"b\":\"1\"}"), &arena, &b, &err),
        VLY_OK);
    assert_int_equal(b.len, sizeof(trace_message) - 1);
    assert_memory_equal(b.ptr, trace_message, b.len);
    vly_buf_clear(&b);
    assert_int_equal(
        vly_grpc_put_log_settings(VLY_STR("{\"a\":true,\"b\":2,\"c\":\"x\"}"), &arena, &b, &err),
        VLY_OK);
    assert_int_equal(b.len, sizeof(log_message) - 1);
    assert_memory_equal(b.ptr, log_message, b.len);
    assert_int_equal(vly_grpc_put_log_settings(VLY_STR("["), &arena, &b, &err), VLY_EINVAL);
    vly_buf_release(&b);
    vly_arena_release(&arena);
}

static void reads_reflection(void **state)
{
    vly_grpc_reflection_request r;
    vly_err err;

    (void)state;
    assert_int_equal(vly_grpc_reflection_request_parse(BYTES(by_file), &r, &err), VLY_OK);
    assert_true(vly_str_is(r.host, "h"));
    assert_int_equal(r.kind, VLY_GRPC_REFLECT_FILE);
    assert_true(vly_str_is(r.text, "a.proto"));
    assert_int_equal(vly_grpc_reflection_request_parse(BYTES(by_ext), &r, &err), VLY_OK);
    assert_int_equal(r.kind, VLY_GRPC_REFLECT_EXTENSION);
    assert_int_equal(vly_grpc_reflection_request_parse(BYTES(""), &r, &err), VLY_OK);
    assert_int_equal(r.kind, VLY_GRPC_REFLECT_NONE);
    assert_int_equal(vly_grpc_reflection_request_parse(BYTES("\x1a\x01\xff"), &r, &err),
                     VLY_EFORMAT);
}

UNIT_TESTS(cmocka_unit_test(turns_settings_to_and_from_json), cmocka_unit_test(reads_names),
           cmocka_unit_test(reads_repository_requests), cmocka_unit_test(reads_settings),
           cmocka_unit_test(reads_reflection))
