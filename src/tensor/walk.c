/* SPDX-License-Identifier: MIT */
#include "tensor/walk.h"

#include "base/assert.h"

/* May axis `inner` continue axis `outer`, for every operand? */
static bool can_merge(const vly_walk *w, int outer, int64_t inner_dim, const int64_t *inner_stride)
{
    for (int op = 0; op < w->n_ops; op++)
        if (w->stride[op][outer] != inner_stride[op] * inner_dim)
            return false;
    return true;
}

static void add_axis(vly_walk *w, int64_t dim, const int64_t *stride)
{
    int at = w->rank - 1;

    if (at >= 0 && can_merge(w, at, dim, stride))
        w->dim[at] *= dim;
    else
        w->dim[at = w->rank++] = dim;
    for (int op = 0; op < w->n_ops; op++)
        w->stride[op][at] = stride[op];
}

void vly_walk_begin(vly_walk *w, const vly_shape *shape, int n_ops, int64_t strides[][VLY_RANK_MAX])
{
    VLY_ASSERT(n_ops >= 1 && n_ops <= VLY_WALK_OPS);
    *w = (vly_walk){.more = true, .n = 1, .n_ops = n_ops};
    for (int i = 0; i < shape->rank; i++) {
        int64_t stride[VLY_WALK_OPS];
        VLY_ASSERT(shape->dim[i] >= 0);
        if (shape->dim[i] == 0)
            w->more = false;
        if (shape->dim[i] == 1)
            continue;
        for (int op = 0; op < n_ops; op++)
            stride[op] = strides[op][i];
        add_axis(w, shape->dim[i], stride);
    }
    if (w->rank == 0)
        return;
    w->rank--; /* the innermost axis is the row */
    w->n = w->dim[w->rank];
    for (int op = 0; op < n_ops; op++)
        w->step[op] = w->stride[op][w->rank];
}

void vly_walk_next(vly_walk *w)
{
    for (int i = w->rank - 1; i >= 0; i--) {
        w->pos[i]++;
        for (int op = 0; op < w->n_ops; op++)
            w->off[op] += w->stride[op][i];
        if (w->pos[i] < w->dim[i])
            return;
        w->pos[i] = 0;
        for (int op = 0; op < w->n_ops; op++)
            w->off[op] -= w->stride[op][i] * w->dim[i];
    }
    w->more = false;
}

/* ---- copying ------------------------------------------------------------------------------ */

typedef struct elem16 {
    uint64_t lo, hi;
} elem16;

/* n0 * n1 elements; the inner loop runs over axis 1. */
#define COPY_2D(T)                                                                                 \
    static void copy_2d_##T(T *dst, const T *src, int64_t n0, int64_t d0, int64_t s0, int64_t n1,  \
                            int64_t d1, int64_t s1)                                                \
    {                                                                                              \
        for (int64_t i = 0; i < n0; i++)                                                           \
            for (int64_t j = 0; j < n1; j++)                                                       \
                dst[i * d0 + j * d1] = src[i * s0 + j * s1];                                       \
    }
COPY_2D(uint8_t)
COPY_2D(uint16_t)
COPY_2D(uint32_t)
COPY_2D(uint64_t)
COPY_2D(elem16)

typedef struct plane {
    int64_t n0, d0, s0; /* outer axis: length, strides of destination and source in elements */
    int64_t n1, d1, s1; /* inner axis */
} plane;

static void copy_plane(size_t elem_bytes, void *dst, const void *src, const plane *p)
{
    switch (elem_bytes) {
    case 1:
        copy_2d_uint8_t(dst, src, p->n0, p->d0, p->s0, p->n1, p->d1, p->s1);
        break;
    case 2:
        copy_2d_uint16_t(dst, src, p->n0, p->d0, p->s0, p->n1, p->d1, p->s1);
        break;
    case 4:
        copy_2d_uint32_t(dst, src, p->n0, p->d0, p->s0, p->n1, p->d1, p->s1);
        break;
    case 8:
        copy_2d_uint64_t(dst, src, p->n0, p->d0, p->s0, p->n1, p->d1, p->s1);
        break;
    default:
        VLY_ASSERT(elem_bytes == 16);
        copy_2d_elem16(dst, src, p->n0, p->d0, p->s0, p->n1, p->d1, p->s1);
        break;
    }
}

/* Tiles of TILE x TILE keep the lines that a transposition touches in the cache until they are used
 * up: 32 lines of source and of destination are 4 kB. */
static void copy_tiled(size_t elem_bytes, unsigned char *dst, const unsigned char *src,
                       const plane *p)
{
    enum { TILE = 32 };
    int64_t size = (int64_t)elem_bytes;

    for (int64_t i = 0; i < p->n0; i += TILE) {
        for (int64_t j = 0; j < p->n1; j += TILE) {
            plane t = *p;
            t.n0 = p->n0 - i < TILE ? p->n0 - i : TILE;
            t.n1 = p->n1 - j < TILE ? p->n1 - j : TILE;
            copy_plane(elem_bytes, dst + (i * p->d0 + j * p->d1) * size,
                       src + (i * p->s0 + j * p->s1) * size, &t);
        }
    }
}

/* Takes the outer axis along which the source is contiguous out of the walk, when the row's is not:
 * together they are the planes of a transposition. */
static bool take_plane(vly_walk *w, plane *ret)
{
    int k = 0;

    while (k < w->rank && w->stride[1][k] != 1)
        k++;
    if (w->step[1] == 1 || w->step[1] == 0 || k == w->rank)
        return false;
    *ret = (plane){.n0 = w->dim[k],
                   .d0 = w->stride[0][k],
                   .s0 = 1,
                   .n1 = w->n,
                   .d1 = w->step[0],
                   .s1 = w->step[1]};
    w->rank--;
    for (int i = k; i < w->rank; i++) {
        w->dim[i] = w->dim[i + 1];
        for (int op = 0; op < 2; op++)
            w->stride[op][i] = w->stride[op][i + 1];
    }
    return true;
}

void vly_copy_strided(const vly_shape *shape, size_t elem_bytes, void *dst,
                      const int64_t *dst_strides, const void *src, const int64_t *src_strides)
{
    int64_t strides[2][VLY_RANK_MAX];
    int64_t size = (int64_t)elem_bytes;
    vly_walk w;
    plane p;

    for (int i = 0; i < shape->rank; i++) {
        strides[0][i] = dst_strides[i];
        strides[1][i] = src_strides[i];
    }
    vly_walk_begin(&w, shape, 2, strides);
    bool is_transposition = take_plane(&w, &p);
    bool is_dense = w.n == 1 || (w.step[0] == 1 && w.step[1] == 1);
    plane row = {.n0 = 1, .n1 = w.n, .d1 = w.step[0], .s1 = w.step[1]};
    for (; w.more; vly_walk_next(&w)) {
        unsigned char *to = (unsigned char *)dst + w.off[0] * size;
        const unsigned char *from = (const unsigned char *)src + w.off[1] * size;
        if (is_transposition)
            copy_tiled(elem_bytes, to, from, &p);
        else if (is_dense)
            memcpy(to, from, (size_t)(w.n * size));
        else
            copy_plane(elem_bytes, to, from, &row);
    }
}
