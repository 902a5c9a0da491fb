/* SPDX-License-Identifier: MIT */
/* Random sliding windows for tests, and the plainest way to walk over them. */
#ifndef VLY_TESTS_UNIT_DSP_WINDOWS_H
#define VLY_TESTS_UNIT_DSP_WINDOWS_H

#include "dsp/im2col.h"

#include <stdbool.h>

/* Numbers that repeat from run to run: seed any non-zero state. */
uint32_t next_random(uint32_t *state);
float random_float(uint32_t *state); /* -1..1 */

/* Sizes 1..7, kernels 1..4, strides and dilations 1..3, pads 0..2; every output position exists. */
vly_window random_window(uint32_t *state);

/* Input offset of output position `out` under kernel tap `tap` (both row-major); false: off the
 * image. */
bool window_source(const vly_window *w, int64_t out, int64_t tap, int64_t *ret_in);

#endif
