/* SPDX-License-Identifier: MIT */
#include "codec/grpc_param.h"

#include "base/assert.h"
#include "codec/pb_slots.h"

/* Fields of the messages that hold a value. */
enum { F_BOOL = 1, F_INT = 2, F_STRING = 3, F_FOUR = 4, F_UINT = 5 };

static void read_field(const vly_pb_field *f, vly_grpc_param *p)
{
    if (f->wire == VLY_PB_VARINT && f->number == F_BOOL) {
        p->kind = VLY_GRPC_BOOL;
        p->number = f->value != 0;
    } else if (f->wire == VLY_PB_VARINT && (f->number == F_INT || f->number == F_UINT)) {
        p->kind = f->number == F_INT ? VLY_GRPC_INT : VLY_GRPC_UINT;
        p->number = f->value;
    } else if (f->wire == VLY_PB_LEN && (f->number == F_STRING || f->number == F_FOUR)) {
        p->kind = f->number == F_STRING ? VLY_GRPC_STRING : VLY_GRPC_BYTES;
        p->text = f->bytes;
    } else if (f->wire == VLY_PB_FIXED64 && f->number == F_FOUR) {
        p->kind = VLY_GRPC_DOUBLE;
        p->real = vly_pb_double(f->value);
    }
}

static bool read_value(vly_str message, vly_grpc_param *p)
{
    vly_pb c = vly_pb_begin(message);
    vly_pb_field f;

    while (vly_pb_next(&c, &f))
        read_field(&f, p);
    return !c.bad && (p->kind != VLY_GRPC_STRING || vly_str_is_utf8(p->text));
}

typedef struct map_entry {
    vly_str key, value;
} map_entry;

static bool read_entry(vly_str message, vly_grpc_param *p)
{
    static const vly_pb_slot slots[] = {{1, VLY_PB_SLOT_TEXT, offsetof(map_entry, key)},
                                        {2, VLY_PB_SLOT_BYTES, offsetof(map_entry, value)}};
    map_entry e = {.key = {NULL, 0}};

    if (!vly_pb_read(message, slots, VLY_COUNT(slots), &e))
        return false;
    p->key = e.key;
    return read_value(e.value, p);
}

vly_status vly_grpc_params_read(vly_str message, uint32_t number, vly_arena *arena,
                                vly_grpc_params *ret, vly_err *err)
{
    const vly_pb_slot count = {number, VLY_PB_SLOT_COUNT, 0};
    size_t n = 0;
    vly_str bytes;

    if (!vly_pb_read(message, &count, 1, &n))
        return vly_fail(err, VLY_EFORMAT, "malformed message");
    if (n > VLY_GRPC_PARAMS_MAX)
        return vly_fail(err, VLY_ELIMIT, "expected at most %d parameters, got %zu",
                        VLY_GRPC_PARAMS_MAX, n);
    vly_grpc_param *items = NULL;
    if (n > 0 && (items = vly_arena_calloc(arena, n, sizeof(*items))) == NULL)
        return vly_arena_fail(arena, err);
    vly_pb c = vly_pb_begin(message);
    for (size_t i = 0; i < n && vly_pb_next_of(&c, number, &bytes); i++)
        if (!read_entry(bytes, &items[i]))
            return vly_fail(err, VLY_EFORMAT, "malformed parameter");
    *ret = (vly_grpc_params){items, n};
    return VLY_OK;
}

const vly_grpc_param *vly_grpc_params_find(const vly_grpc_params *p, const char *key)
{
    for (size_t i = p->n; i > 0; i--)
        if (vly_str_is(p->items[i - 1].key, key))
            return &p->items[i - 1];
    return NULL;
}

static void put_value(vly_buf *b, const vly_grpc_param *p)
{
    switch (p->kind) {
    case VLY_GRPC_NONE:
        break;
    case VLY_GRPC_BOOL:
        vly_pb_put_varint(b, F_BOOL, p->number);
        break;
    case VLY_GRPC_INT:
        vly_pb_put_varint(b, F_INT, p->number);
        break;
    case VLY_GRPC_UINT:
        vly_pb_put_varint(b, F_UINT, p->number);
        break;
    case VLY_GRPC_DOUBLE:
        vly_pb_put_double(b, F_FOUR, p->real);
        break;
    case VLY_GRPC_STRING:
        vly_pb_put_bytes(b, F_STRING, p->text);
        break;
    case VLY_GRPC_BYTES:
        vly_pb_put_bytes(b, F_FOUR, p->text);
        break;
    }
}

void vly_grpc_put_param(vly_buf *b, uint32_t number, const vly_grpc_param *p)
{
    size_t entry = vly_pb_open(b, number);
    vly_pb_put_bytes(b, 1, p->key);
    size_t value = vly_pb_open(b, 2);
    put_value(b, p);
    vly_pb_close(b, value);
    vly_pb_close(b, entry);
}
