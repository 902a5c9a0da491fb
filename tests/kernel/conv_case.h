/* SPDX-License-Identifier: MIT */
/*
 * One convolution to test kernels on: random operands as images, and what it must give, summed in
 * double precision (integers exactly) straight from plain arrays, without images or packed weights.
 *
 * Whatever a kernel may read but must not use is poisoned: NaN (VLY_ELEM_U8: 255) in the channels
 * beside a slice, in front of and behind the images. Whatever it must not write is CONV_GUARD.
 */
#ifndef VLY_TESTS_CONV_CASE_H
#define VLY_TESTS_CONV_CASE_H

#include "dsp/conv.h"

#define CONV_GUARD 0xa5

/* A description and what it leaves open. d.is_flat, d.h_out... as in dsp/conv.h. */
typedef struct conv_shape {
    vly_conv_desc d;
    int pad_bottom, pad_right;
    int border_more; /* border beyond what the taps need; flat: 0 */
    int skip, more;  /* channels of the wider images in front of and behind the slices */
    bool has_scale, has_bias;
    vly_elem residual;
} conv_shape;

typedef struct conv_image {
    vly_image view;
    unsigned char *bytes; /* owned */
    size_t n_bytes;
} conv_image;

typedef struct conv_case {
    conv_shape shape;
    int h, w;  /* of the input */
    double *x; /* [n][c_in][h][w] real values, or u8 - zero; owned, as the rest */
    double *w_real;
    void *weights; /* as vly_conv_kernel.pack takes them */
    double *r;     /* [n][h_out][w_out][c_out] */
    float *scale, *bias;
    uint8_t table[256];
    conv_image x_image, r_image;
    double *sum, *magnitude; /* [n][h_out][w_out][c_out]: sum of x * w, and of |x * w| */
    double *w_norm;          /* [c_out]: sum of |w| */
    double x_max;            /* largest |x| */
    vly_conv_call call;      /* all but packed and y */
} conv_case;

/* A number in 0..n-1 of the test's own sequence. */
uint32_t conv_random(uint32_t n);

void conv_case_init(conv_case *c, const conv_shape *shape);
void conv_case_release(conv_case *c);

/* An output image for the case, every byte CONV_GUARD. The same case makes the same layout. */
void conv_case_output(const conv_case *c, conv_image *ret_y);
void conv_image_release(conv_image *im);

/* Does output o of pixel p (of n * h_out * w_out) agree with what the case must give? `share` of
 * the magnitude is the error that the sum may have. */
bool conv_case_agrees(const conv_case *c, const conv_image *y, int64_t p, int o, double sum_error);

/* Is every byte of y that is no output element still CONV_GUARD? */
bool conv_case_is_guarded(const conv_case *c, const conv_image *y);

/* "3x3 s1 16>32 ..." into text. */
void conv_case_describe(const conv_case *c, char *text, size_t cap);

#endif
