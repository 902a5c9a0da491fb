/* SPDX-License-Identifier: MIT */
#include "engine/native/ops/matmul_shape.h"

vly_status vly_matmul_fail(const vly_op_ctx *ctx, int i_a, int i_b, vly_err *err)
{
    char a[VLY_SHAPE_TEXT_MAX], b[VLY_SHAPE_TEXT_MAX];
    return vly_fail(err, VLY_EINVAL, "shapes %s and %s cannot be multiplied",
                    vly_shape_text(&ctx->in[i_a]->shape, a),
                    vly_shape_text(&ctx->in[i_b]->shape, b));
}

/* All dimensions but the last two. */
static vly_shape leading(const vly_shape *s)
{
    vly_shape lead = *s;
    lead.rank = s->rank > 2 ? s->rank - 2 : 0;
    return lead;
}

static void resolve_batch(const vly_shape *a, const vly_shape *b, vly_matmul_shape *ret)
{
    vly_shape a_lead = leading(a), b_lead = leading(b);
    bool b_is_one = vly_shape_span(&b_lead, 0, b_lead.rank) == 1 && b_lead.rank <= a_lead.rank;

    if (b_is_one && a->rank > 1) { /* all rows of A meet the same B: one tall product */
        ret->m *= vly_shape_span(&a_lead, 0, a_lead.rank);
        ret->batch = 1;
        ret->lead = VLY_SHAPE_SCALAR;
        return;
    }
    ret->batch = vly_shape_span(&ret->lead, 0, ret->lead.rank);
    vly_shape_broadcast_strides(&a_lead, &ret->lead, ret->a_stride);
    vly_shape_broadcast_strides(&b_lead, &ret->lead, ret->b_stride);
}

vly_status vly_matmul_resolve(const vly_op_ctx *ctx, int i_a, int i_b, vly_matmul_shape *ret,
                              vly_err *err)
{
    const vly_shape *a = &ctx->in[i_a]->shape, *b = &ctx->in[i_b]->shape;
    vly_matmul_shape m = {.m = 1, .n = 1};

    if (a->rank == 0 || b->rank == 0)
        return vly_matmul_fail(ctx, i_a, i_b, err);
    vly_shape a_lead = leading(a), b_lead = leading(b);
    m.k = a->dim[a->rank - 1];
    int64_t k_b = b->dim[b->rank > 1 ? b->rank - 2 : 0];
    if ((m.k >= 0 && k_b >= 0 && m.k != k_b) || !vly_shape_broadcast(&a_lead, &b_lead, &m.lead))
        return vly_matmul_fail(ctx, i_a, i_b, err);
    m.out = m.lead;
    if (a->rank > 1)
        m.out.dim[m.out.rank++] = m.m = a->dim[a->rank - 2];
    if (b->rank > 1)
        m.out.dim[m.out.rank++] = m.n = b->dim[b->rank - 1];
    m.is_known = vly_shape_known(a) && vly_shape_known(b);
    uint64_t n_out;
    if (m.is_known && !vly_shape_count(&m.out, &n_out))
        return vly_fail(err, VLY_ELIMIT, "the product has too many elements");
    if (m.is_known)
        resolve_batch(a, b, &m);
    *ret = m;
    return VLY_OK;
}

static int64_t lead_offset(const vly_shape *lead, const int64_t *stride, int64_t batch)
{
    int64_t offset = 0;

    for (int d = lead->rank - 1; d >= 0; d--) {
        offset += batch % lead->dim[d] * stride[d];
        batch /= lead->dim[d];
    }
    return offset;
}

int64_t vly_matmul_a_offset(const vly_matmul_shape *m, int64_t batch)
{
    return lead_offset(&m->lead, m->a_stride, batch) * m->m * m->k;
}

int64_t vly_matmul_b_offset(const vly_matmul_shape *m, int64_t batch)
{
    return lead_offset(&m->lead, m->b_stride, batch) * m->k * m->n;
}

uint64_t vly_matmul_flops(const vly_matmul_shape *m)
{
    return 2 * (uint64_t)m->batch * (uint64_t)m->m * (uint64_t)m->n * (uint64_t)m->k;
}
