/* SPDX-License-Identifier: MIT */
/*
 * What a JSON text from outside may cost: the memory of its document, and its nesting.
 *
 * Memory is counted as it is asked for; what a document frees while it is read does not count back,
 * so that the bound holds on all of it. Thread: any; one budget is used by one thread at a time.
 */
#ifndef VLY_CODEC_JSON_BUDGET_H
#define VLY_CODEC_JSON_BUDGET_H

#include "base/str.h"

#include <yyjson.h>

typedef struct vly_json_budget {
    size_t left;
    bool is_spent; /* more was asked for, and refused */
} vly_json_budget;

/* Heap memory up to what is left of b, which must live as long as the document. */
yyjson_alc vly_json_budget_alc(vly_json_budget *b);

/* Brackets outside strings nest deeper than max: never less than the depth of the document. */
bool vly_json_is_deeper(vly_str json, size_t max);

#endif
