/* SPDX-License-Identifier: MIT */
#include "api/v2_request.h"

static vly_status read_json(const vly_infer_input *in, vly_infer_json_class class,
                            size_t elem_bytes, size_t n, void *dst, vly_err *err)
{
    if (class == VLY_INFER_JSON_FLOAT && elem_bytes == 2)
        return vly_fail(err, VLY_EINVAL,
                        "receiving %.*s data via JSON is not supported. Please use the binary data "
                        "format for input %.*s",
                        VLY_STR_ARG(in->datatype), VLY_STR_ARG(in->name));
    return vly_infer_json_read(in->read_ctx, class, elem_bytes, n, dst, err);
}

/* Takes n bytes from what is left of the binary data. */
static vly_status take_binary(vly_v2_body *rest, vly_str model, const vly_infer_json_input *in,
                              vly_infer_input *ret, vly_err *err)
{
    uint64_t n = in->binary_bytes;

    if (n > rest->bytes.len)
        return vly_fail(err, VLY_EINVAL,
                        "unexpected size for input '%.*s', expecting %llu additional bytes for "
                        "model '%.*s'",
                        VLY_STR_ARG(in->name), (unsigned long long)(n - rest->bytes.len),
                        VLY_STR_ARG(model));
    ret->bytes = (vly_str){rest->bytes.ptr, (size_t)n};
    rest->bytes = (vly_str){rest->bytes.ptr + n, rest->bytes.len - (size_t)n};
    ret->tail_bytes = rest->bytes.len + rest->tail_bytes;
    return VLY_OK;
}

static vly_status read_input(vly_v2_body *rest, vly_str model, const vly_infer_json_input *in,
                             bool is_only, vly_infer_input *ret, vly_err *err)
{
    *ret = (vly_infer_input){.name = in->name,
                             .datatype = in->datatype,
                             .rank = in->rank,
                             .region = {in->region.name, in->region.offset, in->region.bytes}};
    _Static_assert(VLY_INFER_JSON_RANK_MAX == VLY_RANK_MAX, "a request's shape fits");
    memcpy(ret->shape, in->shape, sizeof(ret->shape));
    if (in->has_binary)
        return take_binary(rest, model, in, ret, err);
    if (in->data != NULL) {
        ret->read = read_json;
        ret->read_ctx = in;
        ret->max_elements = rest->json_len; /* each takes a byte at least */
        return VLY_OK;
    }
    if (in->region.name.ptr != NULL)
        return VLY_OK;
    if (!is_only || !vly_str_is(in->datatype, "BYTES") || rest->bytes.len == 0)
        return vly_infer_json_no_content(err);
    /* As OpenVINO Model Server has it: all that follows is the only input's. */
    ret->bytes = rest->bytes;
    ret->tail_bytes = rest->tail_bytes;
    rest->bytes.len = 0;
    return VLY_OK;
}

static vly_status read_inputs(const vly_infer_json *doc, vly_v2_body rest, vly_infer_request *r,
                              vly_err *err)
{
    for (size_t i = 0; i < doc->n_inputs; i++) {
        vly_status st =
            read_input(&rest, r->model, &doc->inputs[i], doc->n_inputs == 1, &r->inputs[i], err);
        if (st != VLY_OK)
            return st;
    }
    if (rest.bytes.len > 0)
        return vly_fail(err, VLY_EINVAL, "unexpected additional input data for model '%.*s'",
                        VLY_STR_ARG(r->model));
    return VLY_OK;
}

static vly_infer_output output_of(const vly_infer_json_output *out)
{
    return (vly_infer_output){.name = out->name,
                              .is_binary = out->is_binary,
                              .n_classes = out->n_classes,
                              .region = {out->region.name, out->region.offset, out->region.bytes}};
}

static vly_status describe(const vly_infer_json *doc, vly_v2_body rest, vly_arena *arena,
                           vly_infer_request *r, vly_err *err)
{
    r->id = doc->id;
    r->is_binary_output = doc->is_binary_output;
    r->priority = doc->priority;
    r->timeout_us = doc->timeout_us;
    r->sequence = (vly_job_sequence){.id = doc->sequence_id,
                                     .name = doc->sequence_name,
                                     .is_start = doc->is_sequence_start,
                                     .is_end = doc->is_sequence_end};
    r->session = doc->session;
    r->n_inputs = doc->n_inputs;
    r->n_outputs = doc->n_outputs;
    r->inputs = vly_arena_calloc(arena, r->n_inputs, sizeof(*r->inputs));
    r->outputs = vly_arena_calloc(arena, r->n_outputs, sizeof(*r->outputs));
    if (r->inputs == NULL || r->outputs == NULL)
        return vly_arena_fail(arena, err);
    for (size_t i = 0; i < r->n_outputs; i++)
        r->outputs[i] = output_of(&doc->outputs[i]);
    return read_inputs(doc, rest, r, err);
}

vly_status vly_v2_request_read(const vly_v2_body *body, const vly_infer_json_limits *limits,
                               vly_arena *arena, vly_infer_json *doc, vly_infer_request *r,
                               vly_err *err)
{
    vly_str all = body->bytes;

    if (body->json_len > all.len)
        return vly_fail(err, VLY_EINVAL,
                        "unexpected size for request JSON, expecting %zu more bytes",
                        body->json_len - all.len);
    vly_status st =
        vly_infer_json_parse((vly_str){all.ptr, body->json_len}, limits, arena, doc, err);
    if (st != VLY_OK)
        return st;
    vly_v2_body rest = *body;
    rest.bytes = (vly_str){all.ptr + body->json_len, all.len - body->json_len};
    return describe(doc, rest, arena, r, err);
}

vly_status vly_v2_request_read_raw(const vly_v2_body *body, vly_arena *arena, vly_infer_request *r,
                                   vly_err *err)
{
    r->inputs = vly_arena_calloc(arena, 1, sizeof(*r->inputs));
    if (r->inputs == NULL)
        return vly_arena_fail(arena, err);
    r->inputs[0] = (vly_infer_input){.bytes = body->bytes, .tail_bytes = body->tail_bytes};
    r->n_inputs = 1;
    r->is_raw = true;
    r->is_binary_output = true;
    return VLY_OK;
}
