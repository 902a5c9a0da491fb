/* SPDX-License-Identifier: MIT */
#include "codec/infer_json.h"

#include "base/assert.h"
#include "codec/json_budget.h"

#include <math.h>
#include <string.h>
#include <yyjson.h>

/* Arrays inside the data of one tensor; one for each dimension is what makes sense. */
#define NESTING_MAX 16

#define SMALL_BYTES ((size_t)512) /* of a text whose document takes some 6 KiB */

/* Memory for the document of a small text is taken from the arena at once. */
static bool use_arena(vly_str json, const vly_infer_json_limits *limits, vly_arena *arena,
                      yyjson_alc *ret)
{
    size_t bytes = yyjson_read_max_memory_usage(json.len, YYJSON_READ_NOFLAG);
    void *memory = NULL;

    if (json.len <= SMALL_BYTES && bytes <= limits->max_memory_bytes)
        memory = vly_arena_alloc(arena, bytes);
    return memory != NULL && yyjson_alc_pool_init(ret, memory, bytes);
}

static vly_status read_document(vly_str json, const vly_infer_json_limits *limits, vly_arena *arena,
                                yyjson_doc **ret, vly_err *err)
{
    vly_json_budget b = {.left = limits->max_memory_bytes};
    yyjson_alc alc = vly_json_budget_alc(&b);
    yyjson_read_err why = {0};

    if (vly_json_is_deeper(json, limits->max_depth))
        return vly_fail(err, VLY_ELIMIT,
                        "failed to parse the request JSON buffer: nested deeper than %zu",
                        limits->max_depth);
    use_arena(json, limits, arena, &alc);
    /* The cast: without YYJSON_READ_INSITU the text is only read. */
    char *text = (char *)(uintptr_t)(json.ptr != NULL ? json.ptr : "");
    yyjson_doc *doc = yyjson_read_opts(text, json.len, YYJSON_READ_NOFLAG, &alc, &why);
    if (doc == NULL && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return b.is_spent ? vly_fail(err, VLY_ELIMIT,
                                     "failed to parse the request JSON buffer: it needs more than "
                                     "%zu bytes of memory; send tensors as binary data",
                                     limits->max_memory_bytes)
                          : vly_fail(err, VLY_ENOMEM, "out of memory for the request JSON");
    if (doc == NULL)
        return vly_fail(err, VLY_EINVAL, "failed to parse the request JSON buffer: %s. at %zu",
                        why.msg, why.pos);
    *ret = doc;
    return VLY_OK;
}

static vly_status bad_member(const char *key, yyjson_val *v, const char *expected, vly_err *err)
{
    if (v == NULL)
        return vly_fail(err, VLY_EINVAL,
                        "Unable to parse '%s': attempt to access non-existing object member '%s'",
                        key, key);
    return vly_fail(err, VLY_EINVAL, "Unable to parse '%s': expected %s, got %s", key, expected,
                    yyjson_get_type_desc(v));
}

static vly_status read_str(yyjson_val *obj, const char *key, vly_str *ret, vly_err *err)
{
    yyjson_val *v = yyjson_obj_get(obj, key);

    if (!yyjson_is_str(v))
        return bad_member(key, v, "a string", err);
    *ret = (vly_str){yyjson_get_str(v), yyjson_get_len(v)};
    return VLY_OK;
}

/* Members that may be absent: *ret keeps its value then. */
static vly_status read_opt_bool(yyjson_val *obj, const char *key, bool *ret, vly_err *err)
{
    yyjson_val *v = yyjson_obj_get(obj, key);

    if (v != NULL && !yyjson_is_bool(v))
        return bad_member(key, v, "a boolean", err);
    if (v != NULL)
        *ret = yyjson_get_bool(v);
    return VLY_OK;
}

static vly_status read_opt_uint(yyjson_val *obj, const char *key, uint64_t *ret, vly_err *err)
{
    yyjson_val *v = yyjson_obj_get(obj, key);

    if (v != NULL && !yyjson_is_uint(v))
        return bad_member(key, v, "an unsigned integer", err);
    if (v != NULL)
        *ret = yyjson_get_uint(v);
    return VLY_OK;
}

/* The object of this name, NULL when there is none. */
static vly_status read_opt_obj(yyjson_val *obj, const char *key, yyjson_val **ret, vly_err *err)
{
    yyjson_val *v = yyjson_obj_get(obj, key);

    if (v != NULL && !yyjson_is_obj(v))
        return bad_member(key, v, "an object", err);
    *ret = v;
    return VLY_OK;
}

static vly_status read_region(yyjson_val *params, vly_infer_json_region *ret, vly_err *err)
{
    vly_status st = VLY_OK;

    if (yyjson_obj_get(params, "shared_memory_region") != NULL)
        st = read_str(params, "shared_memory_region", &ret->name, err);
    if (st == VLY_OK)
        st = read_opt_uint(params, "shared_memory_offset", &ret->offset, err);
    if (st == VLY_OK)
        st = read_opt_uint(params, "shared_memory_byte_size", &ret->bytes, err);
    return st;
}

static vly_status read_shape(yyjson_val *obj, vly_infer_json_input *in, vly_err *err)
{
    yyjson_val *shape = yyjson_obj_get(obj, "shape");
    size_t i, n;
    yyjson_val *dim;

    if (!yyjson_is_arr(shape))
        return bad_member("shape", shape, "an array", err);
    if (yyjson_arr_size(shape) > VLY_INFER_JSON_RANK_MAX)
        return vly_fail(err, VLY_EINVAL,
                        "Unable to parse 'shape': input '%.*s': expected at most %d dimensions, "
                        "got %zu",
                        VLY_STR_ARG(in->name), VLY_INFER_JSON_RANK_MAX, yyjson_arr_size(shape));
    yyjson_arr_foreach(shape, i, n, dim)
    {
        if (!yyjson_is_uint(dim) || yyjson_get_uint(dim) > INT64_MAX)
            return vly_fail(err, VLY_EINVAL,
                            "Unable to parse 'shape': input '%.*s': dimension %zu is not an "
                            "unsigned integer",
                            VLY_STR_ARG(in->name), i);
        in->shape[i] = (int64_t)yyjson_get_uint(dim);
    }
    in->rank = yyjson_arr_size(shape);
    return VLY_OK;
}

vly_status vly_infer_json_no_content(vly_err *err)
{
    return vly_fail(err, VLY_EINVAL,
                    "Input must set only one of the following fields: 'data', "
                    "'binary_data_size' in 'parameters', 'shared_memory_region' "
                    "in 'parameters'. But no field is set");
}

/* An input says in at most one way where its data are. */
static vly_status read_content(yyjson_val *obj, yyjson_val *params, vly_infer_json_input *in,
                               vly_err *err)
{
    yyjson_val *data = yyjson_obj_get(obj, "data");
    bool has_binary = yyjson_obj_get(params, "binary_data_size") != NULL;
    bool has_region = yyjson_obj_get(params, "shared_memory_region") != NULL;

    if ((data != NULL) + has_binary + has_region > 1)
        return vly_fail(err, VLY_EINVAL,
                        "Input must set only one of the following fields: 'data', "
                        "'binary_data_size' in 'parameters', 'shared_memory_region' in "
                        "'parameters'. But set%s%s%s",
                        data != NULL ? " 'data'" : "", has_binary ? " 'binary_data_size'" : "",
                        has_region ? " 'shared_memory_region'" : "");
    if (data != NULL && !yyjson_is_arr(data))
        return bad_member("data", data, "an array", err);
    in->data = data;
    in->has_binary = has_binary;
    vly_status st = read_opt_uint(params, "binary_data_size", &in->binary_bytes, err);
    return st == VLY_OK ? read_region(params, &in->region, err) : st;
}

static vly_status read_input(yyjson_val *obj, void *elem, vly_err *err)
{
    vly_infer_json_input *in = elem;
    yyjson_val *params = NULL;
    vly_status st = read_str(obj, "name", &in->name, err);

    if (st == VLY_OK)
        st = read_opt_obj(obj, "parameters", &params, err);
    if (st == VLY_OK)
        st = read_content(obj, params, in, err);
    if (st == VLY_OK)
        st = read_str(obj, "datatype", &in->datatype, err);
    if (st == VLY_OK)
        st = read_shape(obj, in, err);
    return st;
}

static vly_status read_output(yyjson_val *obj, void *elem, vly_err *err)
{
    vly_infer_json_output *out = elem;
    yyjson_val *params = NULL;
    vly_status st = read_str(obj, "name", &out->name, err);

    if (st == VLY_OK)
        st = read_opt_obj(obj, "parameters", &params, err);
    if (st == VLY_OK)
        st = read_region(params, &out->region, err);
    if (st == VLY_OK)
        st = read_opt_bool(params, "binary_data", &out->is_binary, err);
    if (st == VLY_OK)
        st = read_opt_uint(params, "classification", &out->n_classes, err);
    if (st == VLY_OK && out->region.name.ptr != NULL && out->n_classes > 0)
        return vly_fail(err, VLY_EINVAL,
                        "Output can't set both 'shared_memory_region' and 'classification'");
    if (st == VLY_OK && out->region.name.ptr != NULL && out->is_binary)
        return vly_fail(err, VLY_EINVAL,
                        "Output can't set both 'shared_memory_region' and 'binary_data'");
    return st;
}

/* One kind of tensor in a request. */
typedef struct tensor_kind {
    const char *key; /* of the array that holds them */
    size_t bytes;    /* of the struct that read fills */
    vly_status (*read)(yyjson_val *obj, void *elem, vly_err *err);
} tensor_kind;

static const tensor_kind input_kind = {"inputs", sizeof(vly_infer_json_input), read_input};
static const tensor_kind output_kind = {"outputs", sizeof(vly_infer_json_output), read_output};

/* Reads the array into *ret, which lives in the arena. */
static vly_status read_tensors(yyjson_val *root, const tensor_kind *kind, vly_arena *arena,
                               void **ret, size_t *ret_n, vly_err *err)
{
    yyjson_val *array = yyjson_obj_get(root, kind->key);
    size_t i, n = yyjson_arr_size(array);
    yyjson_val *obj;

    if (!yyjson_is_arr(array))
        return bad_member(kind->key, array, "an array", err);
    if (n > VLY_INFER_JSON_TENSORS_MAX)
        return vly_fail(err, VLY_ELIMIT, "Unable to parse '%s': expected at most %d, got %zu",
                        kind->key, VLY_INFER_JSON_TENSORS_MAX, n);
    char *elems = vly_arena_calloc(arena, n, kind->bytes);
    if (elems == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the request's '%s'", kind->key);
    yyjson_arr_foreach(array, i, n, obj)
    {
        vly_status st = kind->read(obj, elems + i * kind->bytes, err);
        if (st != VLY_OK)
            return st;
    }
    *ret = elems;
    *ret_n = n;
    return VLY_OK;
}

/* extension_sequence.md: sequence_id is an unsigned integer or a string. */
static vly_status read_sequence(yyjson_val *params, vly_infer_json *r, vly_err *err)
{
    vly_status st;

    if (yyjson_is_str(yyjson_obj_get(params, "sequence_id")))
        st = read_str(params, "sequence_id", &r->sequence_name, err);
    else
        st = read_opt_uint(params, "sequence_id", &r->sequence_id, err);
    if (st == VLY_OK)
        st = read_opt_bool(params, "sequence_start", &r->is_sequence_start, err);
    if (st == VLY_OK)
        st = read_opt_bool(params, "sequence_end", &r->is_sequence_end, err);
    if (st == VLY_OK && yyjson_obj_get(params, "session_id") != NULL)
        st = read_str(params, "session_id", &r->session, err);
    return st;
}

static vly_status read_params(yyjson_val *root, vly_infer_json *r, vly_err *err)
{
    yyjson_val *params = NULL;
    yyjson_val *key, *value;
    size_t i, n;
    vly_status st = read_opt_obj(root, "parameters", &params, err);

    if (st == VLY_OK)
        st = read_opt_bool(params, "binary_data_output", &r->is_binary_output, err);
    if (st == VLY_OK)
        st = read_opt_uint(params, "priority", &r->priority, err);
    if (st == VLY_OK)
        st = read_opt_uint(params, "timeout", &r->timeout_us, err);
    if (st == VLY_OK)
        st = read_sequence(params, r, err);
    if (st != VLY_OK || params == NULL)
        return st;
    yyjson_obj_foreach(params, i, n, key, value)
    {
        if (strncmp(yyjson_get_str(key), "triton_", 7) == 0)
            return vly_fail(err, VLY_EINVAL,
                            "parameter keys starting with 'triton_' are reserved for Triton usage "
                            "and should not be specified.");
    }
    return VLY_OK;
}

static vly_status read_request(yyjson_val *root, vly_arena *arena, vly_infer_json *r, vly_err *err)
{
    void *inputs = NULL, *outputs = NULL;
    vly_status st = VLY_OK;

    if (!yyjson_is_obj(root))
        return vly_fail(err, VLY_EINVAL,
                        "failed to parse the request JSON buffer: expected an object, got %s",
                        yyjson_get_type_desc(root));
    if (yyjson_obj_get(root, "id") != NULL)
        st = read_str(root, "id", &r->id, err);
    if (st == VLY_OK)
        st = read_params(root, r, err);
    if (st == VLY_OK)
        st = read_tensors(root, &input_kind, arena, &inputs, &r->n_inputs, err);
    if (st == VLY_OK && yyjson_obj_get(root, "outputs") != NULL)
        st = read_tensors(root, &output_kind, arena, &outputs, &r->n_outputs, err);
    r->inputs = inputs;
    r->outputs = outputs;
    return st;
}

vly_status vly_infer_json_parse(vly_str json, const vly_infer_json_limits *limits, vly_arena *arena,
                                vly_infer_json *ret, vly_err *err)
{
    vly_infer_json r = {.doc = NULL};
    vly_status st = read_document(json, limits, arena, &r.doc, err);

    if (st == VLY_OK)
        st = read_request(yyjson_doc_get_root(r.doc), arena, &r, err);
    if (st != VLY_OK) {
        vly_infer_json_release(&r);
        return st;
    }
    *ret = r;
    return VLY_OK;
}

static vly_status read_samples(yyjson_val *root, vly_infer_json *r, yyjson_val **ret, vly_err *err)
{
    yyjson_val *samples = root;
    vly_status st = VLY_OK;

    if (yyjson_is_obj(root)) {
        samples = yyjson_obj_get(root, "samples");
        if (yyjson_obj_get(root, "id") != NULL)
            st = read_str(root, "id", &r->id, err);
    }
    if (st == VLY_OK && !yyjson_is_arr(samples))
        return bad_member("samples", samples, "an array", err);
    *ret = samples;
    return st;
}

vly_status vly_infer_json_parse_samples(vly_str json, const vly_infer_json_limits *limits,
                                        vly_arena *arena, vly_infer_json *ret,
                                        vly_infer_json_input *ret_samples, vly_err *err)
{
    vly_infer_json r = {.doc = NULL};
    yyjson_val *samples = NULL;
    vly_status st = read_document(json, limits, arena, &r.doc, err);

    if (st == VLY_OK)
        st = read_samples(yyjson_doc_get_root(r.doc), &r, &samples, err);
    if (st != VLY_OK) {
        vly_infer_json_release(&r);
        return st;
    }
    *ret = r;
    *ret_samples = (vly_infer_json_input){.name = VLY_STR("samples"), .data = samples};
    return VLY_OK;
}

void vly_infer_json_release(vly_infer_json *r)
{
    /* The context of the heap's allocator died with the parse, but free does not look at it; that
     * of the arena's lives in the arena. */
    yyjson_doc_free(r->doc);
    r->doc = NULL;
}

static bool put_int(yyjson_val *v, size_t bytes, void *dst)
{
    unsigned shift = 64 - 8 * (unsigned)bytes;
    int64_t x = yyjson_get_sint(v);

    if (!yyjson_is_int(v) || (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX) ||
        x > (INT64_MAX >> shift) || x < (INT64_MIN >> shift))
        return false;
    memcpy(dst, &x, bytes); /* little-endian hosts only: see meson.build */
    return true;
}

static bool put_uint(yyjson_val *v, size_t bytes, void *dst)
{
    uint64_t x = yyjson_get_uint(v);

    if (!yyjson_is_uint(v) || x > (UINT64_MAX >> (64 - 8 * bytes)))
        return false;
    memcpy(dst, &x, bytes);
    return true;
}

/* A number too large for a float32 becomes infinite, as a cast does. */
static bool put_float(yyjson_val *v, size_t bytes, void *dst)
{
    double x = yyjson_get_num(v);
    float f = (float)x;

    if (!yyjson_is_num(v))
        return false;
    memcpy(dst, bytes == sizeof(f) ? (const void *)&f : (const void *)&x, bytes);
    return true;
}

static bool put(yyjson_val *v, vly_infer_json_class class, size_t bytes, void *dst)
{
    switch (class) {
    case VLY_INFER_JSON_BOOL:
        *(unsigned char *)dst = yyjson_get_bool(v);
        return yyjson_is_bool(v);
    case VLY_INFER_JSON_INT:
        return put_int(v, bytes, dst);
    case VLY_INFER_JSON_UINT:
        return put_uint(v, bytes, dst);
    case VLY_INFER_JSON_FLOAT:
        return put_float(v, bytes, dst);
    case VLY_INFER_JSON_TEXT:
        *(vly_str *)dst = (vly_str){yyjson_get_str(v), yyjson_get_len(v)};
        return yyjson_is_str(v);
    }
    return false;
}

static vly_status bad_count(vly_err *err)
{
    return vly_fail(err, VLY_EINVAL,
                    "Unable to parse 'data': Shape does not match true shape of 'data' field");
}

static vly_status bad_element(const vly_infer_json_input *in, size_t i, yyjson_val *v, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL,
                    "Unable to parse 'data': input '%.*s': element %zu, %s, is not a value of %.*s",
                    VLY_STR_ARG(in->name), i, yyjson_get_type_desc(v), VLY_STR_ARG(in->datatype));
}

vly_status vly_infer_json_read(const vly_infer_json_input *in, vly_infer_json_class class,
                               size_t elem_bytes, size_t n, void *dst, vly_err *err)
{
    yyjson_arr_iter stack[NESTING_MAX];
    size_t depth = 1;
    size_t n_read = 0;

    VLY_ASSERT(in->data != NULL);
    yyjson_arr_iter_init(in->data, &stack[0]);
    while (depth > 0) {
        yyjson_val *v = yyjson_arr_iter_next(&stack[depth - 1]);
        if (v == NULL) {
            depth--;
        } else if (yyjson_is_arr(v)) {
            if (depth == NESTING_MAX)
                return vly_fail(err, VLY_EINVAL,
                                "Unable to parse 'data': input '%.*s': nested deeper than %d",
                                VLY_STR_ARG(in->name), NESTING_MAX);
            yyjson_arr_iter_init(v, &stack[depth++]);
        } else if (n_read == n) {
            return bad_count(err);
        } else if (!put(v, class, elem_bytes, (char *)dst + n_read * elem_bytes)) {
            return bad_element(in, n_read, v, err);
        } else {
            n_read++;
        }
    }
    return n_read == n ? VLY_OK : bad_count(err);
}

size_t vly_infer_json_count(const vly_infer_json_input *in)
{
    yyjson_arr_iter stack[NESTING_MAX];
    size_t depth = 1, n = 0;

    VLY_ASSERT(in->data != NULL);
    yyjson_arr_iter_init(in->data, &stack[0]);
    while (depth > 0) {
        yyjson_val *v = yyjson_arr_iter_next(&stack[depth - 1]);
        if (v == NULL)
            depth--;
        else if (yyjson_is_arr(v) && depth < NESTING_MAX)
            yyjson_arr_iter_init(v, &stack[depth++]);
        else
            n++;
    }
    return n;
}
