/* SPDX-License-Identifier: MIT */
/*
 * Gated recurrent unit as ONNX has it, with linear_before_reset (one product with R per frame):
 *     z = sigmoid(Wz x + Rz h + bz)      r = sigmoid(Wr x + Rr h + br)
 *     q = Rh h + Rbh                     c = tanh(Wh x + Wbh + r * q)
 *     h' = (1 - z) c + z h
 * Parameters: W [3h, in], R [3h, h], Wb [3h], Rb [3h], gates in the order z r c. The first pass
 * over all frames is one product; only R h goes frame by frame.
 *
 * Cache: per row z, r, c, q. Gradients go back through all frames of the pass and end at its state.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "dsp/act.h"
#include "train/affine.h"
#include "train/net_onnx.h"

#include <math.h>
#include <string.h>

static vly_status shape(vly_train_layer *l, vly_err *err)
{
    if (l->spec.out < 1)
        return vly_fail(err, VLY_EINVAL, "layer gru: expected channels, got none");
    l->out = l->spec.out;
    l->n_weights = (size_t)(3 * l->out * (l->in + l->out));
    l->n_params = l->n_weights + (size_t)(6 * l->out);
    return VLY_OK;
}

static size_t cache_floats(const vly_train_layer *l, int64_t t, int64_t n)
{
    return vly_align_up((size_t)(t * n * 4 * l->out), 16);
}

/* Where things lie in the scratch. */
typedef struct places {
    size_t packed;    /* R */
    size_t frame;     /* [n, 3h]: R h of a frame; on the way back, the gradient by its state */
    size_t gates;     /* [t, n, 3h]: W x; on the way back, the gradient by it */
    size_t recurrent; /* [t, n, 3h]: the gradient by R h */
    size_t end;
} places;

static places places_of(const vly_train_layer *l, const vly_gemm_kernel *kernel, int64_t t,
                        int64_t n)
{
    int64_t h = l->out;
    size_t forth = vly_matmul_packed(kernel, 3 * h, h), back = vly_matmul_packed(kernel, h, 3 * h);
    size_t rows = vly_align_up((size_t)(t * n * 3 * h), 16);
    places at;

    at.packed = vly_affine_map_scratch(kernel, l->in > h ? l->in : h, 3 * h);
    at.frame = at.packed + (forth > back ? forth : back);
    at.gates = at.frame + vly_align_up((size_t)(n * 3 * h), 16);
    at.recurrent = at.gates + rows;
    at.end = at.recurrent + rows;
    return at;
}

static size_t scratch_floats(const vly_train_layer *l, const vly_gemm_kernel *kernel, int64_t t,
                             int64_t n)
{
    return places_of(l, kernel, t, n).end;
}

/* W as in a dense layer; R smaller, so that the state neither grows nor dies; update gates half
 * open to the past, so that it is remembered. */
static void init(const vly_train_layer *l, float *params, float *running, vly_rng *rng)
{
    size_t w = (size_t)(3 * l->out * l->in);

    (void)running;
    vly_init_uniform(params, w, sqrt(6.0 / (double)(l->in + l->out)), rng);
    vly_init_uniform(params + w, l->n_weights - w, 1 / sqrt((double)l->out), rng);
    memset(params + l->n_weights, 0, (size_t)(6 * l->out) * sizeof(*params));
    for (int64_t i = 0; i < l->out; i++)
        params[l->n_weights + (size_t)i] = 1;
}

/* The ranges of the parameters, and of their gradients. */
typedef struct ranges {
    size_t w, r, wb, rb;
} ranges;

static ranges ranges_of(const vly_train_layer *l)
{
    size_t h3 = (size_t)(3 * l->out), w = h3 * (size_t)l->in, r = h3 * (size_t)l->out;

    return (ranges){.r = w, .wb = w + r, .rb = w + r + h3};
}

static vly_affine_map map_of_input(const vly_train_layer *l, const vly_train_pass *p)
{
    return (vly_affine_map){p->kernel, p->t * p->n, l->in,     3 * l->out,
                            l->in,     3 * l->out,  p->params, p->scratch};
}

/* One row of one frame. pre: W x + Wb; rec: R h + Rb; before: h; NULL: zeroes. */
static void cell_forward(int64_t h, const float *pre, const float *rec, const float *before,
                         float *cache, float *y)
{
    float *z = cache, *r = cache + h, *c = cache + 2 * h, *q = cache + 3 * h;

    for (int64_t j = 0; j < 2 * h; j++)
        z[j] = pre[j] + rec[j];
    vly_act_sigmoid(z, z, (size_t)(2 * h));
    memcpy(q, rec + 2 * h, (size_t)h * sizeof(*q));
    for (int64_t j = 0; j < h; j++)
        c[j] = pre[2 * h + j] + r[j] * q[j];
    vly_act_tanh(c, c, (size_t)h);
    for (int64_t j = 0; j < h; j++)
        y[j] = (1 - z[j]) * c[j] + (before != NULL ? z[j] * before[j] : 0);
}

static void forward(const vly_train_layer *l, const vly_train_pass *p)
{
    int64_t h = l->out, n = p->n;
    places at = places_of(l, p->kernel, p->t, n);
    ranges of = ranges_of(l);
    float *packed = p->scratch + at.packed, *rec = p->scratch + at.frame;
    float *gates = p->scratch + at.gates;
    const float *before = p->state, *last = p->y + (p->t - 1) * n * h;
    vly_affine_map input = map_of_input(l, p);

    VLY_ASSERT(p->t >= 1 && p->y != NULL);
    vly_rows_fill(gates, p->t * n, 3 * h, p->params + of.wb);
    vly_affine_map_forward(&input, p->x, gates, true);
    vly_matmul_pack(p->kernel, 3 * h, h, (vly_matrix){p->params + of.r, 1, h}, packed);
    for (int64_t t = 0; t < p->t; t++) {
        float *y = p->y + t * n * h;
        vly_rows_fill(rec, n, 3 * h, p->params + of.rb);
        if (before != NULL)
            vly_matmul_run_packed(p->kernel, &(vly_matmul){n, 3 * h, h, rec, 3 * h, true},
                                  (vly_matrix){before, h, 1}, packed);
        for (int64_t i = 0; i < n; i++)
            cell_forward(h, gates + (t * n + i) * 3 * h, rec + i * 3 * h,
                         before != NULL ? before + i * h : NULL, p->cache + (t * n + i) * 4 * h,
                         y + i * h);
        before = y;
    }
    if (p->state_out != NULL)
        memcpy(p->state_out, last, (size_t)(n * h) * sizeof(*last));
}

/* One row of one frame. dh: by h' from later frames, in; by h, but for what went through R, out. */
static void cell_backward(int64_t h, const float *cache, const float *before, const float *dy,
                          float *dh, float *dgates, float *drec)
{
    const float *z = cache, *r = cache + h, *c = cache + 2 * h, *q = cache + 3 * h;

    for (int64_t j = 0; j < h; j++) {
        float d = dh[j] + dy[j], was = before != NULL ? before[j] : 0;
        float dc = d * (1 - z[j]) * (1 - c[j] * c[j]);
        dgates[j] = drec[j] = d * (was - c[j]) * z[j] * (1 - z[j]);
        dgates[h + j] = drec[h + j] = dc * q[j] * r[j] * (1 - r[j]);
        dgates[2 * h + j] = dc;
        drec[2 * h + j] = dc * r[j];
        dh[j] = d * z[j];
    }
}

/* The frames from the last to the first: fills in the gradients by W x and by R h. */
static void backward_frames(const vly_train_layer *l, const vly_train_pass *p, const places *at,
                            const float *packed)
{
    int64_t h = l->out, n = p->n;
    float *dh = p->scratch + at->frame, *dgates = p->scratch + at->gates;
    float *drec = p->scratch + at->recurrent;

    memset(dh, 0, (size_t)(n * h) * sizeof(*dh));
    for (int64_t t = p->t; t-- > 0;) {
        const float *before = t > 0 ? p->y + (t - 1) * n * h : p->state;
        for (int64_t i = 0; i < n; i++) {
            int64_t row = t * n + i;
            cell_backward(h, p->cache + row * 4 * h, before != NULL ? before + i * h : NULL,
                          p->dy + row * h, dh + i * h, dgates + row * 3 * h, drec + row * 3 * h);
        }
        if (t > 0)
            vly_matmul_run_packed(p->kernel, &(vly_matmul){n, h, 3 * h, dh, h, true},
                                  (vly_matrix){drec + t * n * 3 * h, 3 * h, 1}, packed);
    }
}

static void backward(const vly_train_layer *l, const vly_train_pass *p)
{
    int64_t h = l->out, n = p->n;
    places at = places_of(l, p->kernel, p->t, n);
    ranges of = ranges_of(l);
    float *packed = p->scratch + at.packed, *dgates = p->scratch + at.gates;
    float *drec = p->scratch + at.recurrent;
    vly_affine_map input = map_of_input(l, p), state = input;

    vly_matmul_pack(p->kernel, h, 3 * h, (vly_matrix){p->params + of.r, h, 1}, packed);
    backward_frames(l, p, &at, packed);
    vly_affine_map_grads(&input, p->x, dgates, p->grads + of.w);
    vly_rows_sum(dgates, p->t * n, 3 * h, p->grads + of.wb);
    vly_rows_sum(drec, p->t * n, 3 * h, p->grads + of.rb);
    if (p->dx != NULL)
        vly_affine_map_back(&input, dgates, p->dx, false);
    state.in = state.ldx = h;
    state.rows = (p->t - 1) * n;
    if (state.rows > 0)
        vly_affine_map_grads(&state, p->y, drec + n * 3 * h, p->grads + of.r);
    state.rows = n;
    if (p->state != NULL)
        vly_affine_map_grads(&state, p->state, drec, p->grads + of.r);
}

/* Y has a dimension of directions, [t, 1, n, h], which Squeeze takes out. */
static vly_status write_nodes(const vly_train_layer *l, const float *params, const float *running,
                              vly_train_net_writer *w, vly_err *err)
{
    int64_t h = l->out, w_dims[] = {1, 3 * h, l->in}, r_dims[] = {1, 3 * h, h};
    int64_t b_dims[] = {1, 6 * h};
    ranges of = ranges_of(l);
    vly_str in[6] = {w->value}, axes[2];
    vly_onnx_attr attrs[] = {
        {VLY_STR("hidden_size"), VLY_ONNX_ATTR_INT, 0, .i = h},
        {VLY_STR("linear_before_reset"), VLY_ONNX_ATTR_INT, 0, .i = 1},
    };

    (void)running;
    vly_status st = vly_train_write_tensor(w, "weight", 3, w_dims, params + of.w, &in[1], err);
    if (st == VLY_OK)
        st = vly_train_write_tensor(w, "recurrent", 3, r_dims, params + of.r, &in[2], err);
    if (st == VLY_OK)
        st = vly_train_write_tensor(w, "bias", 2, b_dims, params + of.wb, &in[3], err);
    if (st == VLY_OK)
        st = vly_train_write_gru(w, in, attrs, 2, &axes[0], err);
    if (st == VLY_OK)
        st = vly_train_write_ints(w, "axes", 1, (int64_t[]){1}, &axes[1], err);
    return st == VLY_OK ? vly_train_write_node(w, "Squeeze", axes, 2, NULL, 0, &w->value, err) : st;
}

const vly_train_layer_ops vly_train_gru = {
    .name = "gru",
    .shape = shape,
    .cache_floats = cache_floats,
    .scratch_floats = scratch_floats,
    .init = init,
    .forward = forward,
    .backward = backward,
    .write = write_nodes,
};
