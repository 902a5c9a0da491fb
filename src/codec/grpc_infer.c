/* SPDX-License-Identifier: MIT */
#include "codec/grpc_infer.h"

#include "base/assert.h"
#include "codec/pb_slots.h"

/* Field numbers. */
enum { REQUEST_PARAMS = 4, REQUEST_INPUTS = 5, REQUEST_OUTPUTS = 6, REQUEST_RAW = 7 };
enum { INPUT_SHAPE = 3, INPUT_PARAMS = 4, INPUT_CONTENTS = 5 };
enum { OUTPUT_PARAMS = 2 };
enum { RESPONSE_PARAMS = 4, RESPONSE_OUTPUTS = 5, RESPONSE_RAW = 6 };
enum { STREAM_ERROR = 1, STREAM_RESPONSE = 2 };

static vly_status malformed(const char *what, vly_err *err)
{
    return vly_fail(err, VLY_EFORMAT, "malformed %s", what);
}

static bool add_dim(vly_grpc_input *in, uint64_t value)
{
    if (in->rank == VLY_INFER_JSON_RANK_MAX)
        return false;
    in->shape[in->rank++] = (int64_t)value;
    return true;
}

/* Repeated int64, packed (as all write it) or not. */
static vly_status read_shape(vly_str message, vly_grpc_input *in, vly_err *err)
{
    vly_pb c = vly_pb_begin(message);
    vly_pb_field f;
    uint64_t dim;
    bool fits = true;

    while (fits && vly_pb_next(&c, &f)) {
        if (f.number != INPUT_SHAPE)
            continue;
        if (f.wire == VLY_PB_VARINT)
            fits = add_dim(in, f.value);
        if (f.wire != VLY_PB_LEN)
            continue;
        vly_pb packed = vly_pb_begin(f.bytes);
        while (fits && vly_pb_take_varint(&packed, &dim))
            fits = add_dim(in, dim);
        if (packed.bad)
            return malformed("shape", err);
    }
    if (!fits)
        return vly_fail(err, VLY_ELIMIT, "input '%.*s': expected at most %d dimensions, got more",
                        VLY_STR_ARG(in->name), VLY_INFER_JSON_RANK_MAX);
    return VLY_OK;
}

static vly_status read_input(vly_str message, vly_arena *arena, vly_grpc_input *in, vly_err *err)
{
    static const vly_pb_slot slots[] = {
        {1, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_input, name)},
        {2, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_input, datatype)},
        {INPUT_CONTENTS, VLY_PB_SLOT_BYTES, offsetof(vly_grpc_input, contents)},
    };
    if (!vly_pb_read(message, slots, VLY_COUNT(slots), in))
        return malformed("input tensor", err);
    vly_status st = read_shape(message, in, err);
    if (st == VLY_OK)
        st = vly_grpc_params_read(message, INPUT_PARAMS, arena, &in->params, err);
    return st;
}

static vly_status read_output(vly_str message, vly_arena *arena, vly_grpc_output *out, vly_err *err)
{
    static const vly_pb_slot name = {1, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_output, name)};

    if (!vly_pb_read(message, &name, 1, out))
        return malformed("requested output", err);
    return vly_grpc_params_read(message, OUTPUT_PARAMS, arena, &out->params, err);
}

static vly_status read_lists(vly_str message, vly_arena *arena, vly_grpc_infer_request *r,
                             vly_err *err)
{
    size_t n_inputs = 0, n_outputs = 0, n_raw = 0;
    vly_pb c = vly_pb_begin(message);
    vly_status st = VLY_OK;
    vly_pb_field f;

    while (st == VLY_OK && vly_pb_next(&c, &f)) {
        if (f.wire != VLY_PB_LEN)
            continue;
        if (f.number == REQUEST_INPUTS)
            st = read_input(f.bytes, arena, &r->inputs[n_inputs++], err);
        else if (f.number == REQUEST_OUTPUTS)
            st = read_output(f.bytes, arena, &r->outputs[n_outputs++], err);
        else if (f.number == REQUEST_RAW)
            r->raw[n_raw++] = f.bytes;
    }
    return st;
}

/* n_...: as counted. */
static vly_status make_lists(vly_arena *arena, vly_grpc_infer_request *r, vly_err *err)
{
    const size_t most = VLY_INFER_JSON_TENSORS_MAX;

    if (r->n_inputs > most || r->n_outputs > most || r->n_raw > most)
        return vly_fail(err, VLY_ELIMIT,
                        "expected at most %zu inputs, outputs and raw_input_contents, got %zu, %zu "
                        "and %zu",
                        most, r->n_inputs, r->n_outputs, r->n_raw);
    r->inputs = vly_arena_calloc(arena, r->n_inputs, sizeof(*r->inputs));
    r->outputs = vly_arena_calloc(arena, r->n_outputs, sizeof(*r->outputs));
    r->raw = vly_arena_calloc(arena, r->n_raw, sizeof(*r->raw));
    if (r->inputs == NULL || r->outputs == NULL || r->raw == NULL)
        return vly_arena_fail(arena, err);
    return VLY_OK;
}

vly_status vly_grpc_infer_request_parse(vly_str message, vly_arena *arena,
                                        vly_grpc_infer_request *ret, vly_err *err)
{
    static const vly_pb_slot slots[] = {
        {1, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_infer_request, model_name)},
        {2, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_infer_request, model_version)},
        {3, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_infer_request, id)},
        {REQUEST_INPUTS, VLY_PB_SLOT_COUNT, offsetof(vly_grpc_infer_request, n_inputs)},
        {REQUEST_OUTPUTS, VLY_PB_SLOT_COUNT, offsetof(vly_grpc_infer_request, n_outputs)},
        {REQUEST_RAW, VLY_PB_SLOT_COUNT, offsetof(vly_grpc_infer_request, n_raw)},
    };
    vly_grpc_infer_request r = {.n_inputs = 0};

    if (!vly_pb_read(message, slots, VLY_COUNT(slots), &r))
        return malformed("ModelInferRequest", err);
    vly_status st = make_lists(arena, &r, err);
    if (st == VLY_OK)
        st = read_lists(message, arena, &r, err);
    if (st == VLY_OK)
        st = vly_grpc_params_read(message, REQUEST_PARAMS, arena, &r.params, err);
    if (st == VLY_OK)
        *ret = r;
    return st;
}

/* proto3 leaves out what has its default value. */
static void put_text(vly_buf *b, uint32_t number, vly_str s)
{
    if (s.len > 0)
        vly_pb_put_bytes(b, number, s);
}

static void put_params(vly_buf *b, uint32_t number, const vly_grpc_params *p)
{
    for (size_t i = 0; i < p->n; i++)
        vly_grpc_put_param(b, number, &p->items[i]);
}

static void put_tensor(vly_buf *b, const vly_grpc_tensor *t)
{
    size_t mark = vly_pb_open(b, RESPONSE_OUTPUTS);

    put_text(b, 1, t->name);
    put_text(b, 2, t->datatype);
    if (t->rank > 0) {
        size_t shape = vly_pb_open(b, INPUT_SHAPE);
        for (size_t i = 0; i < t->rank; i++)
            vly_pb_put_raw_varint(b, (uint64_t)t->shape[i]);
        vly_pb_close(b, shape);
    }
    put_params(b, INPUT_PARAMS, &t->params);
    vly_pb_close(b, mark);
}

void vly_grpc_put_infer_response(vly_buf *b, const vly_grpc_infer_response *r)
{
    put_text(b, 1, r->model_name);
    put_text(b, 2, r->model_version);
    put_text(b, 3, r->id);
    put_params(b, RESPONSE_PARAMS, &r->params);
    for (size_t i = 0; i < r->n_outputs; i++)
        put_tensor(b, &r->outputs[i]);
}

void vly_grpc_put_raw_head(vly_buf *b, size_t len)
{
    vly_pb_put_raw_varint(b, RESPONSE_RAW << 3 | VLY_PB_LEN);
    vly_pb_put_raw_varint(b, len);
}

size_t vly_grpc_raw_size(size_t len)
{
    return 1 + vly_pb_varint_len(len) + len;
}

size_t vly_grpc_open_stream(vly_buf *b, vly_str error)
{
    put_text(b, STREAM_ERROR, error);
    return vly_pb_open(b, STREAM_RESPONSE);
}

void vly_grpc_close_stream(vly_buf *b, size_t mark, size_t n_more)
{
    vly_pb_close_ahead(b, mark, n_more);
}
