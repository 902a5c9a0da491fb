/* SPDX-License-Identifier: MIT */
#include "dsp/peak.h"

#include "base/assert.h"

#include <stdbool.h>
#if defined(__x86_64__)
#include "dsp/x86/peak_x86.h"
#endif

#define PIECE_NS VLY_NSEC_PER_MS

enum { C_LANES = 32 };

/* What the compiler makes of it at the architecture's base level. */
static void run_f32_c(size_t n_rounds)
{
    float sum[C_LANES] = {0}, x[C_LANES];

    for (int i = 0; i < C_LANES; i++)
        x[i] = (float)i;
    do {
        for (int i = 0; i < C_LANES; i++)
            sum[i] = sum[i] * 0.5f + x[i];
        __asm__ volatile("" : "+r"(n_rounds)); /* every round happens */
    } while (--n_rounds > 0);
    __asm__ volatile("" : : "r"(sum) : "memory");
}

void vly_peak_dsp_init(vly_peak_dsp *dsp, unsigned cpu_flags)
{
    *dsp = (vly_peak_dsp){.n_loops = 1, .loops = {{VLY_PEAK_F32, "c", 2 * C_LANES, run_f32_c}}};
#if defined(__x86_64__)
    vly_peak_dsp_init_x86(dsp, cpu_flags);
#else
    (void)cpu_flags;
#endif
    VLY_ASSERT(dsp->n_loops <= VLY_PEAK_LOOPS_MAX);
}

static vly_nsec time_rounds(const vly_peak_loop *loop, size_t n_rounds)
{
    vly_nsec start = vly_clock_now();
    loop->run(n_rounds);
    return vly_clock_now() - start;
}

double vly_peak_measure(const vly_peak_loop *loop, vly_nsec budget)
{
    vly_nsec start = vly_clock_now(), piece;
    size_t n_rounds = 64;
    double best = 0;

    while (time_rounds(loop, n_rounds) < PIECE_NS)
        n_rounds *= 2;
    do {
        piece = time_rounds(loop, n_rounds);
        double rate = loop->ops * (double)n_rounds * 1e9 / (double)piece;
        best = rate > best ? rate : best;
    } while (vly_clock_now() - start < budget);
    return best;
}
