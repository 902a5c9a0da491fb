/* SPDX-License-Identifier: MIT */
#include "file_bytes.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

unsigned char *file_bytes(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        fail_msg("cannot read '%s'", path);
    size_t n = (size_t)ftell(f);
    rewind(f);
    unsigned char *bytes = malloc(n != 0 ? n : 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, n, f), n);
    fclose(f);
    *ret_n = n;
    return bytes;
}
