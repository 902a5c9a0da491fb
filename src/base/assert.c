/* SPDX-License-Identifier: MIT */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void vly_assert_failed(const char *file, int line, const char *expr)
{
    fprintf(stderr, "volley: %s:%d: assertion failed: %s\n", file, line, expr);
    abort();
}
