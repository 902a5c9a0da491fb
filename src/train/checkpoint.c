/* SPDX-License-Identifier: MIT */
#include "train/checkpoint.h"

#include "base/bits.h"
#include "base/fnv1a.h"

#include <math.h>
#include <string.h>

/* As it lies in the file: no padding, numbers little-endian as every CPU here has them. */
typedef struct head {
    char magic[8];
    uint64_t purpose, step;
    double best, scale;
    uint32_t n_bad, n_epochs;
    uint64_t n_floats;
} head;

_Static_assert(sizeof(head) == 56, "the format has no padding");

static const char magic[8] = {'V', 'L', 'Y', 'T', 'R', 'N', '0', '1'};

vly_status vly_checkpoint_write(const vly_trainer_state *s, uint64_t purpose,
                                const vly_train_history *history, vly_buf *out, vly_err *err)
{
    size_t begin = out->len;
    head h = {.purpose = purpose,
              .step = s->step,
              .best = s->plateau.best,
              .scale = s->plateau.scale,
              .n_bad = s->plateau.n_bad,
              .n_epochs = (uint32_t)history->n,
              .n_floats = s->n_floats};

    memcpy(h.magic, magic, sizeof(magic));
    vly_buf_add(out, &h, sizeof(h));
    vly_buf_add(out, history->rows, history->n * sizeof(history->rows[0]));
    vly_buf_add(out, s->params, s->n_floats * sizeof(*s->params));
    if (out->failed)
        return vly_fail(err, VLY_ELIMIT, "checkpoint: more than %zu bytes", out->max_bytes);
    uint64_t sum = vly_fnv1a(VLY_FNV1A, out->ptr + begin, out->len - begin);
    vly_buf_add(out, &sum, sizeof(sum));
    return out->failed
               ? vly_fail(err, VLY_ELIMIT, "checkpoint: more than %zu bytes", out->max_bytes)
               : VLY_OK;
}

/* The lengths that the head tells are those of the bytes, and the sum is theirs. */
static vly_status check_bytes(vly_str bytes, const head *h, vly_err *err)
{
    size_t figures, floats, len;

    if (!vly_size_mul(h->n_epochs, sizeof(float) * VLY_TRAIN_FIGURES, &figures) ||
        !vly_size_mul(h->n_floats, sizeof(float), &floats) ||
        !vly_size_add(figures, floats, &len) ||
        !vly_size_add(len, sizeof(*h) + sizeof(uint64_t), &len) || len != bytes.len)
        return vly_fail(err, VLY_EFORMAT, "checkpoint: %zu bytes do not hold %llu floats",
                        bytes.len, (unsigned long long)h->n_floats);
    size_t end = bytes.len - sizeof(uint64_t);
    if (vly_load_le64(bytes.ptr + end) != vly_fnv1a(VLY_FNV1A, bytes.ptr, end))
        return vly_fail(err, VLY_EFORMAT, "checkpoint: damaged, its sum is another");
    return VLY_OK;
}

static vly_status check_purpose(const head *h, uint64_t purpose, const vly_trainer_state *s,
                                const vly_train_history *history, vly_err *err)
{
    if (h->purpose != purpose || h->n_floats != s->n_floats)
        return vly_fail(err, VLY_EINVAL,
                        "checkpoint: of another training (other data, options or version)");
    if (h->n_epochs > history->cap)
        return vly_fail(err, VLY_ELIMIT, "checkpoint: %u epochs, at most %zu", h->n_epochs,
                        history->cap);
    if (isnan(h->best) || !isfinite(h->scale))
        return vly_fail(err, VLY_EFORMAT, "checkpoint: the schedule has no number");
    return VLY_OK;
}

static bool are_numbers(const char *bytes, size_t n)
{
    bool ret = true;

    for (size_t i = 0; i < n; i++) {
        float x;
        memcpy(&x, bytes + i * sizeof(x), sizeof(x));
        ret = ret && isfinite(x);
    }
    return ret;
}

vly_status vly_checkpoint_read(vly_str bytes, uint64_t purpose, vly_trainer_state *s,
                               vly_train_history *history, vly_err *err)
{
    head h;

    if (bytes.len < sizeof(h) || memcmp(bytes.ptr, magic, sizeof(magic)) != 0)
        return vly_fail(err, VLY_EFORMAT, "not a checkpoint of a training");
    memcpy(&h, bytes.ptr, sizeof(h));
    vly_status st = check_bytes(bytes, &h, err);
    if (st == VLY_OK)
        st = check_purpose(&h, purpose, s, history, err);
    if (st != VLY_OK)
        return st;
    const char *at = bytes.ptr + sizeof(h);
    size_t figures = h.n_epochs * sizeof(history->rows[0]);
    if (!are_numbers(at + figures, s->n_floats))
        return vly_fail(err, VLY_EFORMAT, "checkpoint: a parameter is no number");
    memcpy(history->rows, at, figures);
    memcpy(s->params, at + figures, s->n_floats * sizeof(*s->params));
    history->n = h.n_epochs;
    s->step = h.step;
    s->plateau = (vly_plateau){h.best, h.scale, h.n_bad};
    return VLY_OK;
}
