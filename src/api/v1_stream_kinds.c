/* SPDX-License-Identifier: MIT */
#include "api/v1_stream.h"

#include "api/v1_options.h"
#include "api/v2_request.h"
#include "api/v2_response.h"
#include "base/bits.h"
#include "tasks/observation_json.h"
#include "tensor/dtype.h"

#define LENGTH_BYTES 4 /* of the JSON, at the beginning of a binary message */

static vly_infer_json_limits json_limits(const vly_v1_request *r)
{
    const vly_api *api = r->stream->api;
    return (vly_infer_json_limits){.max_depth = api->max_json_depth,
                                   .max_memory_bytes = api->max_json_bytes};
}

/* ---- tensors ---- */

static vly_v1_request *request_of(vly_infer *infer)
{
    return (vly_v1_request *)(void *)((char *)infer - offsetof(vly_v1_request, infer));
}

static void add_parts(vly_buf *to, const vly_infer_parts *parts)
{
    for (size_t i = 0; i < parts->n; i++)
        vly_buf_add_str(to, vly_buf_str(&parts->buf[i]));
}

/* Text: the JSON. Binary: its length, it, and the data of the outputs. */
static vly_status write_tensors(vly_infer *infer, vly_err *err)
{
    vly_v1_request *r = request_of(infer);
    vly_v2_answer answer = {.json_len = 0};
    vly_status st = vly_v2_response_write(infer, &answer, err);

    if (st == VLY_OK && !r->is_text) {
        uint32_t len = (uint32_t)answer.json_len; /* little-endian hosts only: see meson.build */
        vly_buf_add(&r->answer, &len, sizeof(len));
    }
    if (st == VLY_OK)
        add_parts(&r->answer, &answer.parts);
    vly_infer_parts_release(&answer.parts);
    return st;
}

static void tensors_done(vly_infer *infer)
{
    vly_v1_request *r = request_of(infer);

    vly_trace_message_infer(&r->trace, infer);
    vly_v1_stream_done(r, infer->status == VLY_OK ? NULL : infer->err);
}

static vly_status start_infer(vly_v1_request *r, vly_status (*read)(vly_infer *infer, vly_err *err),
                              vly_err *err)
{
    const vly_v1_stream *s = r->stream;

    r->infer = (vly_infer){.api = s->api,
                           .arena = &r->arena,
                           .is_cancelled = &s->is_cancelled,
                           .received_ns = r->received_ns,
                           .session = s->session,
                           .stream = s->id,
                           .request = {.model = s->model, .version = s->version},
                           .read = read,
                           .write = write_tensors,
                           .done = tensors_done};
    return vly_infer_start(&r->infer, err);
}

/* Outputs go the way of the inputs, whatever the request says of them. */
static void set_outputs(vly_infer_request *request, bool is_binary)
{
    request->is_binary_output = is_binary;
    for (size_t i = 0; i < request->n_outputs; i++)
        request->outputs[i].is_binary = is_binary && request->outputs[i].region.name.ptr == NULL;
}

/* ---- raw: requests of the v2 protocol ---- */

static vly_status split_binary(const vly_buf *message, vly_v2_body *ret, vly_err *err)
{
    size_t rest = message->len - LENGTH_BYTES;

    if (message->len < LENGTH_BYTES || vly_load_le32(message->ptr) > rest)
        return vly_fail(err, VLY_EINVAL,
                        "binary message: expected 4 bytes with the length of the JSON, the JSON, "
                        "then tensors; got %zu bytes",
                        message->len);
    *ret = (vly_v2_body){.bytes = {message->ptr + LENGTH_BYTES, rest},
                         .tail_bytes = message->cap - message->len,
                         .json_len = vly_load_le32(message->ptr)};
    return VLY_OK;
}

static vly_status read_raw(vly_infer *infer, vly_err *err)
{
    vly_v1_request *r = request_of(infer);
    const vly_infer_json_limits limits = json_limits(r);
    const vly_buf *message = &r->message;
    vly_v2_body body = {.bytes = vly_buf_str(message),
                        .tail_bytes = message->cap - message->len,
                        .json_len = message->len};
    vly_status st = r->is_text ? VLY_OK : split_binary(message, &body, err);

    if (st == VLY_OK)
        st = vly_v2_request_read(&body, &limits, infer->arena, &r->doc, &infer->request, err);
    if (st == VLY_OK)
        set_outputs(&infer->request, !r->is_text);
    return st;
}

static vly_status start_raw(vly_v1_request *r, vly_err *err)
{
    return start_infer(r, read_raw, err);
}

/* ---- imu: samples as the rows of the model's input ---- */

static vly_status read_samples(const vly_infer_input *in, vly_infer_json_class class,
                               size_t elem_bytes, size_t n, void *dst, vly_err *err)
{
    if (class == VLY_INFER_JSON_FLOAT && elem_bytes == 2)
        return vly_fail(err, VLY_EINVAL,
                        "receiving %.*s data via JSON is not supported; send binary messages",
                        VLY_STR_ARG(in->datatype));
    return vly_infer_json_read(in->read_ctx, class, elem_bytes, n, dst, err);
}

/* Of the open dimensions the last is what the samples leave for it, the others are 1. */
static vly_status shape_samples(const vly_model_io *io, size_t n, vly_infer_input *in, vly_err *err)
{
    char text[VLY_SHAPE_TEXT_MAX];
    int open = -1;
    size_t row = 1;

    in->rank = (size_t)io->shape.rank;
    for (int i = 0; i < io->shape.rank; i++) {
        bool is_open = io->shape.dim[i] == VLY_DIM_UNKNOWN;
        in->shape[i] = is_open ? 1 : io->shape.dim[i];
        open = is_open ? i : open;
        if (!vly_size_mul(row, (size_t)in->shape[i], &row))
            return vly_fail(err, VLY_ELIMIT, "the model's input is too large");
    }
    if (open >= 0 && row > 0 && n % row == 0)
        in->shape[open] = (int64_t)(n / row);
    if (row == 0 || n == 0 || (open >= 0 ? n % row != 0 : n != row))
        return vly_fail(err, VLY_EINVAL,
                        "samples: expected numbers for the model's input %s, got %zu of them",
                        vly_shape_text(&io->shape, text), n);
    return VLY_OK;
}

/* Text: JSON; binary: elements of the model's datatype. */
static vly_status read_source(vly_v1_request *r, vly_dtype dtype, vly_infer_input *in,
                              size_t *ret_n, vly_err *err)
{
    const vly_infer_json_limits limits = json_limits(r);

    size_t elem_bytes;

    if (!r->is_text && vly_dtype_size(dtype, 1, &elem_bytes)) {
        in->bytes = vly_buf_str(&r->message);
        in->tail_bytes = r->message.cap - r->message.len;
        *ret_n = in->bytes.len / elem_bytes;
        return VLY_OK;
    }
    vly_status st = vly_infer_json_parse_samples(vly_buf_str(&r->message), &limits, &r->arena,
                                                 &r->doc, &r->samples, err);
    if (st != VLY_OK)
        return st;
    r->samples.datatype = in->datatype;
    in->read = read_samples;
    in->read_ctx = &r->samples;
    in->max_elements = r->message.len;
    *ret_n = vly_infer_json_count(&r->samples);
    r->infer.request.id = r->doc.id;
    return VLY_OK;
}

static vly_status read_imu(vly_infer *infer, vly_err *err)
{
    vly_v1_request *r = request_of(infer);
    const vly_model_info *info = infer->served->servable->info;
    const vly_model_io *io = info->inputs;
    size_t n = 0;

    if (info->n_inputs != 1 || !io->has_shape || io->dtype == VLY_DTYPE_STRING)
        return vly_fail(err, VLY_EINVAL,
                        "model '%s': samples go to models with one input of numbers, of known rank",
                        infer->served->name);
    vly_infer_input *in = vly_arena_calloc(infer->arena, 1, sizeof(*in));
    if (in == NULL)
        return vly_arena_fail(infer->arena, err);
    in->name = vly_str_from(io->name);
    in->datatype = vly_str_from(vly_dtype_kserve(io->dtype));
    infer->request.inputs = in;
    infer->request.n_inputs = 1;
    vly_status st = read_source(r, io->dtype, in, &n, err);
    if (st == VLY_OK)
        st = shape_samples(io, n, in, err);
    set_outputs(&infer->request, !r->is_text);
    return st;
}

static vly_status start_imu(vly_v1_request *r, vly_err *err)
{
    return start_infer(r, read_imu, err);
}

/* ---- video: pictures ---- */

static vly_status encode_picture(vly_job *job, vly_err *err)
{
    vly_v1_request *r = job->ctx;
    const vly_served *m = r->infer.served;

    (void)err;
    vly_observations_json(&r->answer, &job->observations, &m->servable->decoder.labels,
                          vly_str_from(m->name), vly_str_from(m->version));
    return VLY_OK;
}

static void picture_done(vly_job *job)
{
    vly_v1_request *r = job->ctx;

    vly_trace_message_job(&r->trace, job, r->infer.served, r->arm != NULL);
    if (r->arm != NULL) {
        vly_route_arm_count(r->arm, vly_clock_now(), job->status, job->is_model_failure,
                            r->received_ns);
        vly_route_arm_unref(r->arm);
    }
    r->is_text = true; /* the answer is JSON */
    vly_v1_stream_done(r, job->status == VLY_OK ? NULL : &job->err);
}

static vly_status start_video(vly_v1_request *r, vly_err *err)
{
    const vly_v1_stream *s = r->stream;
    vly_job *job = &r->job;
    vly_route_pick pick;

    if (r->is_text)
        return vly_fail(err, VLY_EINVAL, "expected a picture in a binary message, got text");
    vly_status st = vly_infer_pick(s->api, s->model, s->version,
                                   s->session != 0 ? s->session : s->id, &pick, err);
    if (st != VLY_OK)
        return st;
    vly_served *m = pick.model;
    r->arm = pick.arm != NULL ? vly_route_arm_ref(pick.arm) : NULL;
    r->infer.served = m; /* kept by the job until it is done */
    *job = (vly_job){.kind = VLY_JOB_PICTURE,
                     .ctx = r,
                     .is_cancelled = &s->is_cancelled,
                     .received_ns = r->received_ns,
                     .encode = encode_picture,
                     .done = picture_done,
                     .picture = vly_buf_str(&r->message),
                     .options = s->options};
    if (vly_v1_takes_pictures(m))
        st = vly_scheduler_submit(m, &job, 1, err);
    else
        st = vly_fail(err, VLY_EINVAL, "model '%s' takes no pictures any more", m->name);
    if (st != VLY_OK && pick.arm != NULL) { /* nothing was queued */
        vly_route_arm_count(pick.arm, vly_clock_now(), st, false, r->received_ns);
        vly_route_arm_unref(pick.arm);
    }
    vly_route_pick_release(&pick);
    return st;
}

const vly_v1_kind *vly_v1_kind_find(vly_str name)
{
    static const vly_v1_kind kinds[] = {
        {"raw", false, start_raw}, {"imu", false, start_imu}, {"video", true, start_video}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (vly_str_is(name, kinds[i].name))
            return &kinds[i];
    return NULL;
}
