/* SPDX-License-Identifier: MIT */
#include "api/cached_tensors.h"

#include "api/infer_outputs.h"
#include "base/bits.h"

#define ALIGN      16
#define HEAD_BYTES 16

/*
 * Each result: output u32, dtype u32, rank u32, 0 u32; dims i64[rank]; bytes u64; at the next
 * multiple of 16 the data, of BYTES each element behind its length; at the next multiple of 16 the
 * next result.
 */

static void pad(vly_buf *b)
{
    static const char zero[ALIGN];

    vly_buf_add(b, zero, vly_align_up(b->len, ALIGN) - b->len);
}

/* The output of the model that a result is. */
static size_t output_of(const vly_infer *call, const vly_infer_result *r)
{
    size_t at = 0;

    while (!vly_str_eq(call->wanted[at].name, r->name))
        at++;
    return at;
}

void vly_cached_tensors_write(const vly_infer *call, vly_buf *out)
{
    for (size_t i = 0; i < call->n_results; i++) {
        const vly_tensor *t = &call->results[i].tensor;
        const uint32_t head[4] = {(uint32_t)output_of(call, &call->results[i]), (uint32_t)t->dtype,
                                  (uint32_t)t->shape.rank, 0};
        uint64_t bytes = vly_infer_wire_bytes(t);
        vly_buf_add(out, head, sizeof(head));
        vly_buf_add(out, t->shape.dim, (size_t)t->shape.rank * sizeof(t->shape.dim[0]));
        vly_buf_add(out, &bytes, sizeof(bytes));
        pad(out);
        vly_infer_put_wire(t, out);
        pad(out);
    }
}

/* ---- and back ---- */

/* Takes the next n bytes; ptr NULL: there are not as many. */
static vly_str take(vly_str *rest, uint64_t n)
{
    vly_str taken = {NULL, 0};

    if (n > rest->len)
        return taken;
    taken = (vly_str){rest->ptr, (size_t)n};
    *rest = (vly_str){rest->ptr + n, rest->len - (size_t)n};
    return taken;
}

static void skip_padding(vly_str *rest, const char *begin)
{
    size_t at = (size_t)(rest->ptr - begin);
    size_t n = vly_align_up(at, ALIGN) - at;

    (void)take(rest, n < rest->len ? n : rest->len);
}

static bool read_shape(vly_str dims, vly_shape *ret)
{
    vly_shape s = {.rank = (int)(dims.len / sizeof(int64_t))};

    memcpy(s.dim, dims.ptr, dims.len);
    for (int i = 0; i < s.rank; i++)
        if (s.dim[i] < 0)
            return false;
    *ret = s;
    return true;
}

static bool read_texts(vly_infer *call, const vly_shape *shape, vly_str data, vly_tensor *ret)
{
    uint64_t n;

    if (!vly_shape_count(shape, &n) || n > data.len / sizeof(uint32_t))
        return false;
    vly_str *elems = vly_arena_calloc(call->arena, (size_t)n + 1, sizeof(*elems));
    if (elems == NULL)
        return false;
    for (uint64_t i = 0; i < n; i++) {
        vly_str len = take(&data, sizeof(uint32_t));
        if (len.ptr == NULL)
            return false;
        elems[i] = take(&data, vly_load_le32(len.ptr));
        if (elems[i].ptr == NULL)
            return false;
    }
    *ret = vly_tensor_borrow(VLY_DTYPE_STRING, shape, elems);
    return data.len == 0;
}

static bool read_data(vly_infer *call, vly_dtype dtype, const vly_shape *shape, vly_str data,
                      vly_tensor *ret)
{
    size_t bytes;

    if (dtype == VLY_DTYPE_STRING)
        return read_texts(call, shape, data, ret);
    if (!vly_shape_bytes(shape, dtype, &bytes) || bytes != data.len)
        return false;
    *ret = vly_tensor_borrow(dtype, shape, data.ptr);
    return true;
}

static vly_dtype dtype_of(const vly_infer *call, size_t output)
{
    bool is_class = call->wanted[output].n_classes > 0;

    return is_class ? VLY_DTYPE_STRING : call->served->servable->info->outputs[output].dtype;
}

/* The result of this output, which comes next. */
static bool read_result(vly_infer *call, size_t output, vly_str *rest, const char *begin,
                        vly_infer_result *ret)
{
    vly_str head = take(rest, HEAD_BYTES);
    vly_shape shape;

    if (head.ptr == NULL)
        return false;
    uint32_t dtype = vly_load_le32(head.ptr + 4), rank = vly_load_le32(head.ptr + 8);
    if (vly_load_le32(head.ptr) != output || dtype != (uint32_t)dtype_of(call, output) ||
        rank > VLY_RANK_MAX)
        return false;
    vly_str dims = take(rest, rank * sizeof(int64_t));
    vly_str bytes = take(rest, dims.ptr != NULL ? sizeof(uint64_t) : SIZE_MAX);
    if (bytes.ptr == NULL || !read_shape(dims, &shape))
        return false;
    skip_padding(rest, begin);
    vly_str data = take(rest, vly_load_le64(bytes.ptr));
    skip_padding(rest, begin);
    *ret = (vly_infer_result){.how = call->wanted[output], .name = call->wanted[output].name};
    return data.ptr != NULL && read_data(call, (vly_dtype)dtype, &shape, data, &ret->tensor);
}

bool vly_cached_tensors_read(vly_infer *call, vly_str bytes)
{
    vly_str rest = bytes;
    size_t n = 0;

    for (size_t i = 0; i < call->served->servable->info->n_outputs; i++) {
        if (call->wanted[i].name.ptr == NULL)
            continue;
        if (!read_result(call, i, &rest, bytes.ptr, &call->results[n++]))
            return false;
    }
    if (rest.len > 0)
        return false;
    call->n_results = n;
    return true;
}
