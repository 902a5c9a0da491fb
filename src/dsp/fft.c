/* SPDX-License-Identifier: MIT */
#include "dsp/fft.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

static size_t power_of_two_from(size_t n)
{
    size_t m = 1;
    while (m < n)
        m *= 2;
    return m;
}

static size_t length_computed(size_t n)
{
    size_t m = power_of_two_from(n);
    return m == n ? m : power_of_two_from(2 * n - 1);
}

size_t vly_fft_doubles(size_t n)
{
    size_t m = length_computed(n);
    return m == n ? m : m + 2 * n + 2 * m + 2 * m;
}

static void multiply(double *x, const double *w)
{
    double re = x[0] * w[0] - x[1] * w[1];
    x[1] = x[0] * w[1] + x[1] * w[0];
    x[0] = re;
}

/* x[i] and x[bit-reversed i] change places. */
static void reverse_bits(double *x, size_t m)
{
    for (size_t i = 0, j = 0; i < m; i++) {
        if (i < j) {
            double t[2];
            memcpy(t, x + 2 * i, sizeof(t));
            memcpy(x + 2 * i, x + 2 * j, sizeof(t));
            memcpy(x + 2 * j, t, sizeof(t));
        }
        size_t bit = m >> 1;
        for (; bit > 0 && (j & bit) != 0; bit >>= 1)
            j ^= bit;
        j |= bit;
    }
}

/* twiddle[k] = e^(-2 pi i k / m), or its conjugate. */
static void radix2(double *x, size_t m, const double *twiddle)
{
    reverse_bits(x, m);
    for (size_t half = 1; half < m; half *= 2) {
        size_t step = m / (2 * half);
        for (size_t block = 0; block < m; block += 2 * half) {
            for (size_t k = 0; k < half; k++) {
                double *a = x + 2 * (block + k), *b = a + 2 * half;
                double t[2] = {b[0], b[1]};
                multiply(t, twiddle + 2 * k * step);
                b[0] = a[0] - t[0];
                b[1] = a[1] - t[1];
                a[0] += t[0];
                a[1] += t[1];
            }
        }
    }
}

static void conjugate(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[2 * i + 1] = -x[2 * i + 1];
}

/* chirp[k] = e^(+-pi i k^2 / n). k^2 is kept modulo 2n: the angle stays exact for large k. */
static void make_chirp(vly_fft *f)
{
    double sign = f->is_inverse ? 1.0 : -1.0;
    size_t square = 0;

    for (size_t k = 0; k < f->n; k++) {
        double angle = sign * PI * (double)square / (double)f->n;
        f->chirp[2 * k] = cos(angle);
        f->chirp[2 * k + 1] = sin(angle);
        square = (square + 2 * k + 1) % (2 * f->n);
    }
}

/* The kernel of the convolution is the conjugate chirp, at 0..n-1 and mirrored at the end. */
static void make_kernel(vly_fft *f)
{
    memset(f->kernel, 0, 2 * f->m * sizeof(double));
    for (size_t k = 0; k < f->n; k++) {
        double *at[2] = {f->kernel + 2 * k, f->kernel + 2 * ((f->m - k) % f->m)};
        for (int i = 0; i < 2; i++) {
            at[i][0] = f->chirp[2 * k];
            at[i][1] = -f->chirp[2 * k + 1];
        }
    }
    radix2(f->kernel, f->m, f->twiddle);
}

void vly_fft_init(vly_fft *f, size_t n, bool is_inverse, double *memory)
{
    size_t m = length_computed(n);
    /* Bluestein's inner transforms go forwards whichever way the whole one goes */
    double sign = is_inverse && m == n ? 1.0 : -1.0;

    *f = (vly_fft){.n = n, .m = m, .is_inverse = is_inverse, .twiddle = memory};
    for (size_t k = 0; k < m / 2; k++) {
        double angle = sign * 2.0 * PI * (double)k / (double)m;
        f->twiddle[2 * k] = cos(angle);
        f->twiddle[2 * k + 1] = sin(angle);
    }
    if (m == n)
        return;
    f->chirp = memory + m;
    f->kernel = f->chirp + 2 * n;
    f->work = f->kernel + 2 * m;
    make_chirp(f);
    make_kernel(f);
}

void vly_fft_run(const vly_fft *f, double *x)
{
    if (f->chirp == NULL) {
        radix2(x, f->m, f->twiddle);
        return;
    }
    memset(f->work, 0, 2 * f->m * sizeof(double));
    for (size_t k = 0; k < f->n; k++) {
        memcpy(f->work + 2 * k, x + 2 * k, 2 * sizeof(double));
        multiply(f->work + 2 * k, f->chirp + 2 * k);
    }
    radix2(f->work, f->m, f->twiddle);
    for (size_t k = 0; k < f->m; k++)
        multiply(f->work + 2 * k, f->kernel + 2 * k);
    /* an inverse transform by a forward one between two conjugations */
    conjugate(f->work, f->m);
    radix2(f->work, f->m, f->twiddle);
    conjugate(f->work, f->n);
    for (size_t k = 0; k < f->n; k++) {
        x[2 * k] = f->work[2 * k] / (double)f->m;
        x[2 * k + 1] = f->work[2 * k + 1] / (double)f->m;
        multiply(x + 2 * k, f->chirp + 2 * k);
    }
}
