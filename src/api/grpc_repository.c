/* SPDX-License-Identifier: MIT */
/* RepositoryIndex, RepositoryModelLoad and RepositoryModelUnload: api/repository_ops.h. */
#include "api/grpc_methods.h"
#include "api/repository_ops.h"
#include "codec/grpc_admin.h"

#define FILE_PREFIX "file:"

/* A load or unload; lives in the arena of the request until it is answered. */
typedef struct repository_call {
    vly_control_request request; /* first: a pointer to it is a pointer to the call */
    vly_grpc_call *grpc;
} repository_call;

static vly_status check_repository(const vly_grpc_repository_request *r, vly_err *err)
{
    return r->repository.len == 0 ? VLY_OK
                                  : vly_fail(err, VLY_EUNSUPPORTED,
                                             "'repository_name' specification is not supported");
}

vly_status vly_grpc_repository_index(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_grpc_repository_request r;
    vly_buf json;
    vly_status st = vly_grpc_index_request_parse(call->message, &r, err);

    if (st == VLY_OK)
        st = check_repository(&r, err);
    if (st != VLY_OK)
        return st;
    vly_buf_init(&json, VLY_MEM_NET, call->api->max_answer_bytes);
    vly_buf_puts(&json, "{\"models\":");
    st = vly_repository_put_index(call->api, r.is_ready, &json, err);
    vly_buf_putc(&json, '}');
    if (st == VLY_OK)
        st = vly_grpc_put_json("inference.RepositoryIndexResponse", &json, out, err);
    vly_buf_release(&json);
    return st;
}

/* ---- load and unload ---- */

static vly_status bad_kind(vly_str key, const char *expected, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL, "invalid value type for load parameter '%.*s', expected %s.",
                    VLY_STR_ARG(key), expected);
}

/* files has room for one more. */
static vly_status read_load_param(const vly_grpc_param *p, vly_control_request *r,
                                  vly_control_file *files, vly_err *err)
{
    const vly_str prefix = VLY_STR(FILE_PREFIX);

    if (vly_str_is(p->key, "config")) {
        if (p->kind != VLY_GRPC_STRING)
            return bad_kind(p->key, "string_param", err);
        r->config = p->text;
        return VLY_OK;
    }
    if (!vly_str_starts(p->key, prefix))
        return vly_fail(err, VLY_EINVAL, "unrecognized load parameter '%.*s'.",
                        VLY_STR_ARG(p->key));
    if (p->kind != VLY_GRPC_BYTES)
        return bad_kind(p->key, "bytes_param", err);
    files[r->n_files++] = (vly_control_file){
        .name = {p->key.ptr + prefix.len, p->key.len - prefix.len}, .bytes = p->text};
    return VLY_OK;
}

static vly_status read_load(const vly_grpc_params *p, vly_arena *arena, vly_control_request *r,
                            vly_err *err)
{
    vly_control_file *files = vly_arena_calloc(arena, p->n, sizeof(*files));
    vly_status st = VLY_OK;

    if (files == NULL)
        return vly_arena_fail(arena, err);
    r->files = files;
    for (size_t i = 0; st == VLY_OK && i < p->n; i++)
        st = read_load_param(&p->items[i], r, files, err);
    return st;
}

static vly_status read_unload(const vly_grpc_params *p, vly_control_request *r, vly_err *err)
{
    const vly_grpc_param *found = vly_grpc_params_find(p, "unload_dependents");

    if (found == NULL)
        return VLY_OK;
    if (found->kind != VLY_GRPC_BOOL)
        return vly_fail(err, VLY_EINVAL,
                        "invalid value type for 'unload_dependents' parameter, expected "
                        "bool_param.");
    r->unload_dependents = found->number != 0;
    return VLY_OK;
}

/* On the loader thread. The call ends with its answer. */
static void done(vly_control_request *r)
{
    vly_grpc_call *call = ((repository_call *)r)->grpc;
    vly_err err = r->err;
    vly_buf out;

    vly_buf_release(&call->inflated);
    if (r->status != VLY_OK) {
        vly_grpc_fail(call->req, &err);
        return;
    }
    vly_buf_init(&out, VLY_MEM_NET, VLY_GRPC_HEAD_BYTES);
    vly_grpc_begin_frame(&out);
    vly_grpc_reply(call, &out, 1);
}

static vly_status submit(vly_grpc_call *call, vly_control_action action, vly_err *err)
{
    vly_arena *arena = &call->req->msg.arena;
    repository_call *c = vly_arena_calloc(arena, 1, sizeof(*c));
    vly_grpc_repository_request r;

    if (c == NULL)
        return vly_arena_fail(arena, err);
    vly_status st = vly_grpc_load_request_parse(call->message, arena, &r, err);
    if (st == VLY_OK)
        st = check_repository(&r, err);
    if (st != VLY_OK)
        return st;
    c->grpc = call;
    c->request = (vly_control_request){.action = action, .name = r.model, .done = done};
    st = action == VLY_CONTROL_LOAD ? read_load(&r.params, arena, &c->request, err)
                                    : read_unload(&r.params, &c->request, err);
    return st == VLY_OK ? vly_repository_submit(call->api, &c->request, err) : st;
}

static void begin(vly_grpc_call *call, vly_control_action action)
{
    vly_err err;

    if (submit(call, action, &err) == VLY_OK)
        return;
    vly_buf_release(&call->inflated);
    vly_grpc_fail(call->req, &err);
}

void vly_grpc_repository_load(vly_grpc_call *call)
{
    begin(call, VLY_CONTROL_LOAD);
}

void vly_grpc_repository_unload(vly_grpc_call *call)
{
    begin(call, VLY_CONTROL_UNLOAD);
}
