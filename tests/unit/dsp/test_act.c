/* SPDX-License-Identifier: MIT */
/* Activations of every level against the same function in double, over floats of every sign and
 * exponent. */
#include "base/cpu.h"
#include "dsp/act.h"
#include "unit.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { CHUNK = 4096 };

static const unsigned levels[] = {0, VLY_CPU_AVX2, VLY_CPU_AVX2 | VLY_CPU_AVX512};
enum { LEVELS = 3 };

static vly_act_dsp dsp_of(int level)
{
    vly_act_dsp dsp;
    vly_act_dsp_init(&dsp, levels[level] & vly_cpu_flags());
    return dsp;
}

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof(f));
    return f;
}

/* Spacing of floats at |v|. */
static double ulp_of(double v)
{
    float a = fabsf((float)v);
    if (a < 0x1p-126F)
        a = 0x1p-126F;
    if (a > 0x1.fffffep126F)
        return 0x1p104;
    return (double)nextafterf(a, INFINITY) - (double)a;
}

static double error_in_ulps(float got, double want)
{
    if (isinf((float)want) ||
        isinf(got)) /* rounding to infinity begins half an ulp above FLT_MAX */
        return got == (float)want || want > 0x1.fffffcp127 ? 0.0 : HUGE_VAL;
    return fabs((double)got - want) / ulp_of(want);
}

/* Walks every 251st float from lo upwards and returns the worst error; NaN counts as infinite. */
static double worst_error(vly_act_fn *fn, double (*ref)(double), float lo)
{
    static float x[CHUNK], y[CHUNK];
    double worst = 0.0;
    uint64_t bits = 0;

    while (bits <= UINT32_MAX) {
        size_t n = 0;
        for (; n < CHUNK && bits <= UINT32_MAX; bits += 251) {
            float v = from_bits((uint32_t)bits);
            if (isfinite(v) && v > lo)
                x[n++] = v;
        }
        fn(x, y, n);
        for (size_t i = 0; i < n; i++) {
            double e = error_in_ulps(y[i], ref((double)x[i]));
            if (!(e <= worst))
                worst = isnan(e) ? HUGE_VAL : e;
        }
    }
    return worst;
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double silu(double x)
{
    return x / (1.0 + exp(-x));
}

static void errors_stay_within_bounds(void **state)
{
    (void)state;
    for (int i = 0; i < LEVELS; i++) {
        vly_act_dsp dsp = dsp_of(i);
        assert_true(worst_error(dsp.exp, exp, -INFINITY) <= 1.0);
        assert_true(worst_error(dsp.sigmoid, sigmoid, -88.7F) <= 3.0);
        assert_true(worst_error(dsp.silu, silu, -88.7F) <= 4.0);
        assert_true(worst_error(dsp.tanh, tanh, -INFINITY) <= 2.0);
        assert_true(worst_error(dsp.erf, erf, -INFINITY) <= 3.0);
    }
}

static double gelu(double x)
{
    return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

static void check_gelu(vly_act_fn *fn, double (*ref)(double))
{
    for (int i = -200000; i <= 200000; i++) {
        float x = (float)i * 1e-4F, y;
        fn(&x, &y, 1);
        double want = ref((double)x);
        assert_true(fabs((double)y - want) <= fmax(1e-6, 3e-7 * fabs(want)));
    }
}

static void gelu_stays_within_its_bounds(void **state)
{
    (void)state;
    for (int i = 0; i < LEVELS; i++) {
        check_gelu(dsp_of(i).gelu, gelu);
        check_gelu(dsp_of(i).gelu_tanh, gelu_tanh);
    }
}

static void check_special(const vly_act_dsp *dsp)
{
    const float in[4] = {INFINITY, -INFINITY, NAN, -0.0F};
    float y[4];

    dsp->exp(in, y, 4);
    assert_true(isinf(y[0]) && y[1] == 0.0F && isnan(y[2]) && y[3] == 1.0F);
    dsp->sigmoid(in, y, 4);
    assert_true(y[0] == 1.0F && y[1] == 0.0F && isnan(y[2]) && y[3] == 0.5F);
    dsp->silu(in, y, 4);
    assert_true(isinf(y[0]) && isnan(y[1]) && isnan(y[2]) && y[3] == 0.0F);
    dsp->tanh(in, y, 4);
    assert_true(y[0] == 1.0F && y[1] == -1.0F && isnan(y[2]) && y[3] == 0.0F && signbit(y[3]));
    dsp->erf(in, y, 4);
    assert_true(y[0] == 1.0F && y[1] == -1.0F && isnan(y[2]) && y[3] == 0.0F && signbit(y[3]));
}

static void special_values(void **state)
{
    (void)state;
    for (int i = 0; i < LEVELS; i++) {
        vly_act_dsp dsp = dsp_of(i);
        check_special(&dsp);
    }
}

/* One element at a time equals a whole array, and in place equals out of place. */
static void check_places(vly_act_fn *fn)
{
    float x[37], whole[37], one;

    for (int i = 0; i < 37; i++)
        x[i] = ((float)i - 18.0F) * 0.37F;
    fn(x, whole, 37);
    for (int i = 0; i < 37; i++) {
        fn(&x[i], &one, 1);
        assert_memory_equal(&one, &whole[i], sizeof(one));
    }
    fn(x, x, 37);
    assert_memory_equal(x, whole, sizeof(x));
}

static void length_and_place_do_not_matter(void **state)
{
    (void)state;
    for (int i = 0; i < LEVELS; i++) {
        vly_act_dsp dsp = dsp_of(i);
        check_places(dsp.exp);
        check_places(dsp.sigmoid);
        check_places(dsp.silu);
        check_places(dsp.tanh);
        check_places(dsp.erf);
        check_places(dsp.gelu);
        check_places(dsp.gelu_tanh);
    }
}

/* The plain functions are those of the CPU's level. */
static void plain_functions_take_the_best_level(void **state)
{
    float x[20], y[20], want[20];
    vly_act_dsp dsp;

    (void)state;
    vly_act_dsp_init(&dsp, vly_cpu_flags());
    for (int i = 0; i < 20; i++)
        x[i] = (float)i - 9.3F;
    vly_act_silu(x, y, 20);
    dsp.silu(x, want, 20);
    assert_memory_equal(y, want, sizeof(y));
    vly_act_gelu_tanh(x, y, 20);
    dsp.gelu_tanh(x, want, 20);
    assert_memory_equal(y, want, sizeof(y));
}

UNIT_TESTS(cmocka_unit_test(errors_stay_within_bounds),
           cmocka_unit_test(gelu_stays_within_its_bounds), cmocka_unit_test(special_values),
           cmocka_unit_test(length_and_place_do_not_matter),
           cmocka_unit_test(plain_functions_take_the_best_level))
