/* SPDX-License-Identifier: MIT */
/* The peak loops: which there are, that they run, and that what they tell is possible. */
#include "base/cpu.h"
#include "dsp/peak.h"
#include "unit.h"

#include <string.h>

/* More than any core of today: 6 GHz, and operations per cycle by the widest units known. */
static double most(const vly_peak_loop *loop)
{
    const double hz = 6e9;

    if (strcmp(loop->isa, "amx") == 0)
        return hz * (loop->kind == VLY_PEAK_BF16 ? 2048 : 4096) * 2;
    switch (loop->kind) {
    case VLY_PEAK_F32:
        return hz * 128;
    case VLY_PEAK_BF16:
        return hz * 256;
    case VLY_PEAK_INT8:
        return hz * 512;
    case VLY_PEAK_N:
        break;
    }
    fail_msg("loop '%s' has no kind", loop->isa);
    return 0;
}

static void measures_what_is_possible(void **state)
{
    (void)state;
    vly_peak_dsp dsp;

    vly_peak_dsp_init(&dsp, vly_cpu_flags());
    for (size_t i = 0; i < dsp.n_loops; i++) {
        double rate = vly_peak_measure(&dsp.loops[i], VLY_NSEC_PER_MS);
        if (rate < 1e7 || rate > most(&dsp.loops[i]))
            fail_msg("loop '%s': %.3g operations per second", dsp.loops[i].isa, rate);
    }
}

static size_t count(unsigned flags, vly_peak_kind kind)
{
    vly_peak_dsp dsp;
    size_t n = 0;

    vly_peak_dsp_init(&dsp, flags);
    for (size_t i = 0; i < dsp.n_loops; i++)
        n += dsp.loops[i].kind == kind;
    return n;
}

static void lists_what_the_flags_allow(void **state)
{
    (void)state;
    const unsigned avx512 = VLY_CPU_AVX2 | VLY_CPU_AVX512;
    const unsigned zen = avx512 | VLY_CPU_AVX512_VNNI | VLY_CPU_AVX512_BF16;

    assert_int_equal(count(0, VLY_PEAK_F32), 1);
    assert_int_equal(count(0, VLY_PEAK_BF16) + count(0, VLY_PEAK_INT8), 0);
#if defined(__x86_64__)
    assert_int_equal(count(VLY_CPU_AVX2, VLY_PEAK_F32), 2);
    assert_int_equal(count(VLY_CPU_AVX2, VLY_PEAK_INT8), 1);
    assert_int_equal(count(VLY_CPU_AVX2 | VLY_CPU_AVX_VNNI, VLY_PEAK_INT8), 2);
    assert_int_equal(count(avx512, VLY_PEAK_F32), 3);
    assert_int_equal(count(avx512, VLY_PEAK_BF16), 0);
    assert_int_equal(count(zen, VLY_PEAK_BF16), 1);
    assert_int_equal(count(zen, VLY_PEAK_INT8), 2);
    assert_int_equal(count(zen | VLY_CPU_AMX, VLY_PEAK_BF16), 2);
    assert_int_equal(count(zen | VLY_CPU_AMX | VLY_CPU_AVX_VNNI, VLY_PEAK_INT8), 4);
#else
    (void)zen;
#endif
}

#if defined(__x86_64__)
/* Kernels may keep their tiles configured: the probe gives a thread its configuration back. */
static void tile_configuration_survives(void **state)
{
    (void)state;
    unsigned char mine[64] = {0}, after[64] = {0};
    const unsigned char none[64] = {0};
    vly_peak_dsp dsp;

    if ((vly_cpu_flags() & VLY_CPU_AMX) == 0)
        skip();
    mine[0] = 1;   /* palette */
    mine[16] = 32; /* bytes of a row of tile 0 */
    mine[48] = 7;  /* rows of tile 0 */
    __asm__ volatile("ldtilecfg %0" : : "m"(mine));
    vly_peak_dsp_init(&dsp, vly_cpu_flags());
    for (size_t i = 0; i < dsp.n_loops; i++)
        dsp.loops[i].run(1);
    __asm__ volatile("sttilecfg %0" : "+m"(after));
    __asm__ volatile("ldtilecfg %0" : : "m"(none));
    assert_memory_equal(after, mine, sizeof(mine));
}
#else
static void tile_configuration_survives(void **state)
{
    (void)state;
    skip();
}
#endif

UNIT_TESTS(cmocka_unit_test(measures_what_is_possible),
           cmocka_unit_test(lists_what_the_flags_allow),
           cmocka_unit_test(tile_configuration_survives))
