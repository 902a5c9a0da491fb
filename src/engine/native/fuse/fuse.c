/* SPDX-License-Identifier: MIT */
#include "engine/native/fuse/fuse.h"

#include "engine/native/fuse/select.h"

static vly_status out_of_memory(vly_err *err)
{
    return vly_fail(err, VLY_ENOMEM, "out of memory while fusing steps");
}

const vly_op_ctx *vly_fuse_ctx(vly_fuser *z, const vly_node *node)
{
    static const vly_tensor omitted = {.dtype = VLY_DTYPE_UNDEFINED};
    vly_op_ctx *ctx = vly_arena_calloc(z->f->scratch, 1, sizeof(*ctx));
    const vly_tensor **in =
        vly_arena_calloc(z->f->scratch, (size_t)node->n_in + 1, sizeof(vly_tensor *));

    if (ctx == NULL || in == NULL)
        return NULL;
    for (int i = 0; i < node->n_in; i++)
        in[i] = node->in[i] == VLY_VALUE_NONE ? &omitted : z->f->values[node->in[i]];
    *ctx = (vly_op_ctx){.op = node->op,
                        .proto = node->proto,
                        .params = node->params,
                        .opset = node->opset,
                        .n_in = node->n_in,
                        .n_out = node->n_out,
                        .out_ids = node->out,
                        .in = in};
    return ctx;
}

/* Who reads what, in the order of steps. */
static bool list_readers(vly_fuser *z)
{
    const vly_plan *p = z->f->plan;
    size_t total = 0;

    for (int v = 0; v < p->n_values; v++)
        z->views[v] = (vly_view){.maker = VLY_NO_ITEM, .parent = VLY_VALUE_NONE, .source = v};
    for (int s = 0; s < p->n_steps; s++) {
        const vly_node *node = p->steps[s].node;
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] != VLY_VALUE_NONE)
                z->views[node->in[i]].n_readers++;
    }
    for (int v = 0; v < p->n_values; v++) {
        z->views[v].first_reader = (int)total;
        total += (size_t)z->views[v].n_readers;
    }
    z->readers = vly_arena_calloc(z->f->scratch, total, sizeof(*z->readers));
    if (z->readers == NULL || total > INT32_MAX)
        return false;
    for (int s = 0; s < p->n_steps; s++) {
        const vly_node *node = p->steps[s].node;
        for (int i = 0; i < node->n_in; i++) {
            vly_view *w = node->in[i] != VLY_VALUE_NONE ? &z->views[node->in[i]] : NULL;
            if (w != NULL)
                z->readers[w->first_reader + w->n_reading++] = s;
        }
    }
    for (int i = 0; i < p->graph->n_outputs; i++)
        z->views[p->graph->outputs[i]].n_readers++;
    return true;
}

/* One item for each step, or for each of its outputs. */
static int max_items(const vly_plan *p)
{
    int n = 0;

    for (int s = 0; s < p->n_steps; s++)
        n += p->steps[s].node->n_out + 1;
    return n;
}

vly_status vly_fuse(vly_fusion *f, vly_err *err)
{
    vly_fuser z = {.f = f};

    z.views = vly_arena_calloc(f->scratch, (size_t)f->plan->n_values, sizeof(*z.views));
    z.is_taken = vly_arena_calloc(f->scratch, (size_t)f->plan->n_steps, sizeof(*z.is_taken));
    if (z.views == NULL || z.is_taken == NULL || !list_readers(&z))
        return out_of_memory(err);
    z.max_items = max_items(f->plan);
    z.items = vly_arena_calloc(f->scratch, (size_t)z.max_items, sizeof(*z.items));
    if (z.items == NULL)
        return out_of_memory(err);
    vly_status st = vly_fuse_select(&z, err);
    if (st == VLY_OK) {
        vly_fuse_place(&z);
        st = vly_fuse_emit(&z, err);
    }
    return st;
}
