/* SPDX-License-Identifier: MIT */
/* Softmax on vectors, compiled once per instruction set. */
#include "dsp/vec/vec_act.h"
#include "dsp/vec/vec_isa.h"

#include <math.h>

/* NaN does not count. */
static float row_max(const float *x, int64_t n)
{
    float lanes[VF_LANES], max = -INFINITY;
    vf m = vf_set(-INFINITY);
    int64_t i = 0;

    for (; i + VF_LANES <= n; i += VF_LANES)
        m = vf_max(vf_load(x + i), m);
    vf_store(lanes, m);
    for (int k = 0; k < VF_LANES; k++)
        max = lanes[k] > max ? lanes[k] : max;
    for (; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

static void softmax_row(const float *x, int64_t n, float *y)
{
    vf max = vf_set(row_max(x, n)), sum = vf_set(0.0f);
    float last = 0.0f;

    for (int64_t i = 0; i < n; i += VF_LANES) {
        int m = vf_lanes(n - i);
        vf e = vf_exp(vf_sub(vf_load_n(x + i, m), max));
        vf_store_n(y + i, e, m);
        if (m == VF_LANES)
            sum = vf_add(sum, e);
        else
            last = vf_sum(vf_load_n(y + i, m)); /* the lanes behind the end as 0 */
    }
    vf scale = vf_set(vf_sum(sum) + last);
    for (int64_t i = 0; i < n; i += VF_LANES) {
        int m = vf_lanes(n - i);
        vf_store_n(y + i, vf_div(vf_load_n(y + i, m), scale), m);
    }
}

/* Rows of at most VF_LANES: as many at once, one in each lane. */
static void softmax_short_rows(const float *x, int64_t outer, int64_t n, float *y)
{
    for (int64_t i = 0; i < outer; i += VF_LANES) {
        int rows = vf_lanes(outer - i);
        vf t[VF_LANES], max = vf_set(-INFINITY), sum = vf_set(0.0f);
        for (int k = 0; k < VF_LANES; k++)
            t[k] = k < rows ? vf_load_n(x + (i + k) * n, n) : vf_set(0.0f);
        vf_transpose(t);
        for (int k = 0; k < n; k++)
            max = vf_max(t[k], max);
        for (int k = 0; k < n; k++) {
            t[k] = vf_exp(vf_sub(t[k], max));
            sum = vf_add(sum, t[k]);
        }
        for (int k = 0; k < n; k++)
            t[k] = vf_div(t[k], sum);
        vf_transpose(t);
        for (int k = 0; k < rows; k++)
            vf_store_n(y + (i + k) * n, t[k], n);
    }
}

static void softmax_rows(const float *x, int64_t outer, int64_t n, float *y)
{
    if (n <= VF_LANES) {
        softmax_short_rows(x, outer, n, y);
        return;
    }
    for (int64_t i = 0; i < outer; i++)
        softmax_row(x + i * n, n, y + i * n);
}

static void softmax_columns(const float *x, int64_t n, int64_t inner, float *y)
{
    for (int64_t j = 0; j < inner; j += VF_LANES) {
        int m = vf_lanes(inner - j);
        vf max = vf_load_n(x + j, m), sum = vf_set(0.0f);
        for (int64_t i = 1; i < n; i++)
            max = vf_max(vf_load_n(x + i * inner + j, m), max);
        for (int64_t i = 0; i < n; i++) {
            vf e = vf_exp(vf_sub(vf_load_n(x + i * inner + j, m), max));
            vf_store_n(y + i * inner + j, e, m);
            sum = vf_add(sum, e);
        }
        for (int64_t i = 0; i < n; i++) {
            vf e = vf_load_n(y + i * inner + j, m);
            vf_store_n(y + i * inner + j, vf_div(e, sum), m);
        }
    }
}

void VF_NAME(vly_softmax_dsp_init)(vly_softmax_dsp *dsp)
{
    *dsp = (vly_softmax_dsp){softmax_rows, softmax_columns};
}
