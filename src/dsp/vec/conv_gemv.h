/* SPDX-License-Identifier: MIT */
/*
 * 1x1 convolution of one pixel, that is a matrix times a vector, in floats: the dense layers of a
 * sensor net that answers reading by reading.
 *
 * Each weight is used once, so loading them is the limit. NB vectors of outputs are summed in
 * NB * CHAINS registers, every chain over its own share of the inputs, so that the latency of the
 * additions stays hidden when NB is small.
 *
 * Packed weights: [block][c_in][vectors of the block * VF_LANES], zeros past the last channel. A
 * unit is one block.
 */
#ifndef VLY_DSP_VEC_CONV_GEMV_H
#define VLY_DSP_VEC_CONV_GEMV_H

#include "base/cpu.h"
#include "dsp/conv_list.h"
#include "dsp/vec/conv_finish.h"

#include <string.h>

enum { BLOCK = 8 }; /* vectors of a block; the last one has fewer */

static bool gemv_fits(const vly_conv_desc *d)
{
    return d->in == VLY_ELEM_F32 && d->is_flat && d->group == 1 &&
           (int64_t)d->n * d->h_out * d->w_out == 1;
}

static int gemv_vectors(const vly_conv_desc *d)
{
    return (d->c_out + VF_LANES - 1) / VF_LANES;
}

static int gemv_units(const vly_conv_desc *d)
{
    return (gemv_vectors(d) + BLOCK - 1) / BLOCK;
}

static size_t gemv_packed_bytes(const vly_conv_desc *d)
{
    return (size_t)d->c_in * (size_t)gemv_vectors(d) * VF_LANES * sizeof(float);
}

static void gemv_pack(const vly_conv_desc *d, const void *weights, void *packed)
{
    const float *w = weights;
    float *to = packed;

    for (int o = 0; o < d->c_out; o += BLOCK * VF_LANES) {
        int width = d->c_out - o < BLOCK * VF_LANES ? d->c_out - o : BLOCK * VF_LANES;
        int padded = (width + VF_LANES - 1) / VF_LANES * VF_LANES;
        for (int i = 0; i < d->c_in; i++, to += padded) {
            for (int j = 0; j < width; j++)
                to[j] = w[(int64_t)(o + j) * d->c_in + i];
            memset(to + width, 0, (size_t)(padded - width) * sizeof(float));
        }
    }
}

/* sums[nb * VF_LANES] = x[k] * w[k][nb * VF_LANES]; nb, chains: constants */
VF_INLINE void gemv_block(const float *x, const float *w, int k, float *sums, const int nb,
                          const int chains)
{
    vf acc[16];
    int i = 0;

    VF_UNROLL
    for (int j = 0; j < nb * chains; j++)
        acc[j] = vf_set(0.0f);
    for (; i + chains <= k; i += chains) {
        VF_UNROLL
        for (int c = 0; c < chains; c++) {
            vf v = vf_set(x[i + c]);
            VF_UNROLL
            for (int j = 0; j < nb; j++, w += VF_LANES)
                acc[c * nb + j] = vf_fma(v, vf_load(w), acc[c * nb + j]);
        }
    }
    for (; i < k; i++) {
        vf v = vf_set(x[i]);
        VF_UNROLL
        for (int j = 0; j < nb; j++, w += VF_LANES)
            acc[j] = vf_fma(v, vf_load(w), acc[j]);
    }
    VF_UNROLL
    for (int half = chains / 2; half > 0; half /= 2) {
        VF_UNROLL
        for (int j = 0; j < half * nb; j++)
            acc[j] = vf_add(acc[j], acc[half * nb + j]);
    }
    VF_UNROLL
    for (int j = 0; j < nb; j++)
        vf_store(sums + j * VF_LANES, acc[j]);
}

static void gemv_sums(const float *x, const float *w, int k, float *sums, int nb)
{
    switch (nb) {
    case 8:
        gemv_block(x, w, k, sums, 8, 1);
        break;
    case 7:
        gemv_block(x, w, k, sums, 7, 1);
        break;
    case 6:
        gemv_block(x, w, k, sums, 6, 2);
        break;
    case 5:
        gemv_block(x, w, k, sums, 5, 2);
        break;
    case 4:
        gemv_block(x, w, k, sums, 4, 2);
        break;
    case 3:
        gemv_block(x, w, k, sums, 3, 4);
        break;
    case 2:
        gemv_block(x, w, k, sums, 2, 4);
        break;
    default:
        gemv_block(x, w, k, sums, 1, 8);
        break;
    }
}

/* conv_finish, whose preparations would be a tenth of a small layer's time, only where it is
 * needed: not for floats with a bias and at most ReLU. */
static void gemv_finish(const vly_conv_call *call, const conv_tile *t)
{
    const bool is_relu = call->desc->act == VLY_ACT_RELU;
    const vf low = vf_set(is_relu ? 0.0f : -__builtin_inff());
    float *y = (float *)call->y->data + t->o;

    if (call->y->elem != VLY_ELEM_F32 || call->residual != NULL || call->scale != NULL ||
        call->bias == NULL || (call->desc->act != VLY_ACT_NONE && !is_relu)) {
        conv_finish(call, t);
        return;
    }
    for (int j = 0; j < t->n_o; j += VF_LANES) {
        const int m = vf_lanes(t->n_o - j);
        vf v = vf_add(vf_load(t->sums + j), vf_load_n(call->bias + t->o + j, m));
        vf_store_n(y + j, vf_max(low, v), m);
    }
}

static void gemv_run(const vly_conv_call *call, int begin, int end, void *scratch)
{
    const vly_conv_desc *d = call->desc;
    const float *x = call->x->data;
    const float *w =
        (const float *)call->packed + (size_t)begin * BLOCK * VF_LANES * (size_t)d->c_in;
    _Alignas(64) float sums[BLOCK * VF_LANES];
    conv_tile tile = {.sums = sums, .stride = BLOCK * VF_LANES, .count = 1};

    (void)scratch;
    for (int i = begin; i < end; i++, w += (size_t)BLOCK * VF_LANES * (size_t)d->c_in) {
        tile.o = i * BLOCK * VF_LANES;
        tile.n_o = d->c_out - tile.o < BLOCK * VF_LANES ? d->c_out - tile.o : BLOCK * VF_LANES;
        gemv_sums(x, w, d->c_in, sums, (tile.n_o + VF_LANES - 1) / VF_LANES);
        gemv_finish(call, &tile);
    }
}

const vly_conv_kernel VF_NAME(vly_conv_gemv) = {
    .name = "gemv " VF_TITLE,
    .cpu_flags = VF_CPU,
    .fits = gemv_fits,
    .packed_bytes = gemv_packed_bytes,
    .pack = gemv_pack,
    .units = gemv_units,
    .run = gemv_run,
};

#endif
