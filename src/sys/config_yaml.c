/* SPDX-License-Identifier: MIT */
/*
 * The YAML side of the settings. libyaml's events are walked without recursion: nested mappings
 * only lengthen the prefix of the name, "http" -> "http.port".
 */
#include "sys/config.h"

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
    bool has_document;
    bool is_seen[VLY_CONFIG_N];
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

static vly_status walk_fail(yaml_walk *w, const yaml_event_t *event, const char *what)
{
    return vly_fail(w->err, VLY_EFORMAT, "%s:%zu: %s", w->path, line_of(event), what);
}

/* Parser errors carry their own place, and no event. */
static vly_status syntax_error(yaml_walk *w)
{
    const yaml_parser_t *p = &w->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return vly_fail(w->err, VLY_ENOMEM, "%s: no memory", w->path);
    return vly_fail(w->err, VLY_EFORMAT, "%s:%zu: %s", w->path, p->problem_mark.line + 1,
                    p->problem != NULL ? p->problem : "not YAML");
}

static vly_status on_key(yaml_walk *w, const yaml_event_t *event)
{
    vly_str key = scalar_of(event);
    size_t dot = w->name_len > 0;

    if (key.len == 0 || w->name_len + dot + key.len > sizeof(w->name))
        return walk_fail(w, event, "expected the name of a setting");
    if (dot != 0)
        w->name[w->name_len++] = '.';
    memcpy(w->name + w->name_len, key.ptr, key.len);
    w->name_len += key.len;
    w->has_key = true;
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
    size_t idx;

    if (is_null(event) && is_group(name))
        return VLY_OK; /* a group all of whose lines are commented out */
    if (vly_config_find(name, &idx)) {
        if (w->is_seen[idx])
            return walk_fail(w, event, "this setting was given before");
        w->is_seen[idx] = true;
    }
    vly_status st = vly_config_set(w->config, name, value, VLY_CONFIG_FILE, w->err);
    if (st != VLY_OK)
        return vly_fail_in(w->err, st, "%s:%zu", w->path, line_of(event));
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
    w->has_key = false;
    w->name_len = w->prefix_lens[w->depth - 1];
    return st;
}

static vly_status on_mapping_start(yaml_walk *w, const yaml_event_t *event)
{
    if (w->depth > 0 && !w->has_key)
        return walk_fail(w, event, "expected the name of a setting");
    if (w->depth == YAML_MAX_DEPTH)
        return walk_fail(w, event, "settings are nested too deep");
    w->prefix_lens[w->depth++] = w->name_len;
    w->has_key = false;
    return VLY_OK;
}

static void on_mapping_end(yaml_walk *w)
{
    VLY_ASSERT(w->depth > 0); /* libyaml pairs start and end */
    w->depth--;
    w->name_len = w->depth > 0 ? w->prefix_lens[w->depth - 1] : 0;
}

static vly_status on_event(yaml_walk *w, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (w->has_document)
            return walk_fail(w, event, "expected a single document");
        w->has_document = true;
        return VLY_OK;
    case YAML_SCALAR_EVENT:
        return on_scalar(w, event);
    case YAML_MAPPING_START_EVENT:
        return on_mapping_start(w, event);
    case YAML_MAPPING_END_EVENT:
        on_mapping_end(w);
        return VLY_OK;
    case YAML_SEQUENCE_START_EVENT:
        return walk_fail(w, event, "expected a single value, got a list");
    case YAML_ALIAS_EVENT:
        return walk_fail(w, event, "aliases are not supported");
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        break;
    }
    return VLY_OK;
}

vly_status vly_config_load_yaml(vly_config *c, const char *path, vly_str yaml, vly_err *err)
{
    yaml_walk w = {.config = c, .path = path, .err = err};
    yaml_event_t event;
    vly_status st = VLY_OK;
    bool is_end = false;

    if (yaml_parser_initialize(&w.parser) == 0)
        return vly_fail(err, VLY_ENOMEM, "%s: no memory", path);
    yaml_parser_set_input_string(&w.parser, (const unsigned char *)(yaml.len > 0 ? yaml.ptr : ""),
                                 yaml.len);
    while (st == VLY_OK && !is_end) {
        if (yaml_parser_parse(&w.parser, &event) == 0) {
            st = syntax_error(&w);
            break;
        }
        st = on_event(&w, &event);
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&w.parser);
    return st;
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
