/* SPDX-License-Identifier: MIT */
/*
 * /v2/systemsharedmemory and /v2/cudasharedmemory. These run on the loop thread: what they open and
 * map is memory, which never waits for a disk.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/infer.h"
#include "codec/json_doc.h"
#include "sys/shared_memory.h"

/* Gives req up: an empty body, or the error. */
static void answer_status(vly_http_request *req, vly_status st, const vly_err *err)
{
    if (st == VLY_OK)
        vly_answer_empty(req, 200);
    else
        vly_answer_err(req, err);
}

static vly_status check_offered(const vly_api *api, vly_err *err)
{
    return api->shared_memory != NULL ? VLY_OK
                                      : vly_fail(err, VLY_EUNSUPPORTED, VLY_NO_SHARED_MEMORY);
}

static void put_region(vly_buf *b, const vly_shared_region *r)
{
    vly_buf_puts(b, "{\"name\":");
    vly_buf_json_str(b, vly_str_from(r->name));
    vly_buf_puts(b, ",\"key\":");
    vly_buf_json_str(b, vly_str_from(r->key));
    vly_buf_printf(b, ",\"offset\":%llu,\"byte_size\":%llu}", (unsigned long long)r->offset,
                   (unsigned long long)r->bytes);
}

void vly_route_v2_shm_status(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_shared_list l;
    vly_err err;
    vly_buf b;
    vly_status st = check_offered(api, &err);

    if (st == VLY_OK)
        st = vly_shared_memory_list(api->shared_memory, captures[0], &l, &err);
    if (st != VLY_OK) {
        vly_answer_err(req, &err);
        return;
    }
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_buf_putc(&b, '[');
    for (size_t i = 0; i < l.n; i++) {
        if (i > 0)
            vly_buf_putc(&b, ',');
        put_region(&b, l.regions[i]);
    }
    vly_buf_putc(&b, ']');
    vly_shared_list_free(&l);
    vly_answer_json(req, 200, &b);
}

static vly_status read_number(yyjson_val *root, const char *name, bool is_needed, uint64_t *ret,
                              vly_err *err)
{
    yyjson_val *v = yyjson_obj_get(root, name);

    if (v == NULL && is_needed)
        return vly_fail(err, VLY_EINVAL, "Shared memory register request has no '%s' field", name);
    if (v != NULL && !yyjson_is_uint(v))
        return vly_fail(err, VLY_EINVAL,
                        "Unable to parse '%s': expected an unsigned integer, "
                        "got %s",
                        name, yyjson_get_type_desc(v));
    *ret = yyjson_get_uint(v);
    return VLY_OK;
}

static vly_status read_key(yyjson_val *root, vly_str *ret, vly_err *err)
{
    yyjson_val *v = yyjson_obj_get(root, "key");

    if (v == NULL)
        return vly_fail(err, VLY_EINVAL, "Shared memory register request has no 'key' field");
    if (!yyjson_is_str(v))
        return vly_fail(err, VLY_EINVAL, "Unable to parse 'key': expected a string, got %s",
                        yyjson_get_type_desc(v));
    *ret = (vly_str){yyjson_get_str(v), yyjson_get_len(v)};
    return VLY_OK;
}

static vly_status add(vly_api *api, vly_http_request *req, vly_str name, vly_err *err)
{
    uint64_t offset = 0, bytes = 0;
    yyjson_val *root = NULL;
    vly_str key;
    vly_status st = check_offered(api, err);

    if (st == VLY_OK)
        st = vly_json_doc_read(vly_buf_str(&req->msg.body), &req->msg.arena, &root, err);
    if (st == VLY_OK)
        st = read_key(root, &key, err);
    if (st == VLY_OK)
        st = read_number(root, "offset", false, &offset, err);
    if (st == VLY_OK)
        st = read_number(root, "byte_size", true, &bytes, err);
    if (st == VLY_OK)
        st = vly_shared_memory_register(api->shared_memory, name, key, offset, bytes, err);
    return st;
}

void vly_route_v2_shm_register(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;
    vly_status st = add(api, req, captures[0], &err);

    answer_status(req, st, &err);
}

void vly_route_v2_shm_unregister(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;
    vly_status st = check_offered(api, &err);

    if (st == VLY_OK)
        vly_shared_memory_unregister(api->shared_memory, captures[0]);
    answer_status(req, st, &err);
}

/* What a Triton built without GPUs says. */
void vly_route_v2_cuda_status(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_buf b;
    vly_err err;

    if (captures[0].len > 0) {
        vly_fail(&err, VLY_ENOTFOUND, "Unable to find cuda shared memory region: '%.*s'",
                 VLY_STR_ARG(captures[0]));
        vly_answer_err(req, &err);
        return;
    }
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_buf_puts(&b, "[]");
    vly_answer_json(req, 200, &b);
}

void vly_route_v2_cuda_register(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;

    (void)api;
    vly_fail(&err, VLY_EINVAL,
             "failed to register CUDA shared memory region: '%.*s', GPUs not supported",
             VLY_STR_ARG(captures[0]));
    vly_answer_err(req, &err);
}

void vly_route_v2_cuda_unregister(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)api;
    (void)captures;
    vly_answer_empty(req, 200);
}
