/* SPDX-License-Identifier: MIT */
/* Settings from anywhere: whatever comes, values stay in range and print as what they are. */
#include "base/assert.h"
#include "sys/config.h"
#include "sys/profile.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

/* Each value prints as text that sets it again to what prints the same: so it is in range. */
static void check_values(vly_config *c)
{
    vly_buf once, twice;

    vly_buf_init(&once, VLY_MEM_BASE, 8192);
    vly_buf_init(&twice, VLY_MEM_BASE, 8192);
    for (size_t i = 0; i < VLY_CONFIG_N; i++) {
        vly_buf_clear(&once);
        vly_buf_clear(&twice);
        vly_config_format(c, i, &once);
        vly_status st = vly_config_set_at(c, i, vly_buf_str(&once), c->origins[i], NULL);
        VLY_ASSERT(st == VLY_OK);
        vly_config_format(c, i, &twice);
        VLY_ASSERT(!once.failed && vly_str_eq(vly_buf_str(&once), vly_buf_str(&twice)));
    }
    vly_buf_release(&once);
    vly_buf_release(&twice);
}

static void count(void *ctx, const vly_config_problem *p)
{
    size_t *n_errors = ctx;

    VLY_ASSERT(p->msg[0] != '\0');
    *n_errors += !p->is_warning;
}

/* The check finds something wrong exactly when loading does, and applies what loading would. */
static void check_agrees(vly_str text)
{
    size_t n_errors = 0;
    const vly_config_report to = {count, &n_errors};
    vly_config all, first;
    vly_err err;

    vly_config_init(&all);
    vly_config_init(&first);
    vly_config_check_yaml(&all, "fuzz", text, &to);
    bool is_loaded = vly_config_load_yaml(&first, "fuzz", text, &err) == VLY_OK;
    VLY_ASSERT(is_loaded == (n_errors == 0));
    for (size_t i = 0; i < VLY_CONFIG_N && is_loaded; i++)
        VLY_ASSERT(vly_config_is_same(&all, &first, i) && all.lines[i] == first.lines[i]);
    vly_config_complete_all(&all, &to);
    bool is_complete = is_loaded && vly_config_complete(&first, &err) == VLY_OK;
    VLY_ASSERT(is_complete == (n_errors == 0));
    check_values(&all);
    vly_config_release(&all);
    vly_config_release(&first);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_str text = {(const char *)bytes, n};
    vly_config c;
    vly_err err;

    vly_config_init(&c);
    if (vly_config_load_yaml(&c, "fuzz", text, &err) != VLY_OK)
        VLY_ASSERT(err.msg[0] != '\0');
    char *line = vly_strndup(VLY_MEM_BASE, text.len > 0 ? text.ptr : "", text.len);
    VLY_ASSERT(line != NULL);
    char *env[] = {line, NULL};
    if (vly_config_set_arg(&c, line, &err) != VLY_OK)
        VLY_ASSERT(err.msg[0] != '\0');
    if (vly_config_load_env(&c, env, &err) != VLY_OK)
        VLY_ASSERT(err.msg[0] != '\0');
    check_values(&c);
    check_agrees(text);
    vly_free(line);
    vly_config_release(&c);
    return 0;
}
