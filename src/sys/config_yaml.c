/* SPDX-License-Identifier: MIT */
/*
 * The YAML side of the settings. libyaml's events are walked without recursion: nested mappings
 * only lengthen the prefix of the name, "http" -> "http.port". With a report to fill, the walk goes
 * on behind what is wrong, unless the text is no YAML.
 */
#include "sys/config_internal.h"

#include "base/assert.h"
#include "sys/file.h"

#include <string.h>
#include <yaml.h>

#define YAML_MAX_BYTES ((size_t)1024 * 1024)
#define YAML_MAX_DEPTH 4
#define YAML_MAX_NAME  128

typedef struct yaml_walk {
    vly_config *config;
    const char *path;
    yaml_parser_t parser;
    char name[YAML_MAX_NAME];
    size_t name_len; /* of the open mappings and, between key and value, the key */
    size_t prefix_lens[YAML_MAX_DEPTH]; /* name_len at the start of each open mapping */
    size_t depth;                       /* open mappings */
    bool has_key;
    bool is_void; /* the key was no name: its value means nothing */
    bool has_document;
    size_t n_skipped; /* open lists and mappings of a value that is left out */
    bool is_seen[VLY_CONFIG_N];
    const vly_config_report *report; /* NULL: the first problem ends the walk */
    vly_err *err;
} yaml_walk;

static size_t line_of(const yaml_event_t *event)
{
    return event->start_mark.line + 1;
}

static vly_str scalar_of(const yaml_event_t *event)
{
    return (vly_str){(const char *)event->data.scalar.value, event->data.scalar.length};
}

/* err says what is wrong at this line: OK when it has been reported and the walk goes on. */
static vly_status wrong(yaml_walk *w, size_t line, vly_err *err)
{
    if (w->report == NULL)
        return vly_fail(w->err, err->status, "%s:%zu: %s", w->path, line, err->msg);
    w->report->on_problem(w->report->ctx,
                          &(vly_config_problem){.file = w->path, .line = line, .msg = err->msg});
    return VLY_OK;
}

static vly_status walk_fail(yaml_walk *w, const yaml_event_t *event, const char *what)
{
    bool is_named = w->has_key && !w->is_void;
    vly_err err;

    vly_fail(&err, VLY_EFORMAT, "%.*s%s%s", is_named ? (int)w->name_len : 0, w->name,
             is_named ? ": " : "", what);
    return wrong(w, line_of(event), &err);
}

/* The value of the open key is done with. */
static void end_pair(yaml_walk *w)
{
    w->has_key = w->is_void = false;
    w->name_len = w->depth > 0 ? w->prefix_lens[w->depth - 1] : 0;
}

/* A key or a value that cannot be used is over. */
static void leave_out(yaml_walk *w)
{
    if (w->depth > 0 && !w->has_key)
        w->has_key = w->is_void = true;
    else
        end_pair(w);
}

/* Parser errors carry their own place, and no event. */
static vly_status syntax_error(yaml_walk *w)
{
    const yaml_parser_t *p = &w->parser;
    vly_err err;

    if (p->error == YAML_MEMORY_ERROR)
        return vly_fail(w->err, VLY_ENOMEM, "%s: no memory", w->path);
    vly_fail(&err, VLY_EFORMAT, "%s", p->problem != NULL ? p->problem : "not YAML");
    return wrong(w, p->problem_mark.line + 1, &err);
}

static vly_status on_key(yaml_walk *w, const yaml_event_t *event)
{
    vly_str key = scalar_of(event);
    size_t dot = w->name_len > 0;

    w->has_key = true;
    if (key.len == 0 || w->name_len + dot + key.len > sizeof(w->name)) {
        w->is_void = true;
        return walk_fail(w, event, "expected the name of a setting");
    }
    if (dot != 0)
        w->name[w->name_len++] = '.';
    memcpy(w->name + w->name_len, key.ptr, key.len);
    w->name_len += key.len;
    return VLY_OK;
}

/* True when name is the part before a dot of some setting: "http". */
static bool is_group(vly_str name)
{
    for (size_t i = 0; i < VLY_CONFIG_N; i++) {
        vly_str row = vly_str_from(vly_config_row_at(i)->name);
        if (vly_str_starts(row, name) && row.len > name.len && row.ptr[name.len] == '.')
            return true;
    }
    return false;
}

static bool is_null(const yaml_event_t *event)
{
    vly_str s = scalar_of(event);
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (s.len == 0 || vly_str_is(s, "~") || vly_str_is(s, "null"));
}

static vly_status set_value(yaml_walk *w, const yaml_event_t *event)
{
    vly_str name = {w->name, w->name_len};
    vly_str value = scalar_of(event);
    vly_err err;
    size_t idx;

    if (w->is_void || (is_null(event) && is_group(name)))
        return VLY_OK; /* a group all of whose lines are commented out */
    bool is_known = vly_config_find(name, &idx);
    if (is_known && w->is_seen[idx])
        return walk_fail(w, event, "this setting was given before");
    if (vly_config_set(w->config, name, value, VLY_CONFIG_FILE, &err) != VLY_OK)
        return wrong(w, line_of(event), &err);
    VLY_ASSERT(is_known);
    w->is_seen[idx] = true;
    w->config->lines[idx] = (uint32_t)line_of(event);
    return VLY_OK;
}

static vly_status on_scalar(yaml_walk *w, const yaml_event_t *event)
{
    if (w->depth == 0) {
        if (is_null(event))
            return VLY_OK;
        return walk_fail(w, event, "expected settings as 'name: value'");
    }
    if (!w->has_key)
        return on_key(w, event);
    vly_status st = set_value(w, event);
    end_pair(w);
    return st;
}

static vly_status on_mapping_start(yaml_walk *w, const yaml_event_t *event)
{
    bool is_key = w->depth > 0 && !w->has_key;

    if (is_key || w->is_void || w->depth == YAML_MAX_DEPTH) {
        w->n_skipped = 1;
        if (w->is_void)
            return VLY_OK; /* the key has been reported */
        return walk_fail(
            w, event, is_key ? "expected the name of a setting" : "settings are nested too deep");
    }
    w->prefix_lens[w->depth++] = w->name_len;
    w->has_key = false;
    return VLY_OK;
}

static void on_mapping_end(yaml_walk *w)
{
    VLY_ASSERT(w->depth > 0); /* libyaml pairs start and end */
    w->depth--;
    end_pair(w);
}

static vly_status on_alias(yaml_walk *w, const yaml_event_t *event)
{
    vly_status st = walk_fail(w, event, "aliases are not supported");

    leave_out(w);
    return st;
}

static vly_status on_list(yaml_walk *w, const yaml_event_t *event)
{
    w->n_skipped = 1;
    return walk_fail(w, event, "expected a single value, got a list");
}

/* Within what is left out: counts what opens and closes. */
static void pass_over(yaml_walk *w, const yaml_event_t *event)
{
    yaml_event_type_t type = event->type;

    if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT)
        w->n_skipped++;
    if (type != YAML_MAPPING_END_EVENT && type != YAML_SEQUENCE_END_EVENT)
        return;
    w->n_skipped--;
    if (w->n_skipped == 0)
        leave_out(w);
}

static vly_status on_document(yaml_walk *w, const yaml_event_t *event)
{
    bool is_second = w->has_document;

    w->has_document = true;
    return is_second ? walk_fail(w, event, "expected a single document") : VLY_OK;
}

static vly_status on_event(yaml_walk *w, const yaml_event_t *event)
{
    if (w->n_skipped > 0) {
        pass_over(w, event);
        return VLY_OK;
    }
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return on_document(w, event);
    case YAML_SCALAR_EVENT:
        return on_scalar(w, event);
    case YAML_MAPPING_START_EVENT:
        return on_mapping_start(w, event);
    case YAML_MAPPING_END_EVENT:
        on_mapping_end(w);
        return VLY_OK;
    case YAML_SEQUENCE_START_EVENT:
        return on_list(w, event);
    case YAML_ALIAS_EVENT:
        return on_alias(w, event);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        break;
    }
    return VLY_OK;
}

static vly_status walk(yaml_walk *w, vly_str yaml)
{
    yaml_event_t event;
    vly_status st = VLY_OK;
    bool is_end = false;

    if (yaml_parser_initialize(&w->parser) == 0)
        return vly_fail(w->err, VLY_ENOMEM, "%s: no memory", w->path);
    yaml_parser_set_input_string(&w->parser, (const unsigned char *)(yaml.len > 0 ? yaml.ptr : ""),
                                 yaml.len);
    while (st == VLY_OK && !is_end) {
        if (yaml_parser_parse(&w->parser, &event) == 0) {
            st = syntax_error(w);
            break;
        }
        st = on_event(w, &event);
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&w->parser);
    return st;
}

static vly_status keep_path(vly_config *c, const char *path, vly_err *err)
{
    char *copy = vly_strndup(VLY_MEM_BASE, path, strlen(path));

    if (copy == NULL)
        return vly_fail(err, VLY_ENOMEM, "%s: no memory", path);
    vly_free(c->file);
    c->file = copy;
    return VLY_OK;
}

vly_status vly_config_load_yaml(vly_config *c, const char *path, vly_str yaml, vly_err *err)
{
    yaml_walk w = {.config = c, .path = path, .err = err};
    vly_status st = keep_path(c, path, err);

    return st == VLY_OK ? walk(&w, yaml) : st;
}

void vly_config_check_yaml(vly_config *c, const char *path, vly_str yaml,
                           const vly_config_report *to)
{
    vly_err err;
    yaml_walk w = {.config = c, .path = path, .report = to, .err = &err};
    vly_status st = keep_path(c, path, &err);

    if (st == VLY_OK)
        st = walk(&w, yaml);
    if (st != VLY_OK) /* no memory */
        to->on_problem(to->ctx, &(vly_config_problem){.file = path, .msg = err.msg});
}

vly_status vly_config_load_file(vly_config *c, const char *path, vly_err *err)
{
    vly_buf yaml;

    vly_buf_init(&yaml, VLY_MEM_BASE, YAML_MAX_BYTES);
    vly_status st = vly_file_read(path, YAML_MAX_BYTES - 1, &yaml, err);
    if (st == VLY_OK)
        st = vly_config_load_yaml(c, path, vly_buf_str(&yaml), err);
    vly_buf_release(&yaml);
    return st;
}

void vly_config_check_file(vly_config *c, const char *path, const vly_config_report *to)
{
    vly_buf yaml;
    vly_err err;

    vly_buf_init(&yaml, VLY_MEM_BASE, YAML_MAX_BYTES);
    if (vly_file_read(path, YAML_MAX_BYTES - 1, &yaml, &err) == VLY_OK)
        vly_config_check_yaml(c, path, vly_buf_str(&yaml), to);
    else
        to->on_problem(to->ctx, &(vly_config_problem){.file = path, .msg = err.msg});
    vly_buf_release(&yaml);
}
