/* SPDX-License-Identifier: MIT */
/* Is a tensor what it should be? For verification against references. */
#ifndef VLY_TENSOR_COMPARE_H
#define VLY_TENSOR_COMPARE_H

#include "tensor/tensor.h"

#include <stdbool.h>

typedef struct vly_comparison {
    bool is_match;
    bool is_same_type; /* dtype and shape are equal; the rest is meaningless when not */
    uint64_t n_elements;
    uint64_t n_mismatches; /* elements outside the tolerance */
    uint64_t worst_idx;    /* flat index of the largest absolute error */
    double worst_abs;      /* |got - want| there; infinite where only one is finite */
} vly_comparison;

/* Floats match when |got - want| <= atol + rtol * |want|, NaN matches NaN, infinities their own
 * sign (numpy.testing.assert_allclose). Integers, bools, strings and 4- or 8-bit floats match when
 * they are equal. Thread: any. */
vly_comparison vly_tensor_compare(const vly_tensor *got, const vly_tensor *want, double rtol,
                                  double atol);

#endif
