/* SPDX-License-Identifier: MIT */
#ifndef VLY_TESTS_FILE_BYTES_H
#define VLY_TESTS_FILE_BYTES_H

#include <stddef.h>

/* The whole file in a block of exactly its size (so that AddressSanitizer sees a byte read past the
 * end), which the caller frees with free(). Fails the running test when there is no such file. */
unsigned char *file_bytes(const char *path, size_t *ret_n);

#endif
