/* SPDX-License-Identifier: MIT */
/* Settings as text, for people and as JSON. */
#include "sys/config_text.h"

#include "base/assert.h"
#include "sys/config_internal.h"
#include "sys/url.h"

#include <inttypes.h>
#include <stdio.h>

void vly_config__put_bytes(uint64_t n, vly_buf *out)
{
    static const struct {
        int shift;
        const char *unit;
    } units[] = {{30, "GiB"}, {20, "MiB"}, {10, "KiB"}};

    for (size_t i = 0; n != 0 && i < VLY_COUNT(units); i++) {
        if (n % (UINT64_C(1) << units[i].shift) == 0) {
            vly_buf_printf(out, "%" PRIu64 " %s", n >> units[i].shift, units[i].unit);
            return;
        }
    }
    vly_buf_printf(out, "%" PRIu64, n);
}

/* In as few digits as read back as the same. */
static void put_number(double v, vly_buf *out)
{
    char text[32];
    double back;

    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (vly_str_to_f64(vly_str_from(text), &back) && !(back < v) && !(back > v))
            break;
    }
    vly_buf_puts(out, text);
}

void vly_config_format(const vly_config *c, size_t idx, vly_buf *out)
{
    const void *field = vly_config__field(c, idx);

    switch (vly_config_row_at(idx)->kind) {
    case VLY_CONFIG_INT:
        vly_buf_printf(out, "%" PRId64, *(const int64_t *)field);
        break;
    case VLY_CONFIG_NUMBER:
        put_number(*(const double *)field, out);
        break;
    case VLY_CONFIG_BYTES:
        vly_config__put_bytes(*(const size_t *)field, out);
        break;
    case VLY_CONFIG_BOOL:
        vly_buf_puts(out, *(const bool *)field ? "true" : "false");
        break;
    case VLY_CONFIG_LEVEL:
        vly_buf_puts(out, vly_log_level_name(*(const vly_log_level *)field));
        break;
    case VLY_CONFIG_TEXT:
        vly_buf_puts(out, *(const char *const *)field);
        break;
    }
}

/* ---- what others may see ---- */

static vly_str text_at(const vly_config *c, size_t idx)
{
    if (vly_config_row_at(idx)->kind != VLY_CONFIG_TEXT)
        return VLY_STR("");
    return vly_str_from(*(const char *const *)vly_config__field(c, idx));
}

bool vly_config_is_public(const vly_config *c, size_t idx)
{
    const vly_url_shown s = vly_url_show(text_at(c, idx));

    return !s.hides_user && !s.hides_query;
}

void vly_config_format_public(const vly_config *c, size_t idx, vly_buf *out)
{
    const vly_url_shown s = vly_url_show(text_at(c, idx));

    if (vly_config_is_public(c, idx)) {
        vly_config_format(c, idx, out);
        return;
    }
    vly_buf_add_str(out, s.begin);
    vly_buf_puts(out, s.hides_user ? "***" : "");
    vly_buf_add_str(out, s.middle);
    vly_buf_puts(out, s.hides_query ? "***" : "");
}

bool vly_config_is_same(const vly_config *a, const vly_config *b, size_t idx)
{
    const void *x = vly_config__field(a, idx), *y = vly_config__field(b, idx);

    switch (vly_config_row_at(idx)->kind) {
    case VLY_CONFIG_INT:
        return *(const int64_t *)x == *(const int64_t *)y;
    case VLY_CONFIG_NUMBER:
        return memcmp(x, y, sizeof(double)) == 0;
    case VLY_CONFIG_BYTES:
        return *(const size_t *)x == *(const size_t *)y;
    case VLY_CONFIG_BOOL:
        return *(const bool *)x == *(const bool *)y;
    case VLY_CONFIG_LEVEL:
        return *(const vly_log_level *)x == *(const vly_log_level *)y;
    case VLY_CONFIG_TEXT:
        return vly_str_eq(text_at(a, idx), text_at(b, idx));
    }
    return false;
}

/* ---- where a value comes from ---- */

const char *vly_config_origin_name(vly_config_origin origin)
{
    static const char *const names[] = {"default", "profile", "file", "environment",
                                        "command line"};
    return names[origin];
}

void vly_config_put_origin(const vly_config *c, size_t idx, vly_buf *out)
{
    vly_config_origin origin = c->origins[idx];

    vly_buf_puts(out, vly_config_origin_name(origin));
    if (origin == VLY_CONFIG_PROFILE)
        vly_buf_printf(out, " %s", c->profile);
    if (origin == VLY_CONFIG_FILE && c->file != NULL)
        vly_buf_printf(out, " %s:%" PRIu32, c->file, c->lines[idx]);
    if (origin == VLY_CONFIG_ENV)
        vly_buf_putc(out, ' ');
    if (origin == VLY_CONFIG_ENV)
        vly_config_put_env_name(idx, out);
}

/* ---- JSON ---- */

static void put_value(const vly_config *c, size_t idx, vly_buf *out)
{
    vly_config_kind kind = vly_config_row_at(idx)->kind;
    vly_buf text;

    if (kind == VLY_CONFIG_BYTES) {
        vly_buf_printf(out, "%zu", *(const size_t *)vly_config__field(c, idx));
        return;
    }
    if (kind == VLY_CONFIG_INT || kind == VLY_CONFIG_NUMBER || kind == VLY_CONFIG_BOOL) {
        vly_config_format(c, idx, out);
        return;
    }
    vly_buf_init(&text, VLY_MEM_BASE, (size_t)1 << 17);
    vly_config_format_public(c, idx, &text);
    vly_buf_json_str(out, vly_buf_str(&text));
    vly_buf_release(&text);
}

static void put_origin_json(const vly_config *c, size_t idx, vly_buf *out)
{
    vly_config_origin origin = c->origins[idx];

    vly_buf_printf(out, ",\"origin\":\"%s\"", vly_config_origin_name(origin));
    if (origin == VLY_CONFIG_PROFILE)
        vly_buf_printf(out, ",\"profile\":\"%s\"", c->profile);
    if (origin == VLY_CONFIG_FILE && c->file != NULL) {
        vly_buf_puts(out, ",\"file\":");
        vly_buf_json_str(out, vly_str_from(c->file));
        vly_buf_printf(out, ",\"line\":%" PRIu32, c->lines[idx]);
    }
}

static void put_setting(const vly_config *c, const vly_config *defaults, size_t idx, vly_buf *out)
{
    const vly_config_row *row = vly_config_row_at(idx);

    vly_buf_printf(out, "{\"name\":\"%s\",\"value\":", row->name);
    put_value(c, idx, out);
    vly_buf_puts(out, ",\"default\":");
    put_value(defaults, idx, out);
    put_origin_json(c, idx, out);
    vly_buf_puts(out, ",\"environment\":\"");
    vly_config_put_env_name(idx, out);
    vly_buf_printf(out, "\",\"reload\":%s", vly_config_is_hot(idx) ? "true" : "false");
    if (row->kind == VLY_CONFIG_INT || row->kind == VLY_CONFIG_NUMBER ||
        row->kind == VLY_CONFIG_BYTES)
        vly_buf_printf(out, ",\"min\":%" PRId64 ",\"max\":%" PRId64, row->min, row->max);
    vly_buf_puts(out, ",\"meaning\":");
    vly_buf_json_str(out, vly_str_from(row->doc));
    vly_buf_putc(out, '}');
}

void vly_config_put_json(const vly_config *c, bool is_changed_only, vly_buf *out)
{
    const char *comma = "";
    vly_config defaults;

    vly_config_init(&defaults);
    vly_buf_putc(out, '[');
    for (size_t i = 0; i < VLY_CONFIG_N; i++) {
        if (is_changed_only && vly_config_is_same(c, &defaults, i))
            continue;
        vly_buf_puts(out, comma);
        put_setting(c, &defaults, i, out);
        comma = ",\n";
    }
    vly_buf_putc(out, ']');
}
