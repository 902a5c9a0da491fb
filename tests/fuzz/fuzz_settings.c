/* SPDX-License-Identifier: MIT */
/* Any bytes as trace and log settings: what is taken comes out as JSON, what is refused changes
 * nothing. */
#include "api/settings.h"
#include "base/assert.h"
#include "base/log.h"
#include "codec/json_doc.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void check_json(vly_buf *out, vly_arena *arena)
{
    yyjson_val *root;

    VLY_ASSERT(vly_json_doc_read(vly_buf_str(out), arena, &root, NULL) == VLY_OK);
    vly_buf_clear(out);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_str update = {(const char *)bytes, n};
    vly_settings *s;
    vly_arena arena;
    vly_buf before, out;
    vly_err err;

    VLY_ASSERT(vly_settings_new(&s, &err) == VLY_OK);
    vly_arena_init(&arena, VLY_MEM_BASE, 4096, (size_t)8 << 20);
    vly_buf_init(&before, VLY_MEM_BASE, 4096);
    vly_buf_init(&out, VLY_MEM_BASE, 4096);
    VLY_ASSERT(vly_settings_trace(s, VLY_STR(""), VLY_STR(""), &arena, &before, NULL, &err) ==
               VLY_OK);
    vly_log_enable(VLY_LOG_WARN, false); /* it says that nothing is traced */
    if (vly_settings_trace(s, VLY_STR("m"), update, &arena, &out, NULL, &err) == VLY_OK)
        check_json(&out, &arena);
    bool is_taken = vly_settings_trace(s, VLY_STR(""), update, &arena, &out, NULL, &err) == VLY_OK;
    vly_buf_clear(&out);
    VLY_ASSERT(vly_settings_trace(s, VLY_STR(""), VLY_STR(""), &arena, &out, NULL, &err) == VLY_OK);
    VLY_ASSERT(is_taken || vly_str_eq(vly_buf_str(&out), vly_buf_str(&before)));
    check_json(&out, &arena);
    if (vly_settings_log(s, update, &arena, &out, &err) == VLY_OK)
        check_json(&out, &arena);
    vly_log_set_level(VLY_LOG_INFO);
    vly_buf_release(&before);
    vly_buf_release(&out);
    vly_arena_release(&arena);
    vly_settings_free(s);
    return 0;
}
