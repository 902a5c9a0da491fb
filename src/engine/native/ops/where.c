/* SPDX-License-Identifier: MIT */
/* Where: elements of two tensors, picked by a third. */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/walk.h"

static vly_status where_infer(vly_op_ctx *ctx, vly_err *err)
{
    char text[VLY_SHAPE_TEXT_MAX];
    vly_shape shape = ctx->in[0]->shape;

    for (int i = 1; i < 3; i++)
        if (!vly_shape_broadcast(&shape, &ctx->in[i]->shape, &shape))
            return vly_fail(err, VLY_EINVAL, "input %d: shape %s does not broadcast", i,
                            vly_shape_text(&ctx->in[i]->shape, text));
    if (ctx->in[1]->dtype != ctx->in[2]->dtype)
        return vly_fail(err, VLY_EINVAL, "input 2: expected %s as input 1, got %s",
                        vly_dtype_name(ctx->in[1]->dtype), vly_dtype_name(ctx->in[2]->dtype));
    vly_op_out_set(ctx, 0, ctx->in[1]->dtype, &shape);
    return vly_op_check_dtype(ctx, 1, VLY_T_BYTES, err);
}

typedef struct elem16 {
    uint64_t lo, hi;
} elem16;

#define PICK_ROW(T)                                                                                \
    static void pick_##T(const uint8_t *c, int64_t c_step, const void *vx, int64_t x_step,         \
                         const void *vy, int64_t y_step, void *vo, int64_t n)                      \
    {                                                                                              \
        const T *x = vx, *y = vy;                                                                  \
        T *o = vo;                                                                                 \
        for (int64_t i = 0; i < n; i++)                                                            \
            o[i] = c[i * c_step] != 0 ? x[i * x_step] : y[i * y_step];                             \
    }
PICK_ROW(uint8_t)
PICK_ROW(uint16_t)
PICK_ROW(uint32_t)
PICK_ROW(uint64_t)
PICK_ROW(elem16)

typedef void pick_fn(const uint8_t *c, int64_t c_step, const void *x, int64_t x_step, const void *y,
                     int64_t y_step, void *o, int64_t n);

static pick_fn *pick_of(size_t elem_bytes)
{
    switch (elem_bytes) {
    case 1:
        return pick_uint8_t;
    case 2:
        return pick_uint16_t;
    case 4:
        return pick_uint32_t;
    case 8:
        return pick_uint64_t;
    default:
        return pick_elem16;
    }
}

static vly_status where_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *c = ctx->in[0], *x = ctx->in[1], *y = ctx->in[2], *out = &ctx->out[0];
    pick_fn *pick = pick_of(vly_elem_bytes(x));
    int64_t strides[4][VLY_RANK_MAX];
    vly_walk w;

    (void)err;
    vly_shape_strides(&out->shape, strides[0]);
    for (int i = 0; i < 3; i++)
        vly_shape_broadcast_strides(&ctx->in[i]->shape, &out->shape, strides[i + 1]);
    for (vly_walk_begin(&w, &out->shape, 4, strides); w.more; vly_walk_next(&w))
        pick((const uint8_t *)c->data + w.off[1], w.step[1], vly_elem_at(x, w.off[2]), w.step[2],
             vly_elem_at(y, w.off[3]), w.step[3], vly_elem_at(out, w.off[0]), w.n);
    return VLY_OK;
}

const vly_op vly_ops_where[] = {
    {.name = "Where",
     .since = 9,
     .n_in_min = 3,
     .n_in_max = 3,
     .dtypes = VLY_T(BOOL),
     .infer = where_infer,
     .run = where_run},
    {NULL},
};
