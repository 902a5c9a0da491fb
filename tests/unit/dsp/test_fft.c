/* SPDX-License-Identifier: MIT */
/* Transforms of many lengths against the sum that defines them. */
#include "dsp/fft.h"

#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = 300 };

static const double pi = 3.14159265358979323846;

static void by_definition(const double *x, size_t n, double sign, double *out)
{
    for (size_t k = 0; k < n; k++) {
        out[2 * k] = out[2 * k + 1] = 0.0;
        for (size_t i = 0; i < n; i++) {
            double a = sign * 2.0 * pi * (double)(i * k % n) / (double)n;
            out[2 * k] += x[2 * i] * cos(a) - x[2 * i + 1] * sin(a);
            out[2 * k + 1] += x[2 * i] * sin(a) + x[2 * i + 1] * cos(a);
        }
    }
}

static void every_length_both_ways(void **state)
{
    static double x[2 * N_MAX], got[2 * N_MAX], want[2 * N_MAX];

    (void)state;
    for (size_t i = 0; i < (size_t)2 * N_MAX; i++)
        x[i] = (double)((i * 7919) % 1000) / 500.0 - 1.0;
    for (size_t n = 1; n <= N_MAX; n += n < 70 ? 1 : 23) {
        for (int is_inverse = 0; is_inverse < 2; is_inverse++) {
            /* exactly as much as promised, so that AddressSanitizer sees more */
            double *memory = malloc(vly_fft_doubles(n) * sizeof(double));
            vly_fft f;
            assert_non_null(memory);
            vly_fft_init(&f, n, is_inverse != 0, memory);
            for (int again = 0; again < 2; again++) { /* a plan serves more than once */
                memcpy(got, x, 2 * n * sizeof(double));
                vly_fft_run(&f, got);
            }
            by_definition(x, n, is_inverse != 0 ? 1.0 : -1.0, want);
            for (size_t i = 0; i < 2 * n; i++)
                assert_true(fabs(got[i] - want[i]) < 1e-11);
            free(memory);
        }
    }
}

UNIT_TESTS(cmocka_unit_test(every_length_both_ways))
