/* SPDX-License-Identifier: MIT */
/*
 * Tiles of the direct convolution (dsp/vec/conv_direct.h), for the other kernels on vectors of
 * floats: T pixels times NB vectors of output channels, summed in registers.
 */
#ifndef VLY_DSP_VEC_CONV_TILES_H
#define VLY_DSP_VEC_CONV_TILES_H

#include "dsp/vec/vec.h"

/* What a tile reads, and where its sums go. */
typedef struct conv_taps {
    const float *x; /* tap (0, 0) of the first pixel */
    const float *w;
    float *sums;                   /* [T][NB * VF_LANES] */
    int64_t step;                  /* from pixel to pixel, elements */
    int64_t row_step, column_step; /* from tap to tap */
    int rows, columns, run;        /* taps; run: elements under one tap that are contiguous */
} conv_taps;

typedef void (*conv_tile_fn)(const conv_taps *t);

/* X(T, NB) for T = 1..the number in the name */
#define TILES_4(X, NB)  X(1, NB) X(2, NB) X(3, NB) X(4, NB)
#define TILES_5(X, NB)  TILES_4(X, NB) X(5, NB)
#define TILES_6(X, NB)  TILES_5(X, NB) X(6, NB)
#define TILES_8(X, NB)  TILES_6(X, NB) X(7, NB) X(8, NB)
#define TILES_12(X, NB) TILES_8(X, NB) X(9, NB) X(10, NB) X(11, NB) X(12, NB)
#define TILES_16(X, NB) TILES_12(X, NB) X(13, NB) X(14, NB) X(15, NB) X(16, NB)

/* Registers: NB weights, one input, T * NB sums. With NB = 1 each product needs its own broadcast,
 * and loads are the limit: sixteen pixels are enough to hide the latency. */
#if VF_REGISTERS == 32
enum { TILE_NB_MAX = 5, TILE_T_MAX = 16, TILE_ACC_MAX = 25 };
#define CONV_TILES(X) TILES_16(X, 1) TILES_12(X, 2) TILES_8(X, 3) TILES_6(X, 4) TILES_5(X, 5)
#else
enum { TILE_NB_MAX = 3, TILE_T_MAX = 12, TILE_ACC_MAX = 12 };
#define CONV_TILES(X) TILES_12(X, 1) TILES_6(X, 2) TILES_4(X, 3)
#endif

/* [NB][T], for 1 <= NB <= TILE_NB_MAX, 1 <= T <= tile_t_max(NB) */
extern const conv_tile_fn VF_NAME(vly_conv__tiles)[TILE_NB_MAX + 1][TILE_T_MAX + 1];

static inline int tile_t_max(int nb)
{
#if VF_REGISTERS == 32
    static const int most[] = {0, 16, 12, 8, 6, 5};
#else
    static const int most[] = {0, 12, 6, 4};
#endif
    return most[nb];
}

static inline int div_up(int a, int b)
{
    return (a + b - 1) / b;
}

/* Vectors of the block that starts with vector v: as few blocks as need be, of about one size. */
static inline int tile_block(int vectors, int v)
{
    return div_up(vectors - v, div_up(vectors - v, TILE_NB_MAX));
}

#endif
