/* SPDX-License-Identifier: MIT */
/* Finding test cases. */
#ifndef VLY_TESTS_CONFORMANCE_WALK_H
#define VLY_TESTS_CONFORMANCE_WALK_H

/* Calls visit with the path and the last name of each folder in dir that holds a model.onnx, sorted
 * by name. Returns how many there were, -1 when dir cannot be read. */
int walk_cases(const char *dir, void (*visit)(const char *path, const char *name, void *arg),
               void *arg);

#endif
