/* SPDX-License-Identifier: MIT */
/* Results as they come back from the cache, of which Redis may be a part: what is accepted says the
 * same when it is written and read again. */
#include "api/cached_tensors.h"
#include "base/assert.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

enum { OUTPUTS = 3 };

/* A model of three outputs; the last is asked for as classes, which are text. */
typedef struct fixture {
    vly_model_io io[OUTPUTS];
    vly_model_info info;
    vly_servable servable;
    vly_served served;
    vly_infer_output wanted[OUTPUTS];
    vly_infer_result results[OUTPUTS];
    vly_arena arena;
    vly_infer call;
} fixture;

static void init(fixture *f)
{
    static const char *const names[OUTPUTS] = {"a", "b", "c"};
    static const vly_dtype dtypes[OUTPUTS] = {VLY_DTYPE_F32, VLY_DTYPE_STRING, VLY_DTYPE_I64};

    for (size_t i = 0; i < OUTPUTS; i++) {
        f->io[i].name = names[i];
        f->io[i].dtype = dtypes[i];
        f->wanted[i].name = vly_str_from(names[i]);
    }
    f->wanted[2].n_classes = 1;
    f->info.outputs = f->io;
    f->info.n_outputs = OUTPUTS;
    f->servable.info = &f->info;
    f->served.servable = &f->servable;
    vly_arena_init(&f->arena, VLY_MEM_ARENA, 4096, 1 << 20);
    f->call.arena = &f->arena;
    f->call.served = &f->served;
    f->call.wanted = f->wanted;
    f->call.results = f->results;
}

static void write_and_read(vly_infer *call)
{
    vly_buf first, second;

    vly_buf_init(&first, VLY_MEM_CACHE, 1 << 22);
    vly_buf_init(&second, VLY_MEM_CACHE, 1 << 22);
    vly_cached_tensors_write(call, &first);
    VLY_ASSERT(!first.failed);
    call->n_results = 0;
    VLY_ASSERT(vly_cached_tensors_read(call, vly_buf_str(&first)));
    VLY_ASSERT(call->n_results == OUTPUTS);
    vly_cached_tensors_write(call, &second);
    VLY_ASSERT(vly_str_eq(vly_buf_str(&first), vly_buf_str(&second)));
    vly_buf_release(&first);
    vly_buf_release(&second);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    fixture f;
    char *copy = vly_alloc_aligned(VLY_MEM_CACHE, n + 1);

    VLY_ASSERT(copy != NULL);
    memcpy(copy, bytes, n);
    memset(&f, 0, sizeof(f));
    init(&f);
    if (vly_cached_tensors_read(&f.call, (vly_str){copy, n}))
        write_and_read(&f.call);
    else
        VLY_ASSERT(f.call.n_results == 0);
    vly_arena_release(&f.arena);
    vly_free(copy);
    return 0;
}
