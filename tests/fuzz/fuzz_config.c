/* SPDX-License-Identifier: MIT */
/* Settings from anywhere: whatever comes, values stay in range and print as what they are. */
#include "base/assert.h"
#include "sys/config.h"

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
    vly_free(line);
    vly_config_release(&c);
    return 0;
}
