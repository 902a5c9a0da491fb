/* SPDX-License-Identifier: MIT */
#include "tensor/walk.h"

#include "unit.h"

/* Rows and their lengths: what merges, and what does not. */
static void axes_merge(void **state)
{
    int64_t strides[2][VLY_RANK_MAX];
    vly_shape s = VLY_SHAPE(2, 3, 1, 4), row = VLY_SHAPE(4), column = VLY_SHAPE(3, 1, 1);
    vly_walk w;

    (void)state;
    vly_shape_strides(&s, strides[0]);
    vly_shape_strides(&s, strides[1]);
    vly_walk_begin(&w, &s, 2, strides);
    assert_true(w.more && w.n == 24 && w.step[0] == 1 && w.step[1] == 1); /* one row in all */
    vly_walk_next(&w);
    assert_false(w.more);

    vly_shape_broadcast_strides(&row, &s, strides[1]);
    vly_walk_begin(&w, &s, 2, strides);
    for (int i = 0; i < 6; i++, vly_walk_next(&w)) {
        assert_true(w.more && w.n == 4 && w.step[1] == 1);
        assert_int_equal(w.off[0], 4 * i);
        assert_int_equal(w.off[1], 0);
    }
    assert_false(w.more);

    vly_shape_broadcast_strides(&column, &s, strides[1]);
    vly_walk_begin(&w, &s, 2, strides);
    for (int i = 0; i < 6; i++, vly_walk_next(&w)) {
        assert_true(w.more && w.n == 4 && w.step[1] == 0);
        assert_int_equal(w.off[1], i % 3);
    }
    assert_false(w.more);
}

static void scalars_and_empty_shapes(void **state)
{
    int64_t strides[1][VLY_RANK_MAX];
    vly_shape scalar = VLY_SHAPE_SCALAR, empty = VLY_SHAPE(2, 0, 3), ones = VLY_SHAPE(1, 1);
    vly_walk w;

    (void)state;
    vly_walk_begin(&w, &scalar, 1, strides);
    assert_true(w.more && w.n == 1 && w.off[0] == 0);
    vly_walk_next(&w);
    assert_false(w.more);
    vly_shape_strides(&empty, strides[0]);
    vly_walk_begin(&w, &empty, 1, strides);
    assert_false(w.more);
    vly_shape_strides(&ones, strides[0]);
    vly_walk_begin(&w, &ones, 1, strides);
    assert_true(w.more && w.n == 1);
}

/* Every element size, with strides of every sign: reversed, repeated, transposed. */
static void copies(void **state)
{
    static const size_t sizes[] = {1, 2, 4, 8, 16};
    enum { ROWS = 40, COLS = 37 };
    static unsigned char src[ROWS * COLS * 16], dst[ROWS * COLS * 16];
    vly_shape s = VLY_SHAPE(COLS, ROWS);

    (void)state;
    for (size_t i = 0; i < sizeof(src); i++)
        src[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        const int64_t patterns[3][2] = {{1, COLS}, {1, 0}, {-1, COLS}};
        for (int p = 0; p < 3; p++) {
            int64_t first = p == 2 ? COLS - 1 : 0, to[2] = {ROWS, 1};
            vly_copy_strided(&s, sizes[k], dst, to, src + (size_t)first * sizes[k], patterns[p]);
            for (int64_t i = 0; i < COLS; i++) {
                for (int64_t j = 0; j < ROWS; j++) {
                    int64_t from = first + i * patterns[p][0] + j * patterns[p][1];
                    assert_memory_equal(dst + (size_t)(i * ROWS + j) * sizes[k],
                                        src + (size_t)from * sizes[k], sizes[k]);
                }
            }
        }
    }
}

UNIT_TESTS(cmocka_unit_test(axes_merge), cmocka_unit_test(scalars_and_empty_shapes),
           cmocka_unit_test(copies))
