/* SPDX-License-Identifier: MIT */
/* System shared memory, and what a Triton built without GPUs says of the other kind. */
#include "api/grpc_methods.h"
#include "api/infer.h"
#include "codec/grpc_admin.h"
#include "codec/pbwire.h"
#include "sys/shared_memory.h"

/* Field numbers of SystemSharedMemoryStatusResponse and its RegionStatus. */
enum { REGIONS = 1, NAME = 1, KEY = 2, OFFSET = 3, BYTE_SIZE = 4 };

static vly_status check_offered(const vly_api *api, vly_err *err)
{
    return api->shared_memory != NULL ? VLY_OK
                                      : vly_fail(err, VLY_EUNSUPPORTED, VLY_NO_SHARED_MEMORY);
}

/* The name in the message, when there is shared memory at all. */
static vly_status read_name(const vly_grpc_call *call, vly_str *ret, vly_err *err)
{
    vly_status st = check_offered(call->api, err);

    return st == VLY_OK ? vly_grpc_name_parse(call->message, ret, err) : st;
}

/* An entry of map<string, RegionStatus>. */
static void put_region(const vly_shared_region *r, vly_buf *out)
{
    size_t entry = vly_pb_open(out, REGIONS);

    vly_pb_put_bytes(out, 1, vly_str_from(r->name));
    size_t status = vly_pb_open(out, 2);
    vly_pb_put_bytes(out, NAME, vly_str_from(r->name));
    vly_pb_put_bytes(out, KEY, vly_str_from(r->key));
    if (r->offset > 0)
        vly_pb_put_varint(out, OFFSET, r->offset);
    if (r->bytes > 0)
        vly_pb_put_varint(out, BYTE_SIZE, r->bytes);
    vly_pb_close(out, status);
    vly_pb_close(out, entry);
}

vly_status vly_grpc_shm_status(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_shared_list list;
    vly_str name;
    vly_status st = read_name(call, &name, err);

    if (st == VLY_OK)
        st = vly_shared_memory_list(call->api->shared_memory, name, &list, err);
    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i < list.n; i++)
        put_region(list.regions[i], out);
    vly_shared_list_free(&list);
    return VLY_OK;
}

vly_status vly_grpc_shm_register(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_grpc_shm_request r;
    vly_status st = check_offered(call->api, err);

    (void)out;
    if (st == VLY_OK)
        st = vly_grpc_shm_request_parse(call->message, &r, err);
    if (st != VLY_OK)
        return st;
    return vly_shared_memory_register(call->api->shared_memory, r.name, r.key, r.offset,
                                      r.byte_size, err);
}

vly_status vly_grpc_shm_unregister(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_str name;
    vly_status st = read_name(call, &name, err);

    (void)out;
    if (st == VLY_OK)
        vly_shared_memory_unregister(call->api->shared_memory, name);
    return st;
}

vly_status vly_grpc_cuda_status(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_str name;
    vly_status st = vly_grpc_name_parse(call->message, &name, err);

    (void)out;
    if (st == VLY_OK && name.len > 0)
        return vly_fail(err, VLY_ENOTFOUND, "Unable to find cuda shared memory region: '%.*s'",
                        VLY_STR_ARG(name));
    return st;
}

vly_status vly_grpc_cuda_register(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_str name;
    vly_status st = vly_grpc_name_parse(call->message, &name, err);

    (void)out;
    if (st != VLY_OK)
        return st;
    return vly_fail(err, VLY_EINVAL,
                    "failed to register CUDA shared memory region: '%.*s', GPUs not supported",
                    VLY_STR_ARG(name));
}

vly_status vly_grpc_cuda_unregister(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_str name;

    (void)out;
    return vly_grpc_name_parse(call->message, &name, err);
}
