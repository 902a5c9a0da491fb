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

/* Who reads what; how many items there can be (one for each step, or one for each of its outputs).
 */
static void count_readers(vly_fuser *z)
{
    const vly_plan *p = z->f->plan;

    for (int v = 0; v < p->n_values; v++)
        z->views[v] = (vly_view){.maker = VLY_NO_ITEM, .parent = VLY_VALUE_NONE, .source = v};
    for (int s = 0; s < p->n_steps; s++) {
        const vly_node *node = p->steps[s].node;
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] != VLY_VALUE_NONE)
                z->views[node->in[i]].n_readers++;
        z->max_items += node->n_out + 1;
    }
    for (int i = 0; i < p->graph->n_outputs; i++)
        z->views[p->graph->outputs[i]].n_readers++;
}

vly_status vly_fuse(vly_fusion *f, vly_err *err)
{
    vly_fuser z = {.f = f};

    z.views = vly_arena_calloc(f->scratch, (size_t)f->plan->n_values, sizeof(*z.views));
    z.is_taken = vly_arena_calloc(f->scratch, (size_t)f->plan->n_steps, sizeof(*z.is_taken));
    if (z.views == NULL || z.is_taken == NULL)
        return out_of_memory(err);
    count_readers(&z);
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
