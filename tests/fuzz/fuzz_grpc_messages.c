/* SPDX-License-Identifier: MIT */
/* Any bytes as each message that a client may send, and the tensors in them as every type. */
#include "base/assert.h"
#include "codec/grpc_admin.h"
#include "codec/grpc_infer.h"

#define ELEMENTS_MAX 64

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

/* All counts up to a bound, so that the right one is among them. */
static void read_contents(const vly_grpc_input *in)
{
    static const struct {
        vly_infer_json_class class;
        size_t bytes;
    } types[] = {{VLY_INFER_JSON_BOOL, 1},  {VLY_INFER_JSON_INT, 1},
                 {VLY_INFER_JSON_INT, 8},   {VLY_INFER_JSON_UINT, 4},
                 {VLY_INFER_JSON_UINT, 8},  {VLY_INFER_JSON_FLOAT, 4},
                 {VLY_INFER_JSON_FLOAT, 8}, {VLY_INFER_JSON_TEXT, sizeof(vly_str)}};
    vly_str dst[ELEMENTS_MAX];
    vly_err err;

    for (size_t t = 0; t < VLY_COUNT(types); t++) {
        size_t n = 0;
        while (n < ELEMENTS_MAX && vly_grpc_contents_read(in, VLY_STR("m"), types[t].class,
                                                          types[t].bytes, n, dst, &err) != VLY_OK)
            n++;
        for (size_t i = 0; n < ELEMENTS_MAX && types[t].class == VLY_INFER_JSON_TEXT && i < n; i++)
            VLY_ASSERT(dst[i].ptr >= in->contents.ptr &&
                       dst[i].ptr + dst[i].len <= in->contents.ptr + in->contents.len);
    }
}

static void check_params(const vly_grpc_params *p)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CODEC, (size_t)1 << 24);
    for (size_t i = 0; i < p->n; i++) {
        VLY_ASSERT(vly_str_is_utf8(p->items[i].key));
        vly_grpc_put_param(&b, 4, &p->items[i]);
    }
    VLY_ASSERT(!b.failed);
    vly_buf_release(&b);
}

static void read_infer(vly_str message, vly_arena *arena)
{
    vly_grpc_infer_request r;
    vly_err err;

    if (vly_grpc_infer_request_parse(message, arena, &r, &err) != VLY_OK)
        return;
    VLY_ASSERT(vly_str_is_utf8(r.id));
    check_params(&r.params);
    for (size_t i = 0; i < r.n_inputs; i++) {
        VLY_ASSERT(r.inputs[i].rank <= VLY_INFER_JSON_RANK_MAX);
        check_params(&r.inputs[i].params);
        if (i < 4)
            read_contents(&r.inputs[i]);
    }
}

static void read_admin(vly_str message, vly_arena *arena)
{
    vly_grpc_model_request model;
    vly_grpc_repository_request repository;
    vly_grpc_shm_request shm;
    vly_grpc_trace_request trace;
    vly_grpc_reflection_request reflection;
    vly_grpc_params params;
    vly_str name;

    if (vly_grpc_model_request_parse(message, &model, NULL) == VLY_OK)
        VLY_ASSERT(vly_grpc_name_parse(message, &name, NULL) == VLY_OK &&
                   vly_str_eq(name, model.name));
    if (vly_grpc_index_request_parse(message, &repository, NULL) == VLY_OK)
        VLY_ASSERT(repository.params.n == 0);
    if (vly_grpc_load_request_parse(message, arena, &repository, NULL) == VLY_OK)
        check_params(&repository.params);
    if (vly_grpc_shm_request_parse(message, &shm, NULL) == VLY_OK)
        VLY_ASSERT(vly_str_is_utf8(shm.key));
    if (vly_grpc_trace_request_parse(message, arena, &trace, NULL) == VLY_OK)
        for (size_t i = 0; i < trace.n_settings; i++)
            VLY_ASSERT(trace.settings[i].n_values <= VLY_GRPC_SETTING_VALUES_MAX);
    if (vly_grpc_log_request_parse(message, arena, &params, NULL) == VLY_OK)
        check_params(&params);
    if (vly_grpc_reflection_request_parse(message, &reflection, NULL) == VLY_OK)
        VLY_ASSERT(vly_str_is_utf8(reflection.host));
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    const vly_str message = {(const char *)bytes, n};
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    read_infer(message, &arena);
    read_admin(message, &arena);
    vly_arena_release(&arena);
    return 0;
}
