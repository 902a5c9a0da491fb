/* SPDX-License-Identifier: MIT */
/* Tiles of 24 accumulators, or 25, of the thirty-two registers; beside them the weights and one
 * broadcast input. With one vector of channels each product needs its own broadcast, and loads are
 * the limit: sixteen pixels are enough to hide the latency. */
#define DIRECT_TILES(X) TILES_16(X, 1) TILES_12(X, 2) TILES_8(X, 3) TILES_6(X, 4) TILES_5(X, 5)

enum { DIRECT_NB_MAX = 5, DIRECT_T_MAX = 16, DIRECT_ACC_MAX = 25 };

#include "dsp/x86/conv_direct.h"
