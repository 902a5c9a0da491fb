/* SPDX-License-Identifier: MIT */
/*
 * Quantised models as exporters write them: real values between DequantizeLinear and
 * QuantizeLinear. The image of a quantised value holds its codes as U8; int8 codes are shifted by
 * 128, and their zero point with them. What lies between two of them and depends on one code alone
 * becomes a table of 256 values, with the very roundings that the file asks for.
 */
#include "engine/native/fuse/select.h"

#include "engine/native/fuse/select_list.h"

#include "engine/native/ops/qparam.h"

#include <math.h>
#include <string.h>

/* Scale and zero point of a Q or DQ node, for the whole tensor and known now. */
static bool read_params(const vly_fuser *z, const vly_node *node, float *ret_scale,
                        int32_t *ret_zero)
{
    const vly_tensor *scale = vly_fuse_constant(z, node->in[1]), *zero = NULL;

    if (node->n_in > 2 && node->in[2] != VLY_VALUE_NONE) {
        zero = vly_fuse_constant(z, node->in[2]);
        if (zero == NULL || (zero->dtype != VLY_DTYPE_U8 && zero->dtype != VLY_DTYPE_I8) ||
            vly_tensor_count(zero) != 1)
            return false;
    }
    if (scale == NULL || scale->dtype != VLY_DTYPE_F32 || vly_tensor_count(scale) != 1 ||
        !(*(const float *)scale->data > 0.0f))
        return false;
    *ret_scale = *(const float *)scale->data;
    *ret_zero = vly_zero_at(zero, 0) + (zero != NULL && zero->dtype == VLY_DTYPE_I8 ? 128 : 0);
    return true;
}

/* The output of a Q node feeds DQ nodes only. */
static bool feeds_dequantize(const vly_fuser *z, int v)
{
    for (int k = 0; k < z->views[v].n_reading; k++) {
        const vly_node *node = vly_fuse_reader(z, v, k);
        if (node->in[0] != v || strcmp(node->op->name, "DequantizeLinear") != 0)
            return false;
    }
    return z->views[v].n_reading == z->views[v].n_readers;
}

bool vly_fuse_is_quantised_next(const vly_fuser *z, int v)
{
    const vly_node *node = z->views[v].n_reading == 1 ? vly_fuse_reader(z, v, 0) : NULL;
    float scale;
    int32_t zero;

    return node != NULL && z->views[v].n_readers == 1 && node->in[0] == v &&
           strcmp(node->op->name, "QuantizeLinear") == 0 && read_params(z, node, &scale, &zero) &&
           feeds_dequantize(z, node->out[0]);
}

const vly_tensor *vly_fuse_int8_weights(const vly_fuser *z, int v, int c_out, float *scales)
{
    const vly_node *node = z->views[v].lazy;

    if (node == NULL)
        return NULL;
    const vly_tensor *w = vly_fuse_constant(z, node->in[0]), *s = vly_fuse_constant(z, node->in[1]);
    const vly_tensor *zero = node->n_in > 2 ? vly_fuse_constant(z, node->in[2]) : NULL;
    vly_attrs a = vly_attrs_begin(node->proto);
    bool is_one = vly_tensor_count(s) == 1;
    if (w->dtype != VLY_DTYPE_I8 || s->dtype != VLY_DTYPE_F32 ||
        (!is_one && (vly_tensor_count(s) != (uint64_t)c_out || vly_attrs_int(&a, "axis", 1) != 0)))
        return NULL;
    for (uint64_t i = 0; zero != NULL && i < vly_tensor_count(zero); i++)
        if (vly_zero_at(zero, (int64_t)i) != 0)
            return NULL;
    for (int o = 0; o < c_out; o++)
        scales[o] = vly_scale_at(s, o);
    return w;
}

/* ---- tables ------------------------------------------------------------------------------- */

static uint8_t code_of(float v, float scale, int32_t zero)
{
    const vly_image im = {.scale = scale, .zero = zero};
    return vly_image_quantise(&im, v);
}

/* What a MAP item makes of each code of its input. */
static const float *codes_of(vly_fuser *z, const vly_item *map)
{
    const vly_view *x = &z->views[map->in[0]];
    float *codes = vly_arena_calloc(z->f->scratch, 256, sizeof(*codes));

    for (int q = 0; codes != NULL && q < 256; q++)
        codes[q] = vly_act_apply(map->act, (float)(q - x->zero) * x->scale, map->alpha, map->beta);
    return codes;
}

bool vly_fuse_quantised_swish(vly_fuser *z, const vly_step *step, int x, int gate)
{
    int g = vly_fuse_maker(z, gate, VLY_ITEM_ALIAS), out = step->node->out[0];

    if (!z->views[x].is_quantised || !z->views[gate].is_quantised || g == VLY_NO_ITEM ||
        z->views[gate].n_readers != 1 || !vly_fuse_is_quantised_next(z, out))
        return false;
    int q = z->items[g].in[0], m = vly_fuse_maker(z, q, VLY_ITEM_MAP);
    if (m == VLY_NO_ITEM || z->views[q].n_readers != 1 || z->items[m].in[0] != x)
        return false;
    const vly_view *from = &z->views[x], *by = &z->views[gate];
    vly_item *map = &z->items[m];
    const float *gates = map->codes != NULL ? map->codes : codes_of(z, map);
    float *codes = vly_arena_calloc(z->f->scratch, 256, sizeof(*codes));
    if (gates == NULL || codes == NULL || !vly_fuse_geometry(z, out, from->is_last))
        return false;
    for (int k = 0; k < 256; k++)
        codes[k] = (float)(k - from->zero) * from->scale *
                   ((float)(code_of(gates[k], by->scale, by->zero) - by->zero) * by->scale);
    z->items[g].kind = VLY_ITEM_DEAD;
    z->views[gate].is_image = z->views[q].is_image = false;
    z->views[gate].maker = VLY_NO_ITEM;
    map->codes = codes;
    map->n_reads = 2;
    vly_fuse_take_over(z, m, out);
    return true;
}

/* A table right behind a convolution whose codes nobody else reads. */
static bool merge_table(vly_fuser *z, int i_map)
{
    vly_item *map = &z->items[i_map];
    int d = map->in[0], alias = vly_fuse_maker(z, d, VLY_ITEM_ALIAS);

    if (alias == VLY_NO_ITEM || z->views[d].n_readers != map->n_reads)
        return false;
    int q = z->items[alias].in[0], i = vly_fuse_maker(z, q, VLY_ITEM_CONV);
    if (i == VLY_NO_ITEM || z->views[q].n_readers != 1 || z->items[i].act != VLY_ACT_NONE ||
        z->items[i].n_in > 1)
        return false;
    vly_item *conv = &z->items[i];
    int out = map->out;
    conv->act = VLY_ACT_TABLE;
    conv->codes = map->codes;
    conv->code_scale = z->views[q].scale;
    conv->code_zero = z->views[q].zero;
    z->items[alias].kind = map->kind = VLY_ITEM_DEAD;
    z->views[d].is_image = false;
    z->views[d].maker = VLY_NO_ITEM;
    vly_fuse_take_over(z, i, out);
    return true;
}

/* ---- the two operators -------------------------------------------------------------------- */

/* The image of q has the size of x's. */
static void like(vly_view *q, const vly_view *x, float scale, int32_t zero)
{
    q->is_image = true;
    q->is_last = x->is_last;
    q->n = x->n, q->h = x->h, q->w = x->w, q->c = x->c;
    q->is_quantised = true;
    q->scale = scale;
    q->zero = zero;
}

/* The item that made x can write codes instead. */
static bool quantise_maker(vly_fuser *z, int x, int q)
{
    int i = z->views[x].maker;

    if (i == VLY_NO_ITEM || z->views[x].n_readers != 1 || z->views[x].is_quantised ||
        z->items[i].kind == VLY_ITEM_SLICE || z->items[i].kind == VLY_ITEM_ALIAS)
        return false;
    vly_fuse_take_over(z, i, q);
    vly_item *item = &z->items[i];
    if (item->kind != VLY_ITEM_MAP || !z->views[item->in[0]].is_quantised)
        return true;
    if (item->codes == NULL) {
        item->codes = codes_of(z, item);
        item->n_reads = 1;
    }
    if (item->codes != NULL)
        (void)merge_table(z, i); /* or it stays a step of its own */
    return true;
}

bool vly_select_quantize(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int x = node->in[0], q = node->out[0];
    float scale;
    int32_t zero;

    if (z->f->precision != VLY_PRECISION_INT8 || !read_params(z, node, &scale, &zero) ||
        !feeds_dequantize(z, q))
        return false;
    if (!z->views[x].is_image) {
        if (vly_fuse_constant(z, x) != NULL || !vly_fuse_geometry(z, x, false))
            return false;
        like(&z->views[q], &z->views[x], scale, zero);
        z->views[q].source = x;
        return true;
    }
    like(&z->views[q], &z->views[x], scale, zero);
    const vly_view *from = &z->views[x];
    if (from->is_quantised && from->scale == scale && from->zero == zero)
        return vly_fuse_item(z, VLY_ITEM_ALIAS, step, &x, 1, q) != NULL; /* its codes come back */
    if (quantise_maker(z, x, q))
        return true;
    return vly_fuse_item(z, VLY_ITEM_MAP, step, &x, 1, q) != NULL;
}

bool vly_select_dequantize(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int q = node->in[0], out = node->out[0];
    float scale;
    int32_t zero;

    if (vly_fuse_constant(z, q) != NULL) {
        for (int i = 1; i < node->n_in; i++)
            if (node->in[i] != VLY_VALUE_NONE && vly_fuse_constant(z, node->in[i]) == NULL)
                return false;
        z->views[out].lazy = node;
        return true;
    }
    if (!z->views[q].is_image || !z->views[q].is_quantised ||
        !read_params(z, node, &scale, &zero) || scale != z->views[q].scale ||
        zero != z->views[q].zero)
        return false;
    like(&z->views[out], &z->views[q], scale, zero);
    return vly_fuse_item(z, VLY_ITEM_ALIAS, step, &q, 1, out) != NULL;
}
