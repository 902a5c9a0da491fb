/* SPDX-License-Identifier: MIT */
#include "api/infer_cache.h"

#include "api/cached.h"
#include "api/cached_tensors.h"
#include "api/infer_pictures.h"

#define HASHED_BYTES ((size_t)1 << 20) /* of inputs: some 50 us */

/* What a call keeps of its lookup, in its arena. */
typedef struct vly_infer_lookup {
    vly_cache_get get; /* first */
    uint64_t members;  /* of an ensemble, when it was looked up */
    vly_infer *call;
    vly_infer_resume *resume;
    bool leads;
} vly_infer_lookup;

/* ---- key ---- */

static void add_outputs(const vly_infer *call, vly_cache_hash *h)
{
    size_t n = call->served->servable->info->n_outputs;

    for (size_t i = 0; i < n; i++) {
        const vly_infer_output *o = &call->wanted[i];
        vly_cache_hash_u64(h, o->name.ptr == NULL ? UINT64_MAX : o->n_classes);
    }
}

static void add_texts(const vly_tensor *t, vly_cache_hash *h)
{
    uint64_t n = vly_tensor_count(t);

    for (uint64_t i = 0; i < n; i++)
        vly_cache_hash_str(h, ((const vly_str *)t->data)[i]);
}

/* Inputs in the model's order, so names need not be told. */
static void add_tensor(const vly_tensor *t, vly_cache_hash *h)
{
    vly_cache_hash_u64(h, (uint64_t)t->dtype);
    vly_cache_hash_u64(h, (uint64_t)t->shape.rank);
    for (int i = 0; i < t->shape.rank; i++)
        vly_cache_hash_u64(h, (uint64_t)t->shape.dim[i]);
    if (t->dtype == VLY_DTYPE_STRING)
        add_texts(t, h);
    else
        vly_cache_hash_str(h, (vly_str){t->data, t->bytes});
}

static void add_pictures(const vly_infer_input *in, vly_cache_hash *h)
{
    vly_cache_hash_str(h, in->name);
    vly_cache_hash_u64(h, in->rank);
    for (size_t i = 0; i < in->rank; i++)
        vly_cache_hash_u64(h, (uint64_t)in->shape[i]);
    vly_cache_hash_str(h, in->bytes);
}

static bool make_key(const vly_infer *call, vly_cached_key *ret)
{
    const vly_model_info *info = call->served->servable->info;
    bool has_pictures = vly_infer__has_pictures(call);
    vly_cache_hash h;

    if (!vly_cached_begin_key(call->api, call->served, has_pictures ? "pictures" : "tensors",
                              call->cache_wish, &h, ret))
        return false;
    add_outputs(call, &h);
    if (has_pictures) {
        vly_cache_hash_u64(&h, call->request.is_raw);
        for (size_t i = 0; i < call->request.n_inputs; i++)
            add_pictures(&call->request.inputs[i], &h);
    } else {
        for (size_t i = 0; i < info->n_inputs; i++)
            add_tensor(&call->inputs[i], &h);
    }
    ret->key = vly_cache_hash_end(&h);
    return true;
}

/* ---- lookup ---- */

static bool has_regions(const vly_infer_request *r)
{
    bool found = false;

    for (size_t i = 0; i < r->n_inputs; i++)
        found = found || r->inputs[i].region.name.ptr != NULL;
    for (size_t i = 0; i < r->n_outputs; i++)
        found = found || r->outputs[i].region.name.ptr != NULL;
    return found;
}

/* Pictures that come as JSON are refused when they are bound. */
static bool has_unread(const vly_infer *call)
{
    bool found = false;

    for (size_t i = 0; i < call->request.n_inputs; i++)
        found = found || call->request.inputs[i].read != NULL;
    return found && vly_infer__has_pictures(call);
}

static bool is_for_cache(const vly_infer *call)
{
    const vly_infer_request *r = &call->request;
    bool no_store = call->cache_wish != NULL && call->cache_wish->no_store;

    return vly_cached_has(call->api, call->served) && !no_store && r->sequence.id == 0 &&
           r->sequence.name.len == 0 && !has_regions(r) && !has_unread(call);
}

static void ready(vly_cache_get *g)
{
    vly_infer_lookup *l = (vly_infer_lookup *)g;

    l->leads = g->value == NULL && !g->is_late;
    if (l->leads)
        l->call->job.waiting_since_ns = g->begun_ns;
    l->resume(l->call, l->leads ? VLY_CACHE_LEAD : g->is_late ? VLY_CACHE_LATE : VLY_CACHE_HIT);
}

static vly_infer_lookup *new_lookup(vly_infer *call)
{
    vly_infer_lookup *l = vly_arena_calloc(call->arena, 1, sizeof(*l));
    vly_cached_key key;

    if (l == NULL || !make_key(call, &key) ||
        !vly_cached_begin_get(call->model, call->cache_wish, call->arena, &l->get))
        return NULL;
    l->call = call;
    l->get.key = key.key;
    l->members = key.members;
    l->get.ready = ready;
    l->get.is_gone = call->is_cancelled;
    l->get.deadline_ns = call->job.deadline_ns;
    return l;
}

vly_cache_found vly_infer__ask(vly_infer *call, vly_infer_resume *resume)
{
    if (!is_for_cache(call))
        return VLY_CACHE_LEAD;
    vly_infer_lookup *l = new_lookup(call);
    if (l == NULL)
        return VLY_CACHE_LEAD; /* it can still be computed */
    l->resume = resume;
    call->lookup = l;
    call->job.is_wanted = &l->get.has_company;
    call->job.starts_ns = &l->get.starts_ns;
    vly_cache_found found = vly_cached_ask(call->api, call->cache_wish, &l->get);
    if (found != VLY_CACHE_WAIT)
        l->leads = found == VLY_CACHE_LEAD;
    return found;
}

bool vly_infer__use(vly_infer *call)
{
    vly_infer_lookup *l = call->lookup;

    if (vly_cache_unpack(&l->get) &&
        vly_cached_tensors_read(call, (vly_str){l->get.value->bytes, l->get.value->len}))
        return true;
    /* Another version of this program has written it: it is computed, and replaced. */
    vly_cache_reject(call->api->cache, &l->get);
    l->leads = true;
    return false;
}

vly_cache_value *vly_infer__known(const vly_infer *call)
{
    return call->lookup != NULL ? call->lookup->get.value : NULL;
}

bool vly_infer__is_much(const vly_infer *call)
{
    return call->lookup->get.value->plain_len > VLY_CACHED_QUICK_BYTES;
}

bool vly_infer__is_quick(const vly_infer *call)
{
    size_t bytes = 0;

    for (size_t i = 0; i < call->request.n_inputs; i++)
        bytes += call->request.inputs[i].bytes.len;
    return bytes <= HASHED_BYTES;
}

void vly_infer__keep(vly_infer *call)
{
    vly_infer_lookup *l = call->lookup;
    vly_buf b;

    if (l == NULL || !l->leads)
        return;
    vly_buf_init(&b, VLY_MEM_CACHE, call->api->max_answer_bytes);
    vly_cached_tensors_write(call, &b);
    if (!b.failed) {
        l->leads = false;
        vly_cached_complete(call->api, call->served, l->members, &l->get, vly_buf_str(&b));
    }
    vly_buf_release(&b);
}

void vly_infer__leave(vly_infer *call)
{
    vly_infer_lookup *l = call->lookup;

    if (l == NULL)
        return;
    if (l->leads)
        vly_cache_abandon(call->api->cache, &l->get);
    l->leads = false;
    call->cache = vly_cache_outcome_of(&l->get);
    vly_cache_value_unref(l->get.value);
    l->get.value = NULL;
}
