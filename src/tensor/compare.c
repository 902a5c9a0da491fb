/* SPDX-License-Identifier: MIT */
#include "tensor/compare.h"

#include <math.h>

static void note(vly_comparison *c, uint64_t i, double abs_error, bool is_match)
{
    c->n_mismatches += !is_match;
    if (abs_error > c->worst_abs) {
        c->worst_abs = abs_error;
        c->worst_idx = i;
    }
}

static void compare_floats(const vly_tensor *got, const vly_tensor *want, double rtol, double atol,
                           vly_comparison *c)
{
    for (uint64_t i = 0; i < c->n_elements; i++) {
        double g = vly_tensor_get_f64(got, i), w = vly_tensor_get_f64(want, i);
        double d = fabs(g - w);
        if (g == w || (isnan(g) && isnan(w)))
            continue;
        if (!isfinite(g) || !isfinite(w))
            note(c, i, HUGE_VAL, false);
        else
            note(c, i, d, d <= atol + rtol * fabs(w));
    }
}

static void compare_strings(const vly_tensor *got, const vly_tensor *want, vly_comparison *c)
{
    const vly_str *g = got->data, *w = want->data;
    for (uint64_t i = 0; i < c->n_elements; i++)
        if (!vly_str_eq(g[i], w[i]))
            note(c, i, HUGE_VAL, false);
}

static void compare_ints(const vly_tensor *got, const vly_tensor *want, vly_comparison *c)
{
    for (uint64_t i = 0; i < c->n_elements; i++) {
        int64_t g = vly_tensor_get_i64(got, i), w = vly_tensor_get_i64(want, i);
        if (g != w)
            note(c, i, fabs((double)g - (double)w), false);
    }
}

static void compare_bytes(const vly_tensor *got, const vly_tensor *want, vly_comparison *c)
{
    const uint8_t *g = got->data, *w = want->data;
    for (size_t i = 0; i < got->bytes; i++)
        if (g[i] != w[i])
            note(c, i, HUGE_VAL, false);
}

vly_comparison vly_tensor_compare(const vly_tensor *got, const vly_tensor *want, double rtol,
                                  double atol)
{
    vly_comparison c = {.is_same_type =
                            got->dtype == want->dtype && vly_shape_eq(&got->shape, &want->shape)};

    if (!c.is_same_type)
        return c;
    c.n_elements = vly_tensor_count(got);
    if (vly_dtype_is_float(got->dtype))
        compare_floats(got, want, rtol, atol, &c);
    else if (got->dtype == VLY_DTYPE_STRING)
        compare_strings(got, want, &c);
    else if (vly_dtype_is_int(got->dtype) || got->dtype == VLY_DTYPE_BOOL)
        compare_ints(got, want, &c);
    else
        compare_bytes(got, want, &c);
    c.is_match = c.n_mismatches == 0;
    return c;
}
