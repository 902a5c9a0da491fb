/* SPDX-License-Identifier: MIT */
/* What a server says of its models, as JSON and as gRPC, and the requests that follow from it. */
#include "load/load_model.h"

#define ARENA_MAX   ((size_t)4 << 20)
#define REQUEST_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_requests(vly_load_model *m, vly_arena *arena)
{
    vly_err err;
    vly_load_body body;
    size_t head;
    vly_buf b;

    if (vly_load_model_fill(m, 2, 1, arena, &err) != VLY_OK)
        return;
    vly_buf_init(&b, VLY_MEM_CLI, REQUEST_MAX);
    for (int form = VLY_LOAD_FORM_JSON; form <= VLY_LOAD_FORM_GRPC; form++) {
        vly_buf_clear(&b);
        if (vly_load_model_request(m, (vly_load_form)form, &b, &body, &head, &err) == VLY_OK)
            (void)vly_load_body_mark(&body, 7, b.ptr + body.at);
    }
    vly_buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const vly_str bytes = {(const char *)data, size};
    vly_arena arena;
    vly_load_model m;
    vly_err err;

    vly_arena_init(&arena, VLY_MEM_CLI, 4096, ARENA_MAX);
    if (vly_load_model_from_json(bytes, &arena, &m, &err) == VLY_OK)
        write_requests(&m, &arena);
    if (vly_load_model_from_grpc(bytes, &arena, &m, &err) == VLY_OK)
        write_requests(&m, &arena);
    vly_arena_release(&arena);
    return 0;
}
