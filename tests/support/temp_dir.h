/* SPDX-License-Identifier: MIT */
/* A directory of its own for a test. */
#ifndef VLY_TESTS_TEMP_DIR_H
#define VLY_TESTS_TEMP_DIR_H

#include <stdbool.h>

#define TEMP_DIR_PATH_MAX 64

/* Makes an empty directory and writes its path. */
bool temp_dir_make(char path[TEMP_DIR_PATH_MAX]);
/* Removes it with everything in it; links are not followed. */
bool temp_dir_remove(const char *path);

#endif
