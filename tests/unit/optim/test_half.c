/* SPDX-License-Identifier: MIT */
/* Weights in 16 bits: which, and with what bits. */
#include "optim/half.h"
#include "optim/net.h"
#include "unit.h"

#include <string.h>

/* 64 weights of 1 + 1/256, which both types round to 1 + 2^-10 * k: float16 keeps 10 bits of the
 * fraction (0x3c04), bfloat16 7 (0x3f80, to even). c is read as weights and as a summand. */
static vly_str net(onnx_builder *b, float first)
{
    float w[64];

    for (int i = 0; i < 64; i++)
        w[i] = 1.00390625f;
    w[0] = first;
    ob_init(b);
    ob_input(b, "x", OB_FLOAT, 2, (int64_t[]){1, 8});
    ob_output(b, "y", OB_FLOAT, 2, (int64_t[]){8, 8});
    ob_floats(b, "w", 2, (int64_t[]){8, 8}, w);
    ob_floats(b, "small", 2, (int64_t[]){8, 2}, w);
    ob_floats(b, "c", 2, (int64_t[]){8, 8}, w);
    ob_node(b, "MatMul", "x,w", "a");
    ob_node(b, "MatMul", "a,small", "unused");
    ob_node(b, "MatMul", "a,c", "d");
    ob_node(b, "Add", "d,c", "y");
    return ob_finish(b, 11);
}

static vly_status halve(vly_str file, vly_dtype type, vly_buf *out, vly_edit *e, size_t *ret_n)
{
    vly_err err = VLY_ERR_INIT;

    if (vly_edit_open(e, file.ptr, file.len, NULL, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    vly_status st = vly_optim_halve(e, type, ret_n, &err);
    if (st == VLY_OK && vly_edit_write(e, out, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return st;
}

static void check(vly_dtype type, const char *name, uint16_t want, int64_t opset)
{
    onnx_builder b;
    vly_edit e;
    vly_buf out;
    net_samples samples;
    vly_tensor before = {0}, after = {0};
    size_t n = 0;
    vly_str file = net(&b, 0.5f);
    uint16_t bits[64];

    vly_buf_init(&out, VLY_MEM_MODEL, 1 << 20);
    assert_int_equal(halve(file, type, &out, &e, &n), VLY_OK);
    assert_int_equal(n, 1); /* not c, which Add reads too, nor the small one */
    const vly_onnx_tensor *t = vly_edit_tensor(&e, vly_str_from(name));
    assert_non_null(t);
    assert_int_equal(t->n_bytes, sizeof(bits));
    memcpy(bits, t->data, sizeof(bits));
    assert_int_equal(bits[63], want);
    assert_int_equal(e.model.opset, opset);
    assert_int_equal(net_count(vly_buf_str(&out), "Cast"), 1);
    net_samples_init(&samples, 1, VLY_SHAPE(1, 8), 0, 1);
    net_run(file, &samples, 0, &before);
    net_run(vly_buf_str(&out), &samples, 0, &after);
    assert_true(net_snr(&before, &after) > 40);
    vly_tensor_release(&before);
    vly_tensor_release(&after);
    vly_edit_close(&e);
    vly_buf_release(&out);
    ob_release(&b);
}

static void float16(void **state)
{
    (void)state;
    check(VLY_DTYPE_F16, "w_float16", 0x3c04, 11);
}

static void bfloat16(void **state)
{
    (void)state;
    check(VLY_DTYPE_BF16, "w_bfloat16", 0x3f80, 13); /* whose Cast knows bfloat16 */
}

/* 70000 is more than a float16 holds, so the tensor stays; then there is nothing to do. */
static void out_of_range(void **state)
{
    onnx_builder b;
    vly_edit e;
    vly_buf out;
    size_t n = 7;

    (void)state;
    vly_str file = net(&b, 70000);
    vly_buf_init(&out, VLY_MEM_MODEL, 1 << 20);
    assert_int_equal(halve(file, VLY_DTYPE_F16, &out, &e, &n), VLY_EUNSUPPORTED);
    assert_int_equal(n, 7);
    vly_edit_close(&e);
    assert_int_equal(halve(file, VLY_DTYPE_BF16, &out, &e, &n), VLY_OK);
    vly_edit_close(&e);
    vly_buf_release(&out);
    ob_release(&b);
}

UNIT_TESTS(cmocka_unit_test(float16), cmocka_unit_test(bfloat16), cmocka_unit_test(out_of_range))
