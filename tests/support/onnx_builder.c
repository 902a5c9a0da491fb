/* SPDX-License-Identifier: MIT */
#include "support/onnx_builder.h"

#include "base/assert.h"
#include "codec/pbwire.h"

#define FILE_BYTES_MAX ((size_t)1 << 30)

static void put_cstr(vly_buf *b, uint32_t number, const char *s)
{
    vly_pb_put_bytes(b, number, vly_str_from(s));
}

/* Appends child as a nested message. */
static void put_message(vly_buf *b, uint32_t number, const vly_buf *child)
{
    VLY_ASSERT(!child->failed);
    vly_pb_put_bytes(b, number, vly_buf_str(child));
}

void ob_init(onnx_builder *b)
{
    vly_buf_init(&b->model, VLY_MEM_CODEC, FILE_BYTES_MAX);
    vly_buf_init(&b->graph, VLY_MEM_CODEC, FILE_BYTES_MAX);
    vly_buf_init(&b->node, VLY_MEM_CODEC, FILE_BYTES_MAX);
}

void ob_release(onnx_builder *b)
{
    vly_buf_release(&b->model);
    vly_buf_release(&b->graph);
    vly_buf_release(&b->node);
}

static void flush_node(onnx_builder *b)
{
    if (b->node.len > 0)
        put_message(&b->graph, 1, &b->node);
    vly_buf_clear(&b->node);
}

static void put_shape(vly_buf *b, int n_dims, const int64_t *dims)
{
    size_t shape = vly_pb_open(b, 2);
    for (int i = 0; i < n_dims; i++) {
        size_t dim = vly_pb_open(b, 1);
        if (dims[i] >= 0)
            vly_pb_put_varint(b, 1, (uint64_t)dims[i]);
        else
            put_cstr(b, 2, "N");
        vly_pb_close(b, dim);
    }
    vly_pb_close(b, shape);
}

static void put_value_info(onnx_builder *b, uint32_t number, const char *name, int type, int n_dims,
                           const int64_t *dims)
{
    size_t info = vly_pb_open(&b->graph, number);
    put_cstr(&b->graph, 1, name);
    size_t type_proto = vly_pb_open(&b->graph, 2);
    size_t tensor = vly_pb_open(&b->graph, 1);
    vly_pb_put_varint(&b->graph, 1, (uint64_t)type);
    if (n_dims >= 0)
        put_shape(&b->graph, n_dims, dims);
    vly_pb_close(&b->graph, tensor);
    vly_pb_close(&b->graph, type_proto);
    vly_pb_close(&b->graph, info);
}

void ob_input(onnx_builder *b, const char *name, int type, int n_dims, const int64_t *dims)
{
    put_value_info(b, 11, name, type, n_dims, dims);
}

void ob_output(onnx_builder *b, const char *name, int type, int n_dims, const int64_t *dims)
{
    put_value_info(b, 12, name, type, n_dims, dims);
}

static void put_tensor(vly_buf *b, uint32_t number, const char *name, int type, int n_dims,
                       const int64_t *dims, vly_str raw)
{
    size_t tensor = vly_pb_open(b, number);
    for (int i = 0; i < n_dims; i++)
        vly_pb_put_varint(b, 1, (uint64_t)dims[i]);
    vly_pb_put_varint(b, 2, (uint64_t)type);
    put_cstr(b, 8, name);
    vly_pb_put_bytes(b, 9, raw);
    vly_pb_close(b, tensor);
}

void ob_tensor(onnx_builder *b, const char *name, int type, int n_dims, const int64_t *dims,
               const void *raw, size_t n_bytes)
{
    put_tensor(&b->graph, 5, name, type, n_dims, dims, (vly_str){raw, n_bytes});
}

static size_t n_elems(int n_dims, const int64_t *dims)
{
    size_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= (size_t)dims[i];
    return n;
}

void ob_floats(onnx_builder *b, const char *name, int n_dims, const int64_t *dims,
               const float *values)
{
    ob_tensor(b, name, OB_FLOAT, n_dims, dims, values, n_elems(n_dims, dims) * sizeof(*values));
}

void ob_ints(onnx_builder *b, const char *name, int n_dims, const int64_t *dims,
             const int64_t *values)
{
    ob_tensor(b, name, OB_INT64, n_dims, dims, values, n_elems(n_dims, dims) * sizeof(*values));
}

void ob_external(onnx_builder *b, const char *name, int type, int n_dims, const int64_t *dims,
                 const char *location)
{
    size_t tensor = vly_pb_open(&b->graph, 5);

    for (int i = 0; i < n_dims; i++)
        vly_pb_put_varint(&b->graph, 1, (uint64_t)dims[i]);
    vly_pb_put_varint(&b->graph, 2, (uint64_t)type);
    put_cstr(&b->graph, 8, name);
    size_t entry = vly_pb_open(&b->graph, 13);
    put_cstr(&b->graph, 1, "location");
    put_cstr(&b->graph, 2, location);
    vly_pb_close(&b->graph, entry);
    vly_pb_put_varint(&b->graph, 14, 1); /* EXTERNAL */
    vly_pb_close(&b->graph, tensor);
}

static void put_names(vly_buf *b, uint32_t number, const char *names)
{
    vly_str rest = vly_str_from(names);

    if (rest.len == 0)
        return;
    while (rest.ptr != NULL)
        vly_pb_put_bytes(b, number, vly_str_split(&rest, ','));
}

void ob_node(onnx_builder *b, const char *op_type, const char *inputs, const char *outputs)
{
    vly_str rest = vly_str_from(outputs);

    flush_node(b);
    put_names(&b->node, 1, inputs);
    put_names(&b->node, 2, outputs);
    vly_pb_put_bytes(&b->node, 3, vly_str_split(&rest, ','));
    put_cstr(&b->node, 4, op_type);
}

void ob_node_domain(onnx_builder *b, const char *domain)
{
    put_cstr(&b->node, 7, domain);
}

/* Opens an AttributeProto of the last node; type: AttributeProto.AttributeType. */
static size_t open_attr(onnx_builder *b, const char *name, unsigned type)
{
    VLY_ASSERT(b->node.len > 0);
    size_t attr = vly_pb_open(&b->node, 5);
    put_cstr(&b->node, 1, name);
    vly_pb_put_varint(&b->node, 20, type);
    return attr;
}

void ob_attr_int(onnx_builder *b, const char *name, int64_t value)
{
    size_t attr = open_attr(b, name, 2);
    vly_pb_put_varint(&b->node, 3, (uint64_t)value);
    vly_pb_close(&b->node, attr);
}

void ob_attr_ints(onnx_builder *b, const char *name, size_t n, const int64_t *values)
{
    size_t attr = open_attr(b, name, 7);
    for (size_t i = 0; i < n; i++)
        vly_pb_put_varint(&b->node, 8, (uint64_t)values[i]);
    vly_pb_close(&b->node, attr);
}

void ob_attr_float(onnx_builder *b, const char *name, float value)
{
    size_t attr = open_attr(b, name, 1);
    vly_pb_put_float(&b->node, 2, value);
    vly_pb_close(&b->node, attr);
}

void ob_attr_floats(onnx_builder *b, const char *name, size_t n, const float *values)
{
    size_t attr = open_attr(b, name, 6);
    for (size_t i = 0; i < n; i++)
        vly_pb_put_float(&b->node, 7, values[i]);
    vly_pb_close(&b->node, attr);
}

void ob_attr_string(onnx_builder *b, const char *name, const char *value)
{
    size_t attr = open_attr(b, name, 3);
    put_cstr(&b->node, 4, value);
    vly_pb_close(&b->node, attr);
}

void ob_attr_strings(onnx_builder *b, const char *name, size_t n, const char *const *values)
{
    size_t attr = open_attr(b, name, 8);
    for (size_t i = 0; i < n; i++)
        put_cstr(&b->node, 9, values[i]);
    vly_pb_close(&b->node, attr);
}

void ob_attr_tensor(onnx_builder *b, const char *name, int type, int n_dims, const int64_t *dims,
                    const void *raw, size_t n_bytes)
{
    size_t attr = open_attr(b, name, 4);
    put_tensor(&b->node, 5, name, type, n_dims, dims, (vly_str){raw, n_bytes});
    vly_pb_close(&b->node, attr);
}

void ob_attr_graph(onnx_builder *b, const char *name, onnx_builder *subgraph)
{
    size_t attr = open_attr(b, name, 5);
    flush_node(subgraph);
    put_message(&b->node, 6, &subgraph->graph);
    vly_pb_close(&b->node, attr);
}

void ob_prop(onnx_builder *b, const char *key, const char *value)
{
    size_t prop = vly_pb_open(&b->model, 14);
    put_cstr(&b->model, 1, key);
    put_cstr(&b->model, 2, value);
    vly_pb_close(&b->model, prop);
}

void ob_opset(onnx_builder *b, const char *domain, int64_t version)
{
    size_t opset = vly_pb_open(&b->model, 8);
    put_cstr(&b->model, 1, domain);
    vly_pb_put_varint(&b->model, 2, (uint64_t)version);
    vly_pb_close(&b->model, opset);
}

vly_str ob_finish(onnx_builder *b, int64_t opset)
{
    flush_node(b);
    vly_pb_put_varint(&b->model, 1, 8);
    if (opset != 0)
        ob_opset(b, "", opset);
    put_message(&b->model, 7, &b->graph);
    VLY_ASSERT(!b->model.failed);
    return vly_buf_str(&b->model);
}
