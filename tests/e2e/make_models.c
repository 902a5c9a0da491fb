/* SPDX-License-Identifier: MIT */
/*
 * make_models DIR: the models that the end-to-end tests serve, in Triton's layout and as plain
 * files.
 *
 *   simple           INPUT0 + INPUT1, INPUT0 - INPUT1, int32 [N, 16], as in Triton's examples
 *   simple_identity  OUTPUT0 = INPUT0, strings [N, M]
 *   slow             a chain of products: some tens of milliseconds
 *   colour.onnx      a classifier of pictures: the mean of each channel; red, green, blue
 *   half             y = x, float16 [N, 2]
 *   walk.onnx        a classifier of windows of three sensor channels: two Conv, one Gemm
 *   broken.onnx      not a model
 *
 * make_models DIR composed: models that keep state and models made of models.
 *
 *   total            SUM = X + what X was before in this sequence, float [N, 1]; by name or number
 *   plus, twice      y = x + 1, y = x * 2, float [N, 2]
 *   vote             built-in step: (3 a + b) / 4
 *   both             ensemble: vote(plus(IN), twice(IN)) as OUT, twice(IN) as TWICE
 *   orphan           ensemble of a model that is not there
 *
 * make_models DIR arms: models to choose from.
 *
 *   rows8, rows4     y = row x of a table with so many, int64 [N]; there are no rows beyond
 *   short            one product, of the chain of slow
 */
#include "support/onnx_builder.h"
#include "sys/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SLOW_SIZE  ((size_t)512)
#define SLOW_NODES 6

static const char *root;

static void fail(const char *what)
{
    fprintf(stderr, "make_models: %s\n", what);
    exit(1);
}

static void write_file(const char *file, vly_str bytes)
{
    char path[512];
    vly_err err;

    snprintf(path, sizeof(path), "%s/%s", root, file);
    if (vly_file_write(path, bytes.ptr, bytes.len, &err) != VLY_OK)
        fail(err.msg);
}

static void make_dir(const char *dir)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", root, dir);
    if (mkdir(path, 0777) != 0)
        fail(path);
}

/* NAME/config.pbtxt and NAME/1/model.onnx */
static void finish(onnx_builder *b, const char *name, const char *config)
{
    char path[256];

    make_dir(name);
    snprintf(path, sizeof(path), "%s/1", name);
    make_dir(path);
    snprintf(path, sizeof(path), "%s/1/model.onnx", name);
    write_file(path, ob_finish(b, 17));
    ob_release(b);
    if (config != NULL) {
        snprintf(path, sizeof(path), "%s/config.pbtxt", name);
        write_file(path, vly_str_from(config));
    }
}

static void make_simple(void)
{
    const int64_t dims[] = {-1, 16};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "INPUT0", OB_INT32, 2, dims);
    ob_input(&b, "INPUT1", OB_INT32, 2, dims);
    ob_output(&b, "OUTPUT0", OB_INT32, 2, dims);
    ob_output(&b, "OUTPUT1", OB_INT32, 2, dims);
    ob_node(&b, "Add", "INPUT0,INPUT1", "OUTPUT0");
    ob_node(&b, "Sub", "INPUT0,INPUT1", "OUTPUT1");
    finish(&b, "simple", "max_batch_size: 8\n");
}

static void make_simple_identity(void)
{
    const int64_t dims[] = {-1, -1};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "INPUT0", OB_STRING, 2, dims);
    ob_output(&b, "OUTPUT0", OB_STRING, 2, dims);
    ob_node(&b, "Identity", "INPUT0", "OUTPUT0");
    finish(&b, "simple_identity", "max_batch_size: 8\n");
}

static void make_half(void)
{
    const int64_t dims[] = {-1, 2};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT16, 2, dims);
    ob_output(&b, "y", OB_FLOAT16, 2, dims);
    ob_node(&b, "Identity", "x", "y");
    finish(&b, "half", NULL);
}

static void make_chain(const char *name, int n_nodes)
{
    const int64_t square[] = {SLOW_SIZE, SLOW_SIZE};
    static float weights[SLOW_SIZE * SLOW_SIZE];
    char from[16] = "x", to[16], inputs[32];
    onnx_builder b;

    for (size_t i = 0; i < SLOW_SIZE * SLOW_SIZE; i++)
        weights[i] = (float)(i % 7) / SLOW_SIZE;
    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 2, (int64_t[]){-1, SLOW_SIZE});
    ob_output(&b, "y", OB_FLOAT, 2, (int64_t[]){-1, SLOW_SIZE});
    ob_floats(&b, "w", 2, square, weights);
    for (int i = 0; i < n_nodes; i++) {
        snprintf(to, sizeof(to), i + 1 < n_nodes ? "t%d" : "y", i);
        snprintf(inputs, sizeof(inputs), "%s,w", from);
        ob_node(&b, "MatMul", inputs, to);
        snprintf(from, sizeof(from), "%s", to);
    }
    finish(&b, name, NULL);
}

static void make_colour(void)
{
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "images", OB_FLOAT, 4, (int64_t[]){1, 3, 8, 8});
    ob_output(&b, "scores", OB_FLOAT, 2, (int64_t[]){1, 3});
    ob_node(&b, "GlobalAveragePool", "images", "mean");
    ob_node(&b, "Flatten", "mean", "scores");
    ob_prop(&b, "task", "classify");
    ob_prop(&b, "names", "{0: 'red', 1: 'green', 2: 'blue'}");
    write_file("colour.onnx", ob_finish(&b, 17));
    ob_release(&b);
}

/* An initialiser with a fixed pattern of values in -0.5..0.5. */
static void add_weights(onnx_builder *b, const char *name, int n_dims, const int64_t *dims)
{
    float w[4096];
    size_t n = 1;

    for (int i = 0; i < n_dims; i++)
        n *= (size_t)dims[i];
    if (n > sizeof(w) / sizeof(w[0]))
        fail("weights are larger than expected");
    for (size_t i = 0; i < n; i++)
        w[i] = (float)((i * 37 + 11) % 101) / 100.0f - 0.5f;
    ob_floats(b, name, n_dims, dims, w);
}

static void make_walk(void)
{
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 3, (int64_t[]){-1, 3, 32});
    ob_output(&b, "y", OB_FLOAT, 2, (int64_t[]){-1, 4});
    add_weights(&b, "w1", 3, (int64_t[]){32, 3, 5});
    add_weights(&b, "w2", 3, (int64_t[]){32, 32, 3});
    add_weights(&b, "w3", 2, (int64_t[]){4, 32});
    ob_node(&b, "Conv", "x,w1", "c1");
    ob_node(&b, "Relu", "c1", "r1");
    ob_node(&b, "Conv", "r1,w2", "c2");
    ob_node(&b, "Relu", "c2", "r2");
    ob_node(&b, "GlobalAveragePool", "r2", "mean");
    ob_node(&b, "Flatten", "mean", "flat");
    ob_node(&b, "Gemm", "flat,w3", "y");
    ob_attr_int(&b, "transB", 1);
    write_file("walk.onnx", ob_finish(&b, 17));
    ob_release(&b);
}

/* ---- composed ---- */

static void make_total(void)
{
    const int64_t dims[] = {-1, 1};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "X", OB_FLOAT, 2, dims);
    ob_input(&b, "BEFORE", OB_FLOAT, 2, dims);
    ob_input(&b, "START", OB_FLOAT, 2, dims);
    ob_output(&b, "SUM", OB_FLOAT, 2, dims);
    ob_output(&b, "STARTED", OB_FLOAT, 2, dims);
    ob_output(&b, "AFTER", OB_FLOAT, 2, dims);
    ob_node(&b, "Add", "X,BEFORE", "SUM");
    ob_node(&b, "Identity", "SUM", "AFTER");
    ob_node(&b, "Identity", "START", "STARTED");
    finish(&b, "total",
           "max_batch_size: 8\n"
           "sequence_batching {\n"
           "  max_sequence_idle_microseconds: 60000000\n"
           "  oldest { max_candidate_sequences: 64 }\n"
           "  control_input { name: \"START\" control { kind: CONTROL_SEQUENCE_START "
           "fp32_false_true: [0, 1] } }\n"
           "  state { input_name: \"BEFORE\" output_name: \"AFTER\" data_type: TYPE_FP32 "
           "dims: [1] initial_state { name: \"zero\" data_type: TYPE_FP32 dims: [1] "
           "zero_data: true } }\n"
           "}\n");
}

static void make_constant(const char *name, const char *op, float constant)
{
    const int64_t dims[] = {-1, 2};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 2, dims);
    ob_floats(&b, "k", 1, (int64_t[]){1}, &constant);
    ob_output(&b, "y", OB_FLOAT, 2, dims);
    ob_node(&b, op, "x,k", "y");
    finish(&b, name, "max_batch_size: 4\n");
}

static void make_described(const char *name, const char *config)
{
    char path[256];

    make_dir(name);
    snprintf(path, sizeof(path), "%s/config.pbtxt", name);
    write_file(path, vly_str_from(config));
}

#define ENSEMBLE_IN                                                                                \
    "platform: \"ensemble\"\nmax_batch_size: 4\n"                                                  \
    "input { name: \"IN\" data_type: TYPE_FP32 dims: [2] }\n"                                      \
    "output { name: \"OUT\" data_type: TYPE_FP32 dims: [2] }\n"
#define STEP(model, from, to)                                                                      \
    "step { model_name: \"" model "\" model_version: -1 input_map { key: \"x\" value: \"" from     \
    "\" } output_map { key: \"y\" value: \"" to "\" } }\n"

static void make_composed(void)
{
    make_total();
    make_constant("plus", "Add", 1);
    make_constant("twice", "Mul", 2);
    make_described("vote", "backend: \"volley\"\n"
                           "parameters { key: \"step\" value { string_value: \"vote\" } }\n"
                           "parameters { key: \"weights\" value { string_value: \"3,1\" } }\n");
    make_described(
        "both", ENSEMBLE_IN
        "output { name: \"TWICE\" data_type: TYPE_FP32 dims: [2] }\n"
        "ensemble_scheduling {\n" STEP("plus", "IN", "PLUS") STEP(
            "twice", "IN",
            "TWICE") "step { model_name: \"vote\" input_map { key: \"scores_0\" value: \"PLUS\" } "
                     "input_map { key: \"scores_1\" value: \"TWICE\" } "
                     "output_map { key: \"scores\" value: \"OUT\" } }\n}\n");
    make_described("orphan",
                   ENSEMBLE_IN "ensemble_scheduling {\n" STEP("nobody", "IN", "OUT") "}\n");
}

static void make_rows(const char *name, int64_t n)
{
    static const float table[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", OB_INT64, 1, (int64_t[]){-1});
    ob_output(&b, "y", OB_FLOAT, 2, (int64_t[]){-1, 2});
    ob_floats(&b, "table", 2, (int64_t[]){n, 2}, table);
    ob_node(&b, "Gather", "table,x", "y");
    finish(&b, name, NULL);
}

static void make_arms(void)
{
    make_rows("rows8", 8);
    make_rows("rows4", 4);
    make_chain("short", 1);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        fail("expected a directory");
    root = argv[1];
    if (argc > 2 && strcmp(argv[2], "arms") == 0) {
        make_arms();
        return 0;
    }
    if (argc > 2) {
        make_composed();
        return 0;
    }
    make_simple();
    make_simple_identity();
    make_half();
    make_chain("slow", SLOW_NODES);
    make_colour();
    make_walk();
    write_file("broken.onnx", VLY_STR("?"));
    return 0;
}
