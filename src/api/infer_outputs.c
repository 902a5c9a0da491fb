/* SPDX-License-Identifier: MIT */
#include "api/infer_outputs.h"

#include "api/infer_cache.h"
#include "api/infer_inputs.h"
#include "api/v2.h"
#include "api/v2_classify.h"

static size_t find(const vly_model_info *info, vly_str name)
{
    size_t i = 0;

    while (i < info->n_outputs && !vly_str_is(name, info->outputs[i].name))
        i++;
    return i;
}

/* Finds the memory of the outputs that go to shared memory. */
static vly_status find_places(vly_infer *call, vly_err *err)
{
    size_t n = call->served->servable->info->n_outputs;
    vly_status st = VLY_OK;

    for (size_t i = 0; st == VLY_OK && i < n; i++)
        if (call->wanted[i].region.name.ptr != NULL)
            st = vly_infer__view(call, &call->wanted[i].region, &call->places[i], err);
    return st;
}

vly_status vly_infer__choose(vly_infer *call, vly_err *err)
{
    const vly_model_info *info = call->served->servable->info;
    const vly_infer_request *r = &call->request;

    call->wanted = vly_arena_calloc(call->arena, info->n_outputs, sizeof(*call->wanted));
    call->results = vly_arena_calloc(call->arena, info->n_outputs, sizeof(*call->results));
    call->places = vly_arena_calloc(call->arena, info->n_outputs, sizeof(*call->places));
    if (call->wanted == NULL || call->results == NULL || call->places == NULL)
        return vly_arena_fail(call->arena, err);
    for (size_t i = 0; i < r->n_outputs; i++) {
        size_t at = find(info, r->outputs[i].name);
        if (at == info->n_outputs)
            return vly_fail(err, VLY_EINVAL, "unexpected inference output '%.*s' for model '%s'",
                            VLY_STR_ARG(r->outputs[i].name), call->served->name);
        call->wanted[at] = r->outputs[i];
    }
    for (size_t i = 0; r->n_outputs == 0 && i < info->n_outputs; i++)
        call->wanted[i] = (vly_infer_output){.name = vly_str_from(info->outputs[i].name),
                                             .is_binary = r->is_binary_output};
    return find_places(call, err);
}

/* Puts the data where the client wants to find them. */
static vly_status place(const vly_infer_output *how, const vly_tensor *t, void *at, vly_err *err)
{
    size_t bytes = vly_infer_wire_bytes(t);
    vly_buf b;

    if (bytes > how->region.bytes)
        return vly_fail(err, VLY_EINVAL,
                        "shared memory size specified with the request for output '%.*s' (%llu "
                        "bytes) should be at least %zu bytes to hold the results",
                        VLY_STR_ARG(how->name), (unsigned long long)how->region.bytes, bytes);
    if (t->dtype != VLY_DTYPE_STRING) {
        if (bytes > 0)
            memcpy(at, t->data, bytes);
        return VLY_OK;
    }
    vly_buf_init(&b, VLY_MEM_NET, bytes);
    vly_infer_put_wire(t, &b);
    if (!b.failed && bytes > 0)
        memcpy(at, b.ptr, bytes);
    vly_status st = b.failed ? vly_fail(err, VLY_ENOMEM, "out of memory for the answer") : VLY_OK;
    vly_buf_release(&b);
    return st;
}

static vly_status make_result(vly_infer *call, size_t idx, vly_infer_result *ret, vly_err *err)
{
    const vly_servable *s = call->served->servable;
    const vly_infer_output *how = &call->wanted[idx];
    const vly_tensor *t = &call->job.outputs[idx];

    *ret = (vly_infer_result){.how = *how, .name = how->name};
    if (how->n_classes == 0) {
        vly_status st = call->places[idx] != NULL ? place(how, t, call->places[idx], err) : VLY_OK;
        if (st == VLY_OK)
            ret->tensor = vly_tensor_ref(t);
        ret->how.region.bytes = st == VLY_OK ? vly_infer_wire_bytes(t) : 0;
        return st;
    }
    return vly_v2_classify(t, vly_v2_max_batch(s) > 0, how->n_classes, &s->decoder.labels,
                           call->arena, &ret->tensor, err);
}

vly_status vly_infer__collect(vly_infer *call, vly_err *err)
{
    size_t n = call->served->servable->info->n_outputs;
    vly_status st = VLY_OK;

    for (size_t i = 0; st == VLY_OK && i < n; i++) {
        if (call->wanted[i].name.ptr == NULL)
            continue;
        st = make_result(call, i, &call->results[call->n_results], err);
        call->n_results += st == VLY_OK;
    }
    return st;
}

void vly_infer__release_results(vly_infer *call)
{
    for (size_t i = 0; i < call->n_results; i++)
        vly_tensor_release(&call->results[i].tensor);
    call->n_results = 0;
}

size_t vly_infer_wire_bytes(const vly_tensor *t)
{
    size_t bytes = t->bytes;

    if (t->dtype != VLY_DTYPE_STRING)
        return bytes;
    bytes = 0;
    for (uint64_t i = 0; i < vly_tensor_count(t); i++)
        bytes += sizeof(uint32_t) + ((const vly_str *)t->data)[i].len;
    return bytes;
}

static void put_text(vly_buf *out, vly_str s)
{
    uint32_t len = (uint32_t)s.len; /* little-endian hosts only: see meson.build */

    if (s.len > UINT32_MAX)
        out->failed = true;
    vly_buf_add(out, &len, sizeof(len));
    vly_buf_add_str(out, s);
}

void vly_infer_put_wire(const vly_tensor *t, vly_buf *out)
{
    if (t->dtype != VLY_DTYPE_STRING) {
        vly_buf_add(out, t->data, t->bytes);
        return;
    }
    for (uint64_t i = 0; i < vly_tensor_count(t); i++)
        put_text(out, ((const vly_str *)t->data)[i]);
}

static void give_back_store(void *ctx)
{
    vly_storage_unref(ctx);
}

static void give_back_value(void *ctx)
{
    vly_cache_value_unref(ctx);
}

bool vly_infer_lend_wire(const vly_infer *call, const vly_tensor *t, vly_buf *out)
{
    vly_cache_value *known = vly_infer__known(call);

    if (t->dtype == VLY_DTYPE_STRING)
        return false;
    if (known != NULL) {
        vly_buf_lend(out, t->data, t->bytes, 0, give_back_value, vly_cache_value_ref(known));
        return true;
    }
    if (t->store == NULL)
        return false;
    vly_tensor kept = vly_tensor_ref(t);
    vly_buf_lend(out, kept.data, kept.bytes, 0, give_back_store, kept.store);
    return true;
}
