/* SPDX-License-Identifier: MIT */
/*
 * With v = n * 10^-k for an integer n of 6 to 9 digits: v * 10^k and n / 10^k are one rounding in
 * double away from the truth as long as 10^k is exact, which it is up to 10^22. That decides all
 * but the rare cases where the digit after the last is too close to a half, or where the double
 * that the digits stand for lies halfway between two floats; those, and very large and small
 * values, are left to the C library.
 */
#include "base/float_text.h"

#include "base/assert.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MIN 6
#define DIGITS_MAX 9
#define POWER_MAX  22

/* A scaled value is below 10^9, so its error is below 10^-6. */
#define TIE_MARGIN 1e-5

static const double powers[POWER_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                             1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                             1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

typedef struct decimal {
    uint32_t digits; /* n_digits of them, the first not 0 */
    int n_digits;
    int exponent; /* of the first digit: 123.456 has 2 */
} decimal;

/* v * 10^k */
static double scale(double v, int k)
{
    return k >= 0 ? v * powers[k] : v / powers[-k];
}

/* Rounds v > 0 to d->n_digits; d->exponent is a guess that is at most one too high or low. False:
 * it was, or the rounding is too close to call. */
static bool round_to(double v, decimal *d)
{
    int k = d->n_digits - 1 - d->exponent;

    if (k > POWER_MAX || k < -POWER_MAX)
        return false;
    double scaled = scale(v, k);
    uint32_t n = (uint32_t)(scaled + 0.5);
    uint32_t end = (uint32_t)powers[d->n_digits];
    if (fabs(fabs(scaled - n) - 0.5) < TIE_MARGIN || n < end / 10 || n > end)
        return false;
    d->digits = n < end ? n : end / 10; /* 999999.7 -> 1000000 */
    d->exponent += n == end;
    return true;
}

/* Does v read back from the digits? False for *ret_is_clear: not to be told from here. */
static bool reads_back(const decimal *d, float v, bool *ret_is_clear)
{
    double back = scale(d->digits, d->exponent - d->n_digits + 1);
    uint64_t bits;

    memcpy(&bits, &back, sizeof(bits));
    *ret_is_clear = (bits & 0x1fffffff) != 0x10000000; /* halfway between two floats */
    return (float)back == v;
}

static char *put_exponent(char *p, int x)
{
    *p++ = 'e';
    *p++ = x < 0 ? '-' : '+';
    *p++ = (char)('0' + abs(x) / 10);
    *p++ = (char)('0' + abs(x) % 10);
    return p;
}

/* As %g has it: plain from 0.0001 to below 10^n_digits, no zeros at the end of a fraction. */
static size_t print(const decimal *d, bool is_negative, char *text)
{
    char digits[DIGITS_MAX];
    int n = d->n_digits, x = d->exponent;
    bool is_plain = x >= -4 && x < n;
    uint32_t rest = d->digits;
    char *p = text;

    for (int i = n - 1; i >= 0; i--, rest /= 10)
        digits[i] = (char)('0' + rest % 10);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (is_negative)
        *p++ = '-';
    int first = is_plain && x < 0 ? x : 0;          /* the place of the first digit written */
    int last = is_plain && x > n - 1 ? x : n - 1;   /* and of the last */
    int point = is_plain ? (x < 0 ? first : x) : 0; /* the point stands behind this one */
    for (int i = first; i <= last; i++) {
        *p++ = i < 0 || i >= n ? '0' : digits[i];
        if (i == point && i < last)
            *p++ = '.';
    }
    if (!is_plain)
        p = put_exponent(p, x);
    *p = '\0';
    return (size_t)(p - text);
}

static size_t print_slowly(float v, char *text)
{
    int n = 0;

    for (int digits = DIGITS_MIN; digits <= DIGITS_MAX; digits++) {
        n = snprintf(text, VLY_F32_TEXT_MAX, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v)
            break;
    }
    return (size_t)n;
}

size_t vly_f32_text(float v, char text[VLY_F32_TEXT_MAX])
{
    double size = fabs((double)v);
    int exponent = size > 0 ? (int)floor(log10(size)) : 0;
    bool is_clear = size > 0;

    for (int n_digits = DIGITS_MIN; is_clear && n_digits <= DIGITS_MAX; n_digits++) {
        decimal d = {.n_digits = n_digits, .exponent = exponent};
        is_clear = round_to(size, &d);
        if (is_clear && reads_back(&d, fabsf(v), &is_clear) && is_clear)
            return print(&d, v < 0, text);
    }
    return print_slowly(v, text);
}
