/* SPDX-License-Identifier: MIT */
/* TensorProto: where the elements are, and whether they are as many as the dimensions say. */
#include "codec/onnx_reader.h"

#include "base/assert.h"
#include "base/bits.h"

#include <string.h>

/* How one data type is stored outside of raw_data. */
typedef enum store {
    STORE_NONE, /* raw_data only */
    STORE_FLOATS,
    STORE_INT32S,
    STORE_INT64S,
    STORE_DOUBLES,
    STORE_UINT64S,
    STORE_STRINGS,
} store;

typedef struct type_row {
    uint8_t bits;
    uint8_t store;
} type_row;

/* Indexed by TensorProto.DataType. */
static const type_row types[] = {
    [1] = {32, STORE_FLOATS},    /* FLOAT */
    [2] = {8, STORE_INT32S},     /* UINT8 */
    [3] = {8, STORE_INT32S},     /* INT8 */
    [4] = {16, STORE_INT32S},    /* UINT16 */
    [5] = {16, STORE_INT32S},    /* INT16 */
    [6] = {32, STORE_INT32S},    /* INT32 */
    [7] = {64, STORE_INT64S},    /* INT64 */
    [8] = {0, STORE_STRINGS},    /* STRING */
    [9] = {8, STORE_INT32S},     /* BOOL */
    [10] = {16, STORE_INT32S},   /* FLOAT16, as bits */
    [11] = {64, STORE_DOUBLES},  /* DOUBLE */
    [12] = {32, STORE_UINT64S},  /* UINT32 */
    [13] = {64, STORE_UINT64S},  /* UINT64 */
    [14] = {64, STORE_FLOATS},   /* COMPLEX64, real and imaginary part in turn */
    [15] = {128, STORE_DOUBLES}, /* COMPLEX128 */
    [16] = {16, STORE_INT32S},   /* BFLOAT16 */
    [17] = {8, STORE_INT32S},    /* FLOAT8E4M3FN */
    [18] = {8, STORE_INT32S},    /* FLOAT8E4M3FNUZ */
    [19] = {8, STORE_INT32S},    /* FLOAT8E5M2 */
    [20] = {8, STORE_INT32S},    /* FLOAT8E5M2FNUZ */
    [21] = {4, STORE_INT32S},    /* UINT4: one int32 for each byte of two */
    [22] = {4, STORE_INT32S},    /* INT4 */
    [23] = {4, STORE_INT32S},    /* FLOAT4E2M1 */
    [24] = {8, STORE_INT32S},    /* FLOAT8E8M0 */
    [25] = {2, STORE_INT32S},    /* UINT2: one int32 for each byte of four */
    [26] = {2, STORE_INT32S},    /* INT2 */
};

/* The typed field of a store. */
typedef struct store_row {
    const char *name;
    uint8_t number;
    vly_pb_wire wire;
    uint8_t bytes; /* of one element in memory; 0: min(the type's width, 1 byte at least) */
} store_row;

static const store_row stores[] = {
    [STORE_FLOATS] = {"float_data", 4, VLY_PB_FIXED32, 4},
    [STORE_INT32S] = {"int32_data", 5, VLY_PB_VARINT, 0},
    [STORE_INT64S] = {"int64_data", 7, VLY_PB_VARINT, 8},
    [STORE_DOUBLES] = {"double_data", 10, VLY_PB_FIXED64, 8},
    [STORE_UINT64S] = {"uint64_data", 11, VLY_PB_VARINT, 0},
};

static vly_status shape_check(vly_onnx_reader *r, const vly_onnx_raw_tensor *raw, unsigned bits,
                              vly_onnx_tensor *t)
{
    uint64_t n = 1;
    bool is_empty = false;

    for (size_t i = 0; i < raw->n_dims; i++) {
        if (raw->dims[i] < 0)
            return vly_fail(r->err, VLY_EFORMAT, "dimension %zu is negative: %lld", i,
                            (long long)raw->dims[i]);
        is_empty = is_empty || raw->dims[i] == 0;
    }
    for (size_t i = 0; i < raw->n_dims && !is_empty; i++)
        if (__builtin_mul_overflow(n, (uint64_t)raw->dims[i], &n))
            return vly_fail(r->err, VLY_EFORMAT, "the product of the dimensions overflows");
    n = is_empty ? 0 : n;

    size_t n_bits;
    if (!vly_size_mul(n, bits, &n_bits) || n_bits > SIZE_MAX - 7)
        return vly_fail(r->err, VLY_EFORMAT, "the product of the dimensions overflows");
    t->n_dims = raw->n_dims;
    t->dims = raw->dims;
    t->n_elems = n;
    t->n_bytes = (n_bits + 7) / 8;
    return VLY_OK;
}

static bool location_is_safe(vly_str location)
{
    vly_str rest = location;

    if (location.len == 0 || location.ptr[0] == '/' ||
        memchr(location.ptr, '\0', location.len) != NULL ||
        memchr(location.ptr, '\\', location.len) != NULL)
        return false;
    while (rest.ptr != NULL) {
        vly_str part = vly_str_split(&rest, '/');
        if (vly_str_is(part, ".."))
            return false;
    }
    return true;
}

static vly_status external_number(vly_onnx_reader *r, const vly_onnx_prop *p, uint64_t *ret)
{
    if (!vly_str_to_u64(p->value, ret) || *ret > INT64_MAX)
        return vly_fail(r->err, VLY_EFORMAT, "external data: bad %.*s", VLY_STR_ARG(p->key));
    return VLY_OK;
}

static vly_status external_read(vly_onnx_reader *r, const vly_onnx_raw_tensor *raw,
                                vly_onnx_tensor *t)
{
    vly_onnx_external *e = vly_arena_calloc(r->arena, 1, sizeof(*e));
    uint64_t length = t->n_bytes;
    vly_status st = VLY_OK;

    if (e == NULL)
        return vly_arena_fail(r->arena, r->err);
    for (size_t i = 0; i < raw->n_external && st == VLY_OK; i++) {
        const vly_onnx_prop *p = &raw->external[i];
        if (vly_str_is(p->key, "location"))
            e->location = p->value;
        else if (vly_str_is(p->key, "checksum"))
            e->checksum = p->value;
        else if (vly_str_is(p->key, "offset"))
            st = external_number(r, p, &e->offset);
        else if (vly_str_is(p->key, "length"))
            st = external_number(r, p, &length);
    }
    if (st != VLY_OK)
        return st;
    if (!location_is_safe(e->location))
        return vly_fail(r->err, VLY_EFORMAT,
                        "external data: location is not a path below the model's directory");
    if (length != t->n_bytes)
        return vly_fail(r->err, VLY_EFORMAT, "external data: expected %zu bytes, got %llu",
                        t->n_bytes, (unsigned long long)length);
    if (e->offset > INT64_MAX - length)
        return vly_fail(r->err, VLY_EFORMAT, "external data: offset and length overflow");
    t->external = e;
    return VLY_OK;
}

/* int32_data may hold signed or unsigned values of the element's width: both fit, nothing else. */
static bool fits_width(uint64_t v, size_t width)
{
    int64_t i = (int32_t)(uint32_t)v;

    if (width >= 4)
        return true;
    return i >= -(INT64_C(1) << (8 * width - 1)) && i < INT64_C(1) << (8 * width);
}

/* Elements of one occurrence of the typed field; there may be many, packed or not. */
static vly_status typed_append(vly_onnx_reader *r, const store_row *s, const vly_pb_field *f,
                               size_t width, char **at)
{
    vly_pb c = vly_pb_begin(f->bytes);
    uint64_t v = f->value;
    bool is_one = f->wire == s->wire;

    if (!is_one && s->wire != VLY_PB_VARINT) {
        if (f->bytes.len > 0)
            memcpy(*at, f->bytes.ptr, f->bytes.len);
        *at += f->bytes.len;
        return VLY_OK;
    }
    while (is_one || vly_pb_take_varint(&c, &v)) {
        if (s->number == stores[STORE_INT32S].number && !fits_width(v, width))
            return vly_fail(r->err, VLY_EFORMAT, "int32_data: %d does not fit into %zu byte(s)",
                            (int)(uint32_t)v, width);
        memcpy(*at, &v, width); /* little-endian: the low bytes */
        *at += width;
        if (is_one)
            break;
    }
    if (c.bad)
        return vly_fail(r->err, VLY_EFORMAT, "%s: a varint is over 64 bits", s->name);
    return VLY_OK;
}

/* Gathers the n elements of the typed field. One packed run of fixed-size numbers stays where it
 * is. */
static vly_status typed_read(vly_onnx_reader *r, vly_str message, const store_row *s, size_t width,
                             vly_onnx_tensor *t)
{
    vly_pb c = vly_pb_begin(message);
    vly_pb_field f;
    char *data = NULL;
    char *at = NULL;

    while (vly_pb_next(&c, &f)) {
        if (f.number != s->number)
            continue;
        if (s->wire != VLY_PB_VARINT && f.wire == VLY_PB_LEN && f.bytes.len == t->n_bytes) {
            t->data = f.bytes.ptr;
            return VLY_OK;
        }
        if (data == NULL) {
            data = at = vly_arena_alloc(r->arena, t->n_bytes);
            if (data == NULL)
                return vly_arena_fail(r->arena, r->err);
        }
        vly_status st = typed_append(r, s, &f, width, &at);
        if (st != VLY_OK)
            return st;
    }
    t->data = data;
    return VLY_OK;
}

static size_t typed_count(const vly_onnx_raw_tensor *raw, store s)
{
    switch (s) {
    case STORE_FLOATS:
        return raw->n_floats;
    case STORE_INT32S:
        return raw->n_int32s;
    case STORE_INT64S:
        return raw->n_int64s;
    case STORE_DOUBLES:
        return raw->n_doubles;
    case STORE_UINT64S:
        return raw->n_uint64s;
    case STORE_STRINGS:
        return raw->n_strings;
    case STORE_NONE:
        break;
    }
    return 0;
}

/* Elements in typed fields other than the one that belongs to the data type. */
static bool has_foreign_data(const vly_onnx_raw_tensor *raw, store own)
{
    for (store s = STORE_FLOATS; s <= STORE_STRINGS; s++)
        if (s != own && typed_count(raw, s) > 0)
            return true;
    return false;
}

static vly_status strings_read(vly_onnx_reader *r, const vly_onnx_raw_tensor *raw,
                               vly_onnx_tensor *t)
{
    if (raw->raw_data.len > 0)
        return vly_fail(r->err, VLY_EFORMAT, "strings cannot be in raw_data");
    if (raw->n_strings != t->n_elems)
        return vly_fail(r->err, VLY_EFORMAT, "expected %llu strings for its shape, got %zu",
                        (unsigned long long)t->n_elems, raw->n_strings);
    t->strings = raw->strings;
    return VLY_OK;
}

static vly_status data_read(vly_onnx_reader *r, vly_str message, const vly_onnx_raw_tensor *raw,
                            store own, vly_onnx_tensor *t)
{
    size_t n = typed_count(raw, own);
    size_t width = stores[own].bytes;

    if (n > 0 && raw->raw_data.len > 0)
        return vly_fail(r->err, VLY_EFORMAT, "holds both raw_data and %s", stores[own].name);
    if (n == 0) {
        if (raw->raw_data.len != t->n_bytes)
            return vly_fail(r->err, VLY_EFORMAT, "expected %zu bytes for its shape, got %zu",
                            t->n_bytes, raw->raw_data.len);
        t->data = raw->raw_data.ptr;
        return VLY_OK;
    }
    if (width == 0) {
        unsigned bits = types[t->data_type].bits;
        width = bits < 8 ? 1 : bits / 8;
    }
    if (t->n_bytes % width != 0 || n != t->n_bytes / width)
        return vly_fail(r->err, VLY_EFORMAT, "expected %zu elements in %s for its shape, got %zu",
                        t->n_bytes / width, stores[own].name, n);
    return typed_read(r, message, &stores[own], width, t);
}

static vly_status tensor_finish(vly_onnx_reader *r, vly_onnx_frame *f)
{
    const vly_onnx_raw_tensor *raw = &f->raw.tensor;
    vly_onnx_tensor t = {.name = raw->name};
    bool is_known = raw->data_type > 0 && raw->data_type < (int64_t)VLY_COUNT(types);
    bool is_external = raw->data_location == 1;
    vly_status st;

    if (vly_onnx__has(f, 3))
        return vly_fail(r->err, VLY_EUNSUPPORTED,
                        "segmented tensors, sequences and optionals are not read");
    if (!is_known)
        return vly_fail(r->err, VLY_EUNSUPPORTED, "unknown data type %lld",
                        (long long)raw->data_type);
    if (raw->data_location != 0 && !is_external)
        return vly_fail(r->err, VLY_EFORMAT, "unknown data_location %lld",
                        (long long)raw->data_location);
    type_row type = types[raw->data_type];
    t.data_type = (int32_t)raw->data_type;
    st = shape_check(r, raw, type.bits, &t);
    if (st != VLY_OK)
        return st;
    if (has_foreign_data(raw, type.store))
        return vly_fail(r->err, VLY_EFORMAT, "holds data in a field of another type than %d",
                        (int)t.data_type);
    if (is_external && (typed_count(raw, type.store) > 0 || raw->raw_data.len > 0))
        return vly_fail(r->err, VLY_EFORMAT, "holds both external data and data");

    if (type.store == STORE_STRINGS)
        st = is_external ? vly_fail(r->err, VLY_EFORMAT, "strings cannot be external data")
                         : strings_read(r, raw, &t);
    else if (is_external)
        st = external_read(r, raw, &t);
    else
        st = data_read(r, f->bytes, raw, type.store, &t);
    if (st == VLY_OK)
        memcpy(f->dest, &t, sizeof(t));
    return st;
}

#define AT(member) offsetof(vly_onnx_raw_tensor, member)

static const vly_onnx_row tensor_rows[] = {
    {1, VLY_ONNX_ROW_INTS, AT(dims), AT(n_dims), NULL, "dims"},
    {2, VLY_ONNX_ROW_INT, AT(data_type), 0, NULL, "data_type"},
    {3, VLY_ONNX_ROW_SEEN, 0, 0, NULL, "segment"},
    {4, VLY_ONNX_ROW_N_FIXED32, 0, AT(n_floats), NULL, "float_data"},
    {5, VLY_ONNX_ROW_N_VARINTS, 0, AT(n_int32s), NULL, "int32_data"},
    {6, VLY_ONNX_ROW_STRS, AT(strings), AT(n_strings), NULL, "string_data"},
    {7, VLY_ONNX_ROW_N_VARINTS, 0, AT(n_int64s), NULL, "int64_data"},
    {8, VLY_ONNX_ROW_STR, AT(name), 0, NULL, "name"},
    {9, VLY_ONNX_ROW_STR, AT(raw_data), 0, NULL, "raw_data"},
    {10, VLY_ONNX_ROW_N_FIXED64, 0, AT(n_doubles), NULL, "double_data"},
    {11, VLY_ONNX_ROW_N_VARINTS, 0, AT(n_uint64s), NULL, "uint64_data"},
    {13, VLY_ONNX_ROW_MESSAGES, AT(external), AT(n_external), &vly_onnx__prop_schema,
     "external_data"},
    {14, VLY_ONNX_ROW_INT, AT(data_location), 0, NULL, "data_location"},
};

const vly_onnx_schema vly_onnx__tensor_schema = {
    .rows = tensor_rows,
    .n_rows = VLY_COUNT(tensor_rows),
    .bytes = sizeof(vly_onnx_tensor),
    .has_raw = true,
    .name_number = 8,
    .finish = tensor_finish,
};

vly_status vly_onnx_tensor_parse(const void *bytes, size_t len, vly_arena *arena,
                                 const vly_onnx_tensor **ret, vly_err *err)
{
    vly_onnx_tensor *t = vly_arena_calloc(arena, 1, sizeof(*t));

    if (t == NULL)
        return vly_arena_fail(arena, err);
    vly_status st =
        vly_onnx__read(&vly_onnx__tensor_schema, "tensor", (vly_str){bytes, len}, arena, t, err);
    if (st == VLY_OK)
        *ret = t;
    return st;
}
