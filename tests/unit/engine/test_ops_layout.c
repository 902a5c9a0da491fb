/* SPDX-License-Identifier: MIT */
/*
 * Data movement and broadcasting on many shapes, against loops over whole coordinates: the engine
 * merges axes and copies runs, this does neither.
 */
#include "engine/op_case.h"

#include "unit.h"

#include <math.h>

enum { ELEMS_MAX = 4096 };

/* Deterministic, the same on every machine. */
static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

static vly_shape random_shape(uint32_t *seed, int rank)
{
    vly_shape s = {.rank = rank};
    for (int i = 0; i < rank; i++)
        s.dim[i] = 1 + next(seed) % 4;
    return s;
}

static int64_t count(const vly_shape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->rank; i++)
        n *= s->dim[i];
    return n;
}

static void coordinates(const vly_shape *s, int64_t idx, int64_t *pos)
{
    for (int i = s->rank - 1; i >= 0; i--) {
        pos[i] = idx % s->dim[i];
        idx /= s->dim[i];
    }
}

/* Index in s of the last axes of pos (rank `rank`); axes of size 1 repeat. */
static int64_t index_of(const vly_shape *s, const int64_t *pos, int rank)
{
    int64_t idx = 0;
    for (int i = 0; i < s->rank; i++)
        idx = idx * s->dim[i] + (s->dim[i] == 1 ? 0 : pos[rank - s->rank + i]);
    return idx;
}

static void transpositions(void **state)
{
    static float x[ELEMS_MAX];
    uint32_t seed = 1;

    (void)state;
    for (int i = 0; i < ELEMS_MAX; i++)
        x[i] = (float)i;
    for (int round = 0; round < 300; round++) {
        int64_t perm[VLY_RANK_MAX], pos[VLY_RANK_MAX], from[VLY_RANK_MAX];
        vly_shape s = random_shape(&seed, 1 + round % 6);
        op_case c;
        for (int i = 0; i < s.rank; i++)
            perm[i] = i;
        for (int i = s.rank - 1; i > 0; i--) {
            int k = (int)(next(&seed) % (uint32_t)(i + 1));
            int64_t t = perm[i];
            perm[i] = perm[k];
            perm[k] = t;
        }
        oc_init(&c, "Transpose", 13);
        oc_ints(&c, "perm", (size_t)s.rank, perm);
        oc_in(&c, VLY_DTYPE_F32, s, x);
        assert_int_equal(oc_run(&c, 1), VLY_OK);
        const float *y = c.out[0].data;
        for (int64_t i = 0; i < count(&s); i++) {
            coordinates(&c.out[0].shape, i, pos);
            for (int k = 0; k < s.rank; k++)
                from[perm[k]] = pos[k];
            assert_true(y[i] == x[index_of(&s, from, s.rank)]);
        }
        oc_free(&c);
    }
}

/* Large enough for several tiles, ragged at both ends. */
static void large_transposition(void **state)
{
    enum { A = 3, B = 71, C = 101 };
    static uint16_t x[A * B * C];
    op_case c;

    (void)state;
    for (int i = 0; i < A * B * C; i++)
        x[i] = (uint16_t)i;
    oc_init(&c, "Transpose", 13);
    oc_ints(&c, "perm", 3, (int64_t[]){0, 2, 1});
    oc_in(&c, VLY_DTYPE_U16, VLY_SHAPE(A, B, C), x);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    const uint16_t *y = c.out[0].data;
    for (int a = 0; a < A; a++)
        for (int b = 0; b < B; b++)
            for (int k = 0; k < C; k++)
                assert_int_equal(y[(a * C + k) * B + b], x[(a * B + b) * C + k]);
    oc_free(&c);
}

static void broadcasts(void **state)
{
    static float x[ELEMS_MAX], y[ELEMS_MAX];
    static uint8_t cond[ELEMS_MAX];
    uint32_t seed = 2;

    (void)state;
    for (int i = 0; i < ELEMS_MAX; i++) {
        x[i] = (float)(next(&seed) % 1000);
        y[i] = (float)(next(&seed) % 1000);
        cond[i] = next(&seed) & 1;
    }
    for (int round = 0; round < 300; round++) {
        vly_shape out = random_shape(&seed, 1 + round % 6), s[3];
        int64_t pos[VLY_RANK_MAX];
        op_case sub, where;
        for (int k = 0; k < 3; k++) { /* some leading axes missing, some axes of size 1 */
            int skip = (int)(next(&seed) % (uint32_t)(out.rank + 1));
            s[k].rank = out.rank - skip;
            for (int i = 0; i < s[k].rank; i++)
                s[k].dim[i] = next(&seed) % 3 == 0 ? 1 : out.dim[skip + i];
        }
        oc_init(&sub, "Sub", 14);
        oc_in(&sub, VLY_DTYPE_F32, s[0], x);
        oc_in(&sub, VLY_DTYPE_F32, s[1], y);
        assert_int_equal(oc_run(&sub, 1), VLY_OK);
        const vly_tensor *t = &sub.out[0];
        for (int64_t i = 0; i < count(&t->shape); i++) {
            coordinates(&t->shape, i, pos);
            assert_true(((const float *)t->data)[i] == x[index_of(&s[0], pos, t->shape.rank)] -
                                                           y[index_of(&s[1], pos, t->shape.rank)]);
        }
        oc_init(&where, "Where", 16);
        oc_in(&where, VLY_DTYPE_BOOL, s[2], cond);
        oc_in(&where, VLY_DTYPE_F32, s[0], x);
        oc_in(&where, VLY_DTYPE_F32, s[1], y);
        assert_int_equal(oc_run(&where, 1), VLY_OK);
        t = &where.out[0];
        for (int64_t i = 0; i < count(&t->shape); i++) {
            coordinates(&t->shape, i, pos);
            float want = cond[index_of(&s[2], pos, t->shape.rank)] != 0
                             ? x[index_of(&s[0], pos, t->shape.rank)]
                             : y[index_of(&s[1], pos, t->shape.rank)];
            assert_true(((const float *)t->data)[i] == want);
        }
        oc_free(&sub);
        oc_free(&where);
    }
}

static void tiles(void **state)
{
    static uint8_t x[ELEMS_MAX];
    uint32_t seed = 3;

    (void)state;
    for (int i = 0; i < ELEMS_MAX; i++)
        x[i] = (uint8_t)i;
    for (int round = 0; round < 200; round++) {
        vly_shape s = random_shape(&seed, 1 + round % 4);
        int64_t repeats[VLY_RANK_MAX], pos[VLY_RANK_MAX];
        op_case c;
        for (int i = 0; i < s.rank; i++)
            repeats[i] = next(&seed) % 4;
        oc_init(&c, "Tile", 13);
        oc_in(&c, VLY_DTYPE_U8, s, x);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(s.rank), repeats);
        assert_int_equal(oc_run(&c, 1), VLY_OK);
        for (int64_t i = 0; i < count(&c.out[0].shape); i++) {
            coordinates(&c.out[0].shape, i, pos);
            for (int k = 0; k < s.rank; k++)
                pos[k] %= s.dim[k];
            assert_int_equal(((const uint8_t *)c.out[0].data)[i], x[index_of(&s, pos, s.rank)]);
        }
        oc_free(&c);
    }
}

static void reductions(void **state)
{
    static float x[ELEMS_MAX];
    uint32_t seed = 4;

    (void)state;
    for (int i = 0; i < ELEMS_MAX; i++)
        x[i] = (float)(next(&seed) % 64) - 32.0F; /* sums of squares stay exact in float */
    for (int round = 0; round < 300; round++) {
        static double want[ELEMS_MAX];
        vly_shape s = random_shape(&seed, 1 + round % 5), kept = s;
        int64_t axes[VLY_RANK_MAX], pos[VLY_RANK_MAX];
        size_t n_axes = 0;
        op_case c;
        for (int i = 0; i < s.rank; i++) {
            if (next(&seed) % 2 == 0 && !(i == s.rank - 1 && n_axes == 0))
                continue;
            axes[n_axes++] = i;
            kept.dim[i] = 1;
        }
        memset(want, 0, sizeof(want));
        for (int64_t i = 0; i < count(&s); i++) {
            coordinates(&s, i, pos);
            want[index_of(&kept, pos, s.rank)] += (double)x[i] * (double)x[i];
        }
        oc_init(&c, "ReduceSumSquare", 18);
        oc_in(&c, VLY_DTYPE_F32, s, x);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE((int64_t)n_axes), axes);
        assert_int_equal(oc_run(&c, 1), VLY_OK);
        assert_true(vly_shape_eq(&c.out[0].shape, &kept));
        for (int64_t i = 0; i < count(&kept); i++)
            assert_true((double)((const float *)c.out[0].data)[i] == want[i]);
        oc_free(&c);
    }
}

/* Adding a million times 0.1 to one float would be off by 1 %. */
static void long_sums_stay_accurate(void **state)
{
    enum { N = 1 << 20 };
    static float x[N];
    op_case c;

    (void)state;
    for (int i = 0; i < N; i++)
        x[i] = 0.1F;
    oc_init(&c, "ReduceMean", 18);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(N), x);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    assert_true(fabs(vly_tensor_get_f64(&c.out[0], 0) - (double)0.1F) < 2e-7);
    oc_free(&c);
}

UNIT_TESTS(cmocka_unit_test(transpositions), cmocka_unit_test(large_transposition),
           cmocka_unit_test(broadcasts), cmocka_unit_test(tiles), cmocka_unit_test(reductions),
           cmocka_unit_test(long_sums_stay_accurate))
