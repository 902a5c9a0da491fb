/* SPDX-License-Identifier: MIT */
#include "optim/layers.h"

#include "tensor/dtype.h"

static const vly_onnx_tensor *float_tensor(const vly_edit *e, vly_str name, size_t n_dims_least)
{
    const vly_onnx_tensor *t = vly_edit_tensor(e, name);
    bool is_usable = t != NULL && t->data_type == VLY_DTYPE_F32 && t->n_dims >= n_dims_least;

    return is_usable && t->n_elems > 0 ? t : NULL;
}

static bool is_one(const vly_onnx_node *node, const char *name)
{
    const vly_onnx_attr *a = vly_edit_attr(node, name);

    return a == NULL || (a->type == VLY_ONNX_ATTR_FLOAT && a->f == 1.0f);
}

/* Conv: weights [out, in / group, kernel...] */
static bool describe_conv(const vly_onnx_node *node, vly_layer *l)
{
    const int64_t *d = l->weight->dims;
    int64_t group = vly_edit_attr_int(node, "group", 1);

    if (group < 1 || d[0] % group != 0)
        return false;
    l->in_each = (size_t)d[1];
    l->group_out = (size_t)(d[0] / group);
    l->kernel = (size_t)l->weight->n_elems / ((size_t)d[0] * (size_t)d[1]);
    l->n_channels = (size_t)d[0];
    l->n_each = l->channel_step = l->in_each * l->kernel;
    l->step = 1;
    return true;
}

/* Gemm and MatMul: weights [in, out], or [out, in] with transB. */
static bool describe_product(const vly_onnx_node *node, vly_layer *l)
{
    bool is_gemm = vly_edit_is(node, "Gemm");
    bool is_out_first = is_gemm && vly_edit_attr_int(node, "transB", 0) != 0;
    size_t rows = (size_t)l->weight->dims[0], cols = (size_t)l->weight->dims[1];

    if (l->weight->n_dims != 2 || (is_gemm && (!is_one(node, "alpha") || !is_one(node, "beta") ||
                                               vly_edit_attr_int(node, "transA", 0) != 0)))
        return false;
    l->axis = is_out_first ? 0 : 1;
    l->in_each = l->n_each = is_out_first ? cols : rows;
    l->kernel = 1;
    l->group_out = l->n_channels = is_out_first ? rows : cols;
    l->channel_step = is_out_first ? cols : 1;
    l->step = is_out_first ? 1 : cols;
    return true;
}

bool vly_layer_describe(const vly_edit *e, size_t at, vly_layer *ret)
{
    const vly_onnx_node *node = &e->nodes[at];
    vly_layer l = {.node = at, .is_conv = vly_edit_is(node, "Conv")};

    l.has_bias_input = l.is_conv || vly_edit_is(node, "Gemm");
    if (node->op_type.len == 0 || (!l.has_bias_input && !vly_edit_is(node, "MatMul")))
        return false;
    l.weight = float_tensor(e, vly_edit_input(node, 1), 2);
    if (l.weight == NULL || !(l.is_conv ? describe_conv(node, &l) : describe_product(node, &l)))
        return false;
    vly_str bias = vly_edit_input(node, 2);
    l.bias = float_tensor(e, bias, 1);
    if (bias.len > 0 && (l.bias == NULL || l.bias->n_dims != 1 || l.bias->n_elems != l.n_channels))
        return false;
    *ret = l;
    return true;
}

vly_channels vly_channels_of(const vly_tensor *t, bool is_last)
{
    int axis = is_last ? t->shape.rank - 1 : 1;

    if (t->shape.rank <= axis || axis < 0)
        return (vly_channels){1, 1, (size_t)vly_tensor_count(t)};
    return (vly_channels){(size_t)vly_shape_span(&t->shape, 0, axis), (size_t)t->shape.dim[axis],
                          (size_t)vly_shape_span(&t->shape, axis + 1, t->shape.rank)};
}

vly_status vly_channel_stats_add(vly_channel_stats *s, const vly_tensor *t, bool is_last,
                                 vly_arena *arena, vly_err *err)
{
    vly_channels ch = vly_channels_of(t, is_last);
    const float *x = t->data;

    if (s->mean == NULL) {
        s->n = ch.n;
        s->mean = vly_arena_calloc(arena, ch.n, sizeof(*s->mean));
        s->square = vly_arena_calloc(arena, ch.n, sizeof(*s->square));
    }
    if (s->mean == NULL || s->square == NULL)
        return vly_arena_fail(arena, err);
    for (size_t o = 0; o < ch.outer; o++)
        for (size_t c = 0; c < ch.n && c < s->n; c++) {
            double sum = 0, square = 0;
            for (size_t i = 0; i < ch.inner; i++) {
                double y = (double)x[(o * ch.n + c) * ch.inner + i];
                sum += y;
                square += y * y;
            }
            s->mean[c] += sum;
            s->square[c] += square;
        }
    s->count += (double)(ch.outer * ch.inner);
    return VLY_OK;
}

void vly_channel_stats_finish(vly_channel_stats *s)
{
    double count = s->count > 0 ? s->count : 1;

    for (size_t c = 0; c < s->n; c++) {
        s->mean[c] /= count;
        s->square[c] /= count;
    }
    s->count = 1;
}
