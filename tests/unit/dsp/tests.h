/* SPDX-License-Identifier: MIT */
/* The groups of this room's test program: each runs its tests and returns how many failed. */
#ifndef VLY_TESTS_UNIT_DSP_TESTS_H
#define VLY_TESTS_UNIT_DSP_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int test_act(void);

#endif
