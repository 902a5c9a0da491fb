/* SPDX-License-Identifier: MIT */
#include "sys/profile.h"

#include "base/assert.h"
#include "sys/redis_url.h"

#include <arpa/inet.h>
#include <stdio.h>

static const vly_profile_row profile_rows[] = {
#define PROFILE_ROW(profile, field, value, source) {profile, VLY_CONFIG_IDX_##field, value, source},
    VLY_PROFILE_MAP(PROFILE_ROW)
#undef PROFILE_ROW
};

const vly_profile_row *vly_profile_row_at(size_t i)
{
    return i < VLY_COUNT(profile_rows) ? &profile_rows[i] : NULL;
}

static vly_status apply_profile(vly_config *c, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < VLY_COUNT(profile_rows) && st == VLY_OK; i++) {
        const vly_profile_row *row = &profile_rows[i];
        if (strcmp(row->profile, c->profile) == 0 && c->origins[row->idx] == VLY_CONFIG_DEFAULT)
            st = vly_config_set_at(c, row->idx, vly_str_from(row->value), VLY_CONFIG_PROFILE, err);
    }
    return st;
}

/* ---- what settings have in common ---- */

static bool key_alone(const vly_config *c)
{
    return c->tls_key[0] != '\0' && c->tls_certificate[0] == '\0';
}

static bool load_in_vain(const vly_config *c)
{
    return c->models_load[0] != '\0' && strcmp(c->models_control, "explicit") != 0;
}

static bool ping_too_late(const vly_config *c)
{
    return c->stream_idle_ms <= c->stream_ping_ms;
}

static bool body_over_total(const vly_config *c)
{
    return c->http_max_body_bytes > c->http_max_body_total_bytes;
}

static bool message_over_total(const vly_config *c)
{
    return c->stream_max_message_bytes > c->http_max_body_total_bytes;
}

static bool window_over_connection(const vly_config *c)
{
    return c->http2_window_bytes > c->http2_conn_window_bytes;
}

static bool password_in_vain(const vly_config *c)
{
    return c->mqtt_password_file[0] != '\0' && c->mqtt_user[0] == '\0';
}

static bool is_no_redis(const vly_config *c)
{
    vly_redis_url unused;

    return c->cache_redis_url[0] != '\0' &&
           vly_redis_parse_url(vly_str_from(c->cache_redis_url), &unused, NULL) != VLY_OK;
}

static bool has_no_gpu(const vly_config *c)
{
    return strcmp(c->profile, "gpu") == 0;
}

static bool is_loopback(const char *address)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (inet_pton(AF_INET, address, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &v6) != 1 || IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Whoever can connect could load models. What is no address fails by itself. */
static bool is_unguarded(const vly_config *c)
{
    bool is_beyond =
        !is_loopback(c->http_address) || (c->admin_port >= 0 && !is_loopback(c->admin_address));

    return is_beyond && c->access_keys[0] == '\0' && !c->access_open;
}

static bool key_limits_in_vain(const vly_config *c)
{
    return c->access_keys[0] == '\0' &&
           (c->limits_key_requests > 0 || c->limits_key_burst > 0 || c->limits_key_concurrency > 0);
}

static const struct rule {
    size_t idx; /* the setting that is to blame */
    bool is_warning;
    bool (*is_broken)(const vly_config *c);
    const char *want;
} rules[] = {
    {VLY_CONFIG_IDX_tls_key, false, key_alone, "is there without 'tls.certificate'"},
    {VLY_CONFIG_IDX_http_address, false, is_unguarded,
     "or 'admin.address' is beyond loopback, where anybody may come: give a file of API keys "
     "(volley key mint NAME, then --keys keys.json), or say --open to let everybody do everything"},
    {VLY_CONFIG_IDX_limits_key_requests, true, key_limits_in_vain,
     "and the other limits of keys have no use without access.keys"},
    {VLY_CONFIG_IDX_cache_redis_url, false, is_no_redis,
     "is neither redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] nor unix:PATH[?db=DB]; there is no "
     "TLS"},
    {VLY_CONFIG_IDX_models_load, false, load_in_vain, "needs models.control explicit"},
    {VLY_CONFIG_IDX_mqtt_password_file, true, password_in_vain, "has no use without mqtt.user"},
    {VLY_CONFIG_IDX_stream_idle_ms, true, ping_too_late,
     "is not above stream.ping_ms: silent clients are closed before they are pinged"},
    {VLY_CONFIG_IDX_http_max_body_bytes, true, body_over_total,
     "is above http.max_body_total_bytes, which refuses such a body all the same"},
    {VLY_CONFIG_IDX_stream_max_message_bytes, true, message_over_total,
     "is above http.max_body_total_bytes, which refuses such a message all the same"},
    {VLY_CONFIG_IDX_http2_window_bytes, true, window_over_connection,
     "is above http2.connection_window_bytes, which closes first"},
    {VLY_CONFIG_IDX_profile, true, has_no_gpu,
     "gpu: models run on the CPU, this build uses no GPU"},
};

static void report_rule(const vly_config *c, const struct rule *r, const vly_config_report *to)
{
    bool is_in_file = c->origins[r->idx] == VLY_CONFIG_FILE;
    char msg[VLY_ERR_MSG_MAX];

    snprintf(msg, sizeof(msg), "setting '%s' %s", vly_config_row_at(r->idx)->name, r->want);
    to->on_problem(to->ctx, &(vly_config_problem){.file = is_in_file ? c->file : NULL,
                                                  .line = is_in_file ? c->lines[r->idx] : 0,
                                                  .is_warning = r->is_warning,
                                                  .msg = msg});
}

void vly_config_complete_all(vly_config *c, const vly_config_report *to)
{
    vly_err err;

    if (apply_profile(c, &err) != VLY_OK) /* no memory */
        to->on_problem(to->ctx, &(vly_config_problem){.msg = err.msg});
    for (size_t i = 0; i < VLY_COUNT(rules); i++)
        if (rules[i].is_broken(c))
            report_rule(c, &rules[i], to);
}

static void keep_first(void *ctx, const vly_config_problem *p)
{
    vly_err *first = ctx;

    if (p->is_warning || first->status != VLY_OK)
        return;
    if (p->file != NULL)
        vly_fail(first, VLY_EINVAL, "%s:%zu: %s", p->file, p->line, p->msg);
    else
        vly_fail(first, VLY_EINVAL, "%s", p->msg);
}

vly_status vly_config_complete(vly_config *c, vly_err *err)
{
    vly_err first = VLY_ERR_INIT;

    vly_config_complete_all(c, &(vly_config_report){keep_first, &first});
    return first.status == VLY_OK ? VLY_OK : vly_fail(err, first.status, "%s", first.msg);
}
