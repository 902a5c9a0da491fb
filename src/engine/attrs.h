/* SPDX-License-Identifier: MIT */
/*
 * Reading a node's ONNX attributes, once, in an op's prepare().
 *
 *     vly_attrs a = vly_attrs_begin(proto);
 *     p->axis = vly_attrs_int(&a, "axis", -1);
 *     p->mode = vly_attrs_enum(&a, "mode", "constant\0reflect\0edge\0", 0);
 *     return vly_attrs_end(&a, err);
 *
 * Getters return the default when the attribute is absent. The first one of a wrong type, or out of
 * range, is remembered and makes vly_attrs_end fail, naming the attribute (the graph adds the
 * node). What a getter returns is borrowed from the model. Thread: any, the model is immutable.
 */
#ifndef VLY_ENGINE_ATTRS_H
#define VLY_ENGINE_ATTRS_H

#include "base/status.h"
#include "codec/onnx.h"
#include "tensor/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vly_attrs {
    const vly_onnx_node *proto;
    const char *bad_name; /* first attribute that was not as expected; NULL: none */
    const char *bad_want; /* what was expected instead */
} vly_attrs;

vly_attrs vly_attrs_begin(const vly_onnx_node *proto);
vly_status vly_attrs_end(const vly_attrs *a, vly_err *err) VLY_MUST_CHECK;

bool vly_attrs_has(const vly_attrs *a, const char *name);
int64_t vly_attrs_int(vly_attrs *a, const char *name, int64_t def);
/* As vly_attrs_int; a value outside lo..hi is an error. */
int64_t vly_attrs_int_in(vly_attrs *a, const char *name, int64_t def, int64_t lo, int64_t hi);
float vly_attrs_float(vly_attrs *a, const char *name, float def);
vly_str vly_attrs_string(vly_attrs *a, const char *name, const char *def);
/* Index into choices, "a\0b\0c\0", of the string attribute; another string is an error. */
int vly_attrs_enum(vly_attrs *a, const char *name, const char *choices, int def);
/* Lists: *ret_n = 0 and NULL when absent. */
const int64_t *vly_attrs_ints(vly_attrs *a, const char *name, size_t *ret_n);
const float *vly_attrs_floats(vly_attrs *a, const char *name, size_t *ret_n);
const vly_str *vly_attrs_strings(vly_attrs *a, const char *name, size_t *ret_n);
/* Copies a list of exactly n integers into out; absent: fills with def. Another length is an error.
 */
void vly_attrs_ints_n(vly_attrs *a, const char *name, int64_t *out, size_t n, int64_t def);
const vly_onnx_tensor *vly_attrs_tensor(vly_attrs *a, const char *name); /* NULL: absent */

#endif
