/* SPDX-License-Identifier: MIT */
/*
 * A model that exists only as its description and the outputs of one run, for tests of decoders.
 * Outputs are zero after fixture_output; a test writes its rows through fixture_at.
 */
#ifndef VLY_TESTS_TASK_FIXTURE_H
#define VLY_TESTS_TASK_FIXTURE_H

#include "tasks/task.h"

enum { FIXTURE_OUTPUTS_MAX = 12, FIXTURE_PROPERTIES_MAX = 8 };

typedef struct task_fixture {
    vly_arena model_arena;
    vly_arena arena;
    vly_model_io input;
    vly_model_io outputs[FIXTURE_OUTPUTS_MAX];
    vly_model_property properties[FIXTURE_PROPERTIES_MAX];
    vly_model_info info;
    vly_tensor tensors[FIXTURE_OUTPUTS_MAX];
    vly_task_config config;
    vly_decoder decoder;
    vly_detector_options opts;
    vly_letterbox_map map;
    size_t item;
    vly_observations seen;
    vly_err err;
} task_fixture;

/* Input [1, 3, height, width]; the picture is as large as the input, so coordinates stay. */
void fixture_init(task_fixture *f, int64_t width, int64_t height);
void fixture_release(task_fixture *f);
void fixture_property(task_fixture *f, const char *key, const char *value);
/* Adds an output of this shape, zeroed. */
void fixture_output(task_fixture *f, const char *name, const vly_shape *shape);
float *fixture_at(task_fixture *f, size_t output, size_t idx);
void fixture_set(task_fixture *f, size_t output, size_t idx, size_t n, const float *values);

/* Finds the task; asserts that it is this one. */
void fixture_expect_task(task_fixture *f, const char *name);
vly_status fixture_decode(task_fixture *f);
/* Decodes, asserts success and the number of detections. */
void fixture_expect_count(task_fixture *f, size_t n);
/* Detection i: class, confidence and box within 1e-4. */
void fixture_expect(const task_fixture *f, size_t i, int class_id, double confidence, double x1,
                    double y1, double x2, double y2);

#endif
