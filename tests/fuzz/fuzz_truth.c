/* SPDX-License-Identifier: MIT */
/* Labels to measure with: COCO annotations, and YOLO lines. */
#include "tasks/truth_set.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vly_str text = {(const char *)data, size};
    vly_truth_image image = {0};
    vly_truth_set set;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, (size_t)64 << 20);
    (void)!vly_truth_parse_coco(text, "images", &arena, &set, NULL);
    if (vly_truth_parse_yolo(text, &arena, &image, NULL) == VLY_OK)
        vly_truth_image_scale(&image, 640, 480);
    vly_arena_release(&arena);
    return 0;
}
