/* SPDX-License-Identifier: MIT */
/* The truth of a recording of steps: what is accepted is in order and inside the recording. */
#include "base/assert.h"
#include "tasks/steps/step_dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vly_imu_reading readings[1000];
    vly_step_interval *steps;
    vly_arena arena;
    size_t n;

    for (size_t i = 0; i < 1000; i++)
        readings[i].t_us = (int64_t)i * 12500;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, (size_t)64 << 20);
    if (vly_step_truth_parse((vly_str){(const char *)data, size}, readings, 1000, &arena, &steps,
                             &n, NULL) == VLY_OK) {
        for (size_t i = 0; i < n; i++) {
            VLY_ASSERT(steps[i].start_us >= 0 && steps[i].start_us <= steps[i].end_us);
            VLY_ASSERT(steps[i].end_us <= 12487500);
            VLY_ASSERT(i == 0 || steps[i].start_us > steps[i - 1].start_us);
            VLY_ASSERT(i == 0 || steps[i].end_us > steps[i - 1].end_us);
        }
    }
    vly_arena_release(&arena);
    return 0;
}
