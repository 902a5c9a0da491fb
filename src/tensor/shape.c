/* SPDX-License-Identifier: MIT */
#include "tensor/shape.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>

bool vly_shape_known(const vly_shape *s)
{
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] < 0)
            return false;
    return true;
}

bool vly_shape_eq(const vly_shape *a, const vly_shape *b)
{
    return a->rank == b->rank &&
           (a->rank == 0 || memcmp(a->dim, b->dim, (size_t)a->rank * sizeof(a->dim[0])) == 0);
}

bool vly_shape_count(const vly_shape *s, uint64_t *ret)
{
    uint64_t n = 1;
    bool is_empty = false;

    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] < 0)
            return false;
        if (s->dim[i] == 0)
            is_empty = true;
        else if (__builtin_mul_overflow(n, (uint64_t)s->dim[i], &n) || n > INT64_MAX)
            return false;
    }
    *ret = is_empty ? 0 : n;
    return true;
}

int64_t vly_shape_span(const vly_shape *s, int begin, int end)
{
    int64_t n = 1;
    VLY_ASSERT(begin >= 0 && end <= s->rank);
    for (int i = begin; i < end; i++)
        n *= s->dim[i];
    return n;
}

bool vly_shape_bytes(const vly_shape *s, vly_dtype t, size_t *ret)
{
    uint64_t n;
    return vly_shape_count(s, &n) && vly_dtype_size(t, n, ret);
}

static bool broadcast_dim(int64_t a, int64_t b, int64_t *ret)
{
    if (a == 1 || (a < 0 && b != 1))
        *ret = b;
    else if (b == 1 || b < 0 || a == b)
        *ret = a;
    else
        return false;
    return true;
}

bool vly_shape_broadcast(const vly_shape *a, const vly_shape *b, vly_shape *ret)
{
    vly_shape out = {.rank = a->rank > b->rank ? a->rank : b->rank};

    for (int i = 1; i <= out.rank; i++) {
        int64_t da = i <= a->rank ? a->dim[a->rank - i] : 1;
        int64_t db = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (!broadcast_dim(da, db, &out.dim[out.rank - i]))
            return false;
    }
    *ret = out;
    return true;
}

void vly_shape_strides(const vly_shape *s, int64_t *strides)
{
    int64_t step = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        strides[i] = step;
        step *= s->dim[i];
    }
}

void vly_shape_broadcast_strides(const vly_shape *src, const vly_shape *dst, int64_t *strides)
{
    int lead = dst->rank - src->rank;
    int64_t step = 1;

    VLY_ASSERT(lead >= 0);
    for (int i = dst->rank - 1; i >= 0; i--) {
        int64_t d = i >= lead ? src->dim[i - lead] : 1;
        VLY_ASSERT(d == 1 || d == dst->dim[i]);
        strides[i] = d == 1 ? 0 : step;
        step *= d;
    }
}

bool vly_axis_normalise(int64_t axis, int rank, int *ret)
{
    if (axis < -rank || axis >= rank)
        return false;
    *ret = (int)(axis < 0 ? axis + rank : axis);
    return true;
}

const char *vly_shape_text(const vly_shape *s, char text[VLY_SHAPE_TEXT_MAX])
{
    size_t n = 0;

    text[n++] = '[';
    for (int i = 0; i < s->rank; i++) {
        const char *comma = i > 0 ? "," : "";
        int written = s->dim[i] < 0 ? snprintf(text + n, VLY_SHAPE_TEXT_MAX - n, "%s?", comma)
                                    : snprintf(text + n, VLY_SHAPE_TEXT_MAX - n, "%s%" PRId64,
                                               comma, s->dim[i]);
        n += (size_t)written; /* at most 8 * 21 + 3 < VLY_SHAPE_TEXT_MAX */
    }
    memcpy(text + n, "]", 2);
    return text;
}
