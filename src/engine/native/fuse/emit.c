/* SPDX-License-Identifier: MIT */
#include "base/assert.h"
#include "base/bits.h"
#include "engine/graph/constant.h"
#include "engine/native/fuse/ir.h"
#include "engine/native/fuse/run.h"

#include <string.h>

/* A step is worth a piece for another thread from about so much work on. */
#define FLOPS_PER_PIECE 2000000
#define BYTES_PER_PIECE 200000

typedef struct emitter {
    vly_fuser *z;
    vly_fusion *f;
    vly_image_dsp *dsp; /* in the plan's arena */
    bool *has_image;    /* [n_values] the image was written (or is the tensor itself) */
    bool *has_tensor;   /* [n_values] the tensor was written */
    int *n_reads;       /* [n_values] by items that want the image */
    void *copy;         /* of weights, aligned */
    size_t copy_bytes;
} emitter;

static vly_status out_of_memory(vly_err *err)
{
    return vly_fail(err, VLY_ENOMEM, "out of memory while fusing steps");
}

/* ---- where images lie --------------------------------------------------------------------- */

/* Does the tensor of v, as ONNX sees it, look the same in memory as a dense float image? */
static bool looks_like_image(const vly_view *w)
{
    return w->is_last || (int64_t)w->h * w->w == 1;
}

static bool is_tensor(const vly_view *root)
{
    return root->elem == VLY_ELEM_F32 && root->border_h == 0 && root->border_w == 0 &&
           looks_like_image(root);
}

/* Channels from one pixel to the next. Images made from planes get whole groups of four, which
 * kernels of narrow elements want. */
static int pitch_of(const vly_view *root)
{
    bool is_padded = root->maker == VLY_NO_ITEM && root->elem != VLY_ELEM_F32;
    return is_padded ? (root->c + 3) / 4 * 4 : root->c;
}

/* An image of w's size, with the border of root (NULL: none). */
static vly_image dense_image(const vly_view *w, int pitch, const vly_view *root, vly_elem elem)
{
    vly_image im = {.elem = elem,
                    .n = w->n,
                    .h = w->h,
                    .w = w->w,
                    .c = w->c,
                    .pixel = pitch,
                    .scale = w->scale,
                    .zero = w->zero};

    if (root != NULL) {
        im.border_h = root->border_h;
        im.border_w = root->border_w;
    }
    im.row = (int64_t)(w->w + 2 * im.border_w) * pitch;
    im.picture = (int64_t)(w->h + 2 * im.border_h) * im.row;
    return im;
}

/* The image of v, wherever it was placed. */
static vly_operand image_of(const vly_fuser *z, int v)
{
    int channel, pixel;
    const vly_view *root = &z->views[vly_fuse_root(z, v, &channel, &pixel)];
    int pitch = pitch_of(root);
    vly_operand o = {.image = dense_image(&z->views[v], pitch, root, root->elem)};
    int64_t first = root->border_h * o.image.row + (int64_t)root->border_w * pitch;

    o.at = (first + (int64_t)pixel * pitch + channel) * (int64_t)vly_elem_size(root->elem);
    return o;
}

/* The tensor of v as an image. */
static vly_operand tensor_image_of(const vly_fuser *z, int v)
{
    return (vly_operand){.image = dense_image(&z->views[v], z->views[v].c, NULL, VLY_ELEM_F32)};
}

static int buffer_of(const vly_fuser *z, int v)
{
    int channel, pixel;
    return z->views[vly_fuse_root(z, v, &channel, &pixel)].value;
}

/* A value for an image of w's size and border; VLY_VALUE_NONE: it is too large. */
static int new_buffer(emitter *e, const vly_view *w, vly_dtype dtype, int pitch)
{
    vly_tensor t = {.dtype = dtype,
                    .shape =
                        VLY_SHAPE(w->n, w->h + 2 * w->border_h, w->w + 2 * w->border_w, pitch)};

    if (!vly_shape_bytes(&t.shape, t.dtype, &t.bytes))
        return VLY_VALUE_NONE;
    e->f->new_values[e->f->n_new_values] = t;
    return e->f->plan->n_values + e->f->n_new_values++;
}

/* Gives every root a value: its own when the tensor will do, or a new one. */
static vly_status make_buffers(emitter *e, vly_err *err)
{
    static const vly_dtype dtypes[] = {[VLY_ELEM_F32] = VLY_DTYPE_F32,
                                       [VLY_ELEM_BF16] = VLY_DTYPE_BF16,
                                       [VLY_ELEM_U8] = VLY_DTYPE_U8};
    vly_fuser *z = e->z;
    int n = e->f->plan->n_values;

    for (int v = 0; v < n; v++) {
        vly_view *w = &z->views[v];
        w->value = v;
        if (!w->is_image || w->parent != VLY_VALUE_NONE || is_tensor(w))
            continue;
        w->value = new_buffer(e, w, dtypes[w->elem], pitch_of(w));
        if (w->value == VLY_VALUE_NONE)
            return vly_fail(err, VLY_ELIMIT, "an image of the plan is too large");
    }
    return VLY_OK;
}

/* ---- steps -------------------------------------------------------------------------------- */

/* A new step under the label of an ONNX node. in: values; copied. */
static vly_fused *add_step(emitter *e, const vly_op *op, const vly_step *from, const int *in,
                           int n_in, int out)
{
    vly_arena *arena = &e->f->plan->arena;
    vly_node *node = vly_arena_calloc(arena, 1, sizeof(*node));
    int *values = vly_arena_calloc(arena, (size_t)n_in + 1, sizeof(*values));
    vly_fused *p = vly_arena_calloc(arena, 1, sizeof(*p));

    if (node == NULL || values == NULL || p == NULL)
        return NULL;
    if (n_in > 0)
        memcpy(values, in, (size_t)n_in * sizeof(*values));
    values[n_in] = out;
    *node = (vly_node){.op = op,
                       .proto = from->node->proto,
                       .label = from->node->label,
                       .params = p,
                       .opset = from->node->opset,
                       .n_in = n_in,
                       .n_out = 1,
                       .in = values,
                       .out = values + n_in};
    p->dsp = e->dsp;
    p->n_pieces = 1;
    e->f->steps[e->f->n_steps++] = (vly_step){.node = node};
    return p;
}

static int pieces(int64_t work, int64_t per_piece, int units)
{
    int64_t n = work / per_piece;

    n = n < VLY_FUSED_PIECES_MAX ? n : VLY_FUSED_PIECES_MAX;
    n = n < units ? n : units;
    return n > 1 ? (int)n : 1;
}

/* Splits a step that moves or maps the rows of im. */
static void split_rows(vly_fused *p, const vly_image *im)
{
    int64_t bytes = (int64_t)im->n * im->h * im->w * im->c * 4;
    p->n_pieces = pieces(bytes, BYTES_PER_PIECE, im->n * im->h);
}

/* Codes to codes. */
static const uint8_t *table_of(emitter *e, const float *codes, const vly_image *y)
{
    uint8_t *table = vly_arena_calloc(&e->f->plan->arena, 256, sizeof(*table));

    for (int q = 0; table != NULL && q < 256; q++)
        table[q] = vly_image_quantise(y, codes[q]);
    return table;
}

/* The same real values under another scale. */
static const uint8_t *recode_table(emitter *e, const vly_image *x, const vly_image *y)
{
    float codes[256];

    for (int q = 0; q < 256; q++)
        codes[q] = (float)(q - x->zero) * x->scale;
    return table_of(e, codes, y);
}

static vly_status add_map(emitter *e, const vly_step *from, vly_operand x, int x_value,
                          vly_operand y, int y_value, vly_err *err)
{
    bool is_coded = x.image.elem == VLY_ELEM_U8 && y.image.elem == VLY_ELEM_U8;
    const vly_op *op = is_coded ? &vly_fused_lookup : &vly_fused_map;
    vly_fused *p = add_step(e, op, from, &x_value, 1, y_value);

    if (p == NULL)
        return out_of_memory(err);
    p->x = x;
    p->y = y;
    p->table = is_coded ? recode_table(e, &x.image, &y.image) : NULL;
    if (is_coded && p->table == NULL)
        return out_of_memory(err);
    split_rows(p, &y.image);
    return VLY_OK;
}

/* ---- between tensors and images ----------------------------------------------------------- */

/* Each row of a matrix as a picture of one pixel: what goes with planes_of. */
static vly_image rows_as_pictures(vly_image im, const vly_view *w)
{
    if (w->is_last) {
        im.n = im.w;
        im.w = 1;
        im.row = im.picture = im.pixel;
    }
    return im;
}

static vly_planes planes_of(const vly_view *w)
{
    int64_t plane = w->is_last ? 1 : (int64_t)w->h * w->w;
    return (vly_planes){.plane = plane, .picture = plane * w->c};
}

/* Makes sure that the image of v is there, for a reader in step `from`. */
static vly_status need_image(emitter *e, const vly_step *from, int v, vly_err *err)
{
    vly_fuser *z = e->z;
    const vly_view *w = &z->views[v];

    if (e->has_image[v] || w->maker != VLY_NO_ITEM)
        return VLY_OK;
    e->has_image[v] = true;
    if (buffer_of(z, v) == v)
        return VLY_OK;
    vly_operand y = image_of(z, v);
    int c = w->parent == VLY_VALUE_NONE ? (int)y.image.pixel : w->c; /* zeros fill up the group */
    if (looks_like_image(w) && c == w->c)
        return add_map(e, from, tensor_image_of(z, v), w->source, y, buffer_of(z, v), err);
    vly_fused *p = add_step(e, &vly_fused_from_planes, from, &w->source, 1, buffer_of(z, v));
    if (p == NULL)
        return out_of_memory(err);
    y.image = rows_as_pictures(y.image, w);
    y.image.c = c;
    p->y = y;
    p->planes = planes_of(w);
    p->n_channels = w->c;
    split_rows(p, &y.image);
    return VLY_OK;
}

/* A map whose result only others than images want is made on the way to its tensor. */
static const vly_item *map_to_tensor(const emitter *e, int v)
{
    const vly_view *w = &e->z->views[v];
    const vly_item *item = w->maker != VLY_NO_ITEM ? &e->z->items[w->maker] : NULL;

    return item != NULL && item->kind == VLY_ITEM_MAP && item->codes == NULL && e->n_reads[v] == 0
               ? item
               : NULL;
}

/* Makes sure that the tensor of v is there. */
static vly_status need_tensor(emitter *e, const vly_step *from, int v, vly_err *err)
{
    vly_fuser *z = e->z;
    const vly_view *w = &z->views[v];
    int buffer;

    if (w->lazy != NULL && e->f->values[v]->data == NULL)
        return e->f->fold(e->f->fold_arg, w->lazy, err);
    if (w->is_quantised && e->f->values[v]->dtype != VLY_DTYPE_F32)
        return out_of_memory(err); /* of these codes there is no tensor: their reader was to fuse */
    if (e->has_tensor[v] || !w->is_image || w->maker == VLY_NO_ITEM)
        return VLY_OK;
    e->has_tensor[v] = true;
    const vly_item *map = map_to_tensor(e, v);
    int image = map != NULL ? map->in[0] : v;
    vly_status st = need_image(e, from, image, err);
    if (st != VLY_OK)
        return st;
    buffer = buffer_of(z, image);
    if (buffer == v)
        return VLY_OK;
    vly_operand x = image_of(z, image);
    if (looks_like_image(w) && map == NULL)
        return add_map(e, from, x, buffer, tensor_image_of(z, v), v, err);
    vly_fused *p = add_step(e, &vly_fused_to_planes, from, &buffer, 1, v);
    if (p == NULL)
        return out_of_memory(err);
    if (map != NULL) {
        p->act = map->act;
        p->alpha = map->alpha;
        p->beta = map->beta;
    }
    x.image = rows_as_pictures(x.image, w);
    p->x = x;
    p->planes = planes_of(w);
    split_rows(p, &x.image);
    return VLY_OK;
}

/* ---- items -------------------------------------------------------------------------------- */

/* The data of weights; a copy that lasts until the next call where the file has them unaligned. */
static const void *aligned_weights(emitter *e, const vly_tensor *t)
{
    if (vly_constant_is_aligned(t))
        return t->data;
    if (t->bytes > e->copy_bytes) {
        e->copy = vly_arena_alloc(e->f->scratch, t->bytes);
        e->copy_bytes = t->bytes;
    }
    return e->copy != NULL ? memcpy(e->copy, t->data, t->bytes) : NULL;
}

/* Weights as kernels take them: [c_out][c_in / group][h][w], with zeros for channels that the image
 * has and the model does not, and with the scale in them where sums have none. */
static float *weights_of(emitter *e, const vly_item *item, int c_in)
{
    const vly_conv_desc *d = &item->desc;
    int64_t taps = (int64_t)d->kernel_h * d->kernel_w, from = d->c_in / d->group;
    int64_t to = c_in / d->group, n = d->c_out * to * taps;
    float *w = vly_arena_calloc(e->f->scratch, (size_t)n, sizeof(*w));
    const void *src = aligned_weights(e, item->weights);
    bool is_int8 = item->weights->dtype == VLY_DTYPE_I8; /* with the input's scale in item->scale */
    float x_scale = is_int8 ? e->z->views[item->in[0]].scale : 1.0f;

    for (int64_t o = 0; w != NULL && src != NULL && o < d->c_out; o++) {
        float scale = item->scale != NULL ? item->scale[o] / x_scale : 1.0f;
        for (int64_t i = 0; i < from; i++)
            for (int64_t t = 0; t < taps; t++) {
                int64_t at = item->is_transposed ? i * d->c_out + o : (o * from + i) * taps + t;
                float v = is_int8 ? (float)((const int8_t *)src)[at] : ((const float *)src)[at];
                w[(o * to + i) * taps + t] = v * scale;
            }
    }
    return w;
}

/* The same for int8 weights, whose scale stays apart. */
static int8_t *weights8_of(emitter *e, const vly_item *item, int c_in)
{
    const vly_conv_desc *d = &item->desc;
    size_t taps = (size_t)d->kernel_h * (size_t)d->kernel_w, from = (size_t)(d->c_in / d->group);
    size_t to = (size_t)(c_in / d->group), n = (size_t)d->c_out * to * taps;
    int8_t *w = vly_arena_calloc(e->f->scratch, n, sizeof(*w));

    for (size_t o = 0; w != NULL && o < (size_t)d->c_out; o++)
        memcpy(w + o * to * taps, (const int8_t *)item->weights->data + o * from * taps,
               from * taps);
    return w;
}

static const void *arranged_weights(emitter *e, const vly_item *item, const vly_conv_desc *d)
{
    bool is_int8 = d->in == VLY_ELEM_U8, has_all = d->c_in == item->desc.c_in;

    if (is_int8)
        return has_all ? aligned_weights(e, item->weights) : weights8_of(e, item, d->c_in);
    if (has_all && !item->is_transposed && item->scale == NULL)
        return aligned_weights(e, item->weights);
    return weights_of(e, item, d->c_in);
}

/* Packs the weights, unless another plan of the model has done so. */
static vly_status pack(emitter *e, const vly_item *item, vly_fused *p, vly_err *err)
{
    bool is_scaled = item->scale != NULL && p->desc.in != VLY_ELEM_U8;
    const void *key = is_scaled ? NULL : item->shared_weights;
    size_t bytes = p->kernel->packed_bytes(&p->desc);

    p->packed = key != NULL
                    ? vly_packs_get(e->f->packs, p->kernel, &p->desc, key, item->is_transposed)
                    : NULL;
    if (p->packed != NULL)
        return VLY_OK;
    size_t total = e->f->plan->constant_bytes;
    if (!vly_size_add(total, bytes, &total) || total > e->f->max_memory_bytes)
        return vly_fail(err, VLY_ELIMIT, "node '%s': packed weights need %zu bytes, over the limit",
                        item->step->node->label, bytes);
    const void *weights = arranged_weights(e, item, &p->desc);
    void *packed = key != NULL ? vly_packs_add(e->f->packs, p->kernel, &p->desc, key,
                                               item->is_transposed, bytes)
                               : vly_plan_blob(e->f->plan, bytes);
    if (packed == NULL || weights == NULL)
        return out_of_memory(err);
    p->kernel->pack(&p->desc, weights, packed);
    p->packed = packed;
    e->f->plan->constant_bytes += key != NULL ? bytes : 0;
    return VLY_OK;
}

static const float *keep_floats(emitter *e, const float *from, int n)
{
    float *p = vly_arena_calloc(&e->f->plan->arena, (size_t)n, sizeof(*p));

    if (p != NULL)
        memcpy(p, from, (size_t)n * sizeof(*p));
    return p;
}

static bool covers_root(const vly_fuser *z, int v)
{
    int channel, pixel;
    return z->views[vly_fuse_root(z, v, &channel, &pixel)].c == z->views[v].c;
}

static uint64_t flops_of(const vly_conv_desc *d, int c_in)
{
    return 2 * (uint64_t)d->n * (uint64_t)d->h_out * (uint64_t)d->w_out * (uint64_t)d->c_out *
           (uint64_t)(c_in / d->group) * (uint64_t)d->kernel_h * (uint64_t)d->kernel_w;
}

static bool is_pointwise(const vly_conv_desc *d)
{
    return d->kernel_h * d->kernel_w * d->stride_h * d->stride_w == 1 && d->pad_top == 0 &&
           d->pad_left == 0;
}

/* The codes of a convolution's input as floats, in an image of their own. */
static vly_status emit_floats(emitter *e, const vly_item *item, vly_operand *x, int *ret_value,
                              vly_err *err)
{
    vly_view w = e->z->views[item->in[0]];

    w.border_h = x->image.border_h;
    w.border_w = x->image.border_w;
    vly_operand y = {.image = dense_image(&w, w.c, &w, VLY_ELEM_F32)};
    y.at = (w.border_h * y.image.row + (int64_t)w.border_w * w.c) * (int64_t)sizeof(float);
    int value = new_buffer(e, &w, VLY_DTYPE_F32, w.c);
    if (value == VLY_VALUE_NONE)
        return vly_fail(err, VLY_ELIMIT, "an image of the plan is too large");
    vly_status st = add_map(e, item->step, *x, *ret_value, y, value, err);
    *x = y;
    *ret_value = value;
    return st;
}

/* Only the reference multiplies codes of these channels, and floats have a faster kernel. */
static bool is_better_in_floats(const emitter *e, const vly_item *item, const vly_image *x)
{
    vly_conv_desc d = item->desc;

    d.c_in = d.group == 1 && covers_root(e->z, item->in[0]) ? (int)x->pixel : d.c_in;
    d.in = VLY_ELEM_U8;
    if (x->elem != VLY_ELEM_U8 || vly_conv_choose(&d, e->f->cpu_flags)->cpu_flags != 0)
        return false;
    d.c_in = item->desc.c_in;
    d.in = VLY_ELEM_F32;
    return vly_conv_choose(&d, e->f->cpu_flags)->cpu_flags != 0;
}

static vly_status emit_conv(emitter *e, const vly_item *item, vly_err *err)
{
    vly_fuser *z = e->z;
    int in[2] = {buffer_of(z, item->in[0]), item->n_in > 1 ? buffer_of(z, item->in[1]) : 0};
    vly_operand x = image_of(z, item->in[0]);
    bool is_float = is_better_in_floats(e, item, &x.image);
    vly_status st = is_float ? emit_floats(e, item, &x, &in[0], err) : VLY_OK;

    if (st != VLY_OK)
        return st;
    vly_fused *p =
        add_step(e, &vly_fused_conv, item->step, in, item->n_in, buffer_of(z, item->out));
    if (p == NULL)
        return out_of_memory(err);
    vly_step *step = &e->f->steps[e->f->n_steps - 1];
    p->x = x;
    p->y = image_of(z, item->out);
    if (item->n_in > 1)
        p->second = image_of(z, item->in[1]);
    p->act = item->act;
    p->alpha = item->alpha;
    p->beta = item->beta;
    p->desc = item->desc;
    p->desc.act = item->act;
    p->desc.in = p->x.image.elem;
    p->desc.out = p->y.image.elem;
    if (item->desc.group == 1 && !is_float && covers_root(z, item->in[0]))
        p->desc.c_in = p->x.image.c = (int)p->x.image.pixel;
    p->desc.is_flat = is_pointwise(&p->desc) && vly_image_is_flat(&p->x.image) &&
                      vly_image_is_flat(&p->y.image) &&
                      (item->n_in < 2 || vly_image_is_flat(&p->second.image));
    p->kernel = vly_conv_choose(&p->desc, e->f->cpu_flags);
    p->units = p->kernel->units(&p->desc);
    step->flops = flops_of(&item->desc, item->desc.c_in);
    p->n_pieces = pieces((int64_t)step->flops, FLOPS_PER_PIECE, p->units);
    if (p->kernel->scratch_bytes != NULL)
        p->scratch_bytes = vly_align_up(p->kernel->scratch_bytes(&p->desc), 64);
    step->scratch_bytes = p->scratch_bytes * (size_t)p->n_pieces;
    step->kernel = vly_arena_printf(&e->f->plan->arena, "conv %dx%d/%d %s", p->desc.kernel_h,
                                    p->desc.kernel_w, p->desc.stride_w, p->kernel->name);
    bool is_int8 = p->desc.in == VLY_ELEM_U8;
    p->bias = item->bias != NULL ? keep_floats(e, item->bias, p->desc.c_out) : NULL;
    p->scale = is_int8 ? keep_floats(e, item->scale, p->desc.c_out) : NULL;
    if (step->kernel == NULL || (p->bias == NULL && item->bias != NULL) ||
        (p->scale == NULL && is_int8))
        return out_of_memory(err);
    if (item->act == VLY_ACT_TABLE) {
        p->code_scale = item->code_scale;
        p->code_zero = item->code_zero;
        p->table = table_of(e, item->codes, &p->y.image);
        if (p->table == NULL)
            return out_of_memory(err);
    }
    return pack(e, item, p, err);
}

static const vly_op *op_of(vly_item_kind kind)
{
    static const vly_op *const ops[] = {
        [VLY_ITEM_POOL] = &vly_fused_pool,     [VLY_ITEM_MEAN] = &vly_fused_mean,
        [VLY_ITEM_RESIZE] = &vly_fused_resize, [VLY_ITEM_COMBINE] = &vly_fused_combine,
        [VLY_ITEM_MAP] = &vly_fused_map,       [VLY_ITEM_EXPECT] = &vly_fused_expect,
    };
    return ops[kind];
}

static vly_status emit_rows(emitter *e, const vly_item *item, vly_err *err)
{
    vly_fuser *z = e->z;
    int in[2] = {buffer_of(z, item->in[0]), item->n_in > 1 ? buffer_of(z, item->in[1]) : 0};
    bool is_expect = item->kind == VLY_ITEM_EXPECT;
    int out = is_expect ? item->out : buffer_of(z, item->out);
    const vly_op *op = item->codes != NULL ? &vly_fused_lookup : op_of(item->kind);
    vly_fused *p = add_step(e, op, item->step, in, item->n_in, out);

    if (p == NULL)
        return out_of_memory(err);
    p->x = image_of(z, item->in[0]);
    if (item->n_in > 1)
        p->second = image_of(z, item->in[1]);
    p->act = item->act;
    p->alpha = item->alpha;
    p->beta = item->beta;
    p->pool = item->pool;
    p->combine = item->combine;
    p->bins = item->bins;
    if (is_expect) {
        p->bin_weights = item->weights->data;
        p->planes = (vly_planes){.plane = p->x.image.w, .picture = (int64_t)4 * p->x.image.w};
        split_rows(p, &p->x.image);
        return VLY_OK;
    }
    p->y = image_of(z, item->out);
    split_rows(p, &p->y.image);
    if (item->codes != NULL) {
        p->table = table_of(e, item->codes, &p->y.image);
        return p->table != NULL ? VLY_OK : out_of_memory(err);
    }
    if (item->kind != VLY_ITEM_RESIZE)
        return VLY_OK;
    size_t n = (size_t)p->y.image.h + (size_t)p->y.image.w;
    int *maps = vly_arena_calloc(&e->f->plan->arena, n, sizeof(*maps));
    if (maps == NULL)
        return out_of_memory(err);
    memcpy(maps, item->rows, n * sizeof(*maps));
    p->rows = maps;
    p->cols = maps + p->y.image.h;
    return VLY_OK;
}

/* Copies the part of item->in[i] that place could not lay where it belongs: `count` channels from
 * `skip` on, to channel and pixel of the output. */
static vly_status emit_part(emitter *e, const vly_item *item, int i, int skip, int channel,
                            int pixel, vly_err *err)
{
    vly_fuser *z = e->z;
    int v = item->in[i], a, b, c, d;

    if (vly_fuse_root(z, v, &a, &b) == vly_fuse_root(z, item->out, &c, &d) &&
        a + skip == c + channel && b == d + pixel)
        return VLY_OK;
    vly_operand x = image_of(z, v), y = image_of(z, item->out);
    int64_t elem_x = (int64_t)vly_elem_size(x.image.elem),
            elem_y = (int64_t)vly_elem_size(y.image.elem);
    int count = x.image.c < y.image.c ? x.image.c : y.image.c;
    x.at += skip * elem_x;
    y.at += (channel + pixel * y.image.pixel) * elem_y;
    x.image.c = y.image.c = count;
    y.image.w = x.image.w;
    if (item->kind == VLY_ITEM_JOIN)
        y.image.border_h = y.image.border_w = 0; /* what is beside it are the other parts */
    return add_map(e, item->step, x, buffer_of(z, v), y, buffer_of(z, item->out), err);
}

/* The border of a Join, which its parts leave alone. */
static vly_status emit_frame(emitter *e, const vly_item *item, vly_err *err)
{
    vly_operand y = image_of(e->z, item->out);

    if (y.image.border_h + y.image.border_w == 0)
        return VLY_OK;
    vly_fused *p = add_step(e, &vly_fused_frame, item->step, NULL, 0, buffer_of(e->z, item->out));
    if (p == NULL)
        return out_of_memory(err);
    p->y = y;
    return VLY_OK;
}

static vly_status emit_parts(emitter *e, const vly_item *item, vly_err *err)
{
    vly_status st = VLY_OK;
    int channel = 0, pixel = 0;

    if (item->kind == VLY_ITEM_SLICE)
        return emit_part(e, item, 0, item->offset, 0, 0, err);
    for (int i = 0; i < item->n_in && st == VLY_OK; i++) {
        st = emit_part(e, item, i, 0, channel, pixel, err);
        channel += item->kind == VLY_ITEM_CONCAT ? e->z->views[item->in[i]].c : 0;
        pixel += item->kind == VLY_ITEM_JOIN ? e->z->views[item->in[i]].w : 0;
    }
    return st == VLY_OK && item->kind == VLY_ITEM_JOIN ? emit_frame(e, item, err) : st;
}

static vly_status need_tensors(emitter *e, const vly_step *from, const int *values, int n,
                               vly_err *err)
{
    vly_status st = VLY_OK;

    for (int i = 0; i < n && st == VLY_OK; i++)
        if (values[i] != VLY_VALUE_NONE)
            st = need_tensor(e, from, values[i], err);
    return st;
}

static vly_status emit_node(emitter *e, const vly_item *item, vly_err *err)
{
    const vly_node *node = item->step->node;
    vly_status st = need_tensors(e, item->step, node->in, node->n_in, err);

    if (st == VLY_OK)
        e->f->steps[e->f->n_steps++] = *item->step;
    return st;
}

static vly_status emit_recurrent(emitter *e, const vly_item *item, vly_err *err)
{
    int n = (int)VLY_COUNT(item->tensors);
    vly_status st = need_tensors(e, item->step, item->tensors, n, err);

    return st == VLY_OK ? vly_fuse_emit_recurrent(e->z, item, err) : st;
}

static vly_status emit_item(emitter *e, const vly_item *item, vly_err *err)
{
    vly_status st = VLY_OK;

    if (item->kind == VLY_ITEM_NODE)
        return emit_node(e, item, err);
    if (item->kind == VLY_ITEM_RECURRENT)
        return emit_recurrent(e, item, err);
    if (item->kind == VLY_ITEM_DEAD || map_to_tensor(e, item->out) == item)
        return VLY_OK;
    for (int i = 0; i < item->n_in && st == VLY_OK; i++)
        st = need_image(e, item->step, item->in[i], err);
    if (st != VLY_OK)
        return st;
    if (item->kind == VLY_ITEM_CONV)
        return emit_conv(e, item, err);
    if (item->kind == VLY_ITEM_CONCAT || item->kind == VLY_ITEM_JOIN ||
        item->kind == VLY_ITEM_SLICE || item->kind == VLY_ITEM_ALIAS)
        return item->kind == VLY_ITEM_ALIAS ? VLY_OK : emit_parts(e, item, err);
    return emit_rows(e, item, err);
}

vly_status vly_fuse_emit(vly_fuser *z, vly_err *err)
{
    const vly_plan *p = z->f->plan;
    emitter e = {.z = z, .f = z->f};
    size_t n = (size_t)p->n_values, max_steps = 2 * (size_t)z->n_items + n;
    vly_status st = VLY_OK;

    e.n_reads = vly_arena_calloc(z->f->scratch, n, sizeof(*e.n_reads));
    if (e.n_reads == NULL)
        return out_of_memory(err);
    for (int i = 0; i < z->n_items; i++) {
        bool is_live = z->items[i].kind != VLY_ITEM_DEAD && z->items[i].kind != VLY_ITEM_NODE;
        max_steps += (size_t)z->items[i].n_in;
        for (int k = 0; is_live && k < z->items[i].n_in; k++)
            e.n_reads[z->items[i].in[k]]++;
    }
    e.dsp = vly_arena_calloc(&z->f->plan->arena, 1, sizeof(*e.dsp));
    e.has_image = vly_arena_calloc(z->f->scratch, n, sizeof(*e.has_image));
    e.has_tensor = vly_arena_calloc(z->f->scratch, n, sizeof(*e.has_tensor));
    z->f->steps = vly_arena_calloc(z->f->scratch, max_steps, sizeof(*z->f->steps));
    /* one for each root, and one for each convolution's floats */
    z->f->new_values =
        vly_arena_calloc(z->f->scratch, n + (size_t)z->n_items, sizeof(*z->f->new_values));
    if (e.dsp == NULL || e.has_image == NULL || e.has_tensor == NULL || z->f->steps == NULL ||
        z->f->new_values == NULL)
        return out_of_memory(err);
    vly_image_dsp_init(e.dsp, z->f->cpu_flags);
    st = make_buffers(&e, err);
    for (int i = 0; i < z->n_items && st == VLY_OK; i++)
        st = emit_item(&e, &z->items[i], err);
    for (int i = 0; i < p->graph->n_outputs && st == VLY_OK; i++)
        if (z->views[p->graph->outputs[i]].is_image)
            st = need_tensor(&e, z->items[z->n_items - 1].step, p->graph->outputs[i], err);
    return st;
}
