/* SPDX-License-Identifier: MIT */
/*
 * Tables name the fields of each message of model_config.proto; a work list carries the messages
 * that wait to be read into their structs.
 */
#include "codec/triton_config.h"

#include "base/assert.h"

#include <string.h>

typedef enum row_kind {
    ROW_STR,
    ROW_INT, /* int64_t within lo..hi */
    ROW_BOOL,
    ROW_ENUM,    /* unsigned: index into names */
    ROW_TYPE,    /* vly_str: KServe's name of a DataType */
    ROW_MESSAGE, /* child: fills the same struct */
    ROW_TREE,    /* const vly_pbtxt * */
    ROW_INTS,    /* lists: a pointer at offset, a size_t at n_offset */
    ROW_MESSAGES,
    ROW_KNOWN, /* not read; may be repeated */
} row_kind;

typedef struct schema schema;

typedef struct field_row {
    const char *name;
    row_kind kind;
    size_t offset;
    size_t n_offset;
    size_t has_offset; /* of a bool to set when the field is there; 0: none */
    int64_t lo, hi;
    const schema *child;
    const char *const *names;
    size_t n_names;
} field_row;

struct schema {
    const field_row *rows;
    size_t n_rows; /* at most 64 */
    size_t bytes;  /* of the struct that a list of these holds */
};

/* A message of the tree that is to be read. */
typedef struct task {
    struct task *next;
    const schema *schema;
    const vly_pbtxt *message;
    char *dest;
    const char *path; /* "input." */
} task;

typedef struct name_item {
    struct name_item *next;
    vly_str name;
} name_item;

typedef struct reader {
    vly_arena *arena;
    vly_err *err;
    task *todo;
    size_t n_unknown;
    name_item *unknown; /* the last one first */
} reader;

/* ---- tables ---- */

static const char *const type_names[] = {
    "TYPE_INVALID", "TYPE_BOOL", "TYPE_UINT8", "TYPE_UINT16", "TYPE_UINT32",
    "TYPE_UINT64",  "TYPE_INT8", "TYPE_INT16", "TYPE_INT32",  "TYPE_INT64",
    "TYPE_FP16",    "TYPE_FP32", "TYPE_FP64",  "TYPE_STRING", "TYPE_BF16",
};
#define TYPE_INVALID 0
#define TYPE_STRING  13

static const char *const format_names[] = {"FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW"};
static const char *const kind_names[] = {"KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL"};

#define AT(type, member) offsetof(vly_triton_##type, member)
#define SCHEMA(of_rows, of_bytes)                                                                  \
    {                                                                                              \
        .rows = (of_rows), .n_rows = VLY_COUNT(of_rows), .bytes = (of_bytes)                       \
    }

static const field_row reshape_rows[] = {
    {"shape", ROW_INTS, AT(io, reshape), AT(io, n_reshape), .lo = -1, .hi = INT64_MAX},
};
static const schema reshape_schema = SCHEMA(reshape_rows, 0);

#define IO_ROWS                                                                                    \
    {"name", ROW_STR, AT(io, name)}, {"data_type", ROW_TYPE, AT(io, datatype)},                    \
        {"dims", ROW_INTS, AT(io, dims), AT(io, n_dims), .lo = -1, .hi = INT64_MAX},               \
        {"reshape", ROW_MESSAGE, .has_offset = AT(io, has_reshape), .child = &reshape_schema},     \
        {"is_shape_tensor", ROW_KNOWN},                                                            \
    {                                                                                              \
        "is_non_linear_format_io", ROW_KNOWN                                                       \
    }

static const field_row input_rows[] = {
    IO_ROWS,
    {"format", ROW_ENUM, AT(io, format), .names = format_names, .n_names = VLY_COUNT(format_names)},
    {"optional", ROW_BOOL, AT(io, is_optional)},
    {"allow_ragged_batch", ROW_KNOWN},
};
static const schema input_schema = SCHEMA(input_rows, sizeof(vly_triton_io));

static const field_row output_rows[] = {
    IO_ROWS,
    {"label_filename", ROW_STR, AT(io, label_filename)},
};
static const schema output_schema = SCHEMA(output_rows, sizeof(vly_triton_io));

static const field_row group_rows[] = {
    {"name", ROW_STR, AT(instance_group, name)},
    {"kind", ROW_ENUM, AT(instance_group, kind), .names = kind_names,
     .n_names = VLY_COUNT(kind_names)},
    {"count", ROW_INT, AT(instance_group, count), .lo = 0, .hi = INT32_MAX},
    {"gpus", ROW_INTS, AT(instance_group, gpus), AT(instance_group, n_gpus), .lo = 0,
     .hi = INT32_MAX},
    {"rate_limiter", ROW_KNOWN},
    {"secondary_devices", ROW_KNOWN},
    {"profile", ROW_KNOWN},
    {"passive", ROW_KNOWN},
    {"host_policy", ROW_KNOWN},
};
static const schema group_schema = SCHEMA(group_rows, sizeof(vly_triton_instance_group));

static const field_row latest_rows[] = {
    {"num_versions", ROW_INT, AT(config, n_latest), .lo = 1, .hi = UINT32_MAX},
};
static const schema latest_schema = SCHEMA(latest_rows, 0);

static const field_row specific_rows[] = {
    {"versions", ROW_INTS, AT(config, versions), AT(config, n_versions), .lo = 1, .hi = INT64_MAX},
};
static const schema specific_schema = SCHEMA(specific_rows, 0);

static const field_row policy_rows[] = {
    {"latest", ROW_MESSAGE, .child = &latest_schema},
    {"all", ROW_KNOWN},
    {"specific", ROW_MESSAGE, .child = &specific_schema},
};
static const schema policy_schema = SCHEMA(policy_rows, 0);

static const field_row param_value_rows[] = {
    {"string_value", ROW_STR, AT(param, value)},
};
static const schema param_value_schema = SCHEMA(param_value_rows, 0);

static const field_row param_rows[] = {
    {"key", ROW_STR, AT(param, key)},
    {"value", ROW_MESSAGE, .child = &param_value_schema},
};
static const schema param_schema = SCHEMA(param_rows, sizeof(vly_triton_param));

static const field_row config_rows[] = {
    {"name", ROW_STR, AT(config, name)},
    {"platform", ROW_STR, AT(config, platform)},
    {"backend", ROW_STR, AT(config, backend)},
    {"default_model_filename", ROW_STR, AT(config, default_model_filename)},
    {"max_batch_size", ROW_INT, AT(config, max_batch_size),
     .has_offset = AT(config, has_max_batch_size), .lo = 0, .hi = INT32_MAX},
    {"input", ROW_MESSAGES, AT(config, inputs), AT(config, n_inputs), .child = &input_schema},
    {"output", ROW_MESSAGES, AT(config, outputs), AT(config, n_outputs), .child = &output_schema},
    {"instance_group", ROW_MESSAGES, AT(config, instance_groups), AT(config, n_instance_groups),
     .child = &group_schema},
    {"parameters", ROW_MESSAGES, AT(config, params), AT(config, n_params), .child = &param_schema},
    {"version_policy", ROW_MESSAGE, .child = &policy_schema},
    {"dynamic_batching", ROW_TREE, AT(config, dynamic_batching)},
    {"sequence_batching", ROW_TREE, AT(config, sequence_batching)},
    {"ensemble_scheduling", ROW_TREE, AT(config, ensemble_scheduling)},
    {"response_cache", ROW_TREE, AT(config, response_cache)},
    {"model_warmup", ROW_KNOWN},
    {"runtime", ROW_KNOWN},
    {"batch_input", ROW_KNOWN},
    {"batch_output", ROW_KNOWN},
    {"optimization", ROW_KNOWN},
    {"cc_model_filenames", ROW_KNOWN},
    {"metric_tags", ROW_KNOWN},
    {"model_operations", ROW_KNOWN},
    {"model_transaction_policy", ROW_KNOWN},
    {"model_repository_agents", ROW_KNOWN},
    {"model_metrics", ROW_KNOWN},
};
static const schema config_schema = SCHEMA(config_rows, sizeof(vly_triton_config));

/* ---- values ---- */

static vly_status fail_kind(reader *r, const vly_pbtxt *f, const char *want)
{
    return vly_fail(r->err, VLY_EFORMAT, "%u:%u: '%.*s': expected %s", f->line, f->column,
                    VLY_STR_ARG(f->name), want);
}

static vly_status get_int(reader *r, const vly_pbtxt *f, const field_row *row, int64_t *ret)
{
    int64_t v;

    if (!vly_pbtxt_i64(f, &v))
        return fail_kind(r, f, "an integer");
    if (v < row->lo || v > row->hi)
        return vly_fail(r->err, VLY_EFORMAT, "%u:%u: '%s': expected %lld to %lld, got %lld",
                        f->line, f->column, row->name, (long long)row->lo, (long long)row->hi,
                        (long long)v);
    *ret = v;
    return VLY_OK;
}

/* By name, or by number as the text format allows. */
static vly_status get_enum(reader *r, const vly_pbtxt *f, const char *const *names, size_t n,
                           unsigned *ret)
{
    int64_t v;

    for (size_t i = 0; i < n && f->kind == VLY_PBTXT_IDENT && !f->is_negative; i++) {
        if (vly_str_is(f->text, names[i])) {
            *ret = (unsigned)i;
            return VLY_OK;
        }
    }
    if (!vly_pbtxt_i64(f, &v) || v < 0 || (uint64_t)v >= n)
        return vly_fail(r->err, VLY_EFORMAT, "%u:%u: '%.*s': expected one of %s ... %s", f->line,
                        f->column, VLY_STR_ARG(f->name), names[0], names[n - 1]);
    *ret = (unsigned)v;
    return VLY_OK;
}

static vly_status read_int(reader *r, const vly_pbtxt *f, const field_row *row, char *at)
{
    int64_t v = 0;
    vly_status st = get_int(r, f, row, &v);

    if (st == VLY_OK)
        memcpy(at, &v, sizeof(v));
    return st;
}

static vly_status read_enum(reader *r, const vly_pbtxt *f, const field_row *row, char *at)
{
    unsigned v = 0;
    vly_status st = get_enum(r, f, row->names, row->n_names, &v);

    if (st == VLY_OK)
        memcpy(at, &v, sizeof(v));
    return st;
}

static vly_status read_type(reader *r, const vly_pbtxt *f, char *at)
{
    unsigned v = 0;
    vly_status st = get_enum(r, f, type_names, VLY_COUNT(type_names), &v);

    if (st != VLY_OK)
        return st;
    vly_str name = {NULL, 0};
    if (v == TYPE_STRING)
        name = VLY_STR("BYTES");
    else if (v != TYPE_INVALID)
        name = vly_str_from(type_names[v] + strlen("TYPE_"));
    memcpy(at, &name, sizeof(name));
    return VLY_OK;
}

static vly_status read_str(reader *r, const vly_pbtxt *f, char *at)
{
    if (f->kind != VLY_PBTXT_STRING)
        return fail_kind(r, f, "a string");
    memcpy(at, &f->text, sizeof(f->text));
    return VLY_OK;
}

static vly_status read_bool(reader *r, const vly_pbtxt *f, char *at)
{
    bool v;

    if (!vly_pbtxt_bool(f, &v))
        return fail_kind(r, f, "true or false");
    memcpy(at, &v, sizeof(v));
    return VLY_OK;
}

static vly_status add_task(reader *r, const schema *s, const vly_pbtxt *f, char *dest,
                           const char *parent_path)
{
    if (f->kind != VLY_PBTXT_MESSAGE)
        return fail_kind(r, f, "a message in braces");
    task *t = vly_arena_calloc(r->arena, 1, sizeof(*t));
    const char *path = vly_arena_printf(r->arena, "%s%.*s.", parent_path, VLY_STR_ARG(f->name));
    if (t == NULL || path == NULL)
        return vly_arena_fail(r->arena, r->err);
    *t = (task){.next = r->todo, .schema = s, .message = f, .dest = dest, .path = path};
    r->todo = t;
    return VLY_OK;
}

/* ---- lists ---- */

static size_t count(const vly_pbtxt *message, const char *name)
{
    size_t n = 0;

    for (const vly_pbtxt *f = message->first; f != NULL; f = f->next)
        n += vly_str_is(f->name, name);
    return n;
}

/* The place of the next element; the list is allocated, at its exact size, with the first one. */
static char *next_elem(reader *r, const task *t, const field_row *row, size_t elem_bytes)
{
    char *list;
    size_t n;

    memcpy(&list, t->dest + row->offset, sizeof(list));
    memcpy(&n, t->dest + row->n_offset, sizeof(n));
    if (list == NULL) {
        list = vly_arena_calloc(r->arena, count(t->message, row->name), elem_bytes);
        if (list == NULL)
            return NULL;
        memcpy(t->dest + row->offset, &list, sizeof(list));
    }
    n++;
    memcpy(t->dest + row->n_offset, &n, sizeof(n));
    return list + (n - 1) * elem_bytes;
}

static vly_status read_elem(reader *r, const task *t, const field_row *row, const vly_pbtxt *f)
{
    bool is_int = row->kind == ROW_INTS;
    char *at = next_elem(r, t, row, is_int ? sizeof(int64_t) : row->child->bytes);

    if (at == NULL)
        return vly_arena_fail(r->arena, r->err);
    return is_int ? read_int(r, f, row, at) : add_task(r, row->child, f, at, t->path);
}

/* ---- messages ---- */

static vly_status add_unknown(reader *r, const task *t, const vly_pbtxt *f)
{
    name_item *item = vly_arena_calloc(r->arena, 1, sizeof(*item));
    const char *path = vly_arena_printf(r->arena, "%s%.*s", t->path, VLY_STR_ARG(f->name));

    if (item == NULL || path == NULL)
        return vly_arena_fail(r->arena, r->err);
    *item = (name_item){.next = r->unknown, .name = vly_str_from(path)};
    r->unknown = item;
    r->n_unknown++;
    return VLY_OK;
}

static vly_status read_row(reader *r, const task *t, const field_row *row, const vly_pbtxt *f)
{
    char *at = t->dest + row->offset;

    if (row->has_offset != 0)
        memcpy(t->dest + row->has_offset, &(bool){true}, sizeof(bool));
    switch (row->kind) {
    case ROW_STR:
        return read_str(r, f, at);
    case ROW_INT:
        return read_int(r, f, row, at);
    case ROW_BOOL:
        return read_bool(r, f, at);
    case ROW_ENUM:
        return read_enum(r, f, row, at);
    case ROW_TYPE:
        return read_type(r, f, at);
    case ROW_MESSAGE:
        return add_task(r, row->child, f, t->dest, t->path);
    case ROW_TREE:
        memcpy(at, &f, sizeof(f));
        return f->kind == VLY_PBTXT_MESSAGE ? VLY_OK : fail_kind(r, f, "a message in braces");
    case ROW_INTS:
    case ROW_MESSAGES:
        return read_elem(r, t, row, f);
    case ROW_KNOWN:
        break;
    }
    return VLY_OK;
}

static vly_status read_field(reader *r, const task *t, const vly_pbtxt *f, uint64_t *seen)
{
    for (size_t i = 0; i < t->schema->n_rows; i++) {
        const field_row *row = &t->schema->rows[i];
        if (!vly_str_is(f->name, row->name))
            continue;
        bool is_single = row->kind < ROW_INTS;
        if (is_single && (*seen >> i & 1) != 0)
            return vly_fail(r->err, VLY_EFORMAT, "%u:%u: '%s' is given twice", f->line, f->column,
                            row->name);
        *seen |= UINT64_C(1) << i;
        return read_row(r, t, row, f);
    }
    return add_unknown(r, t, f);
}

static vly_status run_tasks(reader *r)
{
    while (r->todo != NULL) {
        const task *t = r->todo;
        uint64_t seen = 0;
        r->todo = t->next;
        for (const vly_pbtxt *f = t->message->first; f != NULL; f = f->next) {
            vly_status st = read_field(r, t, f, &seen);
            if (st != VLY_OK)
                return st;
        }
    }
    return VLY_OK;
}

/* ---- the whole ---- */

static vly_status set_policy(reader *r, vly_triton_config *c)
{
    const vly_pbtxt *policy = vly_pbtxt_find(c->root, "version_policy");
    size_t n = 0;

    c->policy = VLY_TRITON_POLICY_LATEST;
    if (c->n_latest == 0)
        c->n_latest = 1;
    if (policy == NULL)
        return VLY_OK;
    n += vly_pbtxt_find(policy, "latest") != NULL;
    if (vly_pbtxt_find(policy, "all") != NULL) {
        c->policy = VLY_TRITON_POLICY_ALL;
        n++;
    }
    if (vly_pbtxt_find(policy, "specific") != NULL) {
        c->policy = VLY_TRITON_POLICY_SPECIFIC;
        n++;
    }
    if (n > 1)
        return vly_fail(r->err, VLY_EFORMAT,
                        "%u:%u: 'version_policy': expected one of latest, all, specific",
                        policy->line, policy->column);
    return VLY_OK;
}

static vly_status list_unknown(reader *r, vly_triton_config *c)
{
    if (r->n_unknown == 0)
        return VLY_OK;
    vly_str *names = vly_arena_calloc(r->arena, r->n_unknown, sizeof(*names));
    if (names == NULL)
        return vly_arena_fail(r->arena, r->err);
    size_t i = r->n_unknown;
    for (const name_item *item = r->unknown; item != NULL; item = item->next)
        names[--i] = item->name;
    c->n_unknown = r->n_unknown;
    c->unknown = names;
    return VLY_OK;
}

vly_status vly_triton_config_parse(vly_str text, vly_arena *arena, const vly_triton_config **ret,
                                   vly_err *err)
{
    reader r = {.arena = arena, .err = err};
    vly_triton_config *c = vly_arena_calloc(arena, 1, sizeof(*c));

    if (c == NULL)
        return vly_arena_fail(arena, err);
    vly_status st = vly_pbtxt_parse(text, arena, &c->root, err);
    if (st != VLY_OK)
        return st;
    task first = {.schema = &config_schema, .message = c->root, .dest = (char *)c, .path = ""};
    r.todo = &first;
    st = run_tasks(&r);
    if (st == VLY_OK)
        st = set_policy(&r, c);
    if (st == VLY_OK)
        st = list_unknown(&r, c);
    if (st == VLY_OK)
        *ret = c;
    return st;
}
