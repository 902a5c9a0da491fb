/* SPDX-License-Identifier: MIT */
/* Loading, describing and running models; what a bad model is told. */
#include "engine/model.h"

#include "base/assert.h"
#include "base/mem.h"
#include "support/onnx_builder.h"
#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static vly_model *load_ok(onnx_builder *b)
{
    vly_model *m = NULL;
    vly_err err = VLY_ERR_INIT;
    vly_str file = ob_finish(b, 17);
    if (vly_model_load_bytes(file.ptr, file.len, NULL, &m, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return m;
}

static void expect_error(onnx_builder *b, vly_status want, const char *text)
{
    vly_model *m = NULL;
    vly_err err = VLY_ERR_INIT;
    vly_str file = ob_finish(b, 17);
    assert_int_equal(vly_model_load_bytes(file.ptr, file.len, NULL, &m, &err), want);
    assert_null(m);
    if (strstr(err.msg, text) == NULL)
        fail_msg("expected '%s' in '%s'", text, err.msg);
    ob_release(b);
}

static void chain(onnx_builder *b)
{
    ob_init(b);
    ob_input(b, "x", OB_FLOAT, 2, (int64_t[]){-1, 3});
    ob_output(b, "y", OB_FLOAT, 2, (int64_t[]){-1, 3});
    ob_node(b, "Dropout", "x", "a");
    ob_node(b, "Identity", "a", "v");
    ob_node(b, "Dropout", "v", "c");
    ob_node(b, "Dropout", "c", "y");
}

static void test_describe(void **state)
{
    (void)state;
    onnx_builder b;
    chain(&b);
    ob_prop(&b, "task", "detect");
    vly_model *m = load_ok(&b);
    const vly_model_info *info = vly_model_describe(m);

    assert_int_equal(info->n_inputs, 1);
    assert_string_equal(info->inputs[0].name, "x");
    assert_int_equal(info->inputs[0].dtype, VLY_DTYPE_F32);
    assert_int_equal(info->inputs[0].shape.rank, 2);
    assert_int_equal(info->inputs[0].shape.dim[0], VLY_DIM_UNKNOWN);
    assert_string_equal(info->inputs[0].dim_names[0], "N");
    assert_int_equal(info->inputs[0].shape.dim[1], 3);
    assert_string_equal(info->outputs[0].name, "y");
    assert_int_equal(info->n_properties, 1);
    assert_true(vly_str_is(info->properties[0].value, "detect"));
    assert_int_equal(info->opset, 17);
    vly_model_unref(m);
    ob_release(&b);
}

/* Every batch size gets its own plan; steps in place and views must not disturb each other. */
static void test_run_batches(void **state)
{
    (void)state;
    onnx_builder b;
    float x[30];
    vly_err err;
    vly_instance *inst;
    chain(&b);
    vly_model *m = load_ok(&b);

    for (size_t i = 0; i < 30; i++)
        x[i] = (float)i - 7.5f;
    assert_int_equal(vly_instance_new(m, NULL, &inst, &err), VLY_OK);
    for (int64_t n = 10; n >= 0; n--) {
        vly_tensor in = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(n, 3), x), out;
        assert_int_equal(vly_instance_run(inst, &in, &out, &err), VLY_OK);
        assert_int_equal(out.shape.dim[0], n);
        assert_memory_equal(out.data, x, (size_t)n * 3 * sizeof(float));
        vly_tensor_release(&out);
    }
    vly_instance_free(inst);
    vly_model_unref(m);
    ob_release(&b);
}

static void test_steady_state_allocates_nothing(void **state)
{
    (void)state;
    onnx_builder b;
    float x[6] = {1, 2, 3, 4, 5, 6};
    vly_err err;
    vly_instance *inst;
    vly_tensor in = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(2, 3), x), out;
    uint64_t before = 0;
    chain(&b);
    vly_model *m = load_ok(&b);

    assert_int_equal(vly_instance_new(m, NULL, &inst, &err), VLY_OK);
    for (int i = 0; i < 10; i++) {
        if (i == 1)
            before = vly_mem_count_all();
        assert_int_equal(vly_instance_run(inst, &in, &out, &err), VLY_OK);
        vly_tensor_release(&out);
    }
    assert_int_equal(vly_mem_count_all(), before);
    vly_instance_free(inst);
    vly_model_unref(m);
    ob_release(&b);
}

/* A profiled run answers as any other, and its steps take no longer than the call. */
static void test_profile(void **state)
{
    (void)state;
    enum { STEPS_MAX = 8 };
    onnx_builder b;
    float x[6] = {1, 2, 3, 4, 5, 6}, w[12] = {1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1};
    const float want[8] = {1, 2, 3, 6, 4, 5, 6, 15};
    vly_err err;
    vly_instance *inst;
    vly_plan_summary plan;
    vly_step_profile steps[STEPS_MAX];
    vly_tensor in = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(2, 3), x), out;
    uint64_t flops = 0;
    vly_nsec spent = 0;
    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 2, (int64_t[]){2, 3});
    ob_output(&b, "y", OB_FLOAT, 2, (int64_t[]){2, 4});
    ob_floats(&b, "w", 2, (int64_t[]){3, 4}, w);
    ob_node(&b, "MatMul", "x,w", "a");
    ob_node(&b, "Relu", "a", "y");
    vly_model *m = load_ok(&b);

    assert_int_equal(vly_instance_new(m, NULL, &inst, &err), VLY_OK);
    assert_int_equal(vly_instance_plan(inst, NULL, &plan, &err), VLY_OK);
    assert_in_range(plan.n_steps, 1, STEPS_MAX);
    vly_nsec start = vly_clock_now();
    assert_int_equal(vly_instance_profile(inst, &in, &out, steps, &err), VLY_OK);
    vly_nsec wall = vly_clock_now() - start;
    assert_memory_equal(out.data, want, sizeof(want));
    for (size_t s = 0; s < plan.n_steps; s++) {
        assert_non_null(steps[s].kernel);
        assert_non_null(steps[s].node);
        assert_int_equal(steps[s].precision, VLY_DTYPE_F32);
        assert_in_range(steps[s].shape.rank, 2, 4); /* 4: an image [1, 1, 2, 4] */
        assert_int_equal(steps[s].shape.dim[steps[s].shape.rank - 2], 2);
        assert_int_equal(steps[s].shape.dim[steps[s].shape.rank - 1], 4);
        flops += steps[s].flops;
        spent += steps[s].ns;
    }
    assert_int_equal(flops, 2 * 2 * 3 * 4);
    assert_int_equal(flops, plan.flops);
    assert_in_range(spent, 1, wall);
    vly_tensor_release(&out);
    vly_instance_free(inst);
    vly_model_unref(m);
    ob_release(&b);
}

/* An output that the caller keeps is not overwritten by the next run. */
static void test_kept_output(void **state)
{
    (void)state;
    onnx_builder b;
    float x[3] = {1, 2, 3}, z[3] = {7, 8, 9};
    vly_err err;
    vly_instance *inst;
    vly_tensor first, second;
    vly_tensor in = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(1, 3), x);
    chain(&b);
    vly_model *m = load_ok(&b);

    assert_int_equal(vly_instance_new(m, NULL, &inst, &err), VLY_OK);
    assert_int_equal(vly_instance_run(inst, &in, &first, &err), VLY_OK);
    in.data = z;
    assert_int_equal(vly_instance_run(inst, &in, &second, &err), VLY_OK);
    assert_memory_equal(first.data, x, sizeof(x));
    assert_memory_equal(second.data, z, sizeof(z));
    vly_tensor_release(&first);
    vly_tensor_release(&second);
    vly_instance_free(inst);
    vly_model_unref(m);
    ob_release(&b);
}

/* Inputs, constants and second names of a tensor may be outputs; so may views of them. */
static void test_odd_outputs(void **state)
{
    (void)state;
    onnx_builder b;
    float x[2] = {3, 4}, w[2] = {5, 6};
    vly_err err;
    vly_instance *inst;
    vly_tensor out[5];
    vly_tensor in = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(2), x);
    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 1, (int64_t[]){2});
    ob_floats(&b, "w", 1, (int64_t[]){2}, w);
    ob_output(&b, "x", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&b, "w", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&b, "vx", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&b, "d", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&b, "vd", OB_FLOAT, 1, (int64_t[]){2});
    ob_node(&b, "Identity", "x", "vx");
    ob_node(&b, "Dropout", "vx", "d");
    ob_node(&b, "Identity", "d", "vd");
    vly_model *m = load_ok(&b);

    assert_int_equal(vly_instance_new(m, NULL, &inst, &err), VLY_OK);
    assert_int_equal(vly_instance_run(inst, &in, out, &err), VLY_OK);
    for (int i = 0; i < 5; i++) {
        assert_memory_equal(out[i].data, i == 1 ? w : x, sizeof(x));
        assert_ptr_not_equal(out[i].data, x);
        vly_tensor_release(&out[i]);
    }
    vly_instance_free(inst);
    vly_model_unref(m);
    ob_release(&b);
}

static void test_input_checks(void **state)
{
    (void)state;
    onnx_builder b;
    float x[6] = {0};
    vly_err err;
    vly_instance *inst;
    vly_tensor out = {0};
    vly_tensor bad_rank = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(6), x);
    vly_tensor bad_dim = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(3, 2), x);
    vly_tensor bad_dtype = vly_tensor_borrow(VLY_DTYPE_I32, &VLY_SHAPE(2, 3), x);
    chain(&b);
    vly_model *m = load_ok(&b);

    assert_int_equal(vly_instance_new(m, NULL, &inst, &err), VLY_OK);
    assert_int_equal(vly_instance_run(inst, &bad_rank, &out, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "input 'x': expected shape [?,3], got [6]");
    assert_int_equal(vly_instance_run(inst, &bad_dim, &out, &err), VLY_EINVAL);
    assert_int_equal(vly_instance_run(inst, &bad_dtype, &out, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "input 'x': expected float32, got int32");
    assert_null(out.data);
    vly_instance_free(inst);
    vly_model_unref(m);
    ob_release(&b);
}

/* Inputs, constants, arena and outputs are all bounded: a tiny file cannot ask for much. */
static void test_memory_limit(void **state)
{
    (void)state;
    vly_model_options options = {.max_file_bytes = 4096, .max_memory_bytes = 1 << 20};
    onnx_builder b;
    vly_model *m = NULL;
    vly_instance *inst = NULL;
    vly_plan_summary plan;
    vly_err err;
    chain(&b);
    vly_str file = ob_finish(&b, 17);

    assert_int_equal(vly_model_load_bytes(file.ptr, file.len, &options, &m, &err), VLY_OK);
    assert_int_equal(vly_instance_new(m, NULL, &inst, &err), VLY_OK);
    assert_int_equal(vly_instance_plan(inst, &VLY_SHAPE(1000, 3), &plan, &err), VLY_OK);
    assert_int_equal(vly_instance_plan(inst, &VLY_SHAPE(100000, 3), &plan, &err), VLY_ELIMIT);
    assert_int_equal(vly_instance_plan(inst, &VLY_SHAPE(INT64_MAX / 3, 3), &plan, &err),
                     VLY_ELIMIT);
    vly_instance_free(inst);
    vly_model_unref(m);
    ob_release(&b);
}

static void test_missing_ops(void **state)
{
    (void)state;
    onnx_builder b;
    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&b, "y", OB_FLOAT, 1, (int64_t[]){2});
    ob_node(&b, "Frobnicate", "x", "a");
    ob_node(&b, "Frobnicate", "a", "b");
    ob_node(&b, "Grok", "b", "y");
    ob_node_domain(&b, "com.example");
    expect_error(&b, VLY_EUNSUPPORTED, "unsupported operators: Frobnicate, com.example.Grok");
}

static void test_bad_graphs(void **state)
{
    (void)state;
    onnx_builder b;

    ob_init(&b);
    ob_output(&b, "y", OB_FLOAT, 1, (int64_t[]){2});
    ob_node(&b, "Identity", "nowhere", "y");
    expect_error(&b, VLY_EFORMAT,
                 "node 'y' (Identity): input 'nowhere' is not defined by any earlier node");

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&b, "y", OB_FLOAT, 1, (int64_t[]){2});
    ob_node(&b, "Identity", "x", "y");
    ob_node(&b, "Identity", "x", "y");
    expect_error(&b, VLY_EFORMAT, "value 'y' is defined twice");

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&b, "y", OB_FLOAT, 1, (int64_t[]){2});
    expect_error(&b, VLY_EFORMAT, "output 'y' is not defined by any node");

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&b, "y", OB_FLOAT, 1, (int64_t[]){2});
    ob_node(&b, "Identity", "x,x", "y");
    expect_error(&b, VLY_EFORMAT, "node 'y' (Identity): expected 1 to 1 inputs, got 2");

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 1, (int64_t[]){2});
    expect_error(&b, VLY_EFORMAT, "has no outputs");
}

/* A model may be loaded, compiled and run with every single allocation failing in turn. */
static void test_out_of_memory(void **state)
{
    (void)state;
    onnx_builder b;
    float x[3] = {1, 2, 3};
    vly_tensor in = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(1, 3), x);
    bool done = false;
    int64_t n = 0;
    chain(&b);
    vly_str file = ob_finish(&b, 17);

    for (; !done; n++) {
        vly_model *m = NULL;
        vly_instance *inst = NULL;
        vly_tensor out = {0};
        vly_err err = VLY_ERR_INIT;
        vly_mem_fail_after(n);
        vly_status st = vly_model_load_bytes(file.ptr, file.len, NULL, &m, &err);
        if (st == VLY_OK)
            st = vly_instance_new(m, NULL, &inst, &err);
        if (st == VLY_OK)
            st = vly_instance_run(inst, &in, &out, &err);
        vly_mem_fail_after(-1);
        done = st == VLY_OK;
        if (!done)
            assert_true(st == VLY_ENOMEM || st == VLY_ELIMIT);
        vly_tensor_release(&out);
        vly_instance_free(inst);
        vly_model_unref(m);
    }
    assert_in_range(n, 10, 1000);
    ob_release(&b);
}

enum { N_THREADS = 4, N_RUNS = 50 };

typedef struct job {
    vly_model *model;
    const char *fault; /* NULL: every answer was right */
} job;

/* Runs an instance of its own with every batch size. */
static void *run_many(void *arg)
{
    job *j = arg;
    float x[24];
    vly_instance *inst = NULL;

    for (size_t i = 0; i < VLY_COUNT(x); i++)
        x[i] = (float)i;
    if (vly_instance_new(j->model, NULL, &inst, NULL) != VLY_OK)
        j->fault = "no instance";
    for (int r = 0; r < N_RUNS && j->fault == NULL; r++) {
        vly_tensor out = {0};
        vly_tensor in = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(1 + r % 8, 3), x);
        if (vly_instance_run(inst, &in, &out, NULL) != VLY_OK)
            j->fault = "run failed";
        else if (memcmp(out.data, x, out.bytes) != 0)
            j->fault = "wrong values";
        vly_tensor_release(&out);
    }
    vly_instance_free(inst);
    return NULL;
}

/* One model, an instance per thread: plans are compiled and shared while others run. */
static void test_threads(void **state)
{
    (void)state;
    onnx_builder b;
    pthread_t threads[N_THREADS];
    job jobs[N_THREADS];
    chain(&b);
    vly_model *m = load_ok(&b);

    for (int i = 0; i < N_THREADS; i++) {
        jobs[i] = (job){m, NULL};
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, &jobs[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_null(jobs[i].fault);
    }
    vly_model_unref(m);
    ob_release(&b);
}

static void test_precision(void **state)
{
    (void)state;
    vly_model_options o = VLY_MODEL_OPTIONS_DEFAULT;
    vly_model *m;
    vly_err err;
    onnx_builder b;

    assert_int_equal(o.precision, VLY_PRECISION_FP32);
    assert_int_equal(vly_precision_parse(vly_str_from("bf16:a,nobody"), &o, &err), VLY_OK);
    assert_int_equal(o.precision, VLY_PRECISION_BF16);
    assert_true(vly_str_is(o.fp32_nodes, "a,nobody"));
    assert_int_equal(vly_precision_parse(vly_str_from("half"), &o, &err), VLY_EINVAL);
    assert_non_null(strstr(err.msg, "'half'"));
    chain(&b);
    vly_str file = ob_finish(&b, 17);
    o.fp32_nodes = vly_str_from("nobody");
    assert_int_equal(vly_model_load_bytes(file.ptr, file.len, &o, &m, &err), VLY_EINVAL);
    assert_non_null(strstr(err.msg, "no node 'nobody'"));
    ob_release(&b);
}

static void note_path(void *ctx, const char *path)
{
    vly_buf_printf(ctx, "%s;", path);
}

/* Every file that is opened is told, once, also the one that is not there. */
static void test_external_data(void **state)
{
    (void)state;
    char root[TEMP_DIR_PATH_MAX], path[TEMP_DIR_PATH_MAX + 16], want[4 * TEMP_DIR_PATH_MAX];
    const float k[] = {1, 2, 3};
    onnx_builder b;
    vly_buf told;
    vly_model *m = NULL;

    assert_true(temp_dir_make(root));
    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 1, (int64_t[]){3});
    ob_output(&b, "y", OB_FLOAT, 1, (int64_t[]){3});
    ob_external(&b, "k", OB_FLOAT, 1, (int64_t[]){3}, "k.bin");
    ob_external(&b, "l", OB_FLOAT, 1, (int64_t[]){3}, "deep/l.bin");
    ob_external(&b, "l2", OB_FLOAT, 1, (int64_t[]){2}, "deep/l.bin");
    ob_node(&b, "Add", "x,k", "a");
    ob_node(&b, "Add", "a,l", "y");
    vly_str file = ob_finish(&b, 17);
    snprintf(path, sizeof(path), "%s/k.bin", root);
    assert_int_equal(vly_file_write(path, k, sizeof(k), NULL), VLY_OK);
    snprintf(path, sizeof(path), "%s/m.onnx", root);
    assert_int_equal(vly_file_write(path, file.ptr, file.len, NULL), VLY_OK);

    vly_buf_init(&told, VLY_MEM_BASE, 4096);
    vly_model_options options = VLY_MODEL_OPTIONS_DEFAULT;
    options.on_external = note_path;
    options.ctx = &told;
    assert_int_equal(vly_model_load(path, &options, &m, NULL), VLY_ENOTFOUND);
    snprintf(want, sizeof(want), "%s/k.bin;%s/deep/l.bin;", root, root);
    assert_true(vly_str_is(vly_buf_str(&told), want));

    snprintf(path, sizeof(path), "%s/deep", root);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/deep/l.bin", root);
    assert_int_equal(vly_file_write(path, k, sizeof(k), NULL), VLY_OK);
    snprintf(path, sizeof(path), "%s/m.onnx", root);
    vly_buf_clear(&told);
    assert_int_equal(vly_model_load(path, &options, &m, NULL), VLY_OK);
    assert_true(vly_str_is(vly_buf_str(&told), want));
    const vly_model_info *info = vly_model_describe(m);
    assert_int_equal(info->n_files, 3);
    assert_int_equal(info->files[0].name.len, 0);
    assert_true(vly_str_eq(info->files[0].bytes, file));
    assert_true(vly_str_is(info->files[1].name, "k.bin"));
    assert_true(vly_str_is(info->files[2].name, "deep/l.bin"));
    assert_true(vly_str_eq(info->files[2].bytes, (vly_str){(const char *)k, sizeof(k)}));
    vly_model_unref(m);
    vly_buf_release(&told);
    ob_release(&b);
    assert_true(temp_dir_remove(root));
}

UNIT_TESTS(cmocka_unit_test(test_describe), cmocka_unit_test(test_precision),
           cmocka_unit_test(test_run_batches),
           cmocka_unit_test(test_steady_state_allocates_nothing), cmocka_unit_test(test_profile),
           cmocka_unit_test(test_kept_output), cmocka_unit_test(test_odd_outputs),
           cmocka_unit_test(test_input_checks), cmocka_unit_test(test_memory_limit),
           cmocka_unit_test(test_missing_ops), cmocka_unit_test(test_bad_graphs),
           cmocka_unit_test(test_external_data), cmocka_unit_test(test_out_of_memory),
           cmocka_unit_test(test_threads))
