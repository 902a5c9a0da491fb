/* SPDX-License-Identifier: MIT */
#include "codec/onnx_reader.h"

#include "base/assert.h"

#include <stdio.h>
#include <string.h>

#define NAME_SHOWN_MAX 80 /* bytes of an outside name that an error message repeats */

static const struct {
    vly_pb_wire wire;
    bool packable; /* a list of numbers: may also come as one LEN field */
    bool is_list;
    uint8_t elem_bytes; /* of the array to allocate; 0: the schema's, or none */
} kinds[] = {
    [VLY_ONNX_ROW_STR] = {VLY_PB_LEN, false, false, 0},
    [VLY_ONNX_ROW_INT] = {VLY_PB_VARINT, false, false, 0},
    [VLY_ONNX_ROW_INT32] = {VLY_PB_VARINT, false, false, 0},
    [VLY_ONNX_ROW_FLOAT] = {VLY_PB_FIXED32, false, false, 0},
    [VLY_ONNX_ROW_MESSAGE] = {VLY_PB_LEN, false, false, 0},
    [VLY_ONNX_ROW_MESSAGE_PTR] = {VLY_PB_LEN, false, false, 0},
    [VLY_ONNX_ROW_STRS] = {VLY_PB_LEN, false, true, sizeof(vly_str)},
    [VLY_ONNX_ROW_INTS] = {VLY_PB_VARINT, true, true, sizeof(int64_t)},
    [VLY_ONNX_ROW_FLOATS] = {VLY_PB_FIXED32, true, true, sizeof(float)},
    [VLY_ONNX_ROW_MESSAGES] = {VLY_PB_LEN, false, true, 0},
    [VLY_ONNX_ROW_SEEN] = {VLY_PB_LEN, false, false, 0},
    [VLY_ONNX_ROW_COUNT] = {VLY_PB_LEN, false, true, 0},
    [VLY_ONNX_ROW_N_VARINTS] = {VLY_PB_VARINT, true, true, 0},
    [VLY_ONNX_ROW_N_FIXED32] = {VLY_PB_FIXED32, true, true, 0},
    [VLY_ONNX_ROW_N_FIXED64] = {VLY_PB_FIXED64, true, true, 0},
};

static char *struct_of(vly_onnx_frame *f)
{
    return f->schema->has_raw ? (char *)&f->raw : f->dest;
}

static const vly_onnx_row *find_row(const vly_onnx_schema *s, uint32_t number, size_t *ret_idx)
{
    for (size_t i = 0; i < s->n_rows; i++) {
        if (s->rows[i].number == number) {
            *ret_idx = i;
            return &s->rows[i];
        }
    }
    return NULL;
}

bool vly_onnx__has(const vly_onnx_frame *f, unsigned number)
{
    size_t idx;
    const vly_onnx_row *row = find_row(f->schema, number, &idx);

    VLY_ASSERT(row != NULL);
    return (f->seen >> idx & 1) != 0;
}

static size_t packed_count(vly_pb_wire wire, vly_str packed)
{
    if (wire == VLY_PB_VARINT)
        return vly_pb_count_varints(packed);
    return packed.len / (wire == VLY_PB_FIXED32 ? 4 : 8);
}

static bool packed_is_whole(vly_pb_wire wire, vly_str packed)
{
    if (wire == VLY_PB_VARINT)
        return packed.len == 0 || (unsigned char)packed.ptr[packed.len - 1] < 0x80;
    return packed.len % (wire == VLY_PB_FIXED32 ? 4 : 8) == 0;
}

/* One field of the first walk. */
static vly_status count_field(vly_onnx_reader *r, vly_onnx_frame *f, const vly_pb_field *field,
                              size_t counts[VLY_ONNX_ROWS_MAX])
{
    size_t idx;
    const vly_onnx_row *row = find_row(f->schema, field->number, &idx);

    if (row == NULL)
        return VLY_OK; /* unknown fields are skipped */
    vly_pb_wire want = kinds[row->kind].wire;
    bool is_packed = kinds[row->kind].packable && field->wire == VLY_PB_LEN;
    if (field->wire != want && !is_packed)
        return vly_fail(r->err, VLY_EFORMAT, "field %u (%s): expected wire type %d, got %d",
                        field->number, row->name, (int)want, (int)field->wire);
    if (is_packed && !packed_is_whole(want, field->bytes))
        return vly_fail(r->err, VLY_EFORMAT, "field %u (%s): last element is cut off",
                        field->number, row->name);
    bool is_one = row->kind == VLY_ONNX_ROW_MESSAGE || row->kind == VLY_ONNX_ROW_MESSAGE_PTR;
    if (is_one && counts[idx] > 0)
        return vly_fail(r->err, VLY_EFORMAT, "field %u (%s) appears twice", field->number,
                        row->name);
    counts[idx] += is_packed ? packed_count(want, field->bytes) : 1;
    f->seen |= UINT32_C(1) << idx;
    return VLY_OK;
}

static void store_pointer(char *at, const void *p)
{
    memcpy(at, &p, sizeof(p)); /* the member's type differs from row to row */
}

static vly_status alloc_lists(vly_onnx_reader *r, vly_onnx_frame *f,
                              const size_t counts[VLY_ONNX_ROWS_MAX])
{
    char *base = struct_of(f);

    for (size_t i = 0; i < f->schema->n_rows; i++) {
        const vly_onnx_row *row = &f->schema->rows[i];
        if (!kinds[row->kind].is_list || counts[i] == 0)
            continue;
        size_t elem =
            row->kind == VLY_ONNX_ROW_MESSAGES ? row->child->bytes : kinds[row->kind].elem_bytes;
        if (elem == 0) { /* only counted */
            memcpy(base + row->n_offset, &counts[i], sizeof(counts[i]));
            continue;
        }
        void *list = vly_arena_calloc(r->arena, counts[i], elem);
        if (list == NULL)
            return vly_arena_fail(r->arena, r->err);
        store_pointer(base + row->offset, list);
    }
    return VLY_OK;
}

/* First walk of the top frame. */
static vly_status begin_frame(vly_onnx_reader *r, vly_onnx_frame *f)
{
    size_t counts[VLY_ONNX_ROWS_MAX] = {0};
    vly_pb c = vly_pb_begin(f->bytes);
    vly_pb_field field;

    VLY_ASSERT(f->schema->n_rows <= VLY_ONNX_ROWS_MAX);
    while (vly_pb_next(&c, &field)) {
        vly_status st = count_field(r, f, &field, counts);
        if (st != VLY_OK)
            return st;
    }
    if (c.bad)
        return vly_fail(r->err, VLY_EFORMAT, "malformed protobuf in %zu bytes", f->bytes.len);
    f->cursor = vly_pb_begin(f->bytes);
    return alloc_lists(r, f, counts);
}

static vly_status push(vly_onnx_reader *r, const vly_onnx_schema *schema, const char *noun,
                       vly_str bytes, void *dest)
{
    VLY_ASSERT(r->n_frames < VLY_ONNX_FRAMES_MAX);
    vly_onnx_frame *f = &r->frames[r->n_frames++];
    memset(f, 0, sizeof(*f)); /* all of the union raw */
    f->schema = schema;
    f->noun = noun;
    f->bytes = bytes;
    f->dest = dest;

    size_t n_graphs = 0;
    for (size_t i = 0; i < r->n_frames; i++)
        n_graphs += r->frames[i].schema == &vly_onnx__graph_schema;
    if (n_graphs > VLY_ONNX_DEPTH_MAX + 1)
        return vly_fail(r->err, VLY_ELIMIT, "subgraphs are nested deeper than %d",
                        VLY_ONNX_DEPTH_MAX);
    return begin_frame(r, f);
}

/* Pushes the child of a MESSAGE row. f is the top frame. */
static vly_status push_child(vly_onnx_reader *r, vly_onnx_frame *f, const vly_onnx_row *row,
                             vly_str bytes)
{
    char *base = struct_of(f);
    void *dest = base;

    if (row->kind == VLY_ONNX_ROW_MESSAGE_PTR) {
        dest = vly_arena_calloc(r->arena, 1, row->child->bytes);
        if (dest == NULL)
            return vly_arena_fail(r->arena, r->err);
        store_pointer(base + row->offset, dest);
    }
    return push(r, row->child, row->name, bytes, dest);
}

static void append(char *list, size_t *n, const void *elem, size_t elem_bytes)
{
    memcpy(list + *n * elem_bytes, elem, elem_bytes);
    ++*n;
}

static vly_status append_ints(vly_onnx_reader *r, char *list, size_t *n, const vly_pb_field *field)
{
    vly_pb c = vly_pb_begin(field->bytes);
    uint64_t v;

    if (field->wire == VLY_PB_VARINT)
        append(list, n, &field->value, sizeof(int64_t));
    while (vly_pb_take_varint(&c, &v))
        append(list, n, &v, sizeof(int64_t));
    if (c.bad)
        return vly_fail(r->err, VLY_EFORMAT, "field %u: a varint is over 64 bits", field->number);
    return VLY_OK;
}

static void append_floats(char *list, size_t *n, const vly_pb_field *field)
{
    if (field->wire == VLY_PB_FIXED32) {
        append(list, n, &field->value, sizeof(float)); /* little-endian: the low half */
    } else if (field->bytes.len > 0) {
        memcpy(list + *n * sizeof(float), field->bytes.ptr, field->bytes.len);
        *n += field->bytes.len / sizeof(float);
    }
}

/* One field of a list row in the second walk. */
static vly_status append_field(vly_onnx_reader *r, vly_onnx_frame *f, const vly_onnx_row *row,
                               const vly_pb_field *field)
{
    char *base = struct_of(f);
    char *list;
    size_t n;
    vly_status st = VLY_OK;

    memcpy(&list, base + row->offset, sizeof(list));
    memcpy(&n, base + row->n_offset, sizeof(n));
    size_t idx = n;
    if (row->kind == VLY_ONNX_ROW_STRS)
        append(list, &n, &field->bytes, sizeof(vly_str));
    else if (row->kind == VLY_ONNX_ROW_INTS)
        st = append_ints(r, list, &n, field);
    else if (row->kind == VLY_ONNX_ROW_FLOATS)
        append_floats(list, &n, field);
    else
        n++;
    memcpy(base + row->n_offset, &n, sizeof(n));
    if (row->kind != VLY_ONNX_ROW_MESSAGES)
        return st;
    st = push(r, row->child, row->name, field->bytes, list + idx * row->child->bytes);
    r->frames[r->n_frames - 1].in_list = true;
    r->frames[r->n_frames - 1].idx = idx;
    return st;
}

/* One field of the second walk: count_field has checked its wire type. */
static vly_status read_field(vly_onnx_reader *r, vly_onnx_frame *f, const vly_pb_field *field)
{
    size_t idx;
    const vly_onnx_row *row = find_row(f->schema, field->number, &idx);

    if (row == NULL)
        return VLY_OK;
    char *at = struct_of(f) + row->offset;
    switch ((vly_onnx_row_kind)row->kind) {
    case VLY_ONNX_ROW_STR:
        memcpy(at, &field->bytes, sizeof(field->bytes));
        break;
    case VLY_ONNX_ROW_INT:
        memcpy(at, &field->value, sizeof(int64_t));
        break;
    case VLY_ONNX_ROW_INT32:
    case VLY_ONNX_ROW_FLOAT:
        memcpy(at, &field->value, 4); /* little-endian: the low half */
        break;
    case VLY_ONNX_ROW_MESSAGE:
    case VLY_ONNX_ROW_MESSAGE_PTR:
        return push_child(r, f, row, field->bytes);
    case VLY_ONNX_ROW_STRS:
    case VLY_ONNX_ROW_INTS:
    case VLY_ONNX_ROW_FLOATS:
    case VLY_ONNX_ROW_MESSAGES:
        return append_field(r, f, row, field);
    case VLY_ONNX_ROW_SEEN:
    case VLY_ONNX_ROW_COUNT:
    case VLY_ONNX_ROW_N_VARINTS:
    case VLY_ONNX_ROW_N_FIXED32:
    case VLY_ONNX_ROW_N_FIXED64:
        break;
    }
    return VLY_OK;
}

/* A string field of a message that may not have been read yet, for error messages. */
static vly_str peek_str(vly_str message, unsigned number)
{
    vly_pb c = vly_pb_begin(message);
    vly_pb_field field;
    vly_str s = {NULL, 0};

    while (number != 0 && vly_pb_next(&c, &field))
        if (field.number == number && field.wire == VLY_PB_LEN)
            s = field.bytes;
    if (s.len > NAME_SHOWN_MAX)
        s.len = NAME_SHOWN_MAX;
    return s;
}

/* Puts "node 3 'conv1' (Conv): " in front of the message. */
static void name_frame(vly_onnx_reader *r, const vly_onnx_frame *f, vly_status st)
{
    vly_str name = peek_str(f->bytes, f->schema->name_number);
    vly_str op = peek_str(f->bytes, f->schema->op_number);
    char idx[24] = "";

    if (f->in_list)
        snprintf(idx, sizeof(idx), " %zu", f->idx);
    vly_fail_in(r->err, st, "%s%s%s%.*s%s%s%.*s%s", f->noun, idx, name.len > 0 ? " '" : "",
                VLY_STR_ARG(name), name.len > 0 ? "'" : "", op.len > 0 ? " (" : "", VLY_STR_ARG(op),
                op.len > 0 ? ")" : "");
}

/* Names where the error is, from the innermost graph or function inwards. */
static void name_place(vly_onnx_reader *r, vly_status st)
{
    for (size_t i = r->n_frames; i-- > 0;) {
        name_frame(r, &r->frames[i], st);
        if (r->frames[i].schema->is_scope)
            break;
    }
}

vly_status vly_onnx__read(const vly_onnx_schema *schema, const char *noun, vly_str bytes,
                          vly_arena *arena, void *dest, vly_err *err)
{
    vly_onnx_reader r = {.arena = arena, .err = err};
    vly_status st = push(&r, schema, noun, bytes, dest);

    while (st == VLY_OK && r.n_frames > 0) {
        vly_onnx_frame *f = &r.frames[r.n_frames - 1];
        vly_pb_field field;
        if (vly_pb_next(&f->cursor, &field)) {
            st = read_field(&r, f, &field);
            continue;
        }
        if (f->schema->finish != NULL)
            st = f->schema->finish(&r, f);
        if (st == VLY_OK)
            r.n_frames--;
    }
    if (st != VLY_OK)
        name_place(&r, st);
    return st;
}
