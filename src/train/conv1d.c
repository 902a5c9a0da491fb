/* SPDX-License-Identifier: MIT */
/*
 * Convolution over time: y[t] = b + sum over taps k of W[k] x[t + (k - last) * dilation], where
 * last is the tap at the present: kernel - 1 (looks back only) or the middle one (is_same). What
 * lies outside of the sequence is 0. Groups split channels; as many groups as channels is
 * depthwise.
 *
 * Parameters: W [kernel, out, in / groups], b [out]. A tap is one product over all rows that it
 * reaches, so nothing is copied.
 */
#include "train/affine.h"
#include "train/net_onnx.h"

#include <math.h>
#include <string.h>

typedef struct taps {
    int64_t kernel, dilation, groups, in_each, out_each, present;
} taps;

static taps taps_of(const vly_train_layer *l)
{
    const vly_train_spec *s = &l->spec;
    int64_t kernel = s->kernel > 0 ? s->kernel : 1, groups = s->groups > 0 ? s->groups : 1;

    return (taps){.kernel = kernel,
                  .dilation = s->dilation > 0 ? s->dilation : 1,
                  .groups = groups,
                  .in_each = l->in / groups,
                  .out_each = l->out / groups,
                  .present = s->is_same ? kernel / 2 : kernel - 1};
}

static vly_status shape(vly_train_layer *l, vly_err *err)
{
    const vly_train_spec *s = &l->spec;

    if (s->out < 1 || s->kernel < 0 || s->kernel > VLY_TRAIN_KERNEL_MAX || s->dilation < 0 ||
        s->dilation > VLY_TRAIN_KERNEL_MAX || s->groups < 0)
        return vly_fail(err, VLY_EINVAL, "layer conv1d: %d channels, kernel %d, dilation %d",
                        s->out, s->kernel, s->dilation);
    l->out = s->out;
    taps k = taps_of(l);
    if (l->in % k.groups != 0 || l->out % k.groups != 0)
        return vly_fail(err, VLY_EINVAL, "layer conv1d: %lld and %lld channels in %lld groups",
                        (long long)l->in, (long long)l->out, (long long)k.groups);
    if (s->is_same && k.kernel % 2 == 0)
        return vly_fail(err, VLY_EINVAL, "layer conv1d: a kernel of %d has no middle", s->kernel);
    l->n_weights = (size_t)(k.kernel * l->out * k.in_each);
    l->n_params = l->n_weights + (size_t)l->out;
    return VLY_OK;
}

static size_t scratch_floats(const vly_train_layer *l, const vly_gemm_kernel *kernel, int64_t t,
                             int64_t n)
{
    taps k = taps_of(l);

    (void)t, (void)n;
    return vly_affine_map_scratch(kernel, k.in_each, k.out_each);
}

static void init(const vly_train_layer *l, float *params, float *running, vly_rng *rng)
{
    taps k = taps_of(l);
    double reach = (double)(k.kernel * (k.in_each + k.out_each));

    (void)running;
    vly_init_uniform(params, l->n_weights, sqrt(6.0 / reach), rng);
    memset(params + l->n_weights, 0, (size_t)l->out * sizeof(*params));
}

/* One tap of one group: which rows of x and y it joins. */
typedef struct tap_range {
    vly_affine_map map;
    int64_t x, y, w; /* first elements */
} tap_range;

/* false: the tap reaches nothing in a sequence this short. */
static bool tap_of(const vly_train_layer *l, const vly_train_pass *p, const taps *k, int64_t tap,
                   int64_t group, tap_range *ret)
{
    int64_t shift = (tap - k->present) * k->dilation; /* frames from y to x */
    int64_t skip = shift < 0 ? -shift : shift;

    if (skip >= p->t)
        return false;
    int64_t from_x = shift > 0 ? skip : 0, from_y = shift < 0 ? skip : 0;
    *ret = (tap_range){
        .x = from_x * p->n * l->in + group * k->in_each,
        .y = from_y * p->n * l->out + group * k->out_each,
        .w = (tap * l->out + group * k->out_each) * k->in_each,
    };
    ret->map = (vly_affine_map){p->kernel, (p->t - skip) * p->n, k->in_each, k->out_each, l->in,
                                l->out,    p->params + ret->w,   p->scratch};
    return true;
}

/* Depthwise: a product of 1 x 1 matrices for each channel would be all overhead. */
static bool is_depthwise(const taps *k)
{
    return k->in_each == 1 && k->out_each == 1;
}

static void depthwise_forward(const vly_train_layer *l, const tap_range *r, const float *x,
                              float *y)
{
    for (int64_t i = 0; i < r->map.rows; i++)
        for (int64_t c = 0; c < l->in; c++)
            y[i * l->in + c] += r->map.w[c] * x[i * l->in + c];
}

static void depthwise_backward(const vly_train_layer *l, const tap_range *r, const float *x,
                               const float *dy, float *dx, float *dw)
{
    for (int64_t i = 0; i < r->map.rows; i++)
        for (int64_t c = 0; c < l->in; c++)
            dw[c] += dy[i * l->in + c] * x[i * l->in + c];
    for (int64_t i = 0; i < r->map.rows && dx != NULL; i++)
        for (int64_t c = 0; c < l->in; c++)
            dx[i * l->in + c] += r->map.w[c] * dy[i * l->in + c];
}

static void forward(const vly_train_layer *l, const vly_train_pass *p)
{
    taps k = taps_of(l);
    tap_range r;

    vly_rows_fill(p->y, p->t * p->n, l->out, p->params + l->n_weights);
    for (int64_t tap = 0; tap < k.kernel; tap++) {
        if (is_depthwise(&k)) {
            if (tap_of(l, p, &k, tap, 0, &r))
                depthwise_forward(l, &r, p->x + r.x, p->y + r.y);
            continue;
        }
        for (int64_t g = 0; g < k.groups; g++)
            if (tap_of(l, p, &k, tap, g, &r))
                vly_affine_map_forward(&r.map, p->x + r.x, p->y + r.y, true);
    }
}

static void backward_tap(const tap_range *r, const vly_train_pass *p)
{
    vly_affine_map_grads(&r->map, p->x + r->x, p->dy + r->y, p->grads + r->w);
    if (p->dx != NULL)
        vly_affine_map_back(&r->map, p->dy + r->y, p->dx + r->x, true);
}

static void backward(const vly_train_layer *l, const vly_train_pass *p)
{
    taps k = taps_of(l);
    tap_range r;

    if (p->dx != NULL)
        memset(p->dx, 0, (size_t)(p->t * p->n * l->in) * sizeof(*p->dx));
    vly_rows_sum(p->dy, p->t * p->n, l->out, p->grads + l->n_weights);
    for (int64_t tap = 0; tap < k.kernel; tap++) {
        if (is_depthwise(&k)) {
            if (tap_of(l, p, &k, tap, 0, &r))
                depthwise_backward(l, &r, p->x + r.x, p->dy + r.y,
                                   p->dx != NULL ? p->dx + r.x : NULL, p->grads + r.w);
            continue;
        }
        for (int64_t g = 0; g < k.groups; g++)
            if (tap_of(l, p, &k, tap, g, &r))
                backward_tap(&r, p);
    }
}

/* ONNX has [n, c, t] and weights [out, in / groups, kernel]. */
static vly_status write_weights(const vly_train_layer *l, const taps *k, const float *params,
                                vly_train_net_writer *w, vly_str *ret, vly_err *err)
{
    int64_t dims[] = {l->out, k->in_each, k->kernel}, each = l->out * k->in_each;
    float *turned = vly_arena_calloc(&w->arena, l->n_weights, sizeof(*turned));

    if (turned == NULL)
        return vly_arena_fail(&w->arena, err);
    for (int64_t tap = 0; tap < k->kernel; tap++)
        for (int64_t i = 0; i < each; i++)
            turned[i * k->kernel + tap] = params[tap * each + i];
    return vly_train_write_tensor(w, "weight", 3, dims, turned, ret, err);
}

static vly_status write_conv(const taps *k, vly_train_net_writer *w, vly_str in[3], vly_err *err)
{
    int64_t ahead = (k->kernel - 1 - k->present) * k->dilation;
    int64_t pads[] = {k->present * k->dilation, ahead};
    vly_onnx_attr attrs[] = {
        {VLY_STR("dilations"), VLY_ONNX_ATTR_INTS, 1, .ints = &k->dilation},
        {VLY_STR("group"), VLY_ONNX_ATTR_INT, 0, .i = k->groups},
        {VLY_STR("kernel_shape"), VLY_ONNX_ATTR_INTS, 1, .ints = &k->kernel},
        {VLY_STR("pads"), VLY_ONNX_ATTR_INTS, 2, .ints = pads},
    };

    return vly_train_write_node(w, "Conv", in, 3, attrs, 4, &in[0], err);
}

static vly_status write_nodes(const vly_train_layer *l, const float *params, const float *running,
                              vly_train_net_writer *w, vly_err *err)
{
    static const int64_t in_order[] = {1, 2, 0}, out_order[] = {2, 0, 1};
    vly_onnx_attr perm = {VLY_STR("perm"), VLY_ONNX_ATTR_INTS, 3, .ints = in_order};
    taps k = taps_of(l);
    vly_str in[3] = {w->value}, name;

    (void)running;
    vly_status st = vly_train_write_node(w, "Transpose", in, 1, &perm, 1, &in[0], err);
    if (st == VLY_OK)
        st = write_weights(l, &k, params, w, &in[1], err);
    if (st == VLY_OK)
        st = vly_train_write_tensor(w, "bias", 1, &l->out, params + l->n_weights, &in[2], err);
    if (st == VLY_OK)
        st = write_conv(&k, w, in, err);
    perm.ints = out_order;
    if (st == VLY_OK)
        st = vly_train_write_node(w, "Transpose", in, 1, &perm, 1, &name, err);
    if (st == VLY_OK)
        w->value = name;
    return st;
}

const vly_train_layer_ops vly_train_conv1d = {
    .name = "conv1d",
    .shape = shape,
    .scratch_floats = scratch_floats,
    .init = init,
    .forward = forward,
    .backward = backward,
    .write = write_nodes,
};
