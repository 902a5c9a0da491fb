/* SPDX-License-Identifier: MIT */
#include "engine/attrs.h"

vly_attrs vly_attrs_begin(const vly_onnx_node *proto)
{
    return (vly_attrs){.proto = proto};
}

vly_status vly_attrs_end(const vly_attrs *a, vly_err *err)
{
    if (a->bad_name == NULL)
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL, "attribute '%s': expected %s", a->bad_name, a->bad_want);
}

static const vly_onnx_attr *find(const vly_attrs *a, const char *name)
{
    for (size_t i = 0; i < a->proto->n_attrs; i++)
        if (vly_str_is(a->proto->attrs[i].name, name))
            return &a->proto->attrs[i];
    return NULL;
}

static void refuse(vly_attrs *a, const char *name, const char *want)
{
    if (a->bad_name != NULL)
        return;
    a->bad_name = name;
    a->bad_want = want;
}

/* The attribute when it is there and of this type; of another type: an error. */
static const vly_onnx_attr *find_typed(vly_attrs *a, const char *name, vly_onnx_attr_type type,
                                       const char *want)
{
    const vly_onnx_attr *attr = find(a, name);

    if (attr == NULL || attr->type == type)
        return attr;
    refuse(a, name, want);
    return NULL;
}

bool vly_attrs_has(const vly_attrs *a, const char *name)
{
    return find(a, name) != NULL;
}

int64_t vly_attrs_int(vly_attrs *a, const char *name, int64_t def)
{
    const vly_onnx_attr *attr = find_typed(a, name, VLY_ONNX_ATTR_INT, "an integer");
    return attr != NULL ? attr->i : def;
}

int64_t vly_attrs_int_in(vly_attrs *a, const char *name, int64_t def, int64_t lo, int64_t hi)
{
    int64_t v = vly_attrs_int(a, name, def);
    if (v >= lo && v <= hi)
        return v;
    refuse(a, name, "an integer within its range");
    return def;
}

float vly_attrs_float(vly_attrs *a, const char *name, float def)
{
    const vly_onnx_attr *attr = find_typed(a, name, VLY_ONNX_ATTR_FLOAT, "a float");
    return attr != NULL ? attr->f : def;
}

vly_str vly_attrs_string(vly_attrs *a, const char *name, const char *def)
{
    const vly_onnx_attr *attr = find_typed(a, name, VLY_ONNX_ATTR_STRING, "a string");
    return attr != NULL ? attr->s : vly_str_from(def);
}

int vly_attrs_enum(vly_attrs *a, const char *name, const char *choices, int def)
{
    const vly_onnx_attr *attr = find_typed(a, name, VLY_ONNX_ATTR_STRING, "a string");
    int i = 0;

    if (attr == NULL)
        return def;
    for (const char *c = choices; *c != '\0'; c += strlen(c) + 1, i++)
        if (vly_str_is(attr->s, c))
            return i;
    refuse(a, name, "one of the values that this op knows");
    return def;
}

const int64_t *vly_attrs_ints(vly_attrs *a, const char *name, size_t *ret_n)
{
    const vly_onnx_attr *attr = find_typed(a, name, VLY_ONNX_ATTR_INTS, "a list of integers");
    *ret_n = attr != NULL ? attr->n : 0;
    return attr != NULL ? attr->ints : NULL;
}

const float *vly_attrs_floats(vly_attrs *a, const char *name, size_t *ret_n)
{
    const vly_onnx_attr *attr = find_typed(a, name, VLY_ONNX_ATTR_FLOATS, "a list of floats");
    *ret_n = attr != NULL ? attr->n : 0;
    return attr != NULL ? attr->floats : NULL;
}

const vly_str *vly_attrs_strings(vly_attrs *a, const char *name, size_t *ret_n)
{
    const vly_onnx_attr *attr = find_typed(a, name, VLY_ONNX_ATTR_STRINGS, "a list of strings");
    *ret_n = attr != NULL ? attr->n : 0;
    return attr != NULL ? attr->strings : NULL;
}

void vly_attrs_ints_n(vly_attrs *a, const char *name, int64_t *out, size_t n, int64_t def)
{
    size_t have;
    const int64_t *values = vly_attrs_ints(a, name, &have);

    if (values != NULL && have != n)
        refuse(a, name, "a list with one integer for each spatial axis");
    for (size_t i = 0; i < n; i++)
        out[i] = values != NULL && have == n ? values[i] : def;
}

const vly_onnx_tensor *vly_attrs_tensor(vly_attrs *a, const char *name)
{
    const vly_onnx_attr *attr = find_typed(a, name, VLY_ONNX_ATTR_TENSOR, "a tensor");
    return attr != NULL ? attr->t : NULL;
}
