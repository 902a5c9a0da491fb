/* SPDX-License-Identifier: MIT */
/*
 * Discrete Fourier transforms of any length, in double precision.
 *
 * Powers of two by radix-2 Cooley-Tukey; other lengths by Bluestein's algorithm, which makes a
 * convolution of the next power of two above 2n of them: O(n log n) for every n.
 * A plan is bound to caller's memory and holds a work area: one thread at a time.
 */
#ifndef VLY_DSP_FFT_H
#define VLY_DSP_FFT_H

#include <stdbool.h>
#include <stddef.h>

#define VLY_FFT_MAX ((size_t)1 << 28)

typedef struct vly_fft {
    size_t n; /* length of the transform */
    size_t m; /* the power of two that is computed */
    bool is_inverse;
    double *twiddle; /* [m / 2] complex */
    double *chirp;   /* [n] complex; NULL when n == m */
    double *kernel;  /* [m] complex: transform of the chirp */
    double *work;    /* [m] complex */
} vly_fft;

/* Doubles of memory that a plan for n needs; 1 <= n <= VLY_FFT_MAX. */
size_t vly_fft_doubles(size_t n);
void vly_fft_init(vly_fft *f, size_t n, bool is_inverse, double *memory);
/* Transforms x[n] (real, imaginary, real ...) in place. The inverse is not divided by n. */
void vly_fft_run(const vly_fft *f, double *x);

#endif
