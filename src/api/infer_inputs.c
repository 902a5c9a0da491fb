/* SPDX-License-Identifier: MIT */
#include "api/infer_inputs.h"

#include "api/infer_pictures.h"
#include "api/v2.h"
#include "base/assert.h"
#include "base/bits.h"
#include "sys/shared_memory.h"

#include <stdarg.h>
#include <stdio.h>

/* Copies up to this size live in the arena of the request, larger ones in storage of their own. */
#define ARENA_COPY_MAX ((size_t)64 << 10)

/* Triton's hint on shapes that do not fit. */
#define BATCH_NOTE                                                                                 \
    ". NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to " \
    "be prepended to each input shape. If you want to specify the full shape including the batch " \
    "dim in your input dims config, try setting max_batch_size to zero. See the model "            \
    "configuration docs for more info on max_batch_size."

/* What Triton's core refuses it begins with the id of the request. */
static vly_status VLY_PRINTF(3, 4) refuse(const vly_infer *call, vly_err *err, const char *fmt, ...)
{
    vly_str id = call->request.id.len > 0 ? call->request.id : VLY_STR("<id_unknown>");
    char text[VLY_ERR_MSG_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return vly_fail(err, VLY_EINVAL, "[request id: %.*s] %s", VLY_STR_ARG(id), text);
}

/* The tensor to fill, with all that messages name. */
typedef struct target {
    vly_infer *call;
    const vly_infer_input *in;
    const vly_model_io *io;
    vly_tensor *tensor; /* empty so far */
} target;

static const char *model_of(const target *t)
{
    return t->call->served->name;
}

/* Memory for a tensor of this shape, aligned and padded as the engine wants it. */
static vly_status new_tensor(const target *t, const vly_shape *shape, vly_err *err)
{
    size_t bytes;

    if (!vly_shape_bytes(shape, t->io->dtype, &bytes) || bytes > ARENA_COPY_MAX)
        return vly_tensor_new(t->io->dtype, shape, t->tensor, err);
    void *data = vly_arena_alloc(t->call->arena, bytes + VLY_TENSOR_PADDING);
    if (data == NULL)
        return vly_arena_fail(t->call->arena, err);
    *t->tensor = vly_tensor_borrow(t->io->dtype, shape, data);
    return VLY_OK;
}

static vly_status check_size(const target *t, size_t expected, size_t got, vly_err *err)
{
    if (expected == got)
        return VLY_OK;
    return refuse(t->call, err,
                  "input byte size mismatch for input '%s' for model '%s'. Expected %zu, got %zu",
                  t->io->name, model_of(t), expected, got);
}

/* BYTES as sent: each element is a 4-byte length and its bytes. */
static vly_status read_texts(const target *t, vly_str data, vly_err *err)
{
    uint64_t n = vly_tensor_count(t->tensor);
    vly_str *elems = t->tensor->data;

    for (uint64_t i = 0; i < n; i++) {
        uint32_t len = data.len >= 4 ? vly_load_le32(data.ptr) : 0;
        if (data.len < 4 || len > data.len - 4)
            return refuse(t->call, err,
                          "incomplete string data for inference input '%s' for model '%s', "
                          "expecting %llu string elements, got %llu",
                          t->io->name, model_of(t), (unsigned long long)n, (unsigned long long)i);
        elems[i] = (vly_str){data.ptr + 4, len};
        data = (vly_str){data.ptr + 4 + len, data.len - 4 - len};
    }
    if (data.len > 0)
        return refuse(t->call, err,
                      "unexpected number of string elements for inference input '%s' for model "
                      "'%s', expecting %llu",
                      t->io->name, model_of(t), (unsigned long long)n);
    return VLY_OK;
}

static vly_status fill_texts(const target *t, const vly_shape *shape, vly_str data, vly_err *err)
{
    uint64_t n = 0;

    /* Nothing is allocated that the data do not cover. */
    if (!vly_shape_count(shape, &n) || n > data.len / 4)
        return refuse(t->call, err,
                      "incomplete string data for inference input '%s' for model '%s', expecting "
                      "%llu string elements",
                      t->io->name, model_of(t), (unsigned long long)n);
    vly_status st = new_tensor(t, shape, err);
    return st == VLY_OK ? read_texts(t, data, err) : st;
}

/* Can the model read the bytes where they lie? A BOOL must be 0 or 1, which a client may get wrong.
 */
static bool is_readable(const target *t, vly_str data, size_t tail_bytes)
{
    size_t align = vly_dtype_bits(t->io->dtype) / 8;

    return data.ptr != NULL && tail_bytes >= VLY_TENSOR_PADDING && align > 0 &&
           (uintptr_t)data.ptr % align == 0 && t->io->dtype != VLY_DTYPE_BOOL;
}

static vly_status fill_bytes(const target *t, const vly_shape *shape, vly_str data,
                             size_t tail_bytes, vly_err *err)
{
    size_t bytes;

    if (t->io->dtype == VLY_DTYPE_STRING)
        return fill_texts(t, shape, data, err);
    if (!vly_shape_bytes(shape, t->io->dtype, &bytes))
        return refuse(t->call, err, "byte size overflow for input '%s' for model '%s'", t->io->name,
                      model_of(t));
    vly_status st = check_size(t, bytes, data.len, err);
    if (st != VLY_OK)
        return st;
    if (is_readable(t, data, tail_bytes)) {
        *t->tensor = vly_tensor_borrow(t->io->dtype, shape, data.ptr);
        return VLY_OK;
    }
    st = new_tensor(t, shape, err);
    unsigned char *to = t->tensor->data;
    if (st != VLY_OK || to == NULL)
        return st;
    if (t->io->dtype == VLY_DTYPE_BOOL)
        for (size_t i = 0; i < bytes; i++)
            to[i] = data.ptr[i] != 0;
    else if (bytes > 0)
        memcpy(to, data.ptr, bytes);
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

static vly_status fill_read(const target *t, const vly_shape *shape, vly_err *err)
{
    vly_dtype dtype = t->io->dtype;
    uint64_t n;

    if (!vly_shape_count(shape, &n) || n > INT64_MAX)
        return vly_fail(err, VLY_EINVAL,
                        "input '%s' causes total element count to exceed maximum size of %lld",
                        t->io->name, (long long)INT64_MAX);
    if (n > t->in->max_elements)
        return vly_fail(err, VLY_EINVAL,
                        "Unable to parse 'data': Shape does not match true shape of 'data' field");
    vly_status st = new_tensor(t, shape, err);
    if (st != VLY_OK)
        return st;
    return t->in->read(t->in, class_of(dtype), vly_dtype_bits(dtype) / 8, (size_t)n,
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

    vly_buf_init(&b, VLY_MEM_NET, VLY_ERR_MSG_MAX);
    vly_buf_puts(&b, "Expected ");
    put_shape(&b, &t->io->shape);
    vly_buf_puts(&b, ", got ");
    put_shape(&b, got);
    refuse(t->call, err, "unexpected shape for input '%s' for model '%s'. %s%s", t->io->name,
           model_of(t), b.ptr != NULL ? b.ptr : "",
           vly_v2_max_batch(t->call->served->servable) > 0 ? BATCH_NOTE : "");
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

/* Types that only ONNX has are not offered. */
static vly_status check_offered(const target *t, vly_err *err)
{
    if (vly_dtype_kserve(t->io->dtype)[0] != '\0')
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL, "input '%s' has a type that the protocol has no name for",
                    t->io->name);
}

static vly_status check_datatype(const target *t, vly_err *err)
{
    const char *want = vly_dtype_kserve(t->io->dtype);

    if (check_offered(t, err) != VLY_OK)
        return VLY_EINVAL;
    if (vly_str_is(t->in->datatype, want))
        return VLY_OK;
    return refuse(t->call, err,
                  "inference input '%s' data-type is '%.*s', but model '%s' expects '%s'",
                  t->io->name, VLY_STR_ARG(t->in->datatype), model_of(t), want);
}

/* ---- shared memory ---- */

vly_status vly_infer__view(vly_infer *call, const vly_infer_region *region, void **ret,
                           vly_err *err)
{
    size_t max = call->request.n_inputs + call->request.n_outputs;

    if (call->api->shared_memory == NULL)
        return vly_fail(err, VLY_EUNSUPPORTED, VLY_NO_SHARED_MEMORY);
    if (call->regions == NULL)
        call->regions = vly_arena_calloc(call->arena, max, sizeof(*call->regions));
    if (call->regions == NULL)
        return vly_arena_fail(call->arena, err);
    VLY_ASSERT(call->n_regions < max);
    vly_status st =
        vly_shared_memory_view(call->api->shared_memory, region->name, region->offset,
                               region->bytes, &call->regions[call->n_regions], ret, err);
    call->n_regions += st == VLY_OK;
    return st;
}

void vly_infer__release_regions(vly_infer *call)
{
    for (size_t i = 0; i < call->n_regions; i++)
        vly_shared_region_unref(call->regions[i]);
    call->n_regions = 0;
}

/* The client may change its memory while the model reads it. Floats can only come out wrong then;
 * what is an index, a length or a truth value to somebody is copied before it is looked at. */
static vly_status fill_shared(const target *t, const vly_shape *shape, vly_err *err)
{
    const vly_infer_region *region = &t->in->region;
    bool is_float = vly_dtype_is_float(t->io->dtype);
    void *at = NULL;
    vly_status st = vly_infer__view(t->call, region, &at, err);

    if (st != VLY_OK || at == NULL)
        return st;
    if (t->io->dtype == VLY_DTYPE_STRING) {
        void *copy = vly_arena_alloc(t->call->arena, (size_t)region->bytes);
        if (copy == NULL)
            return vly_arena_fail(t->call->arena, err);
        at = memcpy(copy, at, (size_t)region->bytes);
    }
    return fill_bytes(t, shape, (vly_str){at, (size_t)region->bytes},
                      is_float ? VLY_SHM_TAIL_BYTES : 0, err);
}

/* Encoded pictures; from shared memory a copy, which cannot change under the decoder. */
static vly_status fill_pictures(const target *t, const vly_shape *shape, vly_err *err)
{
    const vly_infer_region *region = &t->in->region;
    vly_str bytes = t->in->bytes;
    uint64_t n = 0;

    if (t->in->read != NULL)
        return vly_fail(err, VLY_EINVAL,
                        "input '%s' for model '%s': pictures are sent as binary data, not in JSON",
                        t->io->name, model_of(t));
    if (region->name.ptr != NULL) {
        void *at = NULL;
        vly_status st = vly_infer__view(t->call, region, &at, err);
        if (st != VLY_OK || at == NULL)
            return st;
        void *copy = vly_arena_alloc(t->call->arena, (size_t)region->bytes);
        if (copy == NULL)
            return vly_arena_fail(t->call->arena, err);
        bytes = (vly_str){memcpy(copy, at, (size_t)region->bytes), (size_t)region->bytes};
    }
    if (!vly_shape_count(shape, &n))
        n = 0;
    return vly_infer__read_pictures(t->call, t->io, bytes, n, t->tensor, err);
}

static vly_status fill(const target *t, vly_err *err)
{
    vly_shape shape = {.rank = (int)t->in->rank};
    vly_status st;

    memcpy(shape.dim, t->in->shape, sizeof(shape.dim));
    if (vly_str_is(t->in->datatype, "BYTES") && vly_infer__has_pictures(t->call))
        return fill_pictures(t, &shape, err);
    st = check_datatype(t, err);
    if (st == VLY_OK)
        st = check_shape(t, &shape, err);
    if (st != VLY_OK)
        return st;
    if (t->in->region.name.ptr != NULL)
        return fill_shared(t, &shape, err);
    if (t->in->read != NULL)
        return fill_read(t, &shape, err);
    return fill_bytes(t, &shape, t->in->bytes, t->in->tail_bytes, err);
}

/* ---- raw requests ---- */

/* The model's shape with 1 for the batch, and the one other open dimension found from the size. */
static vly_status raw_shape(const target *t, vly_shape *ret, vly_err *err)
{
    vly_shape shape = t->io->shape;
    size_t elem_bytes = vly_dtype_bits(t->io->dtype) / 8;
    int open = -1;
    uint64_t n = 1;

    if (shape.rank > 0 && vly_v2_max_batch(t->call->served->servable) > 0)
        shape.dim[0] = 1;
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dim[i] != VLY_DIM_UNKNOWN)
            continue;
        if (open >= 0)
            return refuse(t->call, err,
                          "The shape of the raw input '%s' can not be deduced because there are "
                          "more than one variable-sized dimension",
                          t->io->name);
        open = i;
        shape.dim[i] = 1;
    }
    if (!vly_shape_count(&shape, &n) || n == 0)
        n = 1;
    if (t->io->dtype == VLY_DTYPE_STRING && (open >= 0 || n != 1))
        return refuse(t->call, err,
                      "For BYTE datatype raw input '%s', the model must have input shape [1]",
                      t->io->name);
    if (open >= 0)
        shape.dim[open] = (int64_t)(t->in->bytes.len / elem_bytes / n);
    *ret = shape;
    return VLY_OK;
}

static vly_status fill_raw(const target *t, vly_err *err)
{
    const vly_served *m = t->call->served;
    vly_shape shape;

    if (m->servable->info->n_inputs != 1)
        return refuse(t->call, err,
                      "Raw request must only have 1 input (found 1) to be deduced but got %zu "
                      "inputs in '%s' model configuration",
                      m->servable->info->n_inputs, m->name);
    if (vly_infer__has_pictures(t->call))
        return vly_infer__read_pictures(t->call, t->io, t->in->bytes, 1, t->tensor, err);
    vly_status st = check_offered(t, err);
    if (st == VLY_OK)
        st = raw_shape(t, &shape, err);
    if (st != VLY_OK)
        return st;
    if (t->io->dtype != VLY_DTYPE_STRING)
        return fill_bytes(t, &shape, t->in->bytes, t->in->tail_bytes, err);
    st = new_tensor(t, &shape, err);
    if (st == VLY_OK)
        *(vly_str *)t->tensor->data = t->in->bytes;
    return st;
}

/* ---- all of them ---- */

/* Index of the input of this name; n when there is none. */
static size_t find(const vly_model_info *info, vly_str name)
{
    size_t i = 0;

    while (i < info->n_inputs && !vly_str_is(name, info->inputs[i].name))
        i++;
    return i;
}

static vly_status fill_named(vly_infer *call, const vly_infer_input *in, vly_err *err)
{
    const vly_model_info *info = call->served->servable->info;
    size_t at = find(info, in->name);

    if (at == info->n_inputs)
        return vly_fail(err, VLY_EINVAL, "unexpected inference input '%.*s' for model '%s'",
                        VLY_STR_ARG(in->name), call->served->name);
    if (call->inputs[at].data != NULL)
        return vly_fail(err, VLY_EINVAL, "input '%.*s' already exists in request",
                        VLY_STR_ARG(in->name));
    return fill(&(target){call, in, &info->inputs[at], &call->inputs[at]}, err);
}

/* "['a','b']": the inputs that are there, or those that are not. */
static void put_names(vly_buf *b, const vly_infer *call, bool is_present)
{
    const vly_model_info *info = call->served->servable->info;
    size_t n = 0;

    vly_buf_putc(b, '[');
    for (size_t i = 0; i < info->n_inputs; i++)
        if (is_present == (call->inputs[i].data != NULL))
            vly_buf_printf(b, "%s'%s'", n++ > 0 ? "," : "", info->inputs[i].name);
    vly_buf_putc(b, ']');
}

static vly_status check_complete(const vly_infer *call, vly_err *err)
{
    const vly_model_info *info = call->served->servable->info;
    size_t n_present = 0;
    vly_buf b;

    for (size_t i = 0; i < info->n_inputs; i++)
        n_present += call->inputs[i].data != NULL;
    if (n_present == info->n_inputs)
        return VLY_OK;
    vly_buf_init(&b, VLY_MEM_NET, VLY_ERR_MSG_MAX);
    vly_buf_puts(&b, "Got inputs ");
    put_names(&b, call, true);
    vly_buf_puts(&b, ", but missing required inputs ");
    put_names(&b, call, false);
    refuse(call, err,
           "expected %zu inputs but got %zu inputs for model '%s'. %s. Please provide all "
           "required inputs.",
           info->n_inputs, n_present, call->served->name, b.ptr != NULL ? b.ptr : "");
    vly_buf_release(&b);
    return VLY_EINVAL;
}

/* A batch is as large for every input, and no larger than the configuration allows. */
static vly_status check_batch(vly_infer *call, vly_err *err)
{
    const vly_servable *s = call->served->servable;
    int64_t max = vly_v2_max_batch(s);
    int64_t batch = -1;

    for (size_t i = 0; max > 0 && i < s->info->n_inputs; i++) {
        const vly_shape *shape = &call->inputs[i].shape;
        if (shape->rank == 0)
            return refuse(call, err,
                          "input '%s' has no shape but model requires batch dimension for '%s'",
                          s->info->inputs[i].name, s->name);
        if (batch >= 0 && shape->dim[0] != batch)
            return refuse(call, err, "input '%s' batch size does not match other inputs for '%s'",
                          s->info->inputs[i].name, s->name);
        batch = shape->dim[0];
    }
    if (s->config != NULL && s->config->has_max_batch_size && max > 0 && batch > max)
        return refuse(call, err, "inference request batch-size must be <= %lld for '%s'",
                      (long long)max, s->name);
    call->job.n_inferences = batch > 0 ? (size_t)batch : 1;
    return VLY_OK;
}

vly_status vly_infer__bind(vly_infer *call, vly_err *err)
{
    const vly_model_info *info = call->served->servable->info;
    const vly_infer_request *r = &call->request;
    vly_status st = VLY_OK;

    call->inputs = vly_arena_calloc(call->arena, info->n_inputs, sizeof(*call->inputs));
    if (call->inputs == NULL)
        return vly_arena_fail(call->arena, err);
    if (r->is_raw)
        st = fill_raw(&(target){call, &r->inputs[0], &info->inputs[0], &call->inputs[0]}, err);
    for (size_t i = 0; st == VLY_OK && !r->is_raw && i < r->n_inputs; i++)
        st = fill_named(call, &r->inputs[i], err);
    if (st == VLY_OK)
        st = check_complete(call, err);
    if (st == VLY_OK)
        st = check_batch(call, err);
    return st;
}

void vly_infer__release_inputs(vly_infer *call)
{
    for (size_t i = 0; call->inputs != NULL && i < call->served->servable->info->n_inputs; i++)
        vly_tensor_release(&call->inputs[i]);
}
