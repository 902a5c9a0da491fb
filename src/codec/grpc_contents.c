/* SPDX-License-Identifier: MIT */
/* InferTensorContents: eight lists, one for each way to write an element. */
#include "codec/grpc_infer.h"
#include "codec/pbwire.h"

#include <string.h>

enum { C_BOOL = 1, C_INT, C_INT64, C_UINT, C_UINT64, C_FP32, C_FP64, C_BYTES, C_END };

static size_t fixed_bytes(uint32_t list)
{
    return list == C_FP32 ? 4 : list == C_FP64 ? 8 : 0;
}

/* The list that holds elements of this class; C_END: none does. */
static uint32_t list_of(vly_infer_json_class class, size_t elem_bytes)
{
    switch (class) {
    case VLY_INFER_JSON_BOOL:
        return C_BOOL;
    case VLY_INFER_JSON_INT:
        return elem_bytes == 8 ? C_INT64 : C_INT;
    case VLY_INFER_JSON_UINT:
        return elem_bytes == 8 ? C_UINT64 : C_UINT;
    case VLY_INFER_JSON_FLOAT:
        return elem_bytes == 8 ? C_FP64 : elem_bytes == 4 ? C_FP32 : C_END;
    case VLY_INFER_JSON_TEXT:
        return C_BYTES;
    }
    return C_END;
}

/* What Triton calls the type that a list is meant for. */
static const char *list_type(uint32_t list)
{
    static const char *const names[] = {"BOOL",   "INT32", "INT64", "UINT32",
                                        "UINT64", "FP32",  "FP64",  "BYTES"};
    return names[list - C_BOOL];
}

static bool is_single(const vly_pb_field *f)
{
    size_t fixed = fixed_bytes(f->number);

    if (f->number == C_BYTES)
        return f->wire == VLY_PB_LEN;
    return f->wire == (fixed == 4 ? VLY_PB_FIXED32 : fixed == 8 ? VLY_PB_FIXED64 : VLY_PB_VARINT);
}

/* Elements in each list, packed and not; false: malformed. */
static bool count(vly_str contents, size_t n[C_END])
{
    vly_pb c = vly_pb_begin(contents);
    vly_pb_field f;

    while (vly_pb_next(&c, &f)) {
        if (f.number >= C_END)
            continue;
        size_t fixed = fixed_bytes(f.number);
        if (is_single(&f))
            n[f.number]++;
        else if (f.wire == VLY_PB_LEN && fixed > 0 && f.bytes.len % fixed != 0)
            return false;
        else if (f.wire == VLY_PB_LEN)
            n[f.number] += fixed > 0 ? f.bytes.len / fixed : vly_pb_count_varints(f.bytes);
    }
    return !c.bad;
}

static vly_status check(const vly_grpc_input *in, vly_str model, uint32_t list,
                        const size_t n[C_END], vly_err *err)
{
    bool is_given = false;

    for (uint32_t i = C_BOOL; i < C_END; i++) {
        if (n[i] == 0)
            continue;
        if (is_given)
            return vly_fail(err, VLY_EINVAL,
                            "unexpected explicit tensor data for input tensor '%.*s' for model "
                            "'%.*s', binary data was already supplied.",
                            VLY_STR_ARG(in->name), VLY_STR_ARG(model));
        if (i != list)
            return vly_fail(err, VLY_EINVAL,
                            "unexpected explicit tensor data for input tensor '%.*s' for model "
                            "'%.*s' of type '%s', expected datatype '%.*s'",
                            VLY_STR_ARG(in->name), VLY_STR_ARG(model), list_type(i),
                            VLY_STR_ARG(in->datatype));
        is_given = true;
    }
    return VLY_OK;
}

/* Where the next element goes. */
typedef struct sink {
    char *at;
    size_t elem_bytes;
    bool is_bool;
} sink;

static void put(sink *s, uint64_t value)
{
    if (s->is_bool)
        value = value != 0;
    memcpy(s->at, &value, s->elem_bytes); /* the low bytes: little-endian hosts only */
    s->at += s->elem_bytes;
}

static bool put_field(sink *s, const vly_pb_field *f)
{
    uint64_t value;

    if (f->number == C_BYTES) {
        memcpy(s->at, &f->bytes, sizeof(f->bytes));
        s->at += sizeof(f->bytes);
        return true;
    }
    if (f->wire != VLY_PB_LEN) {
        put(s, f->value);
        return true;
    }
    if (fixed_bytes(f->number) > 0) {
        if (f->bytes.len > 0)
            memcpy(s->at, f->bytes.ptr, f->bytes.len);
        s->at += f->bytes.len;
        return true;
    }
    vly_pb packed = vly_pb_begin(f->bytes);
    while (vly_pb_take_varint(&packed, &value))
        put(s, value);
    return !packed.bad;
}

vly_status vly_grpc_contents_read(const vly_grpc_input *in, vly_str model,
                                  vly_infer_json_class class, size_t elem_bytes, size_t n,
                                  void *dst, vly_err *err)
{
    uint32_t list = list_of(class, elem_bytes);
    sink s = {dst, elem_bytes, class == VLY_INFER_JSON_BOOL};
    size_t counts[C_END + 1] = {0};
    vly_pb_field f;

    if (!count(in->contents, counts))
        return vly_fail(err, VLY_EFORMAT, "malformed contents");
    vly_status st = check(in, model, list, counts, err);
    if (st != VLY_OK)
        return st;
    if (counts[list] != n)
        return vly_fail(err, VLY_EINVAL,
                        "input '%.*s' for model '%.*s': expected %zu elements, got %zu",
                        VLY_STR_ARG(in->name), VLY_STR_ARG(model), n, counts[list]);
    if (list == C_END || n == 0) /* nothing to write; a field C_END is not ours */
        return VLY_OK;
    vly_pb c = vly_pb_begin(in->contents);
    while (vly_pb_next(&c, &f))
        if (f.number == list && (is_single(&f) || f.wire == VLY_PB_LEN) && !put_field(&s, &f))
            return vly_fail(err, VLY_EFORMAT, "malformed contents");
    return VLY_OK;
}
