/* SPDX-License-Identifier: MIT */
/*
 * One pass over the nodes, in the file's order. Sequences exist only in a map from name to list;
 * what is emitted in place of a sequence's node defines the tensors others read.
 */
#include "engine/graph/sequence.h"

#include "base/assert.h"
#include "base/map.h"
#include "engine/attrs.h"
#include "engine/graph/emit.h"

#include <inttypes.h>

/* Either a list, or a split whose parts have no names yet. */
typedef struct sequence {
    bool is_list;
    size_t n;
    const vly_str *items;
    vly_str data; /* what is split, along axis */
    int64_t axis;
    int64_t chunk;  /* length of each part but the last; 0: `sizes` tells */
    vly_str sizes;  /* a value only the run knows */
    bool keep_dims; /* false: parts have no axis (chunk is 1) */
} sequence;

/* What the file says of a value; the members it says nothing of are NULL. */
typedef struct fact {
    const vly_onnx_tensor *constant;
    const vly_onnx_value_info *declared;
} fact;

typedef struct lowering {
    const vly_onnx_graph *src;
    vly_emitter e;
    vly_map sequences;  /* name -> sequence */
    vly_map facts;      /* name -> fact */
    vly_onnx_node node; /* being lowered, without trailing omitted inputs */
} lowering;

static vly_status out_of_memory(vly_err *err)
{
    return vly_fail(err, VLY_ENOMEM, "out of memory for the graph");
}

/* ---- what the file tells ------------------------------------------------------------------ */

static bool int_at(const vly_onnx_tensor *t, uint64_t i, int64_t *ret)
{
    int32_t narrow;

    if (t->data == NULL || i >= t->n_elems)
        return false;
    if (t->data_type == VLY_DTYPE_I64) {
        memcpy(ret, (const char *)t->data + i * sizeof(*ret), sizeof(*ret));
        return true;
    }
    if (t->data_type != VLY_DTYPE_I32)
        return false;
    memcpy(&narrow, (const char *)t->data + i * sizeof(narrow), sizeof(narrow));
    *ret = narrow;
    return true;
}

static vly_status note(lowering *l, vly_str name, fact f, vly_err *err)
{
    fact *kept = vly_emit_copy(&l->e, &f, 1, sizeof(f));

    if (kept == NULL)
        return vly_arena_fail(l->e.arena, err);
    return vly_map_set(&l->facts, name, kept) ? VLY_OK : out_of_memory(err);
}

static const vly_onnx_tensor *constant_of(const lowering *l, vly_str name)
{
    const fact *f = vly_map_get(&l->facts, name);
    return f != NULL ? f->constant : NULL;
}

/* A Constant node's value may be a position or a list of sizes later on. */
static vly_status note_constant(lowering *l, const vly_onnx_node *node, vly_err *err)
{
    for (size_t i = 0; i < node->n_attrs && node->n_outputs == 1; i++) {
        const vly_onnx_attr *a = &node->attrs[i];
        vly_onnx_tensor t = {.data_type = VLY_DTYPE_I64, .n_elems = 1};
        if (a->type == VLY_ONNX_ATTR_TENSOR && vly_str_is(a->name, "value")) {
            t = *a->t;
        } else if (a->type == VLY_ONNX_ATTR_INT && vly_str_is(a->name, "value_int")) {
            t.data = &a->i;
        } else if (a->type == VLY_ONNX_ATTR_INTS && vly_str_is(a->name, "value_ints")) {
            t.n_dims = 1;
            t.n_elems = a->n;
            t.dims = vly_emit_copy(&l->e, &(int64_t){(int64_t)a->n}, 1, sizeof(int64_t));
            t.data = a->ints;
        } else {
            continue;
        }
        fact f = {.constant = vly_emit_copy(&l->e, &t, 1, sizeof(t))};
        if (f.constant == NULL || (t.n_dims > 0 && t.dims == NULL))
            return vly_arena_fail(l->e.arena, err);
        return note(l, node->outputs[0], f, err);
    }
    return VLY_OK;
}

/* Length of a value's axis as the file declares it; false when it does not. */
static bool declared_dim(const lowering *l, vly_str name, int64_t axis, int64_t *ret)
{
    const fact *f = vly_map_get(&l->facts, name);
    int64_t rank = 0;

    if (f != NULL && f->constant != NULL)
        rank = (int64_t)f->constant->n_dims;
    else if (f != NULL && f->declared->has_shape)
        rank = (int64_t)f->declared->n_dims;
    if (f == NULL || axis < -rank || axis >= rank)
        return false;
    axis += axis < 0 ? rank : 0;
    *ret = f->constant != NULL ? f->constant->dims[axis] : f->declared->dims[axis].value;
    return *ret >= 0;
}

/* The one integer of a position input. */
static vly_status constant_int(const lowering *l, vly_str name, int64_t *ret, vly_err *err)
{
    const vly_onnx_tensor *t = constant_of(l, name);

    if (t == NULL || t->external != NULL)
        return vly_fail(err, VLY_EUNSUPPORTED, "position '%.*s' is not a constant of the file",
                        VLY_STR_ARG(name));
    if (t->n_elems != 1 || !int_at(t, 0, ret))
        return vly_fail(err, VLY_EFORMAT, "position '%.*s': expected one integer",
                        VLY_STR_ARG(name));
    return VLY_OK;
}

/* Index that the position input `name` gives into a sequence of n; 0..n_allowed - 1, or negative
 * and counting from the end of n. */
static vly_status position_of(const lowering *l, vly_str name, size_t n, size_t n_allowed,
                              size_t *ret, vly_err *err)
{
    int64_t pos;
    vly_status st = constant_int(l, name, &pos, err);

    if (st != VLY_OK)
        return st;
    if (pos < -(int64_t)n || pos >= (int64_t)n_allowed)
        return vly_fail(err, VLY_EFORMAT,
                        "position %" PRId64 " is out of range for a sequence of %zu tensors", pos,
                        n);
    *ret = (size_t)(pos < 0 ? pos + (int64_t)n : pos);
    return VLY_OK;
}

/* ---- lists and splits --------------------------------------------------------------------- */

static vly_status define(lowering *l, vly_str name, const sequence *s, vly_err *err)
{
    if (vly_map_get(&l->sequences, name) != NULL)
        return vly_fail(err, VLY_EFORMAT, "value '%.*s' is defined twice", VLY_STR_ARG(name));
    sequence *kept = vly_emit_copy(&l->e, s, 1, sizeof(*s));
    if (kept == NULL)
        return vly_arena_fail(l->e.arena, err);
    if (!vly_map_set(&l->sequences, name, kept))
        return out_of_memory(err);
    return VLY_OK;
}

static vly_status new_list(lowering *l, uint64_t n, vly_str **ret, vly_err *err)
{
    if (n > VLY_SEQUENCE_MAX)
        return vly_fail(err, VLY_ELIMIT, "a sequence of %" PRIu64 " tensors: at most %d", n,
                        VLY_SEQUENCE_MAX);
    *ret = vly_arena_calloc(l->e.arena, (size_t)n, sizeof(**ret));
    return *ret != NULL ? VLY_OK : vly_arena_fail(l->e.arena, err);
}

/* Makes s the list of its parts, cut by one Split (which checks that the sizes add up). */
static vly_status split_at_sizes(lowering *l, sequence *s, const int64_t *sizes, size_t n,
                                 vly_err *err)
{
    vly_str *parts;
    vly_status st = new_list(l, n, &parts, err);

    for (size_t i = 0; i < n && st == VLY_OK; i++)
        st = vly_emit_name(&l->e, &parts[i], err);
    if (st == VLY_OK && n > 0)
        st = vly_emit_with_list(&l->e, "Split", s->data, sizes, n, &s->axis, parts, n, err);
    for (size_t i = 0; i < n && !s->keep_dims && st == VLY_OK; i++) {
        vly_str part = parts[i];
        st = vly_emit_name(&l->e, &parts[i], err);
        if (st == VLY_OK)
            st = vly_emit_with_list(&l->e, "Squeeze", part, &s->axis, 1, NULL, &parts[i], 1, err);
    }
    if (st != VLY_OK)
        return st;
    s->is_list = true;
    s->n = n;
    s->items = parts;
    return VLY_OK;
}

/* Gives the parts of a split names, once. */
static vly_status name_parts(lowering *l, sequence *s, vly_err *err)
{
    int64_t sizes[VLY_SEQUENCE_MAX], dim;
    size_t n = 0;

    if (s->is_list)
        return VLY_OK;
    if (s->chunk == 0)
        return vly_fail(err, VLY_EUNSUPPORTED, "the sizes '%.*s' of the parts are not constants",
                        VLY_STR_ARG(s->sizes));
    if (!declared_dim(l, s->data, s->axis, &dim))
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "the number of parts is not known: axis %" PRId64
                        " of '%.*s' has no declared length",
                        s->axis, VLY_STR_ARG(s->data));
    if (dim / s->chunk >= VLY_SEQUENCE_MAX)
        return vly_fail(err, VLY_ELIMIT, "'%.*s' would fall into more than %d parts",
                        VLY_STR_ARG(s->data), VLY_SEQUENCE_MAX - 1);
    for (; dim > 0; dim -= sizes[n++])
        sizes[n] = dim < s->chunk ? dim : s->chunk;
    return split_at_sizes(l, s, sizes, n, err);
}

static vly_status sequence_of(const lowering *l, size_t i, sequence **ret, vly_err *err)
{
    *ret = vly_map_get(&l->sequences, l->node.inputs[i]);
    if (*ret == NULL)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "input '%.*s' is not a sequence made in this graph by a sequence operator",
                        VLY_STR_ARG(l->node.inputs[i]));
    return VLY_OK;
}

static vly_status list_of(lowering *l, size_t i, sequence **ret, vly_err *err)
{
    vly_status st = sequence_of(l, i, ret, err);
    return st == VLY_OK ? name_parts(l, *ret, err) : st;
}

static vly_str input(const lowering *l, size_t i)
{
    return i < l->node.n_inputs ? l->node.inputs[i] : (vly_str){NULL, 0};
}

/* ---- the operators ------------------------------------------------------------------------ */

static vly_status check_tensor(const lowering *l, vly_str name, vly_err *err)
{
    if (vly_map_get(&l->sequences, name) != NULL)
        return vly_fail(err, VLY_EUNSUPPORTED, "input '%.*s' is a sequence, not a tensor",
                        VLY_STR_ARG(name));
    return VLY_OK;
}

/* SequenceEmpty, SequenceConstruct */
static vly_status construct(lowering *l, vly_err *err)
{
    vly_str *items;
    vly_status st = new_list(l, l->node.n_inputs, &items, err);

    for (size_t i = 0; i < l->node.n_inputs && st == VLY_OK; i++) {
        items[i] = l->node.inputs[i];
        st = items[i].len > 0 ? check_tensor(l, items[i], err)
                              : vly_fail(err, VLY_EFORMAT, "input %zu is missing", i);
    }
    if (st != VLY_OK)
        return st;
    sequence s = {.is_list = true, .n = l->node.n_inputs, .items = items};
    return define(l, l->node.outputs[0], &s, err);
}

static vly_status insert(lowering *l, vly_err *err)
{
    sequence *s;
    vly_str *items = NULL;
    size_t pos;
    vly_status st = list_of(l, 0, &s, err);

    if (st == VLY_OK)
        st = check_tensor(l, input(l, 1), err);
    if (st != VLY_OK)
        return st;
    pos = s->n;
    if (input(l, 2).len > 0)
        st = position_of(l, input(l, 2), s->n, s->n + 1, &pos, err);
    if (st == VLY_OK)
        st = new_list(l, s->n + 1, &items, err);
    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i < s->n; i++)
        items[i < pos ? i : i + 1] = s->items[i];
    items[pos] = input(l, 1);
    sequence longer = {.is_list = true, .n = s->n + 1, .items = items};
    return define(l, l->node.outputs[0], &longer, err);
}

static vly_status erase(lowering *l, vly_err *err)
{
    sequence *s;
    vly_str *items;
    size_t pos;
    vly_status st = list_of(l, 0, &s, err);

    if (st != VLY_OK)
        return st;
    if (s->n == 0)
        return vly_fail(err, VLY_EFORMAT, "the sequence is empty");
    pos = s->n - 1;
    if (input(l, 1).len > 0)
        st = position_of(l, input(l, 1), s->n, s->n, &pos, err);
    if (st == VLY_OK)
        st = new_list(l, s->n - 1, &items, err);
    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i + 1 < s->n; i++)
        items[i] = s->items[i < pos ? i : i + 1];
    sequence shorter = {.is_list = true, .n = s->n - 1, .items = items};
    return define(l, l->node.outputs[0], &shorter, err);
}

/* Part `pos` of parts of length 1: no need to know how many there are. */
static vly_status gather_part(lowering *l, const sequence *s, vly_str pos, vly_err *err)
{
    vly_str in[] = {s->data, {NULL, 0}};
    int64_t i;
    vly_status st = constant_int(l, pos, &i, err);

    if (st == VLY_OK)
        st = vly_emit_new_ints(&l->e, &i, 1, !s->keep_dims, &in[1], err);
    if (st != VLY_OK)
        return st;
    return vly_emit_at_axis(&l->e, "Gather", in, 2, s->axis, l->node.outputs[0], err);
}

static vly_status at(lowering *l, vly_err *err)
{
    sequence *s;
    size_t pos;
    vly_status st = sequence_of(l, 0, &s, err);

    if (st == VLY_OK && !s->is_list && s->chunk == 1)
        return gather_part(l, s, input(l, 1), err);
    if (st == VLY_OK)
        st = name_parts(l, s, err);
    if (st == VLY_OK)
        st = position_of(l, input(l, 1), s->n, s->n, &pos, err);
    if (st != VLY_OK)
        return st;
    return vly_emit_op(&l->e, "Identity", &s->items[pos], 1, l->node.outputs[0], err);
}

/* out = ceil(in / chunk) */
static vly_status emit_parts(lowering *l, vly_str in, int64_t chunk, vly_str out, vly_err *err)
{
    vly_str less, divisor, sum;
    vly_status st = vly_emit_new_ints(&l->e, &(int64_t){chunk - 1}, 1, true, &less, err);

    if (st == VLY_OK)
        st = vly_emit_new_ints(&l->e, &chunk, 1, true, &divisor, err);
    if (st == VLY_OK)
        st = vly_emit_name(&l->e, &sum, err);
    if (st == VLY_OK)
        st = vly_emit_op(&l->e, "Add", (vly_str[]){in, less}, 2, sum, err);
    return st == VLY_OK ? vly_emit_op(&l->e, "Div", (vly_str[]){sum, divisor}, 2, out, err) : st;
}

/* A list's length is a constant; a split's follows from shapes, which the plan knows. */
static vly_status length(lowering *l, vly_err *err)
{
    sequence *s;
    vly_str out = l->node.outputs[0], gather[2], dim = out;
    vly_status st = sequence_of(l, 0, &s, err);

    if (st != VLY_OK)
        return st;
    if (s->is_list)
        return vly_emit_ints(&l->e, &(int64_t){(int64_t)s->n}, 1, true, out, err);
    st = vly_emit_name(&l->e, &gather[0], err);
    if (st == VLY_OK)
        st = vly_emit_op(&l->e, "Shape", s->chunk > 0 ? &s->data : &s->sizes, 1, gather[0], err);
    if (st == VLY_OK)
        st = vly_emit_new_ints(&l->e, &s->axis, 1, true, &gather[1], err);
    if (st == VLY_OK && s->chunk > 1)
        st = vly_emit_name(&l->e, &dim, err);
    if (st == VLY_OK)
        st = vly_emit_at_axis(&l->e, "Gather", gather, 2, 0, dim, err);
    if (st == VLY_OK && s->chunk > 1)
        st = emit_parts(l, dim, s->chunk, out, err);
    return st;
}

/* `split` is a constant: the length of each part, or the list of their lengths. */
static vly_status split_by(lowering *l, sequence *s, const vly_onnx_tensor *split, vly_err *err)
{
    int64_t sizes[VLY_SEQUENCE_MAX] = {0};

    if (split->n_dims > 1 || split->n_elems > VLY_SEQUENCE_MAX)
        return vly_fail(err, VLY_EFORMAT, "split: expected a scalar or at most %d sizes",
                        VLY_SEQUENCE_MAX);
    for (uint64_t i = 0; i < split->n_elems; i++)
        if (!int_at(split, i, &sizes[i]) || sizes[i] < (split->n_dims == 0))
            return vly_fail(err, VLY_EFORMAT, "split: expected constant sizes, none negative");
    if (split->n_dims == 1)
        return split_at_sizes(l, s, sizes, (size_t)split->n_elems, err);
    s->chunk = sizes[0] < INT32_MAX ? sizes[0] : INT32_MAX; /* length() adds to it */
    return VLY_OK;
}

/* Sizes that only the run knows still tell the number of parts, if the file declares a list. */
static vly_status split_at_run_time(const lowering *l, sequence *s, vly_str sizes, vly_err *err)
{
    const fact *f = vly_map_get(&l->facts, sizes);

    if (f == NULL || !f->declared->has_shape || f->declared->n_dims != 1)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "split '%.*s' is neither a constant nor declared as a list",
                        VLY_STR_ARG(sizes));
    s->chunk = 0;
    s->axis = 0;
    s->sizes = sizes;
    return VLY_OK;
}

static vly_status split(lowering *l, vly_err *err)
{
    vly_attrs a = vly_attrs_begin(&l->node);
    sequence s = {.data = input(l, 0), .chunk = 1, .axis = vly_attrs_int(&a, "axis", 0)};
    vly_str by = input(l, 1);
    const vly_onnx_tensor *t = by.len > 0 ? constant_of(l, by) : NULL;

    s.keep_dims = vly_attrs_int(&a, "keepdims", 1) != 0 || by.len > 0;
    vly_status st = vly_attrs_end(&a, err);
    if (st == VLY_OK)
        st = check_tensor(l, s.data, err);
    if (st == VLY_OK && t != NULL)
        st = split_by(l, &s, t, err);
    else if (st == VLY_OK && by.len > 0)
        st = split_at_run_time(l, &s, by, err);
    return st == VLY_OK ? define(l, l->node.outputs[0], &s, err) : st;
}

static vly_status concat(lowering *l, vly_err *err)
{
    vly_attrs a = vly_attrs_begin(&l->node);
    int64_t axis = vly_attrs_int(&a, "axis", 0);
    bool is_new_axis = vly_attrs_int_in(&a, "new_axis", 0, 0, 1) != 0;
    sequence *s;
    vly_str *items;
    vly_status st = vly_attrs_end(&a, err);

    if (st == VLY_OK && !vly_attrs_has(&a, "axis"))
        st = vly_fail(err, VLY_EFORMAT, "attribute 'axis' is missing");
    if (st == VLY_OK)
        st = list_of(l, 0, &s, err);
    if (st != VLY_OK)
        return st;
    if (s->n == 0)
        return vly_fail(err, VLY_EFORMAT, "the sequence is empty");
    if (!is_new_axis)
        return vly_emit_at_axis(&l->e, "Concat", s->items, s->n, axis, l->node.outputs[0], err);
    st = new_list(l, s->n, &items, err);
    for (size_t i = 0; i < s->n && st == VLY_OK; i++) {
        st = vly_emit_name(&l->e, &items[i], err);
        if (st == VLY_OK)
            st = vly_emit_with_list(&l->e, "Unsqueeze", s->items[i], &axis, 1, NULL, &items[i], 1,
                                    err);
    }
    if (st != VLY_OK)
        return st;
    return vly_emit_at_axis(&l->e, "Concat", items, s->n, axis, l->node.outputs[0], err);
}

/* ---- the graph ---------------------------------------------------------------------------- */

typedef struct rule {
    const char *op;
    size_t n_in_min, n_in_max;
    vly_status (*lower)(lowering *l, vly_err *err);
} rule;

static const rule rules[] = {
    {"ConcatFromSequence", 1, 1, concat},
    {"SequenceAt", 2, 2, at},
    {"SequenceConstruct", 1, VLY_SEQUENCE_MAX, construct},
    {"SequenceEmpty", 0, 0, construct},
    {"SequenceErase", 1, 2, erase},
    {"SequenceInsert", 2, 3, insert},
    {"SequenceLength", 1, 1, length},
    {"SplitToSequence", 1, 2, split},
};

static const rule *rule_of(vly_str domain, vly_str op)
{
    for (size_t i = 0; i < VLY_COUNT(rules); i++)
        if (domain.len == 0 && vly_str_is(op, rules[i].op))
            return &rules[i];
    return NULL;
}

bool vly_sequence_has_op(vly_str domain, vly_str op)
{
    return rule_of(domain, op) != NULL;
}

static vly_status lower_sequence_node(lowering *l, const rule *r, vly_err *err)
{
    const vly_onnx_node *n = &l->node;

    if (n->n_inputs < r->n_in_min || n->n_inputs > r->n_in_max)
        return vly_fail(err, VLY_EFORMAT, "expected %zu to %zu inputs, got %zu", r->n_in_min,
                        r->n_in_max, n->n_inputs);
    for (size_t i = 0; i < r->n_in_min; i++)
        if (n->inputs[i].len == 0)
            return vly_fail(err, VLY_EFORMAT, "required input %zu is missing", i);
    if (n->n_outputs != 1 || n->outputs[0].len == 0)
        return vly_fail(err, VLY_EFORMAT, "expected 1 output");
    l->e.prefix = n->outputs[0];
    return r->lower(l, err);
}

/* Any other node stays as it is, but for an Identity of a sequence: a second name. */
static vly_status keep_node(lowering *l, vly_err *err)
{
    const vly_onnx_node *n = &l->node;
    vly_status st = VLY_OK;

    if (vly_str_is(n->op_type, "Identity") && n->n_inputs == 1 && n->n_outputs == 1) {
        const sequence *s = vly_map_get(&l->sequences, n->inputs[0]);
        if (s != NULL)
            return define(l, n->outputs[0], s, err);
    }
    for (size_t i = 0; i < n->n_inputs && st == VLY_OK; i++)
        st = check_tensor(l, n->inputs[i], err);
    if (st == VLY_OK && vly_str_is(n->op_type, "Constant"))
        st = note_constant(l, n, err);
    return st == VLY_OK ? vly_emit_as_is(&l->e, *n, err) : st;
}

static vly_status lower_node(lowering *l, size_t idx, vly_err *err)
{
    const vly_onnx_node *n = &l->src->nodes[idx];
    const rule *r = rule_of(n->domain, n->op_type);

    l->node = *n;
    while (l->node.n_inputs > 0 && n->inputs[l->node.n_inputs - 1].len == 0)
        l->node.n_inputs--;
    l->e.label = n->name;
    if (n->name.len == 0) {
        /* the label it would have had, were its place in the list still the file's */
        const char *label = vly_arena_printf(l->e.arena, "#%zu", idx);
        if (label == NULL)
            return vly_arena_fail(l->e.arena, err);
        l->e.label = vly_str_from(label);
    }
    vly_status st = r != NULL ? lower_sequence_node(l, r, err) : keep_node(l, err);
    if (st == VLY_OK)
        return VLY_OK;
    return vly_fail_in(err, st, "node '%.*s' (%.*s)", VLY_STR_ARG(l->e.label),
                       VLY_STR_ARG(n->op_type));
}

/* An initialiser may be listed as an input too: it comes last, and counts. */
static vly_status note_declarations(lowering *l, vly_err *err)
{
    const vly_onnx_graph *src = l->src;
    vly_status st = VLY_OK;

    for (size_t i = 0; i < src->n_value_infos && st == VLY_OK; i++)
        st = note(l, src->value_infos[i].name, (fact){.declared = &src->value_infos[i]}, err);
    for (size_t i = 0; i < src->n_inputs && st == VLY_OK; i++)
        st = note(l, src->inputs[i].name, (fact){.declared = &src->inputs[i]}, err);
    for (size_t i = 0; i < src->n_initialisers && st == VLY_OK; i++)
        st = note(l, src->initialisers[i].name, (fact){.constant = &src->initialisers[i]}, err);
    return st;
}

static vly_status lower(lowering *l, vly_onnx_graph *ret, vly_err *err)
{
    const vly_onnx_graph *src = l->src;
    vly_status st = note_declarations(l, err);

    for (size_t i = 0; i < src->n_nodes && st == VLY_OK; i++)
        st = lower_node(l, i, err);
    for (size_t i = 0; i < src->n_outputs && st == VLY_OK; i++)
        if (vly_map_get(&l->sequences, src->outputs[i].name) != NULL)
            st = vly_fail(err, VLY_EUNSUPPORTED, "output '%.*s' is a sequence: expected a tensor",
                          VLY_STR_ARG(src->outputs[i].name));
    if (st != VLY_OK)
        return st;
    *ret = *src;
    return vly_emit_finish(&l->e, ret, err);
}

static bool has_sequences(const vly_onnx_graph *g)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        if (vly_sequence_has_op(g->nodes[i].domain, g->nodes[i].op_type))
            return true;
    return false;
}

vly_status vly_sequence_lower(const vly_onnx_graph *src, int64_t opset, vly_arena *arena,
                              const vly_onnx_graph **ret, vly_err *err)
{
    lowering l = {.src = src};

    if (!has_sequences(src)) {
        *ret = src;
        return VLY_OK;
    }
    vly_onnx_graph *lowered = vly_arena_calloc(arena, 1, sizeof(*lowered));
    if (lowered == NULL)
        return vly_arena_fail(arena, err);
    vly_map_init(&l.sequences, VLY_MEM_MODEL);
    vly_map_init(&l.facts, VLY_MEM_MODEL);
    vly_emit_init(&l.e, opset, arena);
    vly_status st = lower(&l, lowered, err);
    vly_emit_release(&l.e);
    vly_map_release(&l.facts);
    vly_map_release(&l.sequences);
    if (st == VLY_OK)
        *ret = lowered;
    return st;
}
