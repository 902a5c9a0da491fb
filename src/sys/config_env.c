/* SPDX-License-Identifier: MIT */
/* Settings from the environment: the name in capitals behind VOLLEY_, '_' for '.'. */
#include "sys/config_internal.h"

#define PREFIX "VOLLEY_"

static char env_char(char c)
{
    if (c == '.' || c == '-')
        return '_';
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

void vly_config_put_env_name(size_t idx, vly_buf *out)
{
    vly_buf_puts(out, PREFIX);
    for (const char *c = vly_config_row_at(idx)->name; *c != '\0'; c++)
        vly_buf_putc(out, env_char(*c));
}

/* suffix: what stands behind VOLLEY_. */
static bool find(vly_str suffix, size_t *ret_idx)
{
    for (size_t i = 0; i < VLY_CONFIG_N; i++) {
        const char *name = vly_config_row_at(i)->name;
        size_t n = 0;
        while (n < suffix.len && name[n] != '\0' && env_char(name[n]) == suffix.ptr[n])
            n++;
        if (n == suffix.len && name[n] == '\0') {
            *ret_idx = i;
            return true;
        }
    }
    return false;
}

/* Splits "VOLLEY_NAME=value"; false: another variable. */
static bool split(const char *entry, vly_str *ret_var, vly_str *ret_suffix, vly_str *ret_value)
{
    *ret_value = vly_str_from(entry);
    if (!vly_str_starts(*ret_value, VLY_STR(PREFIX)))
        return false;
    *ret_var = vly_str_split(ret_value, '=');
    *ret_suffix = (vly_str){ret_var->ptr + strlen(PREFIX), ret_var->len - strlen(PREFIX)};
    return true;
}

static vly_status set(vly_config *c, size_t idx, vly_str var, vly_str value, vly_err *err)
{
    vly_status st = vly_config_set_at(c, idx, value, VLY_CONFIG_ENV, err);

    return st == VLY_OK ? st : vly_fail_in(err, st, "%.*s", VLY_STR_ARG(var));
}

vly_status vly_config_load_env(vly_config *c, char *const *envp, vly_err *err)
{
    vly_str var, suffix, value;
    vly_status st = VLY_OK;
    size_t idx;

    for (; *envp != NULL && st == VLY_OK; envp++)
        if (split(*envp, &var, &suffix, &value) && find(suffix, &idx))
            st = set(c, idx, var, value, err);
    return st;
}

static void report(const vly_config_report *to, bool is_warning, const char *msg)
{
    to->on_problem(to->ctx, &(vly_config_problem){.is_warning = is_warning, .msg = msg});
}

static void warn_unknown(vly_str var, vly_str suffix, const vly_config_report *to)
{
    char name[64];
    vly_err err;
    vly_buf near;
    size_t idx, n = suffix.len < sizeof(name) ? suffix.len : sizeof(name);

    for (size_t i = 0; i < n; i++) {
        char c = suffix.ptr[i];
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    vly_buf_init(&near, VLY_MEM_BASE, 128);
    if (vly_config_find(vly_str_from(vly_config__nearest((vly_str){name, n})), &idx))
        vly_config_put_env_name(idx, &near);
    vly_fail(&err, VLY_ENOTFOUND, "%.*s names no setting: did you mean %.*s?", VLY_STR_ARG(var),
             VLY_STR_ARG(vly_buf_str(&near)));
    vly_buf_release(&near);
    report(to, true, err.msg);
}

void vly_config_check_env(vly_config *c, char *const *envp, const vly_config_report *to)
{
    vly_str var, suffix, value;
    vly_err err;
    size_t idx;

    for (; *envp != NULL; envp++) {
        if (!split(*envp, &var, &suffix, &value))
            continue;
        if (!find(suffix, &idx))
            warn_unknown(var, suffix, to);
        else if (set(c, idx, var, value, &err) != VLY_OK)
            report(to, false, err.msg);
    }
}
