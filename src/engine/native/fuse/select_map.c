/* SPDX-License-Identifier: MIT */
/* Elementwise operators: activations, sums, products. */
#include "engine/native/fuse/select.h"
#include "engine/native/fuse/select_list.h"

#include <math.h>

/* Puts act behind the item that made x, or makes an item of its own. */
static bool apply_act(vly_fuser *z, const vly_step *step, vly_act act, float alpha, float beta)
{
    int x = step->node->in[0], out = step->node->out[0];
    int i = vly_fuse_sole_maker(z, x, VLY_ITEM_CONV);

    if (!vly_fuse_is_image(z, x) || out == VLY_VALUE_NONE)
        return false;
    if (i == VLY_NO_ITEM)
        i = vly_fuse_sole_maker(z, x, VLY_ITEM_COMBINE);
    bool is_free = i != VLY_NO_ITEM && z->items[i].act == VLY_ACT_NONE && !z->views[x].is_quantised;
    vly_item *item = is_free ? &z->items[i] : vly_fuse_item_like(z, VLY_ITEM_MAP, step, x);
    if (item == NULL)
        return false;
    item->act = act;
    item->alpha = alpha;
    item->beta = beta;
    if (is_free)
        vly_fuse_take_over(z, i, out);
    return true;
}

bool vly_select_relu(vly_fuser *z, const vly_step *step)
{
    return apply_act(z, step, VLY_ACT_RELU, 0.0f, 0.0f);
}

bool vly_select_sigmoid(vly_fuser *z, const vly_step *step)
{
    return apply_act(z, step, VLY_ACT_SIGMOID, 0.0f, 0.0f);
}

bool vly_select_tanh(vly_fuser *z, const vly_step *step)
{
    return apply_act(z, step, VLY_ACT_TANH, 0.0f, 0.0f);
}

bool vly_select_hard_swish(vly_fuser *z, const vly_step *step)
{
    return apply_act(z, step, VLY_ACT_HARD_SWISH, 0.0f, 0.0f);
}

bool vly_select_hard_sigmoid(vly_fuser *z, const vly_step *step)
{
    vly_attrs a = vly_attrs_begin(step->node->proto);
    float alpha = vly_attrs_float(&a, "alpha", 0.2f);

    return apply_act(z, step, VLY_ACT_HARD_SIGMOID, alpha, vly_attrs_float(&a, "beta", 0.5f));
}

bool vly_select_leaky_relu(vly_fuser *z, const vly_step *step)
{
    vly_attrs a = vly_attrs_begin(step->node->proto);

    return apply_act(z, step, VLY_ACT_LEAKY_RELU, vly_attrs_float(&a, "alpha", 0.01f), 0.0f);
}

bool vly_select_gelu(vly_fuser *z, const vly_step *step)
{
    vly_attrs a = vly_attrs_begin(step->node->proto);

    if (vly_attrs_enum(&a, "approximate", "none\0tanh\0", 0) != 0)
        return false;
    return apply_act(z, step, VLY_ACT_GELU, 0.0f, 0.0f);
}

bool vly_select_clip(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    vly_attrs a = vly_attrs_begin(node->proto);
    const vly_tensor *lo = vly_fuse_f32(z, node, 1, 1), *hi = vly_fuse_f32(z, node, 2, 1);

    if ((lo == NULL && !vly_fuse_is_omitted(node, 1)) ||
        (hi == NULL && !vly_fuse_is_omitted(node, 2)))
        return false;
    float alpha = lo != NULL ? *(const float *)lo->data : vly_attrs_float(&a, "min", -INFINITY);
    float beta = hi != NULL ? *(const float *)hi->data : vly_attrs_float(&a, "max", INFINITY);
    return alpha <= beta && apply_act(z, step, VLY_ACT_CLIP, alpha, beta);
}

static bool same_size(const vly_view *a, const vly_view *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c && a->is_last == b->is_last;
}

/* x * sigmoid(x), written as two nodes: SiLU; with a hard sigmoid of 1/6 and 1/2: hard swish. */
static bool merge_swish(vly_fuser *z, const vly_step *step, int x, int gate)
{
    int g = vly_fuse_sole_maker(z, gate, VLY_ITEM_MAP);

    if (vly_fuse_quantised_swish(z, step, x, gate))
        return true;
    if (g == VLY_NO_ITEM || z->items[g].in[0] != x)
        return false;
    vly_item *map = &z->items[g];
    bool is_silu = map->act == VLY_ACT_SIGMOID;
    bool is_hard = map->act == VLY_ACT_HARD_SIGMOID && fabsf(map->alpha - 1.0f / 6.0f) < 1e-6f &&
                   map->beta == 0.5f;
    if (!is_silu && !is_hard)
        return false;
    int i = z->views[x].n_readers == 2 ? vly_fuse_maker(z, x, VLY_ITEM_CONV) : VLY_NO_ITEM;
    vly_act act = is_silu ? VLY_ACT_SILU : VLY_ACT_HARD_SWISH;
    if (i == VLY_NO_ITEM || z->items[i].act != VLY_ACT_NONE || z->views[x].is_quantised) {
        map->act = act;
        vly_fuse_take_over(z, g, step->node->out[0]);
        return true;
    }
    z->views[gate].is_image = false;
    z->views[gate].maker = VLY_NO_ITEM;
    map->kind = VLY_ITEM_DEAD;
    z->items[i].act = act;
    vly_fuse_take_over(z, i, step->node->out[0]);
    return true;
}

/* Adds the other addend while a convolution's sums are still in registers: the later of two. */
static bool merge_residual(vly_fuser *z, const vly_step *step, int a, int b)
{
    int i = vly_fuse_sole_maker(z, a, VLY_ITEM_CONV), j = vly_fuse_sole_maker(z, b, VLY_ITEM_CONV);
    int host = i > j ? i : j;

    if (host == VLY_NO_ITEM || z->items[host].n_in > 1 || !same_size(&z->views[a], &z->views[b]))
        return false;
    int other = host == i ? b : a;
    vly_item *item = &z->items[host];
    /* the other must be there before */
    if (!vly_fuse_is_image(z, other) || z->views[other].maker >= host ||
        z->views[other].maker == VLY_NO_ITEM || z->views[item->out].is_quantised ||
        (z->views[other].is_quantised && !vly_fuse_is_quantised_next(z, step->node->out[0])))
        return false;
    item->in[item->n_in++] = other;
    item->desc.residual = item->act == VLY_ACT_NONE ? VLY_RESIDUAL_BEFORE : VLY_RESIDUAL_AFTER;
    vly_fuse_take_over(z, host, step->node->out[0]);
    return true;
}

/* b is one value for each channel, or for each pixel, of a */
static bool broadcasts(const vly_view *a, const vly_view *b)
{
    if (a->n != b->n || a->is_last != b->is_last)
        return false;
    return (b->h == 1 && b->w == 1 && b->c == a->c) || (b->h == a->h && b->w == a->w && b->c == 1);
}

static bool add_combine(vly_fuser *z, const vly_step *step, vly_combine op)
{
    int in[2] = {step->node->in[0], step->node->in[1]}, out = step->node->out[0];

    if (!vly_fuse_is_image(z, in[0]) && op != VLY_COMBINE_SUB) {
        in[0] = step->node->in[1];
        in[1] = step->node->in[0];
    }
    if (out == VLY_VALUE_NONE || !vly_fuse_is_image(z, in[0]) || !vly_fuse_is_image(z, in[1]))
        return false;
    if (op != VLY_COMBINE_SUB && broadcasts(&z->views[in[1]], &z->views[in[0]]) &&
        !same_size(&z->views[in[0]], &z->views[in[1]])) {
        int swap = in[0];
        in[0] = in[1];
        in[1] = swap;
    }
    const vly_view *a = &z->views[in[0]], *b = &z->views[in[1]];
    if ((!same_size(a, b) && !broadcasts(a, b)) || !vly_fuse_geometry(z, out, a->is_last) ||
        !same_size(&z->views[out], a))
        return false;
    vly_item *item = vly_fuse_item(z, VLY_ITEM_COMBINE, step, in, 2, out);
    if (item == NULL)
        return false;
    item->combine = op;
    return true;
}

bool vly_select_add(vly_fuser *z, const vly_step *step)
{
    int a = step->node->in[0], b = step->node->in[1];

    for (int k = 0; k < 2; k++) {
        int i = vly_fuse_sole_maker(z, step->node->in[k], VLY_ITEM_CONV);
        if (i != VLY_NO_ITEM && vly_fuse_add_bias(z, step, i, 1 - k))
            return true;
    }
    return merge_residual(z, step, a, b) || add_combine(z, step, VLY_COMBINE_ADD);
}

bool vly_select_mul(vly_fuser *z, const vly_step *step)
{
    int a = step->node->in[0], b = step->node->in[1];

    if (!vly_fuse_is_image(z, a) || !vly_fuse_is_image(z, b))
        return false;
    return merge_swish(z, step, a, b) || merge_swish(z, step, b, a) ||
           add_combine(z, step, VLY_COMBINE_MUL);
}

bool vly_select_sub(vly_fuser *z, const vly_step *step)
{
    return vly_fuse_is_image(z, step->node->in[0]) && vly_fuse_is_image(z, step->node->in[1]) &&
           add_combine(z, step, VLY_COMBINE_SUB);
}
