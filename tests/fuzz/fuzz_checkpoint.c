/* SPDX-License-Identifier: MIT */
/* Checkpoints: what is accepted is written again, and must be the same bytes. The last 8 bytes are
 * replaced by the sum that belongs there, or else nothing would get past it. */
#include "base/assert.h"
#include "base/fnv1a.h"
#include "train/checkpoint.h"

#include <math.h>
#include <string.h>

enum { FLOATS = 24, EPOCHS = 4 };

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void check(const char *bytes, size_t n)
{
    float floats[FLOATS] = {0}, rows[EPOCHS][VLY_TRAIN_FIGURES];
    vly_trainer_state s = {.n_floats = FLOATS, .params = floats};
    vly_train_history history = {.rows = rows, .cap = EPOCHS};
    vly_err err = VLY_ERR_INIT;
    vly_buf again;

    vly_status st = vly_checkpoint_read((vly_str){bytes, n}, 7, &s, &history, &err);
    VLY_ASSERT(st == err.status);
    if (st != VLY_OK)
        return;
    for (size_t i = 0; i < FLOATS; i++)
        VLY_ASSERT(isfinite(floats[i]));
    vly_buf_init(&again, VLY_MEM_MODEL, 1 << 20);
    VLY_ASSERT(vly_checkpoint_write(&s, 7, &history, &again, &err) == VLY_OK);
    VLY_ASSERT(again.len == n && memcmp(again.ptr, bytes, n) == 0);
    vly_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    char *copy = vly_alloc(VLY_MEM_MODEL, n + 1);

    VLY_ASSERT(copy != NULL);
    memcpy(copy, bytes, n);
    check(copy, n);
    if (n >= sizeof(uint64_t)) {
        size_t end = n - sizeof(uint64_t);
        uint64_t sum = vly_fnv1a(VLY_FNV1A, bytes, end);
        memcpy(copy + end, &sum, sizeof(sum));
        check(copy, n);
    }
    vly_free(copy);
    return 0;
}
