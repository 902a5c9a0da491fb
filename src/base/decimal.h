/* SPDX-License-Identifier: MIT */
/*
 * A decimal number as it is written, before it becomes a float or an integer. Recordings hold
 * hundreds of thousands of them, and times that no double can hold: 1699999999123456789 ns.
 *
 * Pure functions. Thread: any.
 */
#ifndef VLY_BASE_DECIMAL_H
#define VLY_BASE_DECIMAL_H

#include "base/str.h"

/* (is_negative ? -1 : 1) * digits * 10^exp10 */
typedef struct vly_decimal {
    uint64_t digits; /* the first 19 significant ones */
    int32_t exp10;   /* -20000 .. 20000, wherever the text goes beyond */
    bool is_negative;
    bool is_cut; /* there were more digits */
} vly_decimal;

/* Digits with a point or, when is_comma_ok, a comma among them, a sign and an exponent; the whole
 * of s. False on anything else: blanks, inf, nan, hexadecimal. */
bool vly_decimal_parse(vly_str s, bool is_comma_ok, vly_decimal *ret);

/* Exactly the double that strtod gives; false: it takes more than one rounding to tell, or digits
 * are missing, so ask strtod. */
bool vly_decimal_to_f64(const vly_decimal *d, double *ret);

/* d * 10^shift, rounded to the nearest integer, halves away from zero; false: not an int64. */
bool vly_decimal_to_i64(const vly_decimal *d, int shift, int64_t *ret);

#endif
