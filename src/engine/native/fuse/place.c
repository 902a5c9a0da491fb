/* SPDX-License-Identifier: MIT */
#include "engine/native/fuse/ir.h"

int vly_fuse_root(const vly_fuser *z, int v, int *ret_channel, int *ret_pixel)
{
    *ret_channel = *ret_pixel = 0;
    while (z->views[v].parent != VLY_VALUE_NONE) {
        *ret_channel += z->views[v].at_channel;
        *ret_pixel += z->views[v].at_pixel;
        v = z->views[v].parent;
    }
    return v;
}

static int64_t pixels(const vly_view *w)
{
    return (int64_t)w->h * w->w;
}

static bool has_border(const vly_view *w)
{
    return w->border_h > 0 || w->border_w > 0;
}

/* Puts the whole image that v lies in into the one that p lies in, so that v begins at `channel`
 * and `pixel` of p. False: it does not fit, or what they need differs; nothing has changed. */
static bool link_image(vly_fuser *z, int v, int p, int channel, int pixel)
{
    int v_channel, v_pixel, p_channel, p_pixel;
    int from = vly_fuse_root(z, v, &v_channel, &v_pixel);
    int to = vly_fuse_root(z, p, &p_channel, &p_pixel);
    vly_view *a = &z->views[from], *b = &z->views[to];
    int at_channel = p_channel + channel - v_channel, at_pixel = p_pixel + pixel - v_pixel;

    if (from == to)
        return at_channel == 0 && at_pixel == 0;
    bool is_same = a->n == b->n && a->h == b->h && a->w == b->w && at_pixel == 0;
    bool is_flat = !is_same || a->is_flat || b->is_flat;
    if (at_channel < 0 || at_channel + a->c > b->c || at_pixel < 0 ||
        (!is_same && (a->n * pixels(a) + at_pixel > b->n * pixels(b))) ||
        (is_flat && (has_border(a) || has_border(b))) || a->is_quantised != b->is_quantised ||
        (a->is_quantised && (a->scale != b->scale || a->zero != b->zero)))
        return false;
    a->parent = to;
    a->at_channel = at_channel;
    a->at_pixel = at_pixel;
    b->border_h = a->border_h > b->border_h ? a->border_h : b->border_h;
    b->border_w = a->border_w > b->border_w ? a->border_w : b->border_w;
    b->is_flat = is_flat;
    return true;
}

/* Input i goes to channel `at` of the Concat's image, and with it the image that it is a part of:
 * what that would cover must be inputs of this Concat too, at the right places. */
static bool covers_only_inputs(const vly_fuser *z, const vly_item *item, int i, int at)
{
    int channel, pixel, other_channel, begin = 0;
    int root = vly_fuse_root(z, item->in[i], &channel, &pixel);
    int first = at - channel, last = first + z->views[root].c;

    for (int k = 0; k < item->n_in; k++) {
        int end = begin + z->views[item->in[k]].c;
        bool is_covered = begin < last && end > first;
        int other = vly_fuse_root(z, item->in[k], &other_channel, &pixel);
        if (is_covered && (other != root || first + other_channel != begin))
            return false;
        begin = end;
    }
    return true;
}

#define CONCAT_MAX 64 /* inputs; looking at pairs of more is not worth it: they are copied */

static void place_concat(vly_fuser *z, const vly_item *item)
{
    int at = 0, channel, pixel;

    for (int i = 0; i < item->n_in && item->n_in <= CONCAT_MAX; i++) {
        int v = item->in[i];
        if (vly_fuse_root(z, v, &channel, &pixel) ==
                vly_fuse_root(z, item->out, &channel, &pixel) ||
            covers_only_inputs(z, item, i, at))
            (void)link_image(z, v, item->out, at, 0); /* else emit copies it */
        at += z->views[v].c;
    }
}

static void place_join(vly_fuser *z, const vly_item *item)
{
    int at = 0, channel, pixel;

    for (int i = 0; i < item->n_in; i++) {
        int root = vly_fuse_root(z, item->in[i], &channel, &pixel);
        if (z->views[root].c == z->views[item->out].c)
            (void)link_image(z, item->in[i], item->out, 0, at);
        at += z->views[item->in[i]].w;
    }
}

static void place_items(vly_fuser *z)
{
    for (int i = 0; i < z->n_items; i++) {
        vly_item *item = &z->items[i];
        if (item->kind == VLY_ITEM_CONCAT)
            place_concat(z, item);
        else if (item->kind == VLY_ITEM_JOIN)
            place_join(z, item);
        else if (item->kind == VLY_ITEM_SLICE)
            (void)link_image(z, item->out, item->in[0], item->offset, 0);
        else if (item->kind == VLY_ITEM_ALIAS)
            (void)link_image(z, item->out, item->in[0], 0, 0);
    }
}

static bool same_size(const vly_view *a, const vly_view *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c;
}

/* An image that could not be laid over its source is a copy; under another shape it goes through a
 * tensor. */
static void settle_aliases(vly_fuser *z)
{
    int channel, pixel;

    for (int i = 0; i < z->n_items; i++) {
        vly_item *item = &z->items[i];
        if (item->kind != VLY_ITEM_ALIAS || vly_fuse_root(z, item->out, &channel, &pixel) ==
                                                vly_fuse_root(z, item->in[0], &channel, &pixel))
            continue;
        if (same_size(&z->views[item->out], &z->views[item->in[0]])) {
            item->kind = VLY_ITEM_MAP;
            continue;
        }
        item->kind = VLY_ITEM_NODE;
        z->views[item->out].maker = VLY_NO_ITEM;
    }
}

/* A residual is float, or of the output's element. */
static void agree_on_residuals(vly_fuser *z)
{
    int channel, pixel;

    for (int i = 0; i < z->n_items; i++) {
        const vly_item *item = &z->items[i];
        if (item->kind != VLY_ITEM_CONV || item->n_in < 2)
            continue;
        vly_view *y = &z->views[vly_fuse_root(z, item->out, &channel, &pixel)];
        vly_view *r = &z->views[vly_fuse_root(z, item->in[1], &channel, &pixel)];
        if (y->elem == VLY_ELEM_F32)
            r->elem = VLY_ELEM_F32;
        y->wants_narrow |= r->wants_narrow;
    }
}

/* A convolution for which only the reference takes BF16 stays float where that is faster. */
static void avoid_reference(vly_fuser *z)
{
    for (int i = 0; i < z->n_items; i++) {
        const vly_item *item = &z->items[i];
        if (item->kind != VLY_ITEM_CONV)
            continue;
        vly_conv_desc d = item->desc;
        d.c_in = d.group == 1 ? (d.c_in + 3) / 4 * 4 : d.c_in;
        d.in = VLY_ELEM_BF16;
        bool is_slow = vly_conv_choose(&d, z->f->cpu_flags)->cpu_flags == 0;
        d.in = VLY_ELEM_F32;
        if (is_slow && vly_conv_choose(&d, z->f->cpu_flags)->cpu_flags != 0)
            z->views[item->in[0]].wants_wide = true;
    }
}

/* BF16 holds pairs of channels: a root takes it when each of its parts begins and ends at one. */
static void choose_elements(vly_fuser *z)
{
    int n = z->f->plan->n_values, channel, pixel;
    bool is_narrow = z->f->precision == VLY_PRECISION_BF16;

    if (is_narrow)
        avoid_reference(z);
    for (int v = 0; v < n; v++)
        z->views[v].elem = is_narrow ? VLY_ELEM_BF16 : VLY_ELEM_F32;
    for (int v = 0; v < n; v++) {
        const vly_view *w = &z->views[v];
        vly_view *root = &z->views[vly_fuse_root(z, v, &channel, &pixel)];
        root->wants_narrow |= w->wants_narrow;
        bool is_padded = w->maker == VLY_NO_ITEM && w->parent == VLY_VALUE_NONE;
        if ((w->c % 2 != 0 && !is_padded) || channel % 2 != 0 || w->wants_wide)
            root->elem = VLY_ELEM_F32;
    }
    agree_on_residuals(z);
    for (int v = 0; v < n; v++) {
        vly_view *w = &z->views[v];
        if (w->is_quantised)
            w->elem = VLY_ELEM_U8;
        else if (!w->wants_narrow)
            w->elem = VLY_ELEM_F32;
    }
    for (int v = 0; v < n; v++)
        z->views[v].elem = z->views[vly_fuse_root(z, v, &channel, &pixel)].elem;
}

void vly_fuse_place(vly_fuser *z)
{
    place_items(z);
    settle_aliases(z);
    choose_elements(z);
}
