/* SPDX-License-Identifier: MIT */
/*
 * Reads the singular fields of one protobuf message into a struct, by a table.
 *
 *     static const vly_pb_slot slots[] = {
 *         {1, VLY_PB_SLOT_TEXT, offsetof(thing, name)},
 *         {2, VLY_PB_SLOT_COUNT, offsetof(thing, n_parts)},
 *     };
 *     thing t = {0};
 *     if (!vly_pb_read(message, slots, VLY_COUNT(slots), &t))
 *         return VLY_EFORMAT;
 *
 * As protobuf wants it: of a field that comes more than once the last one counts, and a field that
 * is not in the table, or whose wire type is not its kind's, is passed over. Fields that do not
 * come leave their place untouched. Owns nothing: views borrow from the message. Thread: any.
 */
#ifndef VLY_CODEC_PB_SLOTS_H
#define VLY_CODEC_PB_SLOTS_H

#include "codec/pbwire.h"

typedef enum vly_pb_slot_kind {
    VLY_PB_SLOT_TEXT,  /* vly_str; must be UTF-8 */
    VLY_PB_SLOT_BYTES, /* vly_str: bytes, or a message (ptr not NULL: it is there) */
    VLY_PB_SLOT_BOOL,  /* bool */
    VLY_PB_SLOT_INT,   /* uint64_t, or int64_t: the bits of the varint */
    VLY_PB_SLOT_COUNT, /* size_t: how often this repeated field of bytes or messages comes */
} vly_pb_slot_kind;

typedef struct vly_pb_slot {
    uint32_t number;
    vly_pb_slot_kind kind;
    size_t offset;
} vly_pb_slot;

/* False: not a message, or text that is not UTF-8; *dst may be half filled then. */
bool vly_pb_read(vly_str message, const vly_pb_slot *slots, size_t n_slots, void *dst);

/* The next LEN field of this number, others passed over; false at the end, or with c->bad set. */
bool vly_pb_next_of(vly_pb *c, uint32_t number, vly_str *ret);

#endif
