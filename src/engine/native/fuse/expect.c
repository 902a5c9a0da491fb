/* SPDX-License-Identifier: MIT */
/*
 * Distribution focal loss decoding (Li et al. 2020, Generalized Focal Loss), as exporters of YOLOv8
 * write it for x [1, 4 * bins, anchors]:
 *
 *   Reshape [1, 4, bins, anchors], Transpose, Softmax over the bins, perhaps Transpose again,
 *   Conv 1x1 with one weight (0, 1 ..) for each bin, Reshape [1, 4, anchors]
 */
#include "engine/native/fuse/select.h"

#include <string.h>

enum { SIDES = 4, PARTS_MAX = 6 };

/* What the axes of the tensor under way stand for. */
typedef enum part { PART_ONE, PART_SIDE, PART_BIN, PART_ANCHOR } part;

typedef struct match {
    const vly_fuser *z;
    int step; /* the last one matched */
    int value;
    part axis[4];
    int bins;
    const vly_tensor *weights;
} match;

/* Steps to the only reader of the value under way, which must be this operator. */
static const vly_node *next(match *m, const char *op)
{
    const vly_view *w = &m->z->views[m->value];
    const vly_node *node = w->n_reading == 1 ? vly_fuse_reader(m->z, m->value, 0) : NULL;

    if (node == NULL || w->n_readers != 1 || node->in[0] != m->value ||
        strcmp(node->op->name, op) != 0 || node->op->domain != NULL)
        return NULL;
    m->step = m->z->readers[w->first_reader];
    m->value = node->out[0];
    return node;
}

static bool match_transpose(match *m)
{
    part before[4];
    size_t n;
    const vly_node *node = next(m, "Transpose");

    if (node == NULL)
        return false;
    vly_attrs a = vly_attrs_begin(node->proto);
    const int64_t *perm = vly_attrs_ints(&a, "perm", &n);
    if (n != 4)
        return false;
    memcpy(before, m->axis, sizeof(before));
    for (int i = 0; i < 4; i++)
        m->axis[i] = before[perm[i]]; /* a permutation: infer has checked it */
    return true;
}

static bool match_softmax(match *m)
{
    const vly_node *node = next(m, "Softmax");
    int axis;

    if (node == NULL)
        return false;
    vly_attrs a = vly_attrs_begin(node->proto);
    /* before opset 13 all axes from `axis` on are one; the last axis means the same in both */
    return vly_axis_normalise(vly_attrs_int(&a, "axis", node->opset < 13 ? 1 : -1), 4, &axis) &&
           m->axis[axis] == PART_BIN && (node->opset >= 13 || axis == 3);
}

static bool match_bin_weights(match *m)
{
    const vly_node *node = next(m, "Conv");
    const vly_tensor *w = node != NULL ? vly_fuse_constant(m->z, node->in[1]) : NULL;
    const part want[4] = {PART_ONE, PART_BIN, PART_SIDE, PART_ANCHOR};

    if (w == NULL || w->dtype != VLY_DTYPE_F32 || vly_tensor_count(w) != (uint64_t)m->bins ||
        w->shape.dim[1] != m->bins || node->n_in > 2 || memcmp(m->axis, want, sizeof(want)) != 0)
        return false;
    m->weights = w;
    return true;
}

bool vly_fuse_select_expect(vly_fuser *z, int s)
{
    const vly_step *step = &z->f->plan->steps[s];
    const vly_node *node = step->node;
    int x = node->n_in > 0 ? node->in[0] : VLY_VALUE_NONE, taken[PARTS_MAX], n = 0;
    match m = {.z = z, .step = s, .axis = {PART_ONE, PART_SIDE, PART_BIN, PART_ANCHOR}};

    if (step->is_dynamic || strcmp(node->op->name, "Reshape") != 0 || x == VLY_VALUE_NONE ||
        !z->views[x].is_image || z->views[x].is_last)
        return false;
    const vly_view *w = &z->views[x];
    m.value = node->out[0];
    m.bins = w->c / SIDES;
    const vly_shape want = VLY_SHAPE(1, SIDES, m.bins, w->w);
    if (w->n != 1 || w->h != 1 || !vly_shape_eq(&z->f->values[m.value]->shape, &want) ||
        !match_transpose(&m))
        return false;
    taken[n++] = m.step;
    if (!match_softmax(&m))
        return false;
    taken[n++] = m.step;
    match straight = m;
    if (match_transpose(&m))
        taken[n++] = m.step;
    else
        m = straight;
    if (!match_bin_weights(&m))
        return false;
    taken[n++] = m.step;
    const vly_node *last = next(&m, "Reshape");
    const vly_shape sides = VLY_SHAPE(1, SIDES, w->w);
    if (last == NULL || !vly_shape_eq(&z->f->values[m.value]->shape, &sides))
        return false;
    taken[n++] = m.step;
    vly_item *item = vly_fuse_item(z, VLY_ITEM_EXPECT, step, &x, 1, m.value);
    if (item == NULL)
        return false;
    item->bins = m.bins;
    item->weights = m.weights;
    z->views[m.value].is_image = false; /* it writes the tensor */
    z->views[m.value].maker = VLY_NO_ITEM;
    for (int i = 0; i < n; i++)
        z->is_taken[taken[i]] = true;
    return true;
}
