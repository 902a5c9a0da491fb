/* SPDX-License-Identifier: MIT */
/* Tiles of 12 accumulators of the sixteen registers; beside them the weights and one broadcast
 * input. */
#define DIRECT_TILES(X) TILES_12(X, 1) TILES_6(X, 2) TILES_4(X, 3)

enum { DIRECT_NB_MAX = 3, DIRECT_T_MAX = 12, DIRECT_ACC_MAX = 12 };

#include "dsp/x86/conv_direct.h"
