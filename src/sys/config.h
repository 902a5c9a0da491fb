/* SPDX-License-Identifier: MIT */
/*
 * Every setting of the process, in one table.
 *
 * A value comes from, later wins: the default here; the profile (sys/profile.h); a YAML file; the
 * environment (http.port is VOLLEY_HTTP_PORT); the command line (--set http.port=8080). Each
 * remembers where it came from. In YAML a name is nested or dotted: "http: {port: 8080}" or
 * "http.port: 8080". A key that is not in the table, one given twice, and a value out of range are
 * errors that name the place, what was expected and the nearest known key.
 *
 * Kinds: INT, decimal; NUMBER, with a point or an exponent; BYTES, decimal with an optional KiB,
 * MiB or GiB; BOOL, true or false (also yes/no, on/off, 1/0); LEVEL, a log level; TEXT, whose min
 * and max bound its length.
 *
 * Owner: who fills it, before others see it; immutable afterwards. What changes while the server
 * runs is another one: sys/config_live.h.
 */
#ifndef VLY_SYS_CONFIG_H
#define VLY_SYS_CONFIG_H

#include "base/buf.h"
#include "base/log.h"
#include "base/status.h"
#include "base/str.h"
#include "sys/config_map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum vly_config_kind {
    VLY_CONFIG_INT,
    VLY_CONFIG_BYTES,
    VLY_CONFIG_BOOL,
    VLY_CONFIG_NUMBER,
    VLY_CONFIG_LEVEL,
    VLY_CONFIG_TEXT,
} vly_config_kind;

typedef enum vly_config_origin {
    VLY_CONFIG_DEFAULT,
    VLY_CONFIG_PROFILE,
    VLY_CONFIG_FILE,
    VLY_CONFIG_ENV,
    VLY_CONFIG_ARG,
} vly_config_origin;

#define VLY_CONFIG_TYPE_INT    int64_t
#define VLY_CONFIG_TYPE_BYTES  size_t
#define VLY_CONFIG_TYPE_BOOL   bool
#define VLY_CONFIG_TYPE_NUMBER double
#define VLY_CONFIG_TYPE_LEVEL  vly_log_level
#define VLY_CONFIG_TYPE_TEXT   const char *

enum {
#define VLY_CONFIG_INDEX(kind, field, ...) VLY_CONFIG_IDX_##field,
    VLY_CONFIG_MAP(VLY_CONFIG_INDEX)
#undef VLY_CONFIG_INDEX
        VLY_CONFIG_N
};

/* Read the fields directly: config.http_port. Each lies within the range of its row. */
typedef struct vly_config {
#define VLY_CONFIG_FIELD(kind, field, ...) VLY_CONFIG_TYPE_##kind field;
    VLY_CONFIG_MAP(VLY_CONFIG_FIELD)
#undef VLY_CONFIG_FIELD
    vly_config_origin origins[VLY_CONFIG_N];
    uint32_t lines[VLY_CONFIG_N]; /* of the file, where the origin is FILE */
    char *file;                   /* owned; the one that was loaded last, NULL: none */
    char *texts[VLY_CONFIG_N];    /* owned storage of TEXT fields that are no longer the default */
} vly_config;

typedef struct vly_config_row {
    const char *name;
    const char *doc;
    vly_config_kind kind;
    int64_t min, max;
} vly_config_row;

void vly_config_init(vly_config *c); /* all defaults; allocates nothing */
void vly_config_release(vly_config *c);

/* Each of these stops at the first error; the settings before it stay applied. */
vly_status vly_config_load_file(vly_config *c, const char *path, vly_err *err) VLY_MUST_CHECK;
/* path only names the source in messages. */
vly_status vly_config_load_yaml(vly_config *c, const char *path, vly_str yaml,
                                vly_err *err) VLY_MUST_CHECK;
/* envp as of environ. Variables beginning with VOLLEY_ that name no setting are left to others. */
vly_status vly_config_load_env(vly_config *c, char *const *envp, vly_err *err) VLY_MUST_CHECK;
/* One "name=value" of --set. */
vly_status vly_config_set_arg(vly_config *c, const char *assignment, vly_err *err) VLY_MUST_CHECK;
vly_status vly_config_set(vly_config *c, vly_str name, vly_str value, vly_config_origin origin,
                          vly_err *err) VLY_MUST_CHECK;

bool vly_config_find(vly_str name, size_t *ret_idx);
vly_status vly_config_set_at(vly_config *c, size_t idx, vly_str value, vly_config_origin origin,
                             vly_err *err) VLY_MUST_CHECK;

/* 0 <= idx < VLY_CONFIG_N, in table order. */
const vly_config_row *vly_config_row_at(size_t idx);
const char *vly_config_choices(size_t idx); /* "a|b": one of these; NULL: any */
bool vly_config_is_hot(size_t idx);         /* takes effect while the server runs */
/* The value as text that vly_config_set takes back; for people: sys/config_text.h. */
void vly_config_format(const vly_config *c, size_t idx, vly_buf *out);
bool vly_config_is_same(const vly_config *a, const vly_config *b, size_t idx); /* values */

#endif
