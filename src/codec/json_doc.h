/* SPDX-License-Identifier: MIT */
/*
 * A small JSON document, for requests that set something: read at once into an arena.
 *
 * Outside data: the text is bounded, and so is what the document takes; nothing recurses.
 */
#ifndef VLY_CODEC_JSON_DOC_H
#define VLY_CODEC_JSON_DOC_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#include <yyjson.h>

/* The root of a text, whose length the caller has bounded; it and all below it live in arena. NULL:
 * the arena is full (why->code is YYJSON_READ_ERROR_MEMORY_ALLOCATION), or why. */
yyjson_val *vly_json_doc_parse(vly_str json, vly_arena *arena, yyjson_read_err *why);

#define VLY_JSON_DOC_BYTES_MAX ((size_t)64 << 10)

/* The root of json, which must be an object; an empty text is an empty object. It and all below it
 * live in arena. EINVAL: not JSON, or not an object; ELIMIT: too long, or the arena is full. */
vly_status vly_json_doc_read(vly_str json, vly_arena *arena, yyjson_val **ret,
                             vly_err *err) VLY_MUST_CHECK;
/* The same of a text of up to max bytes. */
vly_status vly_json_doc_read_upto(vly_str json, size_t max, vly_arena *arena, yyjson_val **ret,
                                  vly_err *err) VLY_MUST_CHECK;

#endif
