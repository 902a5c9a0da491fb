/* SPDX-License-Identifier: MIT */
#include "codec/pb_slots.h"

static vly_pb_wire wire_of(vly_pb_slot_kind kind)
{
    return kind == VLY_PB_SLOT_BOOL || kind == VLY_PB_SLOT_INT ? VLY_PB_VARINT : VLY_PB_LEN;
}

static bool fill(const vly_pb_slot *slot, const vly_pb_field *f, char *dst)
{
    void *at = dst + slot->offset;

    switch (slot->kind) {
    case VLY_PB_SLOT_TEXT:
        if (!vly_str_is_utf8(f->bytes))
            return false;
        *(vly_str *)at = f->bytes;
        return true;
    case VLY_PB_SLOT_BYTES:
        *(vly_str *)at = f->bytes;
        return true;
    case VLY_PB_SLOT_BOOL:
        *(bool *)at = f->value != 0;
        return true;
    case VLY_PB_SLOT_INT:
        *(uint64_t *)at = f->value;
        return true;
    case VLY_PB_SLOT_COUNT:
        ++*(size_t *)at;
        return true;
    }
    return false;
}

bool vly_pb_read(vly_str message, const vly_pb_slot *slots, size_t n_slots, void *dst)
{
    vly_pb c = vly_pb_begin(message);
    vly_pb_field f;

    while (vly_pb_next(&c, &f))
        for (size_t i = 0; i < n_slots; i++)
            if (slots[i].number == f.number && wire_of(slots[i].kind) == f.wire &&
                !fill(&slots[i], &f, dst))
                return false;
    return !c.bad;
}

bool vly_pb_next_of(vly_pb *c, uint32_t number, vly_str *ret)
{
    vly_pb_field f;

    while (vly_pb_next(c, &f)) {
        if (f.number != number || f.wire != VLY_PB_LEN)
            continue;
        *ret = f.bytes;
        return true;
    }
    return false;
}
