/* SPDX-License-Identifier: MIT */
#include "api/v2_request.h"

#include "api/v2.h"
#include "base/bits.h"

/* The tensor to fill, with all that messages name. */
typedef struct target {
    const vly_servable *servable;
    const vly_model_io *io;
    vly_tensor *tensor; /* empty so far */
} target;

static vly_status new_tensor(const target *t, const vly_shape *shape, vly_err *err)
{
    return vly_tensor_new(t->io->dtype, shape, t->tensor, err);
}

static vly_status check_size(const target *t, size_t expected, size_t got, vly_err *err)
{
    if (expected == got)
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL,
                    "input byte size mismatch for input '%s' for model '%s'. Expected %zu, got %zu",
                    t->io->name, t->servable->name, expected, got);
}

/* BYTES as sent: each element is a 4-byte length and its bytes. */
static vly_status read_texts(const target *t, vly_str data, vly_err *err)
{
    uint64_t n = vly_tensor_count(t->tensor);
    vly_str *elems = t->tensor->data;

    for (uint64_t i = 0; i < n; i++) {
        uint32_t len = data.len >= 4 ? vly_load_le32(data.ptr) : 0;
        if (data.len < 4 || len > data.len - 4)
            return vly_fail(err, VLY_EINVAL,
                            "incomplete string data for inference input '%s' for model '%s', "
                            "expecting %llu string elements, got %llu",
                            t->io->name, t->servable->name, (unsigned long long)n,
                            (unsigned long long)i);
        elems[i] = (vly_str){data.ptr + 4, len};
        data = (vly_str){data.ptr + 4 + len, data.len - 4 - len};
    }
    if (data.len > 0)
        return vly_fail(err, VLY_EINVAL,
                        "unexpected number of string elements for inference input '%s' for model "
                        "'%s', expecting %llu",
                        t->io->name, t->servable->name, (unsigned long long)n);
    return VLY_OK;
}

static vly_status fill_binary(const target *t, const vly_shape *shape, vly_str data, vly_err *err)
{
    bool is_text = t->io->dtype == VLY_DTYPE_STRING;
    uint64_t n;
    size_t bytes;

    /* Nothing is allocated that the data do not cover. */
    if (!vly_shape_count(shape, &n) || !vly_dtype_size(t->io->dtype, n, &bytes))
        return vly_fail(err, VLY_EINVAL, "byte size overflow for input '%s' for model '%s'",
                        t->io->name, t->servable->name);
    vly_status st = is_text ? VLY_OK : check_size(t, bytes, data.len, err);
    if (is_text && n > data.len / 4)
        st = vly_fail(err, VLY_EINVAL,
                      "incomplete string data for inference input '%s' for model '%s', expecting "
                      "%llu string elements",
                      t->io->name, t->servable->name, (unsigned long long)n);
    if (st == VLY_OK)
        st = new_tensor(t, shape, err);
    if (st != VLY_OK)
        return st;
    if (is_text)
        return read_texts(t, data, err);
    if (t->io->dtype == VLY_DTYPE_BOOL)
        for (size_t i = 0; i < bytes; i++)
            ((unsigned char *)t->tensor->data)[i] = data.ptr[i] != 0;
    else if (bytes > 0)
        memcpy(t->tensor->data, data.ptr, bytes);
    return VLY_OK;
}

static vly_infer_json_class class_of(vly_dtype t)
{
    if (t == VLY_DTYPE_STRING)
        return VLY_INFER_JSON_TEXT;
    if (t == VLY_DTYPE_BOOL)
        return VLY_INFER_JSON_BOOL;
    if (vly_dtype_is_float(t))
        return VLY_INFER_JSON_FLOAT;
    return vly_dtype_is_signed(t) ? VLY_INFER_JSON_INT : VLY_INFER_JSON_UINT;
}

static vly_status fill_json(const target *t, const vly_shape *shape, const vly_infer_json_input *in,
                            size_t json_len, vly_err *err)
{
    vly_dtype dtype = t->io->dtype;
    uint64_t n;

    if (dtype == VLY_DTYPE_F16 || dtype == VLY_DTYPE_BF16)
        return vly_fail(err, VLY_EINVAL,
                        "receiving %s data via JSON is not supported. Please use the binary data "
                        "format for input %s",
                        vly_dtype_kserve(dtype), t->io->name);
    if (!vly_shape_count(shape, &n) || n > INT64_MAX)
        return vly_fail(err, VLY_EINVAL,
                        "input '%s' causes total element count to exceed maximum size of %lld",
                        t->io->name, (long long)INT64_MAX);
    if (n > json_len) /* each element takes a byte at least: allocate nothing for a lie */
        return vly_fail(err, VLY_EINVAL,
                        "Unable to parse 'data': Shape does not match true shape of 'data' field");
    vly_status st = new_tensor(t, shape, err);
    if (st != VLY_OK)
        return st;
    return vly_infer_json_read(in, class_of(dtype), vly_dtype_bits(dtype) / 8, (size_t)n,
                               t->tensor->data, err);
}

/* "[-1,16]" */
static void put_shape(vly_buf *b, const vly_shape *s)
{
    vly_buf_putc(b, '[');
    for (int i = 0; i < s->rank; i++)
        vly_buf_printf(b, "%s%lld", i > 0 ? "," : "", (long long)s->dim[i]);
    vly_buf_putc(b, ']');
}

static vly_status bad_shape(const target *t, const vly_shape *got, vly_err *err)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, 1024);
    vly_buf_puts(&b, "Expected ");
    put_shape(&b, &t->io->shape);
    vly_buf_puts(&b, ", got ");
    put_shape(&b, got);
    vly_fail(err, VLY_EINVAL, "unexpected shape for input '%s' for model '%s'. %s", t->io->name,
             t->servable->name, b.ptr != NULL ? b.ptr : "");
    vly_buf_release(&b);
    return VLY_EINVAL;
}

static vly_status check_shape(const target *t, const vly_shape *got, vly_err *err)
{
    const vly_shape *want = &t->io->shape;

    if (!t->io->has_shape)
        return VLY_OK;
    if (want->rank != got->rank)
        return bad_shape(t, got, err);
    for (int i = 0; i < want->rank; i++)
        if (want->dim[i] != VLY_DIM_UNKNOWN && want->dim[i] != got->dim[i])
            return bad_shape(t, got, err);
    return VLY_OK;
}

static vly_status check_datatype(const target *t, vly_str got, vly_err *err)
{
    const char *want = vly_dtype_kserve(t->io->dtype);

    if (vly_str_is(got, want))
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL,
                    "inference input '%s' data-type is '%.*s', but model '%s' expects '%s'",
                    t->io->name, VLY_STR_ARG(got), t->servable->name, want);
}

/* Takes n bytes from what is left of the binary data. */
static vly_status take_binary(const target *t, vly_str *rest, size_t n, vly_str *ret, vly_err *err)
{
    if (n > rest->len)
        return vly_fail(err, VLY_EINVAL,
                        "unexpected size for input '%s', expecting %zu additional bytes for model "
                        "'%s'",
                        t->io->name, n - rest->len, t->servable->name);
    *ret = (vly_str){rest->ptr, n};
    *rest = (vly_str){rest->ptr + n, rest->len - n};
    return VLY_OK;
}

static vly_status fill(const target *t, const vly_infer_json_input *in, size_t json_len,
                       vly_str *rest, vly_err *err)
{
    vly_shape shape = {.rank = (int)in->rank};
    vly_str data;
    vly_status st = check_datatype(t, in->datatype, err);

    _Static_assert(VLY_INFER_JSON_RANK_MAX == VLY_RANK_MAX, "a request's shape fits");
    memcpy(shape.dim, in->shape, sizeof(shape.dim));
    if (st == VLY_OK)
        st = check_shape(t, &shape, err);
    if (st != VLY_OK)
        return st;
    if (in->data != NULL)
        return fill_json(t, &shape, in, json_len, err);
    st = take_binary(t, rest, in->binary_bytes, &data, err);
    return st == VLY_OK ? fill_binary(t, &shape, data, err) : st;
}

/* Index of the input or output of this name; n when there is none. */
static size_t find(const vly_model_io *ios, size_t n, vly_str name)
{
    size_t i = 0;

    while (i < n && !vly_str_is(name, ios[i].name))
        i++;
    return i;
}

static vly_status read_inputs(vly_v2_request *r, const vly_servable *s, size_t json_len,
                              vly_str rest, vly_err *err)
{
    const vly_model_info *info = s->info;

    for (size_t i = 0; i < r->json.n_inputs; i++) {
        const vly_infer_json_input *in = &r->json.inputs[i];
        size_t at = find(info->inputs, info->n_inputs, in->name);
        if (at == info->n_inputs)
            return vly_fail(err, VLY_EINVAL, "unexpected inference input '%.*s' for model '%s'",
                            VLY_STR_ARG(in->name), s->name);
        if (r->inputs[at].data != NULL)
            return vly_fail(err, VLY_EINVAL, "input '%.*s' already exists in request",
                            VLY_STR_ARG(in->name));
        target t = {s, &info->inputs[at], &r->inputs[at]};
        vly_status st = fill(&t, in, json_len, &rest, err);
        if (st != VLY_OK)
            return st;
    }
    if (rest.len > 0)
        return vly_fail(err, VLY_EINVAL, "unexpected additional input data for model '%s'",
                        s->name);
    return VLY_OK;
}

/* Names of the inputs for which wants() holds: "['a','b']". */
static void put_names(vly_buf *b, const vly_v2_request *r, const vly_model_info *info, bool present)
{
    size_t n = 0;

    vly_buf_putc(b, '[');
    for (size_t i = 0; i < info->n_inputs; i++) {
        bool has_data = r->inputs[i].data != NULL;
        if (present == has_data)
            vly_buf_printf(b, "%s'%s'", n++ > 0 ? "," : "", info->inputs[i].name);
    }
    vly_buf_putc(b, ']');
}

static vly_status check_complete(const vly_v2_request *r, const vly_servable *s, vly_err *err)
{
    const vly_model_info *info = s->info;
    size_t n_present = 0, n_missing = 0;
    vly_buf b;

    for (size_t i = 0; i < info->n_inputs; i++) {
        n_present += r->inputs[i].data != NULL;
        n_missing += r->inputs[i].data == NULL;
    }
    if (n_missing == 0)
        return VLY_OK;
    vly_buf_init(&b, VLY_MEM_NET, VLY_ERR_MSG_MAX);
    vly_buf_puts(&b, "Got inputs ");
    put_names(&b, r, info, true);
    vly_buf_puts(&b, ", but missing required inputs ");
    put_names(&b, r, info, false);
    vly_fail(err, VLY_EINVAL,
             "expected %zu inputs but got %zu inputs for model '%s'. %s. Please provide all "
             "required inputs.",
             info->n_inputs, n_present, s->name, b.ptr != NULL ? b.ptr : "");
    vly_buf_release(&b);
    return VLY_EINVAL;
}

/* A batch is as large for every input, and no larger than the configuration allows. */
static vly_status check_batch(const vly_v2_request *r, const vly_servable *s, vly_err *err)
{
    const vly_model_info *info = s->info;
    int64_t max = vly_v2_max_batch(s);
    int64_t batch = -1;

    for (size_t i = 0; max > 0 && i < info->n_inputs; i++) {
        const vly_tensor *t = &r->inputs[i];
        if (t->data == NULL || t->shape.rank == 0)
            continue;
        if (batch >= 0 && t->shape.dim[0] != batch)
            return vly_fail(err, VLY_EINVAL,
                            "input '%s' batch size does not match other inputs for '%s'",
                            info->inputs[i].name, s->name);
        batch = t->shape.dim[0];
    }
    if (s->config != NULL && s->config->has_max_batch_size && max > 0 && batch > max)
        return vly_fail(err, VLY_EINVAL, "inference request batch-size must be <= %lld for '%s'",
                        (long long)max, s->name);
    return VLY_OK;
}

static vly_status choose_outputs(vly_v2_request *r, const vly_servable *s, vly_err *err)
{
    const vly_model_info *info = s->info;

    for (size_t i = 0; i < r->json.n_outputs; i++) {
        const vly_infer_json_output *out = &r->json.outputs[i];
        size_t at = find(info->outputs, info->n_outputs, out->name);
        if (at == info->n_outputs)
            return vly_fail(err, VLY_EINVAL, "unexpected inference output '%.*s' for model '%s'",
                            VLY_STR_ARG(out->name), s->name);
        r->outputs[at] = *out;
    }
    for (size_t i = 0; r->json.n_outputs == 0 && i < info->n_outputs; i++)
        r->outputs[i] = (vly_infer_json_output){.name = vly_str_from(info->outputs[i].name),
                                                .is_binary = r->json.is_binary_output};
    return VLY_OK;
}

static vly_status make_room(vly_v2_request *r, const vly_servable *s, vly_arena *arena,
                            vly_err *err)
{
    *r = (vly_v2_request){.inputs = NULL};
    r->outputs = vly_arena_calloc(arena, s->info->n_outputs, sizeof(*r->outputs));
    r->inputs = vly_arena_calloc(arena, s->info->n_inputs, sizeof(*r->inputs));
    if (r->inputs == NULL || r->outputs == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the request");
    return VLY_OK;
}

vly_status vly_v2_request_read(vly_v2_request *r, const vly_servable *s, vly_str body,
                               size_t json_len, const vly_infer_json_limits *limits,
                               vly_arena *arena, vly_err *err)
{
    vly_status st = make_room(r, s, arena, err);

    if (st == VLY_OK && json_len > body.len)
        st = vly_fail(err, VLY_EINVAL, "unexpected size for request JSON, expecting %zu more bytes",
                      json_len - body.len);
    if (st == VLY_OK)
        st = vly_infer_json_parse((vly_str){body.ptr, json_len}, limits, arena, &r->json, err);
    if (st == VLY_OK)
        st = choose_outputs(r, s, err);
    if (st == VLY_OK)
        st = read_inputs(r, s, json_len, (vly_str){body.ptr + json_len, body.len - json_len}, err);
    if (st == VLY_OK)
        st = check_complete(r, s, err);
    if (st == VLY_OK)
        st = check_batch(r, s, err);
    if (st != VLY_OK)
        vly_v2_request_release(r, s);
    return st;
}

/* The model's shape with 1 for the batch, and the one other open dimension found from the size. */
static vly_status raw_shape(const target *t, size_t n_bytes, vly_shape *ret, vly_err *err)
{
    vly_shape shape = t->io->shape;
    size_t elem_bytes = vly_dtype_bits(t->io->dtype) / 8;
    int open = -1;
    uint64_t n = 1;

    if (shape.rank > 0 && vly_v2_max_batch(t->servable) > 0)
        shape.dim[0] = 1;
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dim[i] != VLY_DIM_UNKNOWN)
            continue;
        if (open >= 0)
            return vly_fail(err, VLY_EINVAL,
                            "The shape of the raw input '%s' can not be deduced because there are "
                            "more than one variable-sized dimension",
                            t->io->name);
        open = i;
        shape.dim[i] = 1;
    }
    if (!vly_shape_count(&shape, &n) || n == 0)
        n = 1;
    if (t->io->dtype == VLY_DTYPE_STRING && (open >= 0 || n != 1))
        return vly_fail(err, VLY_EINVAL,
                        "For BYTE datatype raw input '%s', the model must have input shape [1]",
                        t->io->name);
    if (open >= 0)
        shape.dim[open] = (int64_t)(n_bytes / elem_bytes / n);
    *ret = shape;
    return VLY_OK;
}

static vly_status read_raw_input(vly_v2_request *r, const vly_servable *s, vly_str body,
                                 vly_err *err)
{
    const vly_model_info *info = s->info;
    target t = {s, &info->inputs[0], &r->inputs[0]};
    vly_shape shape;

    if (info->n_inputs != 1)
        return vly_fail(err, VLY_EINVAL,
                        "Raw request must only have 1 input (found 1) to be deduced but got %zu "
                        "inputs in '%s' model configuration",
                        info->n_inputs, s->name);
    vly_status st = raw_shape(&t, body.len, &shape, err);
    if (st != VLY_OK)
        return st;
    if (t.io->dtype != VLY_DTYPE_STRING)
        return fill_binary(&t, &shape, body, err);
    st = new_tensor(&t, &shape, err);
    if (st == VLY_OK)
        *(vly_str *)t.tensor->data = body;
    return st;
}

vly_status vly_v2_request_read_raw(vly_v2_request *r, const vly_servable *s, vly_str body,
                                   vly_arena *arena, vly_err *err)
{
    vly_status st = make_room(r, s, arena, err);

    if (st == VLY_OK) {
        r->json.is_binary_output = true;
        st = choose_outputs(r, s, err);
    }
    if (st == VLY_OK)
        st = read_raw_input(r, s, body, err);
    if (st != VLY_OK)
        vly_v2_request_release(r, s);
    return st;
}

void vly_v2_request_release(vly_v2_request *r, const vly_servable *s)
{
    for (size_t i = 0; r->inputs != NULL && i < s->info->n_inputs; i++)
        vly_tensor_release(&r->inputs[i]);
    vly_infer_json_release(&r->json);
}
