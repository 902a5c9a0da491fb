/* SPDX-License-Identifier: MIT */
#include "conformance/compare.h"

#include "tensor/convert.h"

#include <inttypes.h>
#include <math.h>

#define RTOL      1e-3
#define ATOL      1e-7
#define RTOL_BF16 0x1p-6 /* two units in the last place */

static bool is_close(double got, double want, double rtol, double atol)
{
    if (isnan(want) || isinf(want))
        return isnan(want) ? isnan(got) : got == want;
    return fabs(got - want) <= atol + rtol * fabs(want);
}

/* Element i of a type with whole-byte elements, as double. */
static double element(const vly_tensor *t, uint64_t i)
{
    size_t size = vly_dtype_bits(t->dtype) / 8;
    double v;

    vly_convert(t->dtype, (const unsigned char *)t->data + i * size, VLY_DTYPE_F64, &v, 1, false);
    return v;
}

static vly_status compare_reals(const vly_tensor *got, const vly_tensor *want, double atol,
                                vly_err *err)
{
    double rtol = want->dtype == VLY_DTYPE_BF16 ? RTOL_BF16 : RTOL;
    uint64_t n = vly_tensor_count(want), n_bad = 0, first = 0;

    for (uint64_t i = 0; i < n; i++)
        if (!is_close(element(got, i), element(want, i), rtol, atol) && n_bad++ == 0)
            first = i;
    if (n_bad == 0)
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL,
                    "%" PRIu64 " of %" PRIu64 " elements differ, first [%" PRIu64
                    "]: expected %.9g, got %.9g",
                    n_bad, n, first, element(want, first), element(got, first));
}

static vly_status compare_strings(const vly_tensor *got, const vly_tensor *want, vly_err *err)
{
    const vly_str *g = got->data, *w = want->data;

    for (uint64_t i = 0; i < vly_tensor_count(want); i++)
        if (!vly_str_eq(g[i], w[i]))
            return vly_fail(err, VLY_EINVAL, "element %" PRIu64 ": expected '%.*s', got '%.*s'", i,
                            VLY_STR_ARG(w[i]), VLY_STR_ARG(g[i]));
    return VLY_OK;
}

static vly_status compare_exact(const vly_tensor *got, const vly_tensor *want, vly_err *err)
{
    uint64_t n = vly_tensor_count(want);

    if (want->bytes == 0 || memcmp(got->data, want->data, want->bytes) == 0)
        return VLY_OK;
    for (uint64_t i = 0; i < n && vly_dtype_bits(want->dtype) >= 8; i++) {
        int64_t g = vly_tensor_get_i64(got, i), w = vly_tensor_get_i64(want, i);
        if (g != w)
            return vly_fail(err, VLY_EINVAL,
                            "element %" PRIu64 " of %" PRIu64 ": expected %" PRId64
                            ", got %" PRId64,
                            i, n, w, g);
    }
    return vly_fail(err, VLY_EINVAL, "bytes differ");
}

vly_status compare_tensors(const vly_tensor *got, const vly_tensor *want, double atol, vly_err *err)
{
    char text_g[VLY_SHAPE_TEXT_MAX], text_w[VLY_SHAPE_TEXT_MAX];

    if (got->dtype != want->dtype || !vly_shape_eq(&got->shape, &want->shape))
        return vly_fail(err, VLY_EINVAL, "expected %s %s, got %s %s", vly_dtype_name(want->dtype),
                        vly_shape_text(&want->shape, text_w), vly_dtype_name(got->dtype),
                        vly_shape_text(&got->shape, text_g));
    if (want->dtype == VLY_DTYPE_STRING)
        return compare_strings(got, want, err);
    bool is_exact = vly_dtype_is_int(want->dtype) || want->dtype == VLY_DTYPE_BOOL ||
                    vly_dtype_bits(want->dtype) < 8 || !vly_dtype_is_real(want->dtype);
    return is_exact ? compare_exact(got, want, err) : compare_reals(got, want, atol, err);
}
