/* SPDX-License-Identifier: MIT */
/*
 * One ONNX backend test case: a folder with model.onnx and test_data_set_<n>/, each holding
 * input_<i>.pb and output_<i>.pb (TensorProto). Tolerances are those of ONNX's own runner, but for
 * integers, bools and strings, which must be equal, and for two noisy references.
 */
#ifndef VLY_TESTS_CONFORMANCE_CASE_H
#define VLY_TESTS_CONFORMANCE_CASE_H

#include "base/status.h"

typedef enum verdict { CASE_PASSED, CASE_UNSUPPORTED, CASE_FAILED } verdict;

typedef struct case_result {
    verdict verdict;
    char reason[VLY_ERR_MSG_MAX]; /* of what did not pass: missing ops "Loop, Scan", or the error */
} case_result;

void case_run(const char *dir, case_result *ret);

#endif
