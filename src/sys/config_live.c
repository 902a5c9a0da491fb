/* SPDX-License-Identifier: MIT */
#include "sys/config_live.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "sys/config_text.h"

#include <pthread.h>

#define REPORT_MAX ((size_t)1 << 20)

struct vly_config_live {
    vly_config_live_opts opts; /* immutable */
    pthread_mutex_t reload;    /* held by who reads again; before lock */
    pthread_mutex_t lock;
    vly_config now;              /* guarded by lock for readers; written under reload as well */
    vly_config_live_stats stats; /* guarded by lock */
};

/* The setting as in `from`, with its origin. */
static vly_status take(vly_config *c, const vly_config *from, size_t idx, vly_err *err)
{
    vly_buf text;

    vly_buf_init(&text, VLY_MEM_BASE, (size_t)1 << 17);
    vly_config_format(from, idx, &text);
    vly_status st = text.failed
                        ? vly_fail(err, VLY_ENOMEM, "no memory for the settings")
                        : vly_config_set_at(c, idx, vly_buf_str(&text), from->origins[idx], err);
    vly_buf_release(&text);
    if (st == VLY_OK)
        c->lines[idx] = from->lines[idx];
    return st;
}

static vly_status take_file(vly_config *c, const vly_config *from, vly_err *err)
{
    if (from->file == NULL)
        return VLY_OK;
    c->file = vly_strndup(VLY_MEM_BASE, from->file, strlen(from->file));
    return c->file != NULL ? VLY_OK : vly_fail(err, VLY_ENOMEM, "no memory for the settings");
}

static bool is_hot(const vly_config_live *l, size_t idx)
{
    return vly_config_is_hot(idx) &&
           (l->opts.is_cold == NULL || !l->opts.is_cold(l->opts.ctx, idx));
}

/* *ret, fresh: of cold what is not hot, of hot the rest. */
static vly_status merge(const vly_config_live *l, vly_config *ret, const vly_config *cold,
                        const vly_config *hot, vly_err *err)
{
    vly_status st = take_file(ret, hot, err);

    for (size_t i = 0; i < VLY_CONFIG_N && st == VLY_OK; i++) {
        const vly_config *from = is_hot(l, i) ? hot : cold;
        if (from->origins[i] != VLY_CONFIG_DEFAULT)
            st = take(ret, from, i, err);
    }
    return st;
}

vly_status vly_config_live_new(const vly_config_live_opts *opts, const vly_config *start,
                               vly_config_live **ret, vly_err *err)
{
    vly_config_live *l = vly_calloc(VLY_MEM_BASE, 1, sizeof(*l));

    if (l == NULL)
        return vly_fail(err, VLY_ENOMEM, "no memory for the settings");
    l->opts = *opts;
    l->stats.is_ok = true;
    pthread_mutex_init(&l->reload, NULL);
    pthread_mutex_init(&l->lock, NULL);
    vly_config_init(&l->now);
    vly_status st = merge(l, &l->now, start, start, err);
    if (st == VLY_OK)
        *ret = l;
    else
        vly_config_live_free(l);
    return st;
}

void vly_config_live_free(vly_config_live *l)
{
    if (l == NULL)
        return;
    vly_config_release(&l->now);
    pthread_mutex_destroy(&l->reload);
    pthread_mutex_destroy(&l->lock);
    vly_free(l);
}

/* ---- what has changed ---- */

static void put_quoted(const vly_config *c, size_t idx, vly_buf *out)
{
    vly_buf text;

    vly_buf_init(&text, VLY_MEM_BASE, (size_t)1 << 17);
    vly_config_format_public(c, idx, &text);
    vly_buf_json_str(out, vly_buf_str(&text));
    vly_buf_release(&text);
}

static void put_change(const vly_config *from, const vly_config *to, size_t idx, vly_buf *out)
{
    vly_buf_printf(out, "{\"name\":\"%s\",\"from\":", vly_config_row_at(idx)->name);
    put_quoted(from, idx, out);
    vly_buf_puts(out, ",\"to\":");
    put_quoted(to, idx, out);
    vly_buf_putc(out, '}');
}

/* The differences among the hot settings, or among the others, each by put; returns how many. */
static size_t put_differences(const vly_config_live *l, const vly_config *read, bool wants_hot,
                              vly_buf *out)
{
    size_t n = 0;

    for (size_t i = 0; i < VLY_CONFIG_N; i++) {
        if (is_hot(l, i) != wants_hot || vly_config_is_same(&l->now, read, i))
            continue;
        vly_buf_puts(out, n++ > 0 ? "," : "");
        if (wants_hot)
            put_change(&l->now, read, i, out);
        else
            vly_buf_printf(out, "\"%s\"", vly_config_row_at(i)->name);
    }
    return n;
}

static void put_report(const vly_config_live *l, const vly_config *read, vly_str more, vly_buf *out)
{
    vly_buf hot, cold;

    vly_buf_init(&hot, VLY_MEM_BASE, REPORT_MAX);
    vly_buf_init(&cold, VLY_MEM_BASE, REPORT_MAX);
    size_t n_hot = put_differences(l, read, true, &hot);
    size_t n_cold = put_differences(l, read, false, &cold);
    if (n_hot > 0)
        vly_info("settings were read again: %.*s", VLY_STR_ARG(vly_buf_str(&hot)));
    else if (more.len == 0)
        vly_info("settings were read again: nothing to change");
    if (n_cold > 0)
        vly_warn("settings that need a restart: %.*s", VLY_STR_ARG(vly_buf_str(&cold)));
    vly_buf_printf(out, "{\"changed\":[%.*s],\"needs_restart\":[%.*s]%.*s}",
                   VLY_STR_ARG(vly_buf_str(&hot)), VLY_STR_ARG(vly_buf_str(&cold)),
                   VLY_STR_ARG(more));
    vly_buf_release(&hot);
    vly_buf_release(&cold);
}

/* ---- reading again ---- */

static void count(vly_config_live *l, bool is_ok)
{
    pthread_mutex_lock(&l->lock);
    l->stats.is_ok = is_ok;
    l->stats.n_reloads += is_ok;
    l->stats.n_failures += !is_ok;
    if (is_ok)
        l->stats.reloaded_unix_ms = vly_clock_unix_ms();
    pthread_mutex_unlock(&l->lock);
}

/* next moves into the place of what is in force, which moves into *next. */
static void exchange(vly_config_live *l, vly_config *next)
{
    vly_config old = l->now;

    pthread_mutex_lock(&l->lock);
    l->now = *next;
    pthread_mutex_unlock(&l->lock);
    *next = old;
}

static vly_status reload(vly_config_live *l, vly_buf *out, vly_err *err)
{
    vly_config read, next;
    vly_buf more;

    vly_buf_init(&more, VLY_MEM_BASE, REPORT_MAX);
    vly_config_init(&read);
    vly_config_init(&next);
    vly_status st = l->opts.read(l->opts.ctx, &read, err);
    if (st == VLY_OK)
        st = merge(l, &next, &l->now, &read, err);
    if (st == VLY_OK && l->opts.read_more != NULL)
        st = l->opts.read_more(l->opts.ctx, &more, err);
    if (st == VLY_OK) {
        put_report(l, &read, vly_buf_str(&more), out);
        l->opts.apply(l->opts.ctx, &l->now, &next);
        exchange(l, &next);
    }
    vly_buf_release(&more);
    vly_config_release(&next);
    vly_config_release(&read);
    return st;
}

vly_status vly_config_live_reload(vly_config_live *l, vly_buf *out, vly_err *err)
{
    vly_err first;

    pthread_mutex_lock(&l->reload);
    vly_status st = reload(l, out, &first);
    count(l, st == VLY_OK);
    pthread_mutex_unlock(&l->reload);
    if (st == VLY_OK)
        return VLY_OK;
    vly_error("settings were not read again, nothing has changed: %s", first.msg);
    return vly_fail(err, st, "%s", first.msg);
}

void vly_config_live_apply(vly_config_live *l)
{
    pthread_mutex_lock(&l->reload);
    l->opts.apply(l->opts.ctx, &l->now, &l->now);
    pthread_mutex_unlock(&l->reload);
}

void vly_config_live_put_json(vly_config_live *l, bool is_changed_only, vly_buf *out)
{
    pthread_mutex_lock(&l->lock);
    vly_config_put_json(&l->now, is_changed_only, out);
    pthread_mutex_unlock(&l->lock);
}

vly_config_live_stats vly_config_live_stats_of(vly_config_live *l)
{
    pthread_mutex_lock(&l->lock);
    vly_config_live_stats stats = l->stats;
    pthread_mutex_unlock(&l->lock);
    return stats;
}
