/* SPDX-License-Identifier: MIT */
/* Random numbers, against a published example and what their distributions must be. */
#include "base/rng.h"
#include "unit.h"

#include <math.h>

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%.9g, expected %.9g", got, want);
}

/* The published example of PCG32: seed 42, stream 54. */
static void random_numbers(void **state)
{
    const uint32_t want[] = {0xa15c02b7, 0x7b47f409, 0xba1d3330,
                             0x83d2f293, 0xbfa4784b, 0xcbed606e};
    vly_rng r;
    double sum = 0, square = 0, noise = 0;

    (void)state;
    vly_rng_init(&r, 42, 54);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(vly_rng_next(&r), want[i]);
    for (int i = 0; i < 100000; i++) {
        double x = (double)vly_rng_normal(&r);
        sum += x;
        square += x * x;
        double y = (double)vly_rng_noise(&r);
        noise += y * y;
        assert_in_range(vly_rng_below(&r, 7), 0, 6);
        float u = vly_rng_uniform(&r);
        assert_true(u >= 0 && u < 1);
    }
    near(sum / 1e5, 0, 0.015); /* 5 deviations of the mean */
    near(square / 1e5, 1, 0.025);
    near(noise / 1e5, 1, 0.025);
    assert_int_not_equal(vly_rng_mix(1, 2), vly_rng_mix(2, 1));
}

UNIT_TESTS(cmocka_unit_test(random_numbers))
