/* SPDX-License-Identifier: MIT */
/*
 * Frame of the unit tests: cmocka, one executable per room, TAP out.
 *
 * A test file holds static test functions and ends with
 *     UNIT_TESTS(cmocka_unit_test(one_thing), cmocka_unit_test(another))
 * which registers them before main() starts; unit.c holds main() and runs all tests of the room as
 * one group. Adding a test file is one word in meson.build.
 */
#ifndef VLY_TESTS_UNIT_H
#define VLY_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these four first */
#include <cmocka.h>

#define UNIT_TESTS(...)                                                                            \
    __attribute__((constructor)) static void unit_register(void)                                   \
    {                                                                                              \
        static const struct CMUnitTest tests[] = {__VA_ARGS__};                                    \
        unit_add(tests, sizeof(tests) / sizeof(tests[0]));                                         \
    }

/* Registers n tests; borrows them for good. */
void unit_add(const struct CMUnitTest *tests, size_t n);

/* Path of an input that is too large for the tree: $VOLLEY_SHARED/rel, by default ../shared/rel
 * beside the source tree. Skips the running test, saying why, when there is none. Valid until the
 * next call. */
const char *unit_shared(const char *rel);

/* Path of a file of the source tree. Valid until the next call. */
const char *unit_source(const char *rel);

#endif
