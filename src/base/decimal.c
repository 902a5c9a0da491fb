/* SPDX-License-Identifier: MIT */
#include "base/decimal.h"

#include "base/assert.h"

#define DIGITS_MAX    19 /* of them any number fits into 64 bits */
#define EXP_MAX       20000
#define EXP_EXACT_MAX 22 /* 10^22 is the last power of ten that a double holds exactly */
#define EXACT_MAX     (UINT64_C(1) << 53)

static const double powers[EXP_EXACT_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits from *p on, into d; those behind the point (is_fraction) count its exponent down. */
static size_t take_digits(const char **p, const char *end, bool is_fraction, vly_decimal *d)
{
    const char *begin = *p;
    const char *at = begin;
    uint64_t v = d->digits;
    int32_t exp10 = d->exp10;

    for (; at < end && is_digit(*at); at++) {
        if (v < UINT64_C(1000000000000000000)) {
            v = v * 10 + (uint64_t)(*at - '0');
            exp10 -= is_fraction;
        } else {
            d->is_cut = d->is_cut || *at != '0';
            exp10 += !is_fraction && exp10 < EXP_MAX;
        }
    }
    d->digits = v;
    d->exp10 = exp10;
    *p = at;
    return (size_t)(at - begin);
}

static bool take_exponent(const char **p, const char *end, int32_t *exp10)
{
    const char *at = *p + 1;
    bool is_negative = at < end && *at == '-';
    int32_t e = 0;

    at += at < end && (*at == '-' || *at == '+');
    if (at == end)
        return false;
    for (; at < end && is_digit(*at); at++)
        if (e < EXP_MAX)
            e = e * 10 + (*at - '0');
    *exp10 += is_negative ? -e : e;
    *p = at;
    return true;
}

static int32_t clamp(int32_t exp10)
{
    return exp10 > EXP_MAX ? EXP_MAX : exp10 < -EXP_MAX ? -EXP_MAX : exp10;
}

bool vly_decimal_parse(vly_str s, bool is_comma_ok, vly_decimal *ret)
{
    vly_decimal d = {0};
    const char *p = s.ptr;
    const char *end = s.len > 0 ? p + s.len : p;

    if (s.len == 0 || s.len > EXP_MAX)
        return false;
    d.is_negative = *p == '-';
    p += *p == '-' || *p == '+';
    size_t n = take_digits(&p, end, false, &d);
    if (p < end && (*p == '.' || (is_comma_ok && *p == ','))) {
        p++;
        n += take_digits(&p, end, true, &d);
    }
    if (n == 0)
        return false;
    if (p < end && (*p == 'e' || *p == 'E') && !take_exponent(&p, end, &d.exp10))
        return false;
    if (p < end)
        return false;
    d.exp10 = clamp(d.exp10);
    *ret = d;
    return true;
}

/* One multiplication or division of two exact doubles rounds once, as strtod does. */
bool vly_decimal_to_f64(const vly_decimal *d, double *ret)
{
    if (d->is_cut || d->digits > EXACT_MAX || d->exp10 < -EXP_EXACT_MAX || d->exp10 > EXP_EXACT_MAX)
        return false;
    double v = (double)d->digits;
    v = d->exp10 < 0 ? v / powers[-d->exp10] : v * powers[d->exp10];
    *ret = d->is_negative ? -v : v;
    return true;
}

bool vly_decimal_to_i64(const vly_decimal *d, int shift, int64_t *ret)
{
    VLY_ASSERT(shift >= -DIGITS_MAX && shift <= DIGITS_MAX);
    int32_t e = d->exp10 + shift;
    uint64_t v = d->digits;

    if (e < 0) {
        uint64_t by = 1;
        for (; e < 0 && by <= v; e++)
            by *= 10; /* at most 10^19: v has 19 digits */
        uint64_t rest = v % by;
        v = e < 0 ? 0 : v / by + (rest >= by - rest);
    }
    for (; e > 0 && v > 0; e--)
        if (__builtin_mul_overflow(v, 10, &v))
            return false;
    if (v > (uint64_t)INT64_MAX)
        return false;
    *ret = d->is_negative ? -(int64_t)v : (int64_t)v;
    return true;
}
