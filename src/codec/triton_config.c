/* SPDX-License-Identifier: MIT */
/* A work list carries the messages that wait to be read into their structs. */
#include "codec/triton_config.h"

#include "base/assert.h"
#include "codec/triton_schema.h"
#include "codec/triton_tree.h"

#include <stdio.h>
#include <string.h>

/* A message of the tree that is to be read. */
typedef struct task {
    struct task *next;
    const vly_tschema *schema;
    const vly_pbtxt *message;
    char *dest;
    const char *path; /* "input." */
} task;

/* Grows from its end, and is turned into an array when everything is read. */
typedef struct note {
    struct note *before;
    vly_str path;
    const char *reason; /* NULL: the field is unknown */
} note;

typedef struct reader {
    vly_arena *arena;
    vly_err *err;
    task *todo;
    size_t n_unknown, n_ignored;
    note *last;
} reader;

/* ---- values ---- */

/* Where f stands, for the beginning of an error. */
typedef struct place {
    char text[32];
} place;

static const char *place_of(const vly_pbtxt *f, place *p)
{
    p->text[0] = '\0';
    if (f->line > 0)
        snprintf(p->text, sizeof(p->text), "%u:%u: ", f->line, f->column);
    return p->text;
}

static vly_status fail_kind(reader *r, const vly_pbtxt *f, const char *want)
{
    return vly_fail(r->err, VLY_EFORMAT, "%s'%.*s': expected %s", place_of(f, &(place){""}),
                    VLY_STR_ARG(f->name), want);
}

static void int_range(const vly_tfield *field, int64_t *lo, int64_t *hi)
{
    bool is_64 = field->kind == VLY_TFIELD_INT64;

    *lo = field->lo;
    *hi = field->hi;
    if (*lo == 0 && *hi == 0) {
        *lo = is_64 ? INT64_MIN : field->kind == VLY_TFIELD_INT32 ? INT32_MIN : 0;
        *hi = is_64 ? INT64_MAX : field->kind == VLY_TFIELD_INT32 ? INT32_MAX : UINT32_MAX;
    }
}

static vly_status read_int(reader *r, const vly_pbtxt *f, const vly_tfield *field, char *at)
{
    int64_t v = 0, lo, hi;

    if (!vly_pbtxt_i64(f, &v))
        return fail_kind(r, f, "an integer");
    int_range(field, &lo, &hi);
    if (v < lo || v > hi)
        return vly_fail(r->err, VLY_EFORMAT, "%s'%s': expected %lld to %lld, got %lld",
                        place_of(f, &(place){""}), field->name, (long long)lo, (long long)hi,
                        (long long)v);
    memcpy(at, &v, sizeof(v));
    return VLY_OK;
}

static vly_status read_u64(reader *r, const vly_pbtxt *f, char *at)
{
    uint64_t v = 0;

    if (!vly_pbtxt_u64(f, &v))
        return fail_kind(r, f, "an integer of at least 0");
    memcpy(at, &v, sizeof(v));
    return VLY_OK;
}

static vly_status read_f64(reader *r, const vly_pbtxt *f, char *at)
{
    double v = 0;

    if (!vly_pbtxt_f64(f, &v))
        return fail_kind(r, f, "a number");
    memcpy(at, &v, sizeof(v));
    return VLY_OK;
}

/* By name, or by number as the text format allows. */
static vly_status get_enum(reader *r, const vly_pbtxt *f, const char *const *names, size_t n,
                           unsigned *ret)
{
    char want[128];
    int64_t v;

    for (size_t i = 0; i < n && f->kind == VLY_PBTXT_IDENT && !f->is_negative; i++) {
        if (vly_str_is(f->text, names[i])) {
            *ret = (unsigned)i;
            return VLY_OK;
        }
    }
    if (vly_pbtxt_i64(f, &v) && v >= 0 && (uint64_t)v < n) {
        *ret = (unsigned)v;
        return VLY_OK;
    }
    if (n == 1)
        return fail_kind(r, f, names[0]);
    snprintf(want, sizeof(want), "one of %s ... %s", names[0], names[n - 1]);
    return fail_kind(r, f, want);
}

static vly_status read_enum(reader *r, const vly_pbtxt *f, const vly_tfield *field, char *at)
{
    unsigned v = 0;
    vly_status st = get_enum(r, f, field->names, field->n_names, &v);

    if (st == VLY_OK)
        memcpy(at, &v, sizeof(v));
    return st;
}

static vly_status read_type(reader *r, const vly_pbtxt *f, char *at)
{
    unsigned v = 0;
    vly_status st = get_enum(r, f, vly_triton_type_names, VLY_TRITON_TYPES, &v);

    if (st != VLY_OK)
        return st;
    vly_str name = vly_triton_type_kserve(v);
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

/* ---- messages ---- */

static vly_status add_task(reader *r, const vly_tschema *s, const vly_pbtxt *f, char *dest,
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

static vly_status read_message(reader *r, const task *t, const vly_tfield *field,
                               const vly_pbtxt *f, char *at)
{
    if (field->count != VLY_TFIELD_ONE)
        return add_task(r, field->child, f, at, t->path);
    char *made = vly_arena_calloc(r->arena, 1, field->child->bytes);
    if (made == NULL)
        return vly_arena_fail(r->arena, r->err);
    memcpy(at, &made, sizeof(made));
    return add_task(r, field->child, f, made, t->path);
}

static vly_status read_value(reader *r, const task *t, const vly_tfield *field, const vly_pbtxt *f,
                             char *at)
{
    switch (field->kind) {
    case VLY_TFIELD_STR:
        return read_str(r, f, at);
    case VLY_TFIELD_BOOL:
        return read_bool(r, f, at);
    case VLY_TFIELD_INT32:
    case VLY_TFIELD_UINT32:
    case VLY_TFIELD_INT64:
        return read_int(r, f, field, at);
    case VLY_TFIELD_UINT64:
        return read_u64(r, f, at);
    case VLY_TFIELD_FLOAT:
    case VLY_TFIELD_DOUBLE:
        return read_f64(r, f, at);
    case VLY_TFIELD_ENUM:
        return read_enum(r, f, field, at);
    case VLY_TFIELD_TYPE:
        return read_type(r, f, at);
    case VLY_TFIELD_MESSAGE:
        break;
    }
    return read_message(r, t, field, f, at);
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
static vly_status next_elem(reader *r, const task *t, const vly_pbtxt *f, const vly_tfield *field,
                            char **ret)
{
    size_t bytes = vly_tfield_bytes(field), n;
    char *list;

    memcpy(&list, t->dest + field->offset, sizeof(list));
    memcpy(&n, t->dest + field->n_offset, sizeof(n));
    if (list == NULL) {
        size_t n_all = count(t->message, field->name);
        if (n_all > VLY_TRITON_ELEMS_MAX)
            return vly_fail(r->err, VLY_ELIMIT, "%s'%s': expected at most %d elements, got %zu",
                            place_of(f, &(place){""}), field->name, VLY_TRITON_ELEMS_MAX, n_all);
        list = vly_arena_calloc(r->arena, n_all, bytes);
        if (list == NULL)
            return vly_arena_fail(r->arena, r->err);
        memcpy(t->dest + field->offset, &list, sizeof(list));
    }
    *ret = list + n * bytes;
    n++;
    memcpy(t->dest + field->n_offset, &n, sizeof(n));
    return VLY_OK;
}

/* ---- notes ---- */

/* A path is noted once, however often it is there. */
static vly_status add_note(reader *r, const task *t, const vly_pbtxt *f, const char *reason)
{
    const char *path = vly_arena_printf(r->arena, "%s%.*s", t->path, VLY_STR_ARG(f->name));

    if (path == NULL)
        return vly_arena_fail(r->arena, r->err);
    for (const note *n = r->last; n != NULL; n = n->before)
        if (n->reason == reason && vly_str_is(n->path, path))
            return VLY_OK;
    note *n = vly_arena_calloc(r->arena, 1, sizeof(*n));
    if (n == NULL)
        return vly_arena_fail(r->arena, r->err);
    *n = (note){.before = r->last, .path = vly_str_from(path), .reason = reason};
    r->last = n;
    r->n_unknown += reason == NULL;
    r->n_ignored += reason != NULL;
    return VLY_OK;
}

static vly_status list_notes(reader *r, vly_triton_config *c)
{
    vly_str *unknown = vly_arena_calloc(r->arena, r->n_unknown, sizeof(*unknown));
    vly_triton_ignored *ignored = vly_arena_calloc(r->arena, r->n_ignored, sizeof(*ignored));

    if (unknown == NULL || ignored == NULL)
        return vly_arena_fail(r->arena, r->err);
    c->n_unknown = r->n_unknown;
    c->unknown = unknown;
    c->n_ignored = r->n_ignored;
    c->ignored = ignored;
    for (const note *n = r->last; n != NULL; n = n->before) {
        if (n->reason == NULL)
            unknown[--r->n_unknown] = n->path;
        else
            ignored[--r->n_ignored] = (vly_triton_ignored){n->path, n->reason};
    }
    return VLY_OK;
}

/* Whether a value that Volley ignores asks for anything: "passive: false" does not. */
static bool says_something(const vly_tfield *field, const char *at)
{
    if (field->count != VLY_TFIELD_ONE || field->kind == VLY_TFIELD_MESSAGE)
        return true;
    size_t bytes = field->kind == VLY_TFIELD_STR ? sizeof(vly_str) : vly_tfield_bytes(field);
    vly_str text = {NULL, 0};
    if (field->kind == VLY_TFIELD_STR) {
        memcpy(&text, at, bytes);
        return text.len > 0;
    }
    for (size_t i = 0; i < bytes; i++)
        if (at[i] != 0)
            return true;
    return false;
}

/* ---- fields ---- */

static vly_status read_known(reader *r, const task *t, const vly_tfield *field, const vly_pbtxt *f)
{
    bool is_list = field->count == VLY_TFIELD_LIST || field->count == VLY_TFIELD_MAP;
    char *at = t->dest + field->offset;
    vly_status st = is_list ? next_elem(r, t, f, field, &at) : VLY_OK;

    if (st != VLY_OK)
        return st;
    if (field->has_offset != 0)
        memcpy(t->dest + field->has_offset, &(bool){true}, sizeof(bool));
    st = read_value(r, t, field, f, at);
    if (st == VLY_OK && field->ignored != NULL && says_something(field, at))
        st = add_note(r, t, f, field->ignored);
    return st;
}

static vly_status read_field(reader *r, const task *t, const vly_pbtxt *f, uint64_t *seen)
{
    for (size_t i = 0; i < t->schema->n_fields; i++) {
        const vly_tfield *field = &t->schema->fields[i];
        if (!vly_str_is(f->name, field->name))
            continue;
        bool is_single = field->count == VLY_TFIELD_ONE || field->count == VLY_TFIELD_VALUE;
        if (is_single && (*seen >> i & 1) != 0)
            return vly_fail(r->err, VLY_EFORMAT, "%s'%s' is given twice", place_of(f, &(place){""}),
                            field->name);
        *seen |= UINT64_C(1) << i;
        return read_known(r, t, field, f);
    }
    return add_note(r, t, f, NULL);
}

/* Of a oneof only one may be there. */
static vly_status check_choices(reader *r, const task *t, uint64_t seen)
{
    const vly_tfield *first = NULL;

    for (size_t i = 0; i < t->schema->n_fields; i++) {
        const vly_tfield *field = &t->schema->fields[i];
        if (!field->is_choice || (seen >> i & 1) == 0)
            continue;
        if (first != NULL)
            return vly_fail(r->err, VLY_EFORMAT, "%s'%s' and '%s': expected one of them",
                            place_of(t->message, &(place){""}), first->name, field->name);
        first = field;
    }
    return VLY_OK;
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
        vly_status st = check_choices(r, t, seen);
        if (st != VLY_OK)
            return st;
    }
    return VLY_OK;
}

/* ---- the whole ---- */

vly_status vly_triton_tree_read(const vly_pbtxt *root, vly_arena *arena,
                                const vly_triton_config **ret, vly_err *err)
{
    reader r = {.arena = arena, .err = err};
    vly_triton_config *c = vly_arena_calloc(arena, 1, sizeof(*c));

    if (c == NULL)
        return vly_arena_fail(arena, err);
    task first = {.schema = &vly_tschema_config, .message = root, .dest = (char *)c, .path = ""};
    r.todo = &first;
    vly_status st = run_tasks(&r);
    if (st == VLY_OK)
        st = list_notes(&r, c);
    if (st == VLY_OK)
        *ret = c;
    return st;
}

vly_status vly_triton_config_parse(vly_str text, vly_arena *arena, const vly_triton_config **ret,
                                   vly_err *err)
{
    const vly_pbtxt *root;
    vly_status st = vly_pbtxt_parse(text, arena, &root, err);

    return st == VLY_OK ? vly_triton_tree_read(root, arena, ret, err) : st;
}

vly_str vly_triton_config_param(const vly_triton_config *config, const char *key)
{
    vly_str value = {NULL, 0};

    for (size_t i = 0; config != NULL && i < config->n_params; i++)
        if (vly_str_is(config->params[i].key, key))
            value = config->params[i].value; /* of equal keys the last one counts */
    return value;
}
