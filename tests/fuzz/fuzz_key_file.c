/* SPDX-License-Identifier: MIT */
/* Key files: what is accepted is written again, and is then read as the same. */
#include "base/assert.h"
#include "store/key_file.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static bool is_same(const vly_key *a, const vly_key *b)
{
    return strcmp(a->name, b->name) == 0 && memcmp(a->hash, b->hash, sizeof(a->hash)) == 0 &&
           a->scope == b->scope && a->created_ms == b->created_ms &&
           a->expires_ms == b->expires_ms && a->rate == b->rate && a->burst == b->burst &&
           a->concurrency == b->concurrency && a->is_revoked == b->is_revoked;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_key_set s, again;
    vly_err err = VLY_ERR_INIT;
    vly_buf out;

    vly_status st = vly_key_set_parse((vly_str){(const char *)bytes, n}, &s, &err);
    VLY_ASSERT(st == err.status);
    if (st != VLY_OK)
        return 0;
    vly_buf_init(&out, VLY_MEM_STORE, (size_t)16 << 20);
    vly_key_set_print(&s, &out);
    VLY_ASSERT(vly_key_set_parse(vly_buf_str(&out), &again, &err) == VLY_OK);
    VLY_ASSERT(again.n == s.n);
    for (size_t i = 0; i < s.n; i++)
        VLY_ASSERT(is_same(&s.keys[i], &again.keys[i]));
    vly_buf_release(&out);
    vly_key_set_release(&s);
    vly_key_set_release(&again);
    return 0;
}
