/* SPDX-License-Identifier: MIT */
#include "engine/op_case.h"

#include "engine/native/eval.h"
#include "unit.h"

#include <string.h>

void oc_init(op_case *c, const char *op, int opset)
{
    *c = (op_case){.proto = {.op_type = vly_str_from(op)}, .opset = opset};
    c->proto.attrs = c->attrs;
    vly_arena_init(&c->arena, VLY_MEM_BASE, 4096, 1 << 20);
}

void oc_free(op_case *c)
{
    for (int i = 0; i < c->n_out; i++)
        vly_tensor_release(&c->out[i]);
    vly_arena_release(&c->arena);
}

static vly_onnx_attr *add_attr(op_case *c, const char *name, vly_onnx_attr_type type)
{
    assert_true(c->proto.n_attrs < OC_MAX);
    vly_onnx_attr *a = &c->attrs[c->proto.n_attrs++];
    *a = (vly_onnx_attr){.name = vly_str_from(name), .type = type};
    return a;
}

void oc_int(op_case *c, const char *name, int64_t v)
{
    add_attr(c, name, VLY_ONNX_ATTR_INT)->i = v;
}

void oc_float(op_case *c, const char *name, float v)
{
    add_attr(c, name, VLY_ONNX_ATTR_FLOAT)->f = v;
}

void oc_string(op_case *c, const char *name, const char *v)
{
    add_attr(c, name, VLY_ONNX_ATTR_STRING)->s = vly_str_from(v);
}

void oc_ints(op_case *c, const char *name, size_t n, const int64_t *v)
{
    vly_onnx_attr *a = add_attr(c, name, VLY_ONNX_ATTR_INTS);
    a->n = n;
    a->ints = v;
}

void oc_floats(op_case *c, const char *name, size_t n, const float *v)
{
    vly_onnx_attr *a = add_attr(c, name, VLY_ONNX_ATTR_FLOATS);
    a->n = n;
    a->floats = v;
}

void oc_in(op_case *c, vly_dtype dtype, vly_shape shape, const void *data)
{
    assert_true(c->n_in < OC_MAX);
    c->in[c->n_in++] = vly_tensor_borrow(dtype, &shape, data);
}

void oc_omit(op_case *c)
{
    assert_true(c->n_in < OC_MAX);
    c->in[c->n_in++] = (vly_tensor){0};
}

static const vly_node *make_node(op_case *c)
{
    static int ids[2 * OC_MAX];
    vly_node *node = vly_arena_calloc(&c->arena, 1, sizeof(*node));
    int *in = vly_arena_calloc(&c->arena, OC_MAX, sizeof(*in));
    bool has_name;

    for (int i = 0; i < 2 * OC_MAX; i++)
        ids[i] = i;
    for (int i = 0; i < c->n_in; i++)
        in[i] = c->in[i].dtype != VLY_DTYPE_UNDEFINED ? i : VLY_VALUE_NONE;
    *node = (vly_node){.op = vly_op_find(c->proto.domain, c->proto.op_type, c->opset, &has_name),
                       .proto = &c->proto,
                       .label = "test",
                       .opset = c->opset,
                       .n_in = c->n_in,
                       .n_out = c->n_out,
                       .in = in,
                       .out = ids + OC_MAX};
    assert_non_null(node->op);
    node->params = vly_arena_calloc(&c->arena, 1, node->op->params_bytes + 1);
    return node;
}

static vly_op_ctx *make_ctx(op_case *c, const vly_node *node, const vly_tensor *in)
{
    vly_tensor **values = vly_arena_calloc(&c->arena, (size_t)2 * OC_MAX, sizeof(vly_tensor *));
    vly_tensor *copies = vly_arena_calloc(&c->arena, OC_MAX, sizeof(*copies));

    memcpy(copies, in, OC_MAX * sizeof(*copies));
    for (int i = 0; i < OC_MAX; i++)
        values[i] = &copies[i];
    return vly_eval_ctx(node, values, &c->arena);
}

/* What infer says while no value is known. */
static vly_op_ctx *infer_pending(op_case *c, const vly_node *node, vly_status *ret)
{
    vly_tensor in[OC_MAX];

    for (int i = 0; i < OC_MAX; i++) {
        in[i] = c->in[i];
        in[i].data = NULL;
    }
    vly_op_ctx *ctx = make_ctx(c, node, in);
    *ret = vly_eval_infer(node, ctx, &c->err);
    return ctx;
}

static void check_promise(const vly_op_ctx *promised, const vly_op_ctx *made)
{
    for (int i = 0; i < made->n_out; i++) {
        const vly_shape *a = &promised->out[i].shape, *b = &made->out[i].shape;
        assert_int_equal(promised->out[i].dtype, made->out[i].dtype);
        if (promised->out_unknown[i])
            continue;
        assert_int_equal(a->rank, b->rank);
        for (int k = 0; k < a->rank; k++)
            assert_true(a->dim[k] == VLY_DIM_UNKNOWN || a->dim[k] == b->dim[k]);
    }
}

vly_status oc_run(op_case *c, int n_out)
{
    c->n_out = n_out;
    const vly_node *node = make_node(c);
    vly_op_ctx *ctx = make_ctx(c, node, c->in);
    vly_status st = VLY_OK, st_pending;

    ctx->pool = c->pool;
    if (node->op->prepare != NULL)
        st = node->op->prepare(ctx, node->params, &c->err);
    if (st != VLY_OK)
        return st;
    const vly_op_ctx *promised = infer_pending(c, node, &st_pending);
    st = vly_eval_node(node, ctx, (size_t)1 << 30, &c->err);
    if (st != VLY_OK)
        return st;
    assert_int_equal(st_pending, VLY_OK);
    check_promise(promised, ctx);
    for (int i = 0; i < n_out; i++)
        c->out[i] = ctx->out[i];
    return VLY_OK;
}
