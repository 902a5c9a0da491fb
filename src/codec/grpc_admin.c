/* SPDX-License-Identifier: MIT */
#include "codec/grpc_admin.h"

#include "base/assert.h"
#include "codec/pb_slots.h"

static vly_status read_slots(vly_str message, const vly_pb_slot *slots, size_t n, void *dst,
                             const char *what, vly_err *err)
{
    if (!vly_pb_read(message, slots, n, dst))
        return vly_fail(err, VLY_EFORMAT, "malformed %s", what);
    return VLY_OK;
}

vly_status vly_grpc_name_parse(vly_str message, vly_str *ret, vly_err *err)
{
    static const vly_pb_slot slot = {1, VLY_PB_SLOT_TEXT, 0};
    vly_str name = {NULL, 0};
    vly_status st = read_slots(message, &slot, 1, &name, "request", err);

    if (st == VLY_OK)
        *ret = name;
    return st;
}

vly_status vly_grpc_model_request_parse(vly_str message, vly_grpc_model_request *ret, vly_err *err)
{
    static const vly_pb_slot slots[] = {
        {1, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_model_request, name)},
        {2, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_model_request, version)},
    };
    vly_grpc_model_request r = {.name = {NULL, 0}};
    vly_status st = read_slots(message, slots, VLY_COUNT(slots), &r, "request", err);

    if (st == VLY_OK)
        *ret = r;
    return st;
}

vly_status vly_grpc_index_request_parse(vly_str message, vly_grpc_repository_request *ret,
                                        vly_err *err)
{
    static const vly_pb_slot slots[] = {
        {1, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_repository_request, repository)},
        {2, VLY_PB_SLOT_BOOL, offsetof(vly_grpc_repository_request, is_ready)},
    };
    vly_grpc_repository_request r = {.is_ready = false};
    vly_status st = read_slots(message, slots, VLY_COUNT(slots), &r, "RepositoryIndexRequest", err);

    if (st == VLY_OK)
        *ret = r;
    return st;
}

vly_status vly_grpc_load_request_parse(vly_str message, vly_arena *arena,
                                       vly_grpc_repository_request *ret, vly_err *err)
{
    static const vly_pb_slot slots[] = {
        {1, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_repository_request, repository)},
        {2, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_repository_request, model)},
    };
    vly_grpc_repository_request r = {.is_ready = false};
    vly_status st = read_slots(message, slots, VLY_COUNT(slots), &r, "repository request", err);

    if (st == VLY_OK)
        st = vly_grpc_params_read(message, 3, arena, &r.params, err);
    if (st == VLY_OK)
        *ret = r;
    return st;
}

vly_status vly_grpc_shm_request_parse(vly_str message, vly_grpc_shm_request *ret, vly_err *err)
{
    static const vly_pb_slot slots[] = {
        {1, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_shm_request, name)},
        {2, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_shm_request, key)},
        {3, VLY_PB_SLOT_INT, offsetof(vly_grpc_shm_request, offset)},
        {4, VLY_PB_SLOT_INT, offsetof(vly_grpc_shm_request, byte_size)},
    };
    vly_grpc_shm_request r = {.offset = 0};
    vly_status st =
        read_slots(message, slots, VLY_COUNT(slots), &r, "SystemSharedMemoryRegisterRequest", err);

    if (st == VLY_OK)
        *ret = r;
    return st;
}

/* Repeated string value = 1. */
static vly_status read_values(vly_str message, vly_arena *arena, vly_grpc_trace_setting *s,
                              vly_err *err)
{
    const vly_pb_slot count = {1, VLY_PB_SLOT_COUNT, 0};
    size_t n = 0;
    vly_str *values;

    if (!vly_pb_read(message, &count, 1, &n))
        return vly_fail(err, VLY_EFORMAT, "malformed setting");
    if (n > VLY_GRPC_SETTING_VALUES_MAX)
        return vly_fail(err, VLY_ELIMIT, "setting '%.*s': expected at most %d values, got %zu",
                        VLY_STR_ARG(s->key), VLY_GRPC_SETTING_VALUES_MAX, n);
    values = vly_arena_calloc(arena, n, sizeof(*values));
    if (values == NULL)
        return vly_arena_fail(arena, err);
    vly_pb c = vly_pb_begin(message);
    for (size_t i = 0; i < n && vly_pb_next_of(&c, 1, &values[i]); i++)
        if (!vly_str_is_utf8(values[i]))
            return vly_fail(err, VLY_EFORMAT, "malformed setting");
    s->values = values;
    s->n_values = n;
    return VLY_OK;
}

static vly_status read_setting(vly_str message, vly_arena *arena, vly_grpc_trace_setting *s,
                               vly_err *err)
{
    vly_str entry[2] = {{NULL, 0}, {NULL, 0}};
    const vly_pb_slot slots[] = {{1, VLY_PB_SLOT_TEXT, 0}, {2, VLY_PB_SLOT_BYTES, sizeof(vly_str)}};
    vly_status st = read_slots(message, slots, VLY_COUNT(slots), entry, "setting", err);

    if (st != VLY_OK)
        return st;
    s->key = entry[0];
    return read_values(entry[1], arena, s, err);
}

vly_status vly_grpc_trace_request_parse(vly_str message, vly_arena *arena,
                                        vly_grpc_trace_request *ret, vly_err *err)
{
    static const vly_pb_slot slots[] = {
        {1, VLY_PB_SLOT_COUNT, offsetof(vly_grpc_trace_request, n_settings)},
        {2, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_trace_request, model)},
    };
    vly_grpc_trace_request r = {.n_settings = 0};
    vly_status st = read_slots(message, slots, VLY_COUNT(slots), &r, "TraceSettingRequest", err);
    vly_str entry;

    if (st != VLY_OK)
        return st;
    if (r.n_settings > VLY_GRPC_PARAMS_MAX)
        return vly_fail(err, VLY_ELIMIT, "expected at most %d settings, got %zu",
                        VLY_GRPC_PARAMS_MAX, r.n_settings);
    r.settings = vly_arena_calloc(arena, r.n_settings, sizeof(*r.settings));
    if (r.settings == NULL)
        return vly_arena_fail(arena, err);
    vly_pb c = vly_pb_begin(message);
    for (size_t i = 0; st == VLY_OK && vly_pb_next_of(&c, 1, &entry); i++)
        st = read_setting(entry, arena, &r.settings[i], err);
    if (st == VLY_OK)
        *ret = r;
    return st;
}

vly_status vly_grpc_log_request_parse(vly_str message, vly_arena *arena, vly_grpc_params *ret,
                                      vly_err *err)
{
    return vly_grpc_params_read(message, 1, arena, ret, err);
}

vly_status vly_grpc_reflection_request_parse(vly_str message, vly_grpc_reflection_request *ret,
                                             vly_err *err)
{
    vly_grpc_reflection_request r = {.kind = VLY_GRPC_REFLECT_NONE};
    vly_pb c = vly_pb_begin(message);
    vly_pb_field f;
    bool is_text = true;

    while (vly_pb_next(&c, &f)) {
        if (f.wire != VLY_PB_LEN)
            continue;
        if (f.number == 1)
            r.host = f.bytes;
        if (f.number < VLY_GRPC_REFLECT_FILE || f.number > VLY_GRPC_REFLECT_SERVICES)
            continue;
        r.kind = (vly_grpc_reflection_kind)f.number;
        r.text = f.bytes;
        is_text = f.number != VLY_GRPC_REFLECT_EXTENSION;
    }
    if (c.bad || !vly_str_is_utf8(r.host) || (is_text && !vly_str_is_utf8(r.text)))
        return vly_fail(err, VLY_EFORMAT, "malformed ServerReflectionRequest");
    *ret = r;
    return VLY_OK;
}
