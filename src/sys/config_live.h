/* SPDX-License-Identifier: MIT */
/*
 * The settings in force, and reading them again while the server runs.
 *
 * All or nothing: what is read is checked as a whole first, and when anything is wrong nothing
 * changes. Of what has changed, the hot settings (VLY_CONFIG_HOT) are handed to who uses them and
 * are in force from then on; the others stay as they are until a restart, and are named.
 *
 * Thread: any. Reading blocks on files; showing does not.
 */
#ifndef VLY_SYS_CONFIG_LIVE_H
#define VLY_SYS_CONFIG_LIVE_H

#include "sys/config.h"

typedef struct vly_config_live vly_config_live;

typedef struct vly_config_live_opts {
    /* Reads all settings anew, as at the start, into c, which is fresh. */
    vly_status (*read)(void *ctx, vly_config *c, vly_err *err);
    /* Takes up what else is read with the settings, whole or not at all, once these are right. Adds
     * members to the report when there is something to tell: ,"name":value. NULL: nothing. */
    vly_status (*read_more)(void *ctx, vly_buf *members, vly_err *err);
    /* Hands what is hot on; old is what was in force. Texts of c are gone after the next one: who
     * keeps one copies it. */
    void (*apply)(void *ctx, const vly_config *old, const vly_config *c);
    /* A hot setting that this process cannot take up, so that it needs a restart. NULL: none. */
    bool (*is_cold)(void *ctx, size_t idx);
    void *ctx;
} vly_config_live_opts;

/* start: in force; copied. ENOMEM. */
vly_status vly_config_live_new(const vly_config_live_opts *opts, const vly_config *start,
                               vly_config_live **ret, vly_err *err) VLY_MUST_CHECK;
void vly_config_live_free(vly_config_live *l); /* accepts NULL */

/* Reads again, and logs what came of it. Appends {"changed": [{"name", "from", "to"}],
 * "needs_restart": [names]}, and what read_more adds, to out. A failure has changed nothing. */
vly_status vly_config_live_reload(vly_config_live *l, vly_buf *out, vly_err *err) VLY_MUST_CHECK;

/* Hands on what is in force, to users that were not there yet the last time. */
void vly_config_live_apply(vly_config_live *l);

/* As vly_config_put_json, of what is in force. */
void vly_config_live_put_json(vly_config_live *l, bool is_changed_only, vly_buf *out);

typedef struct vly_config_live_stats {
    uint64_t n_reloads, n_failures;
    uint64_t reloaded_unix_ms; /* the last that went well; 0: none */
    bool is_ok;                /* the last one went well, or there was none */
} vly_config_live_stats;

vly_config_live_stats vly_config_live_stats_of(vly_config_live *l);

#endif
