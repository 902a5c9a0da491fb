/* SPDX-License-Identifier: MIT */
/*
 * Protobuf text format (Triton's config.pbtxt) -> a tree that knows no schema.
 *
 * Accepts the text format language of protobuf.dev: comments, "name: value", "name { }", "name <
 * >", "name: [a, b]", adjacent strings joined, every escape, "," or ";" behind a field,
 * [extension.names]. Numbers and identifiers are kept as text: only a schema tells whether "1" is
 * an int or a float. A list is read as the repeated field it stands for: "dims: [1, 2]" gives two
 * fields "dims".
 *
 * Owns nothing: the tree lives in the caller's arena, whose budget limits it; names and unescaped
 * values are views into the text. Both must outlive the tree.
 * Thread: any. Errors: EFORMAT with "line:column: ", ELIMIT (nesting, arena), ENOMEM.
 */
#ifndef VLY_CODEC_PBTXT_H
#define VLY_CODEC_PBTXT_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define VLY_PBTXT_DEPTH_MAX 64

typedef enum vly_pbtxt_kind {
    VLY_PBTXT_NUMBER,  /* 12, -0x1f, 1.5e3f */
    VLY_PBTXT_IDENT,   /* true, TYPE_FP32, inf */
    VLY_PBTXT_STRING,  /* unescaped; may hold any byte */
    VLY_PBTXT_MESSAGE, /* has fields, no text */
} vly_pbtxt_kind;

/* One field, and when it is a message the list of what it holds, in the file's order. The root is a
 * message without a name. */
typedef struct vly_pbtxt vly_pbtxt;
struct vly_pbtxt {
    vly_str name; /* "max_batch_size", "[some.extension]" */
    vly_pbtxt_kind kind;
    bool is_negative;      /* NUMBER and IDENT: a "-" stood before text */
    uint32_t line, column; /* of the name, from 1; column counts bytes */
    vly_str text;
    const vly_pbtxt *first; /* MESSAGE: its fields; NULL: none */
    const vly_pbtxt *next;  /* next field of the same message */
};

vly_status vly_pbtxt_parse(vly_str text, vly_arena *arena, const vly_pbtxt **ret_root,
                           vly_err *err) VLY_MUST_CHECK;

/* The value as a field of that type may be written: integers decimal, 0x hexadecimal or 0 octal;
 * floats decimal, inf or nan; bools true, True, t, 1, false, False, f, 0. False: it is not one, or
 * does not fit. */
bool vly_pbtxt_i64(const vly_pbtxt *field, int64_t *ret);
bool vly_pbtxt_u64(const vly_pbtxt *field, uint64_t *ret);
bool vly_pbtxt_f64(const vly_pbtxt *field, double *ret);
bool vly_pbtxt_bool(const vly_pbtxt *field, bool *ret);

/* The last field of that name in a message (as protobuf takes it for a singular field), or NULL. */
const vly_pbtxt *vly_pbtxt_find(const vly_pbtxt *message, const char *name);

#endif
