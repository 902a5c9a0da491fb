/* SPDX-License-Identifier: MIT */
/*
 * Assertions for programmer errors, on in release builds. Never for bytes from outside: those get a
 * vly_status. VLY_DEBUG_ASSERT is for hot loops and vanishes with NDEBUG.
 */
#ifndef VLY_BASE_ASSERT_H
#define VLY_BASE_ASSERT_H

/* Prints the place and the expression to stderr, then aborts. */
_Noreturn void vly_assert_failed(const char *file, int line, const char *expr);

#define VLY_ASSERT(expr) ((expr) ? (void)0 : vly_assert_failed(__FILE__, __LINE__, #expr))

#ifdef NDEBUG
#define VLY_DEBUG_ASSERT(expr) ((void)sizeof(expr))
#else
#define VLY_DEBUG_ASSERT(expr) VLY_ASSERT(expr)
#endif

#define VLY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
