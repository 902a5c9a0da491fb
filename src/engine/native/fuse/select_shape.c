/* SPDX-License-Identifier: MIT */
/* Operators that change the size of images, or only where they lie. */
#include "engine/native/fuse/select.h"
#include "engine/native/fuse/select_list.h"
#include "engine/native/ops/resize.h"
#include "engine/native/ops/spatial.h"

#define SIDE_MAX                                                                                   \
    ((size_t)1 << 20) /* of a resized picture: its map is made before memory is counted */

/* ---- pools, resize ------------------------------------------------------------------------ */

/* Does each window hold an element of the picture? */
static bool meets_picture(const vly_window *w)
{
    for (int d = 1; d < 3; d++)
        for (int64_t o = 0; o < w->out[d]; o++) {
            int64_t first = o * w->stride[d] - w->pad[d], step = w->dilation[d];
            int64_t tap = first < 0 ? (step - 1 - first) / step : 0; /* the first not before it */
            if (tap >= w->kernel[d] || first + tap * step >= w->in[d])
                return false;
        }
    return true;
}

static bool add_pool(vly_fuser *z, const vly_step *step, bool is_max)
{
    const vly_node *node = step->node;
    vly_attrs a = vly_attrs_begin(node->proto);
    const vly_shape *x = &z->f->values[node->in[0]]->shape;
    vly_spatial spatial;
    vly_spatial_window win;
    vly_err ignored;

    for (int i = 1; i < node->n_out; i++)
        if (node->out[i] != VLY_VALUE_NONE)
            return false;
    if (!vly_fuse_is_image(z, node->in[0]) || z->views[node->in[0]].is_last ||
        vly_spatial_read(node->proto, &spatial, &ignored) != VLY_OK ||
        vly_spatial_resolve(&spatial, x, spatial.kernel, &win, &ignored) != VLY_OK ||
        !vly_fuse_fits_border(&win.w) || !meets_picture(&win.w))
        return false;
    /* a window that ends outside by ceil_mode counts neither border nor what is beyond it */
    if (!is_max && spatial.ceil_mode)
        return false;
    vly_item *item = vly_fuse_item_like(z, VLY_ITEM_POOL, step, node->in[0]);
    if (item == NULL)
        return false;
    item->pool = (vly_pool_desc){.kernel_h = (int)win.w.kernel[1],
                                 .kernel_w = (int)win.w.kernel[2],
                                 .stride_h = (int)win.w.stride[1],
                                 .stride_w = (int)win.w.stride[2],
                                 .dilation_h = (int)win.w.dilation[1],
                                 .dilation_w = (int)win.w.dilation[2],
                                 .pad_top = (int)win.w.pad[1],
                                 .pad_left = (int)win.w.pad[2],
                                 .is_max = is_max,
                                 .counts_border = vly_attrs_int(&a, "count_include_pad", 0) != 0};
    return true;
}

bool vly_select_max_pool(vly_fuser *z, const vly_step *step)
{
    return add_pool(z, step, true);
}

bool vly_select_mean_pool(vly_fuser *z, const vly_step *step)
{
    return add_pool(z, step, false);
}

bool vly_select_global_mean(vly_fuser *z, const vly_step *step)
{
    int x = step->node->in[0];

    return vly_fuse_is_image(z, x) && !z->views[x].is_last &&
           vly_fuse_item_like(z, VLY_ITEM_MEAN, step, x) != NULL;
}

bool vly_select_resize(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    const vly_op_ctx *ctx = vly_fuse_ctx(z, node);
    int x = node->in[0], out = node->out[0];

    if (ctx == NULL || !vly_fuse_is_image(z, x) || z->views[x].is_last ||
        !vly_fuse_geometry(z, out, false))
        return false;
    const vly_view *y = &z->views[out];
    size_t n = (size_t)y->h + (size_t)y->w;
    if (n > SIDE_MAX)
        return false;
    int *rows = vly_arena_calloc(z->f->scratch, n, sizeof(*rows));
    float *weights = vly_arena_calloc(z->f->scratch, n, sizeof(*weights));
    if (rows == NULL || weights == NULL || z->f->values[x]->shape.rank != 4 ||
        !vly_resize_nearest_maps(ctx, rows, rows + y->h, weights))
        return false;
    vly_item *item = vly_fuse_item(z, VLY_ITEM_RESIZE, step, &x, 1, out);
    if (item == NULL)
        return false;
    item->rows = rows;
    item->cols = rows + y->h;
    return true;
}

/* ---- what moves no data ------------------------------------------------------------------- */

/* The axis attribute as an index, or -1. */
static int axis_of(const vly_node *node, int rank, int64_t otherwise)
{
    vly_attrs a = vly_attrs_begin(node->proto);
    int axis;

    return vly_axis_normalise(vly_attrs_int(&a, "axis", otherwise), rank, &axis) ? axis : -1;
}

bool vly_select_concat(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int out = node->out[0], n_images = 0;
    const vly_shape *s = &z->f->values[out]->shape;
    int axis = axis_of(node, s->rank, 1);

    for (int i = 0; i < node->n_in; i++)
        n_images += vly_fuse_is_image(z, node->in[i]);
    bool is_join = axis == 2 && s->rank == 3 && s->dim[0] == 1;
    if (n_images == 0 || !vly_fuse_has_image_reader(z, out) || (axis != 1 && !is_join) ||
        (is_join && n_images < node->n_in))
        return false;
    for (int i = 0; i < node->n_in; i++)
        if (!vly_fuse_can_read(z, node->in[i], false))
            return false;
    if (!vly_fuse_geometry(z, out, false))
        return false;
    return vly_fuse_item(z, is_join ? VLY_ITEM_JOIN : VLY_ITEM_CONCAT, step, node->in, node->n_in,
                         out) != NULL;
}

static bool add_slice(vly_fuser *z, const vly_step *step, int out, int64_t offset)
{
    int x = step->node->in[0];

    if (!vly_fuse_geometry(z, out, false))
        return false;
    vly_item *item = vly_fuse_item(z, VLY_ITEM_SLICE, step, &x, 1, out);
    if (item == NULL)
        return false;
    item->offset = (int)offset;
    vly_fuse_same_codes(&z->views[out], &z->views[x]);
    return true;
}

bool vly_select_split(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int x = node->in[0], rank = z->f->values[x]->shape.rank;
    int64_t offset = 0;

    if (!vly_fuse_is_image(z, x) || z->views[x].is_last || axis_of(node, rank, 0) != 1)
        return false;
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] == VLY_VALUE_NONE || z->f->is_unknown[node->out[i]] ||
            z->f->values[node->out[i]]->shape.dim[1] < 1)
            return false;
    }
    for (int i = 0; i < node->n_out; i++) {
        if (!add_slice(z, step, node->out[i], offset))
            return false;
        offset += z->f->values[node->out[i]]->shape.dim[1];
    }
    return true;
}

/* The same elements under another shape: an image stays what it is when its pixels, in order, keep
 * their channels. */
bool vly_select_reshape(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    int x = node->in[0], out = node->out[0];

    if (!vly_fuse_is_image(z, x) || z->f->is_unknown[out])
        return false;
    const vly_view *from = &z->views[x];
    bool is_pixel = from->h == 1 && from->w == 1 && !from->is_last;
    if (from->is_last || !vly_fuse_geometry(z, out, is_pixel && z->f->values[out]->shape.rank == 2))
        return false;
    const vly_view *to = &z->views[out];
    if (to->c != from->c ||
        (int64_t)to->n * to->h * to->w != (int64_t)from->n * from->h * from->w ||
        (!to->is_last && to->n != from->n))
        return false;
    vly_fuse_same_codes(&z->views[out], from);
    return vly_fuse_item(z, VLY_ITEM_ALIAS, step, &x, 1, out) != NULL;
}
