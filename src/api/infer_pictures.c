/* SPDX-License-Identifier: MIT */
#include "api/infer_pictures.h"

#include "api/v2.h"
#include "base/bits.h"

/* One image input, for which the model's task knows what it wants. */
static bool takes_pictures(const vly_served *m)
{
    const vly_servable *s = m->servable;

    return s->info->n_inputs == 1 && s->info->inputs[0].dtype == VLY_DTYPE_F32 &&
           s->decoder.kind != VLY_TASK_TENSOR && s->decoder.input_channels == 3;
}

static bool is_encoded(vly_str bytes)
{
    return vly_str_starts(bytes, VLY_STR("\xff\xd8\xff")) ||
           vly_str_starts(bytes, VLY_STR("\x89PNG")) || vly_str_starts(bytes, VLY_STR("RIFF"));
}

bool vly_infer__has_pictures(const vly_infer *call)
{
    const vly_infer_request *r = &call->request;

    if (!takes_pictures(call->served))
        return false;
    if (r->is_raw)
        return is_encoded(r->inputs[0].bytes);
    for (size_t i = 0; i < r->n_inputs; i++)
        if (vly_str_is(r->inputs[i].datatype, "BYTES"))
            return true;
    return false;
}

/* Takes the next element. */
static vly_status take(const vly_infer *call, vly_str *rest, uint64_t i, uint64_t n, vly_str *ret,
                       vly_err *err)
{
    uint32_t len = rest->len >= 4 ? vly_load_le32(rest->ptr) : 0;

    if (rest->len < 4 || len > rest->len - 4)
        return vly_fail(err, VLY_EINVAL,
                        "incomplete string data for inference input '%s' for model '%s', expecting "
                        "%llu string elements, got %llu",
                        call->served->servable->info->inputs[0].name, call->served->name,
                        (unsigned long long)n, (unsigned long long)i);
    *ret = (vly_str){rest->ptr + 4, len};
    *rest = (vly_str){rest->ptr + 4 + len, rest->len - 4 - len};
    return VLY_OK;
}

/* The single element of bytes: behind its length, or without one. */
static bool is_bare(vly_str bytes, uint64_t n)
{
    return n == 1 && is_encoded(bytes) &&
           (bytes.len < 4 || vly_load_le32(bytes.ptr) != bytes.len - 4);
}

static vly_status prepare(const vly_infer *call, vly_letterbox *lb, vly_str encoded, float *dst,
                          vly_err *err)
{
    const vly_decoder *d = &call->served->servable->decoder;
    vly_picture picture = {0};
    vly_status st =
        vly_picture_decode(encoded.ptr, encoded.len, &call->api->picture_limits, &picture, err);

    if (st == VLY_OK)
        st = vly_letterbox_run(lb, &picture, &d->prep, d->input_width, d->input_height, dst, NULL,
                               err);
    vly_picture_release(&picture);
    return st;
}

static vly_status prepare_all(const vly_infer *call, vly_str bytes, uint64_t n, vly_tensor *t,
                              vly_err *err)
{
    size_t each = t->bytes / sizeof(float) / (size_t)n;
    vly_str rest = is_bare(bytes, n) ? (vly_str){NULL, 0} : bytes;
    vly_letterbox lb;
    vly_status st = VLY_OK;

    vly_letterbox_init(&lb);
    for (uint64_t i = 0; st == VLY_OK && i < n; i++) {
        vly_str encoded = bytes;
        if (rest.ptr != NULL)
            st = take(call, &rest, i, n, &encoded, err);
        if (st != VLY_OK)
            break;
        st = prepare(call, &lb, encoded, (float *)t->data + i * each, err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "input '%s': picture %llu",
                        call->served->servable->info->inputs[0].name, (unsigned long long)i);
    }
    vly_letterbox_release(&lb);
    if (st == VLY_OK && rest.len > 0)
        st = vly_fail(err, VLY_EINVAL,
                      "unexpected number of string elements for inference input '%s' for model "
                      "'%s', expecting %llu",
                      call->served->servable->info->inputs[0].name, call->served->name,
                      (unsigned long long)n);
    return st;
}

/* How many pictures the model takes at once. */
static vly_status check_count(const vly_infer *call, const vly_model_io *io, uint64_t n,
                              vly_err *err)
{
    const vly_servable *s = call->served->servable;
    bool is_free = !io->has_shape || io->shape.dim[0] == VLY_DIM_UNKNOWN;
    uint64_t max = is_free ? call->api->max_parts : (uint64_t)io->shape.dim[0];

    if (is_free && s->config != NULL && s->config->has_max_batch_size)
        max = (uint64_t)vly_v2_max_batch(s);
    if (n >= 1 && n <= max && (is_free || n == max))
        return VLY_OK;
    return vly_fail(
        err, VLY_EINVAL, "input '%s' for model '%s': expected %s%llu pictures, got %llu", io->name,
        s->name, is_free ? "1 to " : "", (unsigned long long)max, (unsigned long long)n);
}

vly_status vly_infer__read_pictures(const vly_infer *call, const vly_model_io *io, vly_str bytes,
                                    uint64_t n, vly_tensor *ret, vly_err *err)
{
    const vly_decoder *d = &call->served->servable->decoder;
    vly_tensor t = {.data = NULL};
    vly_status st = check_count(call, io, n, err);

    if (st != VLY_OK)
        return st;
    vly_shape shape = VLY_SHAPE((int64_t)n, d->input_channels, d->input_height, d->input_width);
    st = vly_tensor_new(VLY_DTYPE_F32, &shape, &t, err);
    if (st == VLY_OK)
        st = prepare_all(call, bytes, n, &t, err);
    if (st == VLY_OK)
        *ret = t;
    else
        vly_tensor_release(&t);
    return st;
}
