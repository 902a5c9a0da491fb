/* SPDX-License-Identifier: MIT */
/*
 * Values inside a model's metadata_props, as exporters write them: Python literals such as
 * {0: 'person', 1: 'bicycle'}, ['a', "b"], [640, 640], (17, 3), or the same in JSON.
 *
 * The text is outside data: one pass, no recursion (nothing nested is accepted), no allocation but
 * the result in the arena. Thread: any.
 */
#ifndef VLY_TASKS_METADATA_H
#define VLY_TASKS_METADATA_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#define VLY_METADATA_NAMES_MAX 65536

/*
 * Names by class: a list of strings, or a dictionary from integers (in JSON, quoted integers) to
 * strings. Accepts quotes of both kinds with the escapes \\ \' \" \n \r \t \/ \xHH \uHHHH
 * \UHHHHHHHH; strings come out as UTF-8 (a surrogate pair is one character). A dictionary may leave
 * gaps and come in any order: absent names are empty views; of equal keys the last wins. EFORMAT:
 * anything else, with the offset; ELIMIT: a key or count of VLY_METADATA_NAMES_MAX or more; ENOMEM.
 * ret_names and its strings live in the arena.
 */
vly_status vly_metadata_names(vly_str text, vly_arena *arena, const vly_str **ret_names,
                              size_t *ret_count, vly_err *err) VLY_MUST_CHECK;

/* Integers in [..] or (..), or one bare integer. EFORMAT: anything else, or more than max of them;
 * ret_values is then unspecified. */
vly_status vly_metadata_ints(vly_str text, int64_t *ret_values, size_t max, size_t *ret_count,
                             vly_err *err) VLY_MUST_CHECK;

#endif
