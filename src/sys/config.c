/* SPDX-License-Identifier: MIT */
#include "sys/config.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sys/config_internal.h"
#include "sys/config_lists.h"

#include <inttypes.h>
#include <string.h>

static const vly_config_row rows[VLY_CONFIG_N] = {
#define CONFIG_ROW(kind, field, name, def, min, max, doc) {name, doc, VLY_CONFIG_##kind, min, max},
    VLY_CONFIG_MAP(CONFIG_ROW)
#undef CONFIG_ROW
};

static const bool hot[VLY_CONFIG_N] = {
#define CONFIG_HOT(field) [VLY_CONFIG_IDX_##field] = true,
    VLY_CONFIG_HOT(CONFIG_HOT)
#undef CONFIG_HOT
};

static const char *const choices[VLY_CONFIG_N] = {
#define CONFIG_CHOICES(field, values) [VLY_CONFIG_IDX_##field] = (values),
    VLY_CONFIG_CHOICES(CONFIG_CHOICES)
#undef CONFIG_CHOICES
};

static const size_t field_offsets[VLY_CONFIG_N] = {
#define CONFIG_OFFSET(kind, field, ...) offsetof(vly_config, field),
    VLY_CONFIG_MAP(CONFIG_OFFSET)
#undef CONFIG_OFFSET
};

#define NAME_MAX_LEN 48 /* of a setting in the table; longer names from outside match nothing */

void vly_config_init(vly_config *c)
{
    *c = (vly_config){
#define CONFIG_DEFAULT(kind, field, name, def, ...) .field = (def),
        VLY_CONFIG_MAP(CONFIG_DEFAULT)
#undef CONFIG_DEFAULT
    };
}

void vly_config_release(vly_config *c)
{
    for (size_t i = 0; i < VLY_CONFIG_N; i++)
        vly_free(c->texts[i]);
    vly_free(c->file);
    vly_config_init(c);
}

const vly_config_row *vly_config_row_at(size_t idx)
{
    VLY_ASSERT(idx < VLY_CONFIG_N);
    return &rows[idx];
}

const char *vly_config_choices(size_t idx)
{
    VLY_ASSERT(idx < VLY_CONFIG_N);
    return choices[idx];
}

bool vly_config_is_hot(size_t idx)
{
    VLY_ASSERT(idx < VLY_CONFIG_N);
    return hot[idx];
}

const void *vly_config__field(const vly_config *c, size_t idx)
{
    VLY_ASSERT(idx < VLY_CONFIG_N);
    return (const char *)c + field_offsets[idx];
}

static void *field_of(vly_config *c, size_t idx)
{
    return (char *)c + field_offsets[idx];
}

static vly_status set_int(const vly_config_row *row, vly_str value, int64_t *field, vly_err *err)
{
    int64_t v;

    if (!vly_str_to_i64(value, &v) || v < row->min || v > row->max)
        return vly_fail(err, VLY_EINVAL,
                        "%s: expected an integer from %" PRId64 " to %" PRId64 ", got '%.*s'",
                        row->name, row->min, row->max, VLY_STR_ARG(value));
    *field = v;
    return VLY_OK;
}

static vly_status set_number(const vly_config_row *row, vly_str value, double *field, vly_err *err)
{
    double v;

    if (!vly_str_to_f64(value, &v) || !(v >= (double)row->min && v <= (double)row->max))
        return vly_fail(err, VLY_EINVAL,
                        "%s: expected a number from %" PRId64 " to %" PRId64 ", got '%.*s'",
                        row->name, row->min, row->max, VLY_STR_ARG(value));
    *field = v == 0 ? 0 : v; /* without a sign */
    return VLY_OK;
}

static bool parse_bytes(vly_str s, int64_t *ret)
{
    static const struct {
        vly_str suffix;
        int shift;
    } units[] = {{{"KiB", 3}, 10}, {{"MiB", 3}, 20}, {{"GiB", 3}, 30}};
    int shift = 0;
    int64_t v;

    for (size_t i = 0; i < VLY_COUNT(units); i++) {
        if (vly_str_ends(s, units[i].suffix)) {
            s = vly_str_trim((vly_str){s.ptr, s.len - units[i].suffix.len});
            shift = units[i].shift;
            break;
        }
    }
    if (!vly_str_to_i64(s, &v) || v < 0 || v > INT64_MAX >> shift)
        return false;
    *ret = v << shift;
    return true;
}

static vly_status set_bytes(const vly_config_row *row, vly_str value, size_t *field, vly_err *err)
{
    int64_t v;

    if (parse_bytes(value, &v) && v >= row->min && v <= row->max) {
        *field = (size_t)v;
        return VLY_OK;
    }
    vly_buf range;
    vly_buf_init(&range, VLY_MEM_BASE, 128);
    vly_config__put_bytes((uint64_t)row->min, &range);
    vly_buf_puts(&range, " to ");
    vly_config__put_bytes((uint64_t)row->max, &range);
    vly_status st =
        vly_fail(err, VLY_EINVAL, "%s: expected a size from %s (as 64 MiB or 65536), got '%.*s'",
                 row->name, range.failed ? "?" : range.ptr, VLY_STR_ARG(value));
    vly_buf_release(&range);
    return st;
}

static vly_status set_bool(const vly_config_row *row, vly_str value, bool *field, vly_err *err)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

    for (size_t i = 0; i < VLY_COUNT(words); i++) {
        if (vly_str_eq_nocase(value, vly_str_from(words[i]))) {
            *field = i % 2 == 1;
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_EINVAL, "%s: expected true or false, got '%.*s'", row->name,
                    VLY_STR_ARG(value));
}

static vly_status set_level(const vly_config_row *row, vly_str value, vly_log_level *field,
                            vly_err *err)
{
    for (int level = VLY_LOG_DEBUG; level <= VLY_LOG_ERROR; level++) {
        if (vly_str_is(value, vly_log_level_name((vly_log_level)level))) {
            *field = (vly_log_level)level;
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_EINVAL, "%s: expected %s, got '%.*s'", row->name, row->doc,
                    VLY_STR_ARG(value));
}

static bool is_choice(vly_str value, const char *list)
{
    vly_str rest = vly_str_from(list);

    while (rest.ptr != NULL)
        if (vly_str_eq(vly_str_split(&rest, '|'), value))
            return true;
    return false;
}

/* "none, poll or explicit" */
static void put_choices(const char *list, vly_buf *out)
{
    vly_str rest = vly_str_from(list);

    vly_buf_add_str(out, vly_str_split(&rest, '|'));
    while (rest.ptr != NULL) {
        vly_str word = vly_str_split(&rest, '|');
        vly_buf_puts(out, rest.ptr != NULL ? ", " : " or ");
        vly_buf_add_str(out, word);
    }
}

static vly_status refuse_choice(const vly_config_row *row, const char *list, vly_str value,
                                vly_err *err)
{
    vly_buf want;

    vly_buf_init(&want, VLY_MEM_BASE, 256);
    put_choices(list, &want);
    vly_status st = vly_fail(err, VLY_EINVAL, "%s: expected %.*s, got '%.*s'", row->name,
                             VLY_STR_ARG(vly_buf_str(&want)), VLY_STR_ARG(value));
    vly_buf_release(&want);
    return st;
}

static vly_status set_text(vly_config *c, size_t idx, vly_str value, vly_err *err)
{
    const vly_config_row *row = &rows[idx];

    if (choices[idx] != NULL && !is_choice(value, choices[idx]))
        return refuse_choice(row, choices[idx], value, err);

    if ((int64_t)value.len < row->min || (int64_t)value.len > row->max ||
        (value.len > 0 && memchr(value.ptr, '\0', value.len) != NULL))
        return vly_fail(err, VLY_EINVAL,
                        "%s: expected a text of %" PRId64 " to %" PRId64 " bytes, got '%.*s'",
                        row->name, row->min, row->max, VLY_STR_ARG(value));
    char *copy = vly_strndup(VLY_MEM_BASE, value.ptr, value.len);
    if (copy == NULL)
        return vly_fail(err, VLY_ENOMEM, "%s: no memory", row->name);
    vly_free(c->texts[idx]);
    c->texts[idx] = copy;
    *(const char **)field_of(c, idx) = copy;
    return VLY_OK;
}

/* Edit distance of two short strings, by one row of the usual table. */
static size_t edit_distance(vly_str a, vly_str b)
{
    size_t dist[NAME_MAX_LEN + 1];

    VLY_ASSERT(b.len <= NAME_MAX_LEN);
    for (size_t j = 0; j <= b.len; j++)
        dist[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = dist[0];
        dist[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            diagonal = dist[j];
            if (dist[j] + 1 < best)
                best = dist[j] + 1;
            if (dist[j - 1] + 1 < best)
                best = dist[j - 1] + 1;
            dist[j] = best;
        }
    }
    return dist[b.len];
}

const char *vly_config__nearest(vly_str name)
{
    size_t best = SIZE_MAX;
    const char *ret = rows[0].name;

    if (name.len > NAME_MAX_LEN)
        name.len = NAME_MAX_LEN;
    for (size_t i = 0; i < VLY_CONFIG_N; i++) {
        size_t d = edit_distance(name, vly_str_from(rows[i].name));
        if (d < best) {
            best = d;
            ret = rows[i].name;
        }
    }
    return ret;
}

bool vly_config_find(vly_str name, size_t *ret_idx)
{
    for (size_t i = 0; i < VLY_CONFIG_N; i++) {
        if (vly_str_is(name, rows[i].name)) {
            *ret_idx = i;
            return true;
        }
    }
    return false;
}

vly_status vly_config_set_at(vly_config *c, size_t idx, vly_str value, vly_config_origin origin,
                             vly_err *err)
{
    VLY_ASSERT(idx < VLY_CONFIG_N);
    const vly_config_row *row = &rows[idx];
    void *field = field_of(c, idx);
    vly_status st = VLY_EINTERNAL;

    switch (row->kind) {
    case VLY_CONFIG_INT:
        st = set_int(row, value, field, err);
        break;
    case VLY_CONFIG_NUMBER:
        st = set_number(row, value, field, err);
        break;
    case VLY_CONFIG_BYTES:
        st = set_bytes(row, value, field, err);
        break;
    case VLY_CONFIG_BOOL:
        st = set_bool(row, value, field, err);
        break;
    case VLY_CONFIG_LEVEL:
        st = set_level(row, value, field, err);
        break;
    case VLY_CONFIG_TEXT:
        st = set_text(c, idx, value, err);
        break;
    }
    if (st == VLY_OK)
        c->origins[idx] = origin;
    if (st == VLY_OK)
        c->lines[idx] = 0;
    return st;
}

vly_status vly_config_set(vly_config *c, vly_str name, vly_str value, vly_config_origin origin,
                          vly_err *err)
{
    size_t idx;

    if (!vly_config_find(name, &idx))
        return vly_fail(err, VLY_ENOTFOUND, "unknown setting '%.*s': did you mean '%s'?",
                        VLY_STR_ARG(name), vly_config__nearest(name));
    return vly_config_set_at(c, idx, value, origin, err);
}

vly_status vly_config_set_arg(vly_config *c, const char *assignment, vly_err *err)
{
    vly_str value = vly_str_from(assignment);
    vly_str name = vly_str_split(&value, '=');

    if (value.ptr == NULL)
        return vly_fail(err, VLY_EINVAL, "--set '%s': expected name=value", assignment);
    vly_status st = vly_config_set(c, name, value, VLY_CONFIG_ARG, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "--set");
    return VLY_OK;
}
