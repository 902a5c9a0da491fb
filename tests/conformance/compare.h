/* SPDX-License-Identifier: MIT */
/* Comparing an output with its reference. */
#ifndef VLY_TESTS_CONFORMANCE_COMPARE_H
#define VLY_TESTS_CONFORMANCE_COMPARE_H

#include "base/status.h"
#include "tensor/tensor.h"

#define ATOL 1e-7 /* of ONNX's runner */

/* dtype and shape must be equal; elements as case.h says. EINVAL tells the first difference. */
vly_status compare_tensors(const vly_tensor *got, const vly_tensor *want, double atol,
                           vly_err *err) VLY_MUST_CHECK;

#endif
