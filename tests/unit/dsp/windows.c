/* SPDX-License-Identifier: MIT */
#include "dsp/windows.h"

uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

float random_float(uint32_t *state)
{
    return (float)next_random(state) * 0x1p-23f - 1.0f;
}

vly_window random_window(uint32_t *state)
{
    vly_window w = VLY_WINDOW_INIT;
    int first = (int)(next_random(state) % 3); /* so many dimensions are left at 1 */

    for (int d = first; d < 3; d++) {
        w.kernel[d] = 1 + next_random(state) % 4;
        w.stride[d] = 1 + next_random(state) % 3;
        w.dilation[d] = 1 + next_random(state) % 3;
        w.pad[d] = next_random(state) % 3;
        int64_t end_pad = next_random(state) % 3, reach = (w.kernel[d] - 1) * w.dilation[d] + 1;
        w.in[d] = 1 + next_random(state) % 7;
        if (w.in[d] + w.pad[d] + end_pad < reach)
            w.in[d] = reach;
        w.out[d] = (w.in[d] + w.pad[d] + end_pad - reach) / w.stride[d] + 1;
    }
    return w;
}

bool window_source(const vly_window *w, int64_t out, int64_t tap, int64_t *ret_in)
{
    int64_t in = 0, scale = 1;

    for (int d = 2; d >= 0; d--) {
        int64_t at =
            out % w->out[d] * w->stride[d] + tap % w->kernel[d] * w->dilation[d] - w->pad[d];
        if (at < 0 || at >= w->in[d])
            return false;
        in += at * scale;
        scale *= w->in[d];
        out /= w->out[d];
        tap /= w->kernel[d];
    }
    *ret_in = in;
    return true;
}
