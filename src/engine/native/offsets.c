/* SPDX-License-Identifier: MIT */
#include "engine/native/offsets.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/mem.h"

#include <string.h>

/* Tensors keep VLY_TENSOR_PADDING readable bytes behind them, so neighbours stay 64 apart. */
static bool padded(size_t bytes, size_t *ret)
{
    if (bytes > SIZE_MAX - 256)
        return false;
    *ret = vly_align_up(bytes + 64, 64);
    return true;
}

bool vly_offsets_take(vly_offsets *o, size_t bytes, size_t *ret)
{
    size_t best = o->n_free;
    size_t need;

    if (!padded(bytes, &need))
        return false;
    for (size_t i = 0; i < o->n_free; i++) {
        size_t have = o->free[i].end - o->free[i].begin;
        if (have >= need && (best == o->n_free || have < o->free[best].end - o->free[best].begin))
            best = i;
    }
    if (best < o->n_free) {
        *ret = o->free[best].begin;
        o->free[best].begin += need;
        if (o->free[best].begin == o->free[best].end) {
            o->n_free--;
            memmove(o->free + best, o->free + best + 1, (o->n_free - best) * sizeof(o->free[0]));
        }
        return true;
    }
    /* grow the block; a free range at its end is used first */
    size_t begin = o->peak_bytes;
    if (o->n_free > 0 && o->free[o->n_free - 1].end == o->peak_bytes)
        begin = o->free[o->n_free - 1].begin;
    if (!vly_size_add(begin, need, &o->peak_bytes))
        return false;
    if (o->n_free > 0 && o->free[o->n_free - 1].begin == begin)
        o->n_free--;
    *ret = begin;
    return true;
}

static bool reserve_one(vly_offsets *o)
{
    if (o->n_free < o->cap)
        return true;
    size_t cap = o->cap != 0 ? o->cap * 2 : 32;
    vly_offset_range *ranges = vly_realloc(VLY_MEM_MODEL, o->free, cap * sizeof(*ranges));
    if (ranges == NULL)
        return false;
    o->free = ranges;
    o->cap = cap;
    return true;
}

bool vly_offsets_give(vly_offsets *o, size_t offset, size_t bytes)
{
    size_t need, i = 0;

    if (!padded(bytes, &need) || !reserve_one(o))
        return false;
    while (i < o->n_free && o->free[i].begin < offset)
        i++;
    VLY_ASSERT(i == 0 || o->free[i - 1].end <= offset);
    VLY_ASSERT(i == o->n_free || offset + need <= o->free[i].begin);
    memmove(o->free + i + 1, o->free + i, (o->n_free - i) * sizeof(o->free[0]));
    o->free[i] = (vly_offset_range){offset, offset + need};
    o->n_free++;
    if (i + 1 < o->n_free && o->free[i].end == o->free[i + 1].begin) {
        o->free[i].end = o->free[i + 1].end;
        o->n_free--;
        memmove(o->free + i + 1, o->free + i + 2, (o->n_free - i - 1) * sizeof(o->free[0]));
    }
    if (i > 0 && o->free[i - 1].end == o->free[i].begin) {
        o->free[i - 1].end = o->free[i].end;
        o->n_free--;
        memmove(o->free + i, o->free + i + 1, (o->n_free - i) * sizeof(o->free[0]));
    }
    return true;
}

void vly_offsets_release(vly_offsets *o)
{
    vly_free(o->free);
    *o = (vly_offsets){0};
}
