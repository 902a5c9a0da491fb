/* SPDX-License-Identifier: MIT */
#include "api/grpc_infer.h"

#include "api/grpc.h"
#include "codec/grpc_infer.h"
#include "codec/pbwire.h"

/* Reading this much, and so many fields, takes some 20 us. */
#define LIGHT_BYTES  ((size_t)16 << 10)
#define LIGHT_FIELDS 256

#define RAW_CONTENTS      7 /* field of the request */
#define MESSAGE_BYTES_MAX INT32_MAX
#define FINAL_RESPONSE    "triton_final_response"
#define RESERVED_PREFIX   "triton_"
#define RESERVED_KEYS     "triton_enable_empty_final_response"

bool vly_grpc_infer_is_light(vly_str message)
{
    vly_pb c = vly_pb_begin(message);
    size_t bytes = message.len;
    vly_pb_field f;

    for (int i = 0; bytes > LIGHT_BYTES && i < LIGHT_FIELDS && vly_pb_next(&c, &f); i++)
        if (f.number == RAW_CONTENTS && f.wire == VLY_PB_LEN)
            bytes -= f.bytes.len;
    return bytes <= LIGHT_BYTES;
}

/* Moves over a field that is not there as a whole, as long as its end is. */
static bool skip(vly_pb *c, vly_pb_wire wire)
{
    uint64_t n = wire == VLY_PB_FIXED64 ? 8 : 4;

    if (wire == VLY_PB_VARINT)
        return vly_pb_take_varint(c, &n);
    if (wire != VLY_PB_FIXED64 && wire != VLY_PB_FIXED32 &&
        (wire != VLY_PB_LEN || !vly_pb_take_varint(c, &n)))
        return false;
    if (n > (uint64_t)(c->end - c->at))
        return false;
    c->at += n;
    return true;
}

size_t vly_grpc_infer_raw_at(vly_str message)
{
    vly_pb c = vly_pb_begin(message);
    uint64_t tag, len;

    for (int i = 0; i < LIGHT_FIELDS && vly_pb_take_varint(&c, &tag); i++) {
        if (tag == (RAW_CONTENTS << 3 | VLY_PB_LEN))
            return vly_pb_take_varint(&c, &len) ? (size_t)((const char *)c.at - message.ptr) : 0;
        if (!skip(&c, (vly_pb_wire)(tag & 7)))
            return 0;
    }
    return 0;
}

/* ---- parameters ---- */

typedef struct reader {
    const vly_grpc_infer_request *from;
    vly_infer_request *to;
    vly_str message;
    size_t tail_bytes;
    size_t n_raw; /* used so far */
    vly_arena *arena;
} reader;

static vly_status bad_kind(vly_str key, const char *expected, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL, "invalid value type for '%.*s' parameter, expected %s.",
                    VLY_STR_ARG(key), expected);
}

static vly_status read_bool(const vly_grpc_param *p, bool *ret, vly_err *err)
{
    if (p->kind != VLY_GRPC_BOOL)
        return bad_kind(p->key, "bool_param", err);
    *ret = p->number != 0;
    return VLY_OK;
}

static vly_status read_sequence_id(const vly_grpc_param *p, vly_job_sequence *s, vly_err *err)
{
    if (p->kind == VLY_GRPC_INT)
        s->id = p->number;
    else if (p->kind == VLY_GRPC_STRING)
        s->name = p->text;
    else
        return bad_kind(p->key, "int64_param or string_param", err);
    return VLY_OK;
}

static vly_status read_session(const vly_grpc_param *p, vly_str *ret, vly_err *err)
{
    if (p->kind != VLY_GRPC_STRING)
        return bad_kind(p->key, "string_param", err);
    *ret = p->text;
    return VLY_OK;
}

static vly_status read_priority(const vly_grpc_param *p, uint64_t *ret, vly_err *err)
{
    if (p->kind != VLY_GRPC_INT && p->kind != VLY_GRPC_UINT)
        return bad_kind(p->key, "int64_param or uint64_param", err);
    if (p->kind == VLY_GRPC_INT && (int64_t)p->number < 0)
        return vly_fail(err, VLY_EINVAL, "invalid value for 'priority', expected value >= 0.");
    *ret = p->number;
    return VLY_OK;
}

static vly_status read_timeout(const vly_grpc_param *p, uint64_t *ret, vly_err *err)
{
    if (p->kind != VLY_GRPC_INT)
        return bad_kind(p->key, "int64_param", err);
    *ret = p->number;
    return VLY_OK;
}

/* Responses are never decoupled from requests here, so that the one is always the final one. */
static vly_status read_reserved(const vly_grpc_param *p, vly_err *err)
{
    bool ignored;

    if (vly_str_is(p->key, RESERVED_KEYS))
        return read_bool(p, &ignored, err);
    return vly_fail(err, VLY_EINVAL,
                    "parameter keys starting with '" RESERVED_PREFIX "' are reserved for Triton "
                    "usage. Only the following keys starting with '" RESERVED_PREFIX
                    "' are allowed: " RESERVED_KEYS);
}

static vly_status read_param(const vly_grpc_param *p, vly_infer_request *r, vly_err *err)
{
    if (vly_str_is(p->key, "sequence_id"))
        return read_sequence_id(p, &r->sequence, err);
    if (vly_str_is(p->key, "session_id"))
        return read_session(p, &r->session, err);
    if (vly_str_is(p->key, "sequence_start"))
        return read_bool(p, &r->sequence.is_start, err);
    if (vly_str_is(p->key, "sequence_end"))
        return read_bool(p, &r->sequence.is_end, err);
    if (vly_str_is(p->key, "priority"))
        return read_priority(p, &r->priority, err);
    if (vly_str_is(p->key, "timeout"))
        return read_timeout(p, &r->timeout_us, err);
    if (vly_str_starts(p->key, VLY_STR(RESERVED_PREFIX)))
        return read_reserved(p, err);
    return VLY_OK; /* others are the model's own, and none here has any */
}

static vly_status region_kind(const char *key, vly_str tensor, const char *expected, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL,
                    "invalid value type for '%s' parameter for tensor '%.*s', expected %s.", key,
                    VLY_STR_ARG(tensor), expected);
}

static vly_status read_region_int(const vly_grpc_params *p, const char *key, vly_str tensor,
                                  bool has_region, uint64_t *ret, vly_err *err)
{
    const vly_grpc_param *found = vly_grpc_params_find(p, key);

    if (found == NULL)
        return VLY_OK;
    if (!has_region)
        return vly_fail(err, VLY_EINVAL,
                        "'%s' can not be specified without 'shared_memory_region' parameter for "
                        "tensor '%.*s'",
                        key, VLY_STR_ARG(tensor));
    if (found->kind != VLY_GRPC_INT)
        return region_kind(key, tensor, "int64_param", err);
    *ret = found->number;
    return VLY_OK;
}

static vly_status read_region(const vly_grpc_params *p, vly_str tensor, vly_infer_region *r,
                              vly_err *err)
{
    static const char region_key[] = "shared_memory_region", size_key[] = "shared_memory_byte_size";
    const vly_grpc_param *region = vly_grpc_params_find(p, region_key);
    bool has_region = region != NULL;

    if (has_region && region->kind != VLY_GRPC_STRING)
        return region_kind(region_key, tensor, "string_param", err);
    if (has_region)
        r->name = region->text;
    vly_status st = read_region_int(p, "shared_memory_offset", tensor, has_region, &r->offset, err);
    if (st == VLY_OK)
        st = read_region_int(p, size_key, tensor, has_region, &r->bytes, err);
    if (st == VLY_OK && has_region && vly_grpc_params_find(p, size_key) == NULL)
        return vly_fail(err, VLY_EINVAL,
                        "'%s' must be specified along with '%s' parameter for tensor '%.*s'",
                        size_key, region_key, VLY_STR_ARG(tensor));
    return st;
}

/* ---- tensors ---- */

/* What reading typed contents needs to know. */
typedef struct contents {
    const vly_grpc_input *in;
    vly_str model;
} contents;

static vly_status read_contents(const vly_infer_input *in, vly_infer_json_class class,
                                size_t elem_bytes, size_t n, void *dst, vly_err *err)
{
    const contents *c = in->read_ctx;

    return vly_grpc_contents_read(c->in, c->model, class, elem_bytes, n, dst, err);
}

static vly_status use_contents(reader *r, const vly_grpc_input *g, vly_infer_input *in,
                               vly_err *err)
{
    contents *c = vly_arena_alloc(r->arena, sizeof(*c));

    if (r->from->n_raw > 0)
        return vly_fail(err, VLY_EINVAL,
                        "contents field must not be specified when using raw_input_contents for "
                        "'%.*s' for model '%.*s'",
                        VLY_STR_ARG(g->name), VLY_STR_ARG(r->from->model_name));
    if (c == NULL)
        return vly_arena_fail(r->arena, err);
    *c = (contents){g, r->from->model_name};
    in->read = read_contents;
    in->read_ctx = c;
    in->max_elements = g->contents.len; /* none takes less than a byte */
    return VLY_OK;
}

static vly_status use_data(reader *r, const vly_grpc_input *g, vly_infer_input *in, vly_err *err)
{
    if (in->region.name.ptr != NULL && g->contents.ptr != NULL)
        return vly_fail(err, VLY_EINVAL,
                        "unexpected 'content' provided when using shared memory for input tensor "
                        "'%.*s' for model '%.*s'",
                        VLY_STR_ARG(g->name), VLY_STR_ARG(r->from->model_name));
    if (in->region.name.ptr != NULL)
        return VLY_OK;
    if (g->contents.ptr != NULL)
        return use_contents(r, g, in, err);
    if (r->n_raw == r->from->n_raw)
        return vly_fail(err, VLY_EINVAL,
                        "unable to find data for input tensor '%.*s' for model '%.*s' in request.",
                        VLY_STR_ARG(g->name), VLY_STR_ARG(r->from->model_name));
    in->bytes = r->from->raw[r->n_raw++];
    in->tail_bytes =
        r->tail_bytes + (size_t)(r->message.ptr + r->message.len - in->bytes.ptr) - in->bytes.len;
    return VLY_OK;
}

static vly_status read_input(reader *r, const vly_grpc_input *g, vly_infer_input *in, vly_err *err)
{
    in->name = g->name;
    in->datatype = g->datatype;
    in->rank = g->rank;
    for (size_t i = 0; i < g->rank; i++) {
        in->shape[i] = g->shape[i];
        if (g->shape[i] < 0)
            return vly_fail(err, VLY_EINVAL,
                            "unexpected shape for input '%.*s' for model '%.*s'. Expected no "
                            "negative dimension, got %lld",
                            VLY_STR_ARG(g->name), VLY_STR_ARG(r->from->model_name),
                            (long long)g->shape[i]);
    }
    vly_status st = read_region(&g->params, g->name, &in->region, err);
    return st == VLY_OK ? use_data(r, g, in, err) : st;
}

static vly_status read_classes(const vly_grpc_params *p, uint64_t *ret, vly_err *err)
{
    const vly_grpc_param *found = vly_grpc_params_find(p, "classification");

    if (found == NULL)
        return VLY_OK;
    if (found->kind != VLY_GRPC_INT)
        return vly_fail(err, VLY_EINVAL,
                        "invalid value type for 'classification' parameter, expected int64_param");
    if ((int64_t)found->number <= 0)
        return vly_fail(err, VLY_EINVAL,
                        "invalid value for 'classification' parameter, expected >= 1");
    *ret = found->number;
    return VLY_OK;
}

static vly_status read_output(const vly_grpc_output *g, vly_infer_output *out, vly_err *err)
{
    *out = (vly_infer_output){.name = g->name, .is_binary = true};
    vly_status st = read_region(&g->params, g->name, &out->region, err);
    if (st == VLY_OK)
        st = read_classes(&g->params, &out->n_classes, err);
    if (st == VLY_OK && out->region.name.ptr != NULL && out->n_classes > 0)
        return vly_fail(err, VLY_EINVAL,
                        "output can't set both 'shared_memory_region' and 'classification'");
    return st;
}

/* ---- the request ---- */

vly_status vly_grpc_check_version(vly_str version, vly_err *err)
{
    uint64_t n;

    if (version.len == 0 || (vly_str_to_u64(version, &n) && n > 0 && n <= INT64_MAX))
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL,
                    "failed to get model version from specified version string '%.*s', version "
                    "should be an integral value > 0",
                    VLY_STR_ARG(version));
}

static vly_status read_lists(reader *r, vly_err *err)
{
    const vly_grpc_infer_request *g = r->from;
    vly_infer_request *to = r->to;
    vly_status st = VLY_OK;

    to->n_inputs = g->n_inputs;
    to->n_outputs = g->n_outputs;
    to->inputs = vly_arena_calloc(r->arena, g->n_inputs, sizeof(*to->inputs));
    to->outputs = vly_arena_calloc(r->arena, g->n_outputs, sizeof(*to->outputs));
    if (to->inputs == NULL || to->outputs == NULL)
        return vly_arena_fail(r->arena, err);
    for (size_t i = 0; st == VLY_OK && i < g->params.n; i++)
        st = read_param(&g->params.items[i], to, err);
    for (size_t i = 0; st == VLY_OK && i < g->n_inputs; i++)
        st = read_input(r, &g->inputs[i], &to->inputs[i], err);
    for (size_t i = 0; st == VLY_OK && i < g->n_outputs; i++)
        st = read_output(&g->outputs[i], &to->outputs[i], err);
    return st;
}

vly_status vly_grpc_infer_read(vly_str message, size_t tail_bytes, vly_arena *arena,
                               vly_infer_request *ret, vly_err *err)
{
    vly_grpc_infer_request *g = vly_arena_alloc(arena, sizeof(*g)); /* read_contents needs it */

    if (g == NULL)
        return vly_arena_fail(arena, err);
    vly_status st = vly_grpc_infer_request_parse(message, arena, g, err);
    if (st != VLY_OK)
        return st;
    vly_infer_request to = {
        .model = g->model_name, .version = g->model_version, .id = g->id, .is_binary_output = true};
    reader r = {.from = g, .to = &to, .message = message, .tail_bytes = tail_bytes, .arena = arena};
    *ret = to; /* what an error is answered with */
    st = vly_grpc_check_version(to.version, err);
    if (st == VLY_OK)
        st = read_lists(&r, err);
    if (st == VLY_OK)
        *ret = to;
    return st;
}

/* ---- the response ---- */

static bool is_in_region(const vly_infer_result *r)
{
    return r->how.region.name.ptr != NULL;
}

static size_t raw_bytes(const vly_infer_result *r)
{
    return is_in_region(r) ? 0 : vly_infer_wire_bytes(&r->tensor);
}

static vly_grpc_tensor describe(const vly_infer_result *r)
{
    return (vly_grpc_tensor){.name = r->name,
                             .datatype = vly_str_from(vly_dtype_kserve(r->tensor.dtype)),
                             .shape = r->tensor.shape.dim,
                             .rank = (size_t)r->tensor.shape.rank};
}

/* All but raw_output_contents; *ret_n_raw: bytes of those with their heads. */
static vly_status put_head(const vly_infer *call, vly_grpc_params params, vly_buf *out,
                           size_t *ret_n_raw, vly_err *err)
{
    vly_grpc_tensor *outputs = vly_arena_calloc(call->arena, call->n_results, sizeof(*outputs));
    size_t n_raw = 0, before = out->len;

    if (outputs == NULL)
        return vly_arena_fail(call->arena, err);
    for (size_t i = 0; i < call->n_results; i++) {
        outputs[i] = describe(&call->results[i]);
        n_raw += vly_grpc_raw_size(raw_bytes(&call->results[i]));
    }
    vly_grpc_put_infer_response(
        out, &(vly_grpc_infer_response){.model_name = vly_infer_name(call),
                                        .model_version = vly_str_from(call->served->version),
                                        .id = call->request.id,
                                        .params = params,
                                        .outputs = outputs,
                                        .n_outputs = call->n_results});
    size_t total = out->len - before + n_raw;
    if (total > MESSAGE_BYTES_MAX)
        return vly_fail(err, VLY_EINVAL,
                        "Response has byte size %zu which exceeds gRPC's byte size limit %d.",
                        total, MESSAGE_BYTES_MAX);
    *ret_n_raw = n_raw;
    return VLY_OK;
}

vly_status vly_grpc_infer_write(const vly_infer *call, vly_infer_parts *parts, vly_err *err)
{
    vly_buf *out = vly_infer_parts_open(call, parts);
    size_t n_raw = 0;

    vly_grpc_begin_frame(out);
    vly_status st = put_head(call, (vly_grpc_params){NULL, 0}, out, &n_raw, err);
    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i < call->n_results; i++) {
        const vly_infer_result *r = &call->results[i];
        vly_grpc_put_raw_head(vly_infer_parts_open(call, parts), raw_bytes(r));
        if (!is_in_region(r))
            vly_infer_parts_put(call, &r->tensor, parts);
    }
    return vly_infer_parts_check(call, parts, err);
}

vly_status vly_grpc_infer_write_stream(const vly_infer *call, vly_buf *out, vly_err *err)
{
    const vly_grpc_param final = {
        .key = VLY_STR(FINAL_RESPONSE), .kind = VLY_GRPC_BOOL, .number = 1};
    size_t mark = vly_grpc_open_stream(out, (vly_str){NULL, 0});
    size_t n_raw = 0;
    vly_status st = put_head(call, (vly_grpc_params){&final, 1}, out, &n_raw, err);

    if (st != VLY_OK)
        return st;
    vly_grpc_close_stream(out, mark, n_raw);
    vly_buf_reserve(out, n_raw);
    for (size_t i = 0; i < call->n_results; i++) {
        const vly_infer_result *r = &call->results[i];
        vly_grpc_put_raw_head(out, raw_bytes(r));
        if (!is_in_region(r))
            vly_infer_put_wire(&r->tensor, out);
    }
    return out->failed ? vly_fail(err, VLY_ENOMEM, "out of memory for the answer") : VLY_OK;
}

vly_err vly_grpc_infer_err(const vly_infer *call)
{
    vly_err err = *call->err;
    bool is_past = call->deadline_ns != 0 && vly_clock_now() >= call->deadline_ns;

    if (err.status == VLY_EDEADLINE && !is_past)
        err.status = VLY_EUNAVAILABLE;
    return err;
}
