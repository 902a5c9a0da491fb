/* SPDX-License-Identifier: MIT */
#include "load/load_model.h"

#include "base/float_text.h"
#include "codec/json_doc.h"
#include "codec/npy.h"
#include "codec/pbwire.h"

#include <inttypes.h>
#include <string.h>

/* ---- what the server says ------------------------------------------------------------------ */

static vly_status check_input(vly_load_input *in, vly_str datatype, vly_err *err)
{
    if (in->name.len == 0 || !vly_dtype_from_kserve(datatype, &in->dtype))
        return vly_fail(err, VLY_EFORMAT,
                        "input '%.*s': expected a name and a datatype, got '%.*s'",
                        VLY_STR_ARG(in->name), VLY_STR_ARG(datatype));
    if (in->dtype == VLY_DTYPE_STRING)
        return vly_fail(err, VLY_EUNSUPPORTED, "input '%.*s' is text: give the body as a file",
                        VLY_STR_ARG(in->name));
    for (size_t i = 0; i < in->rank; i++)
        if (in->dims[i] < -1 || in->dims[i] > (int64_t)VLY_LOAD_TENSOR_MAX)
            return vly_fail(err, VLY_EFORMAT, "input '%.*s': dimension %zu is %" PRId64,
                            VLY_STR_ARG(in->name), i, in->dims[i]);
    return VLY_OK;
}

static vly_status take_input(vly_load_model *m, vly_load_input **ret, vly_err *err)
{
    if (m->n_inputs == VLY_LOAD_INPUTS_MAX)
        return vly_fail(err, VLY_EUNSUPPORTED, "expected at most %d inputs", VLY_LOAD_INPUTS_MAX);
    *ret = &m->inputs[m->n_inputs++];
    return VLY_OK;
}

static vly_status add_dim(vly_load_input *in, int64_t dim, vly_err *err)
{
    if (in->rank == VLY_LOAD_RANK_MAX)
        return vly_fail(err, VLY_EUNSUPPORTED, "input '%.*s': expected at most %d dimensions",
                        VLY_STR_ARG(in->name), VLY_LOAD_RANK_MAX);
    in->dims[in->rank++] = dim;
    return VLY_OK;
}

static vly_str text_of(yyjson_val *v)
{
    return (vly_str){yyjson_get_str(v), yyjson_get_len(v)};
}

static vly_status read_json_input(yyjson_val *v, vly_load_model *m, vly_err *err)
{
    vly_load_input *in = NULL;
    size_t i, n;
    yyjson_val *dim;
    vly_status st = take_input(m, &in, err);

    if (st != VLY_OK)
        return st;
    in->name = text_of(yyjson_obj_get(v, "name"));
    yyjson_arr_foreach(yyjson_obj_get(v, "shape"), i, n, dim)
    {
        if (st == VLY_OK)
            st = add_dim(in, yyjson_is_int(dim) ? yyjson_get_sint(dim) : INT64_MIN, err);
    }
    return st == VLY_OK ? check_input(in, text_of(yyjson_obj_get(v, "datatype")), err) : st;
}

vly_status vly_load_model_from_json(vly_str json, vly_arena *arena, vly_load_model *ret,
                                    vly_err *err)
{
    vly_load_model m = {0};
    yyjson_val *root = NULL, *input;
    size_t i, n;
    vly_status st = vly_json_doc_read(json, arena, &root, err);

    if (st != VLY_OK)
        return vly_fail(err, VLY_EFORMAT, "expected the metadata of a model as JSON");
    m.name = text_of(yyjson_obj_get(root, "name"));
    yyjson_arr_foreach(yyjson_obj_get(root, "inputs"), i, n, input)
    {
        if (st == VLY_OK)
            st = read_json_input(input, &m, err);
    }
    if (st == VLY_OK && m.n_inputs == 0)
        st = vly_fail(err, VLY_EFORMAT, "the metadata of the model name no inputs");
    if (st == VLY_OK)
        *ret = m;
    return st;
}

/* TensorMetadata: name 1, datatype 2, shape 3 (packed, or one by one). */
static vly_status read_grpc_input(vly_str message, vly_load_model *m, vly_err *err)
{
    vly_pb c = vly_pb_begin(message);
    vly_pb_field f;
    vly_load_input *in = NULL;
    vly_str datatype = {0};
    vly_status st = take_input(m, &in, err);

    while (st == VLY_OK && vly_pb_next(&c, &f)) {
        if (f.number == 1 && f.wire == VLY_PB_LEN)
            in->name = f.bytes;
        if (f.number == 2 && f.wire == VLY_PB_LEN)
            datatype = f.bytes;
        if (f.number == 3 && f.wire == VLY_PB_VARINT)
            st = add_dim(in, (int64_t)f.value, err);
        if (f.number != 3 || f.wire != VLY_PB_LEN)
            continue;
        vly_pb packed = vly_pb_begin(f.bytes);
        uint64_t dim;
        while (st == VLY_OK && vly_pb_take_varint(&packed, &dim))
            st = add_dim(in, (int64_t)dim, err);
        c.bad |= packed.bad;
    }
    if (st == VLY_OK && c.bad)
        st = vly_fail(err, VLY_EFORMAT, "malformed metadata of a tensor");
    return st == VLY_OK ? check_input(in, datatype, err) : st;
}

/* ModelMetadataResponse: name 1, inputs 4. */
vly_status vly_load_model_from_grpc(vly_str message, vly_arena *arena, vly_load_model *ret,
                                    vly_err *err)
{
    const char *copy = vly_arena_strdup(arena, message);
    vly_load_model m = {0};
    vly_pb_field f;
    vly_status st = VLY_OK;

    if (copy == NULL)
        return vly_arena_fail(arena, err);
    vly_pb c = vly_pb_begin((vly_str){copy, message.len});
    while (st == VLY_OK && vly_pb_next(&c, &f)) {
        if (f.number == 1 && f.wire == VLY_PB_LEN)
            m.name = f.bytes;
        if (f.number == 4 && f.wire == VLY_PB_LEN)
            st = read_grpc_input(f.bytes, &m, err);
    }
    if (st == VLY_OK && (c.bad || m.n_inputs == 0))
        st = vly_fail(err, VLY_EFORMAT, "expected the metadata of a model, with inputs");
    if (st == VLY_OK)
        *ret = m;
    return st;
}

/* ---- data ---------------------------------------------------------------------------------- */

static vly_status size_up(vly_load_input *in, int64_t n_rows, vly_err *err)
{
    uint64_t n = 1;

    if (in->rank > 0 && in->dims[0] == -1)
        in->dims[0] = n_rows;
    for (size_t i = 0; i < in->rank; i++) {
        if (in->dims[i] < 0)
            return vly_fail(err, VLY_EINVAL,
                            "input '%.*s': dimension %zu is open: give the input as a .npy file",
                            VLY_STR_ARG(in->name), i);
        if (__builtin_mul_overflow(n, (uint64_t)in->dims[i], &n) || n > VLY_LOAD_TENSOR_MAX)
            return vly_fail(err, VLY_ELIMIT, "input '%.*s' is too large", VLY_STR_ARG(in->name));
    }
    in->n_elems = (size_t)n;
    if (!vly_dtype_size(in->dtype, n, &in->n_bytes) || in->n_bytes > VLY_LOAD_TENSOR_MAX)
        return vly_fail(err, VLY_ELIMIT, "input '%.*s' is too large", VLY_STR_ARG(in->name));
    return VLY_OK;
}

static void draw(vly_dtype dtype, vly_rng *rng, unsigned char *to, size_t bytes)
{
    const float f = vly_rng_uniform(rng);
    const double d = (double)f;
    const uint16_t half = dtype == VLY_DTYPE_F16 ? vly_f32_to_f16(f) : vly_bf16_from_f32(f);
    const uint64_t i = dtype == VLY_DTYPE_BOOL ? f >= 0.5F : (uint64_t)(f * 100);
    const void *from = &i;
    if (dtype == VLY_DTYPE_F32)
        from = &f;
    else if (dtype == VLY_DTYPE_F64)
        from = &d;
    else if (vly_dtype_is_float(dtype))
        from = &half;
    memcpy(to, from, bytes);
}

vly_status vly_load_model_fill(vly_load_model *m, int64_t n_rows, uint64_t seed, vly_arena *arena,
                               vly_err *err)
{
    vly_rng rng;

    vly_rng_init(&rng, seed, 1);
    for (size_t i = 0; i < m->n_inputs; i++) {
        vly_load_input *in = &m->inputs[i];
        if (in->data != NULL)
            continue;
        vly_status st = size_up(in, n_rows, err);
        if (st != VLY_OK)
            return st;
        unsigned char *data = vly_arena_alloc(arena, in->n_bytes + 1);
        if (data == NULL)
            return vly_arena_fail(arena, err);
        const size_t each = vly_dtype_bits(in->dtype) / 8;
        for (size_t k = 0; k < in->n_elems; k++)
            draw(in->dtype, &rng, data + k * each, each);
        in->data = data;
    }
    return VLY_OK;
}

vly_status vly_load_model_set(vly_load_model *m, size_t input, vly_str npy, vly_arena *arena,
                              vly_err *err)
{
    vly_load_input *in = &m->inputs[input];
    vly_npy a;
    vly_status st = vly_npy_parse(npy.ptr, npy.len, &a, err);

    if (st != VLY_OK)
        return st;
    bool fits = a.n_dims == in->rank && a.data_type == (int32_t)in->dtype;
    for (size_t i = 0; i < in->rank && fits; i++)
        fits = in->dims[i] == -1 || in->dims[i] == a.dims[i];
    if (!fits)
        return vly_fail(err, VLY_EINVAL, "expected %s and the shape of input '%.*s', got %s",
                        vly_dtype_name(in->dtype), VLY_STR_ARG(in->name),
                        vly_dtype_name((vly_dtype)a.data_type));
    char *data = vly_arena_alloc(arena, a.n_bytes + 1);
    if (data == NULL)
        return vly_arena_fail(arena, err);
    memcpy(in->dims, a.dims, in->rank * sizeof(in->dims[0]));
    st = size_up(in, 1, err);
    if (st != VLY_OK)
        return st;
    vly_npy_copy(&a, data);
    in->data = data;
    return VLY_OK;
}

/* ---- requests ------------------------------------------------------------------------------ */

static int64_t integer_of(const vly_load_input *in, const unsigned char *at, size_t each)
{
    uint64_t raw = 0;

    memcpy(&raw, at, each);
    if (vly_dtype_is_signed(in->dtype) && each < 8 && (raw >> (each * 8 - 1)) != 0)
        raw |= UINT64_MAX << (each * 8);
    return (int64_t)raw;
}

static void put_number(vly_buf *b, const vly_load_input *in, size_t k)
{
    const size_t each = vly_dtype_bits(in->dtype) / 8;
    const unsigned char *at = (const unsigned char *)in->data + k * each;
    char text[VLY_F32_TEXT_MAX];
    uint16_t half = 0;
    float f = 0;
    double d;

    if (in->dtype == VLY_DTYPE_BOOL) {
        vly_buf_puts(b, *at != 0 ? "true" : "false");
    } else if (in->dtype == VLY_DTYPE_F64) {
        memcpy(&d, at, sizeof(d));
        vly_buf_printf(b, "%.17g", d);
    } else if (vly_dtype_is_float(in->dtype)) {
        memcpy(in->dtype == VLY_DTYPE_F32 ? (void *)&f : (void *)&half, at, each);
        if (in->dtype != VLY_DTYPE_F32)
            f = in->dtype == VLY_DTYPE_F16 ? vly_f16_to_f32(half) : vly_bf16_to_f32(half);
        vly_buf_add(b, text, vly_f32_text(f, text));
    } else if (in->dtype == VLY_DTYPE_U64) {
        vly_buf_printf(b, "%" PRIu64, (uint64_t)integer_of(in, at, each));
    } else {
        vly_buf_printf(b, "%" PRId64, integer_of(in, at, each));
    }
}

/* The first float that is sent as text has room for 16 digits. */
static void put_json_data(vly_buf *b, const vly_load_input *in, vly_load_body *body)
{
    vly_buf_puts(b, ",\"data\":[");
    for (size_t k = 0; k < in->n_elems; k++) {
        if (k > 0)
            vly_buf_putc(b, ',');
        if (body->mark == VLY_LOAD_MARK_NONE && vly_dtype_is_float(in->dtype)) {
            vly_buf_puts(b, "0.");
            *body = (vly_load_body){.mark = VLY_LOAD_MARK_DECIMAL, .at = b->len};
            vly_buf_puts(b, "5000000000000000");
            continue;
        }
        put_number(b, in, k);
    }
    vly_buf_putc(b, ']');
}

static void put_json(const vly_load_model *m, bool is_binary, vly_buf *b, vly_load_body *body)
{
    vly_buf_puts(b, "{\"inputs\":[");
    for (size_t i = 0; i < m->n_inputs; i++) {
        const vly_load_input *in = &m->inputs[i];
        vly_buf_puts(b, i > 0 ? ",{\"name\":" : "{\"name\":");
        vly_buf_json_str(b, in->name);
        vly_buf_printf(b, ",\"datatype\":\"%s\",\"shape\":[", vly_dtype_kserve(in->dtype));
        for (size_t d = 0; d < in->rank; d++)
            vly_buf_printf(b, d > 0 ? ",%" PRId64 : "%" PRId64, in->dims[d]);
        vly_buf_putc(b, ']');
        if (is_binary)
            vly_buf_printf(b, ",\"parameters\":{\"binary_data_size\":%zu}", in->n_bytes);
        else
            put_json_data(b, in, body);
        vly_buf_putc(b, '}');
    }
    vly_buf_puts(b, is_binary ? "],\"parameters\":{\"binary_data_output\":true}}" : "]}");
}

/* Where the bytes of an input will be, for its mark. */
static void mark_raw(const vly_load_input *in, size_t at, vly_load_body *body)
{
    if (body->mark == VLY_LOAD_MARK_NONE && in->n_bytes >= 4)
        *body = (vly_load_body){.mark = in->dtype == VLY_DTYPE_F32 ? VLY_LOAD_MARK_FLOAT
                                                                   : VLY_LOAD_MARK_BYTES,
                                .at = at};
}

/* ModelInferRequest: model_name 1, inputs 5 {name 1, datatype 2, shape 3}, raw_input_contents 7. */
static void put_grpc(const vly_load_model *m, vly_buf *b, vly_load_body *body)
{
    vly_pb_put_bytes(b, 1, m->name);
    for (size_t i = 0; i < m->n_inputs; i++) {
        const vly_load_input *in = &m->inputs[i];
        const size_t tensor = vly_pb_open(b, 5);
        vly_pb_put_bytes(b, 1, in->name);
        vly_pb_put_bytes(b, 2, vly_str_from(vly_dtype_kserve(in->dtype)));
        const size_t shape = vly_pb_open(b, 3);
        for (size_t d = 0; d < in->rank; d++)
            vly_pb_put_raw_varint(b, (uint64_t)in->dims[d]);
        vly_pb_close(b, shape);
        vly_pb_close(b, tensor);
    }
    for (size_t i = 0; i < m->n_inputs; i++) {
        vly_pb_put_bytes(b, 7, (vly_str){m->inputs[i].data, m->inputs[i].n_bytes});
        mark_raw(&m->inputs[i], b->len - m->inputs[i].n_bytes, body);
    }
}

static void put_binary(const vly_load_model *m, vly_buf *b, vly_load_body *body, size_t *ret_head)
{
    put_json(m, true, b, body);
    *ret_head = b->len;
    for (size_t i = 0; i < m->n_inputs; i++) {
        mark_raw(&m->inputs[i], b->len, body);
        vly_buf_add(b, m->inputs[i].data, m->inputs[i].n_bytes);
    }
}

vly_status vly_load_model_request(const vly_load_model *m, vly_load_form form, vly_buf *buf,
                                  vly_load_body *ret, size_t *ret_head_len, vly_err *err)
{
    vly_load_body body = {.mark = VLY_LOAD_MARK_NONE};
    size_t head = 0;

    if (form == VLY_LOAD_FORM_JSON)
        put_json(m, false, buf, &body);
    else if (form == VLY_LOAD_FORM_BINARY)
        put_binary(m, buf, &body, &head);
    else
        put_grpc(m, buf, &body);
    if (buf->failed)
        return vly_fail(err, VLY_ELIMIT, "a request to '%.*s' is too large", VLY_STR_ARG(m->name));
    body.bytes = vly_buf_str(buf);
    *ret = body;
    *ret_head_len = head;
    return VLY_OK;
}
