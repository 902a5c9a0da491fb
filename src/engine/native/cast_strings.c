/* SPDX-License-Identifier: MIT */
#include "engine/native/cast_strings.h"

#include "base/bits.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { NUMBER_BYTES = 32 };

/* The shortest decimal that reads back as the same number, as numpy prints it. */
static int print_real(char *to, double v, bool is_float)
{
    char text[NUMBER_BYTES];

    if (isnan(v) || isinf(v))
        return snprintf(to, NUMBER_BYTES, "%s", isnan(v) ? "nan" : v > 0.0 ? "inf" : "-inf");
    for (int digits = 1; digits <= 17; digits++) {
        double back = 0.0;
        int n = snprintf(text, sizeof(text), "%.*e", digits - 1, v);
        bool ok = vly_str_to_f64((vly_str){text, (size_t)n}, &back);
        if (ok && (is_float ? (float)back == (float)v : back == v)) {
            int exponent = 0;
            const char *e = strchr(text, 'e');
            sscanf(e != NULL ? e + 1 : "0", "%d", &exponent);
            if (exponent < -4 || exponent >= 16)
                return snprintf(to, NUMBER_BYTES, "%s", text);
            int decimals = digits - 1 - exponent > 1 ? digits - 1 - exponent : 1;
            return snprintf(to, NUMBER_BYTES, "%.*f", decimals, v);
        }
    }
    return snprintf(to, NUMBER_BYTES, "%.17g", v);
}

static int print_number(const vly_tensor *t, uint64_t i, char *to)
{
    double v;

    if (t->dtype == VLY_DTYPE_BOOL)
        return snprintf(to, NUMBER_BYTES, "%s", vly_tensor_get_i64(t, i) != 0 ? "True" : "False");
    if (t->dtype == VLY_DTYPE_U64)
        return snprintf(to, NUMBER_BYTES, "%" PRIu64, ((const uint64_t *)t->data)[i]);
    if (vly_dtype_is_int(t->dtype))
        return snprintf(to, NUMBER_BYTES, "%" PRId64, vly_tensor_get_i64(t, i));
    vly_convert(t->dtype, vly_elem_at(t, (int64_t)i), VLY_DTYPE_F64, &v, 1, false);
    return print_real(to, v, t->dtype != VLY_DTYPE_F64);
}

vly_status vly_numbers_to_strings(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *in = ctx->in[0];
    uint64_t n = vly_tensor_count(in);
    size_t n_bytes;
    char *bytes;

    if (!vly_size_mul((size_t)n, NUMBER_BYTES, &n_bytes))
        return vly_fail(err, VLY_ELIMIT, "input 0 is too large");
    vly_status st = vly_op_out_alloc_strings(ctx, 0, &in->shape, n_bytes, &bytes, err);
    vly_str *out = ctx->out[0].data;
    for (uint64_t i = 0; st == VLY_OK && i < n; i++, bytes += NUMBER_BYTES)
        out[i] = (vly_str){bytes, (size_t)print_number(in, i, bytes)};
    return st;
}

vly_status vly_strings_to_numbers(vly_op_ctx *ctx, vly_err *err)
{
    const vly_str *in = ctx->in[0]->data;
    const vly_tensor *out = &ctx->out[0];
    uint64_t n = vly_tensor_count(out);

    for (uint64_t i = 0; i < n; i++) {
        void *to = vly_elem_at(out, (int64_t)i);
        int64_t whole;
        double v;
        if (vly_dtype_is_int(out->dtype) && vly_str_to_i64(in[i], &whole))
            vly_convert(VLY_DTYPE_I64, &whole, out->dtype, to, 1, false);
        else if (vly_str_to_f64(in[i], &v))
            vly_convert(VLY_DTYPE_F64, &v, out->dtype, to, 1, false);
        else
            return vly_fail(err, VLY_EINVAL, "'%.*s' is not a number",
                            in[i].len < 64 ? (int)in[i].len : 64, in[i].ptr);
    }
    return VLY_OK;
}
