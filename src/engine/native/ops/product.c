/* SPDX-License-Identifier: MIT */
#include "engine/native/ops/product.h"

#include "base/cpu.h"
#include "sys/worker_pool.h"

#include <inttypes.h>

vly_gemm_dsp vly_product_dsp(void)
{
    vly_gemm_dsp dsp;
    vly_gemm_dsp_init(&dsp, vly_cpu_flags());
    return dsp;
}

static size_t slots(const vly_gemm_plan *plan)
{
    return plan->n_blocks < VLY_PRODUCT_SLOTS ? (size_t)plan->n_blocks : VLY_PRODUCT_SLOTS;
}

size_t vly_product_bytes(const vly_gemm_plan *plan)
{
    return plan->a_bytes + slots(plan) * plan->b_bytes;
}

typedef struct product_job {
    const vly_gemm_plan *plan;
    char *scratch;
    const vly_gemm_b *b;
    void *c;
    size_t ldc;
    const void *bias;
    size_t grain; /* every piece begins at a multiple of it: piece / grain is the slot */
} product_job;

static void run_blocks(void *arg, size_t begin, size_t end)
{
    const product_job *j = arg;
    char *b_scratch = j->scratch + j->plan->a_bytes + begin / j->grain * j->plan->b_bytes;

    for (size_t block = begin; block < end; block++)
        vly_gemm_block(j->plan, (int64_t)block, j->scratch, j->b, b_scratch, j->c, j->ldc, j->bias);
}

void vly_product_run(const vly_op_ctx *ctx, const vly_gemm_plan *plan, void *scratch,
                     const vly_gemm_b *b, void *c, size_t ldc, const void *bias)
{
    size_t n = (size_t)plan->n_blocks, n_slots = slots(plan);
    product_job j = {plan, scratch, b, c, ldc, bias, n_slots > 0 ? (n + n_slots - 1) / n_slots : 1};

    vly_parallel_for(ctx->pool, n, j.grain, run_blocks, &j);
}

#define WORTH_A_PIECE                                                                              \
    16384 /* elements; handing a piece to another thread costs some microseconds */

void vly_op_split(const vly_op_ctx *ctx, int64_t n, int64_t index_cost,
                  void (*fn)(void *arg, size_t begin, size_t end), void *arg)
{
    int64_t grain = index_cost > 0 ? WORTH_A_PIECE / index_cost : WORTH_A_PIECE;

    vly_parallel_for(ctx->pool, (size_t)n, grain > 1 ? (size_t)grain : 1, fn, arg);
}

size_t vly_product_f32_bytes(const vly_gemm_shape *s)
{
    vly_gemm_dsp dsp = vly_product_dsp();
    vly_gemm_plan plan;

    if (vly_gemm_is_thin(s))
        return 0;
    vly_gemm_plan_init(&plan, &dsp.f32, s->m, s->n, s->k);
    return vly_product_bytes(&plan);
}

typedef struct thin_job {
    const vly_gemm_dsp *dsp;
    const vly_gemm_shape *shape;
    const float *a, *b;
    float *c;
} thin_job;

static void thin_columns(void *arg, size_t begin, size_t end)
{
    const thin_job *j = arg;
    vly_gemm_thin_f32(j->dsp, j->shape, j->a, j->b, (int64_t)begin, (int64_t)end, j->c);
}

void vly_product_f32(const vly_op_ctx *ctx, const vly_gemm_shape *s, void *scratch, const float *a,
                     const float *b, float *c)
{
    vly_gemm_dsp dsp = vly_product_dsp();
    vly_gemm_plan plan;

    if (vly_gemm_is_thin(s)) {
        thin_job j = {&dsp, s, a, b, c};
        vly_op_split(ctx, s->n, s->m * s->k, thin_columns, &j);
        return;
    }
    vly_gemm_plan_init(&plan, &dsp.f32, s->m, s->n, s->k);
    vly_gemm_pack_a_f32(&plan, scratch, a, s->a_row, s->a_col);
    vly_gemm_b_f32 src = vly_gemm_b_f32_matrix(b, s->b_row, s->b_col);
    vly_product_run(ctx, &plan, scratch, &src.base, c, (size_t)s->ldc, NULL);
}

vly_status vly_op_check_same_dtype(const vly_op_ctx *ctx, int first, int last, vly_err *err)
{
    for (int i = first; i <= last; i++) {
        const vly_tensor *t = vly_op_in(ctx, i);
        if (t != NULL && t->dtype != ctx->in[0]->dtype)
            return vly_fail(err, VLY_EINVAL, "input %d: expected %s as input 0, got %s", i,
                            vly_dtype_name(ctx->in[0]->dtype), vly_dtype_name(t->dtype));
    }
    return VLY_OK;
}

vly_status vly_op_check_vector(const vly_op_ctx *ctx, int i, int64_t n, vly_err *err)
{
    const vly_tensor *t = vly_op_in(ctx, i);
    char text[VLY_SHAPE_TEXT_MAX];

    if (t == NULL || (t->shape.rank == 1 && (n < 0 || t->shape.dim[0] < 0 || t->shape.dim[0] == n)))
        return VLY_OK;
    vly_shape_text(&t->shape, text);
    if (n < 0)
        return vly_fail(err, VLY_EINVAL, "input %d: expected a vector, got shape %s", i, text);
    return vly_fail(err, VLY_EINVAL, "input %d: expected shape [%" PRId64 "], got %s", i, n, text);
}
