/* SPDX-License-Identifier: MIT */
#include "codec/pb_schema.h"

#include "base/assert.h"
#include "codec/pb_slots.h"

#include <stddef.h>

/* Field numbers of descriptor.proto. */
enum { SET_FILE = 1, FILE_PACKAGE = 2, MESSAGE_FIELD = 2, MESSAGE_OPTIONS = 7, ENUM_VALUE = 2 };
enum { OPTIONS_MAP_ENTRY = 7, LABEL_REPEATED = 3 };

typedef enum node_kind { FILE_NODE, MESSAGE, ENUM, SERVICE, LEAF } node_kind;

typedef struct node {
    node_kind kind;
    vly_str bytes;
} node;

/* Which field of a parent holds children of which kind. */
static const struct {
    node_kind parent;
    uint32_t number;
    node_kind child;
} children[] = {{FILE_NODE, 4, MESSAGE}, {FILE_NODE, 5, ENUM},  {FILE_NODE, 6, SERVICE},
                {MESSAGE, 2, LEAF},      {MESSAGE, 3, MESSAGE}, {MESSAGE, 4, ENUM},
                {SERVICE, 2, LEAF}};

static vly_str text_of(vly_str message, uint32_t number)
{
    const vly_pb_slot slot = {number, VLY_PB_SLOT_BYTES, 0};
    vly_str text = {NULL, 0};

    return vly_pb_read(message, &slot, 1, &text) ? text : (vly_str){NULL, 0};
}

/* The one of the repeated field `number` whose own field 1 is name. */
static bool find_named(vly_str message, uint32_t number, vly_str name, vly_str *ret)
{
    vly_pb c = vly_pb_begin(message);
    vly_str item;

    while (vly_pb_next_of(&c, number, &item)) {
        if (!vly_str_eq(text_of(item, 1), name))
            continue;
        *ret = item;
        return true;
    }
    return false;
}

static bool find_child(node *at, vly_str name)
{
    vly_str found;

    for (size_t i = 0; i < VLY_COUNT(children); i++) {
        if (children[i].parent != at->kind ||
            !find_named(at->bytes, children[i].number, name, &found))
            continue;
        *at = (node){children[i].child, found};
        return true;
    }
    return false;
}

/* From the file that defines symbol down to what it names. */
static bool find_in_file(vly_str file, vly_str symbol, node *ret)
{
    vly_str package = text_of(file, FILE_PACKAGE);
    node at = {FILE_NODE, file};

    if (!vly_str_starts(symbol, package) || symbol.len <= package.len ||
        symbol.ptr[package.len] != '.')
        return false;
    vly_str rest = {symbol.ptr + package.len + 1, symbol.len - package.len - 1};
    while (rest.ptr != NULL)
        if (!find_child(&at, vly_str_split(&rest, '.')))
            return false;
    *ret = at;
    return true;
}

static bool find(vly_str set, vly_str symbol, vly_str *ret_file, node *ret)
{
    vly_pb c = vly_pb_begin(set);

    while (vly_pb_next_of(&c, SET_FILE, ret_file))
        if (find_in_file(*ret_file, symbol, ret))
            return true;
    return false;
}

bool vly_pb_schema_file(vly_str set, vly_str name, vly_str *ret)
{
    return find_named(set, SET_FILE, name, ret);
}

bool vly_pb_schema_file_of(vly_str set, vly_str symbol, vly_str *ret)
{
    vly_str file;
    node at;

    if (!find(set, symbol, &file, &at))
        return false;
    *ret = file;
    return true;
}

bool vly_pb_schema_message(vly_str set, vly_str symbol, vly_str *ret)
{
    vly_str file;
    node at;

    if (!find(set, symbol, &file, &at) || at.kind != MESSAGE)
        return false;
    *ret = at.bytes;
    return true;
}

bool vly_pb_schema_is_map_entry(vly_str message)
{
    static const vly_pb_slot slot = {OPTIONS_MAP_ENTRY, VLY_PB_SLOT_BOOL, 0};
    bool is_entry = false;

    return vly_pb_read(text_of(message, MESSAGE_OPTIONS), &slot, 1, &is_entry) && is_entry;
}

typedef struct raw_field {
    uint64_t number, label, type, oneof;
    vly_str type_name; /* with a leading dot */
} raw_field;

bool vly_pb_schema_field_of(vly_str message, vly_str name, vly_pb_schema_field *ret)
{
    static const vly_pb_slot slots[] = {
        {3, VLY_PB_SLOT_INT, offsetof(raw_field, number)},
        {4, VLY_PB_SLOT_INT, offsetof(raw_field, label)},
        {5, VLY_PB_SLOT_INT, offsetof(raw_field, type)},
        {6, VLY_PB_SLOT_BYTES, offsetof(raw_field, type_name)},
        {9, VLY_PB_SLOT_INT, offsetof(raw_field, oneof)},
    };
    raw_field f = {.oneof = UINT64_MAX};
    vly_str bytes;

    if (!find_named(message, MESSAGE_FIELD, name, &bytes) ||
        !vly_pb_read(bytes, slots, VLY_COUNT(slots), &f))
        return false;
    if (f.type_name.len > 0)
        f.type_name = (vly_str){f.type_name.ptr + 1, f.type_name.len - 1};
    *ret = (vly_pb_schema_field){.number = f.number,
                                 .type = f.type,
                                 .type_name = f.type_name,
                                 .is_repeated = f.label == LABEL_REPEATED,
                                 .is_in_oneof = f.oneof != UINT64_MAX};
    return true;
}

bool vly_pb_schema_enum_value(vly_str set, vly_str symbol, vly_str name, uint64_t *ret)
{
    static const vly_pb_slot slot = {2, VLY_PB_SLOT_INT, 0};
    uint64_t number = 0;
    vly_str file, value;
    node at;

    if (!find(set, symbol, &file, &at) || at.kind != ENUM ||
        !find_named(at.bytes, ENUM_VALUE, name, &value) || !vly_pb_read(value, &slot, 1, &number))
        return false;
    *ret = number;
    return true;
}
