/* SPDX-License-Identifier: MIT */
/*
 * What sequence_batching says of a model's tensors: configurations that contradict themselves or
 * the model, initial values, names; and a GRU with its state on the server against the same GRU
 * over the whole sequence at once.
 */
#include "base/assert.h"
#include "sched/scheduler.h"
#include "support/onnx_builder.h"
#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <math.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { INPUT = 3, HIDDEN = 4, STEPS = 6 };

static char dir[TEMP_DIR_PATH_MAX];
static vly_scheduler *s;
static vly_err err;

static const char *file_path(const char *name)
{
    static char path[2][TEMP_DIR_PATH_MAX + 64];
    static int turn;

    turn ^= 1;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
    return path[turn];
}

static void write_file(const char *name, const void *bytes, size_t len)
{
    assert_int_equal(vly_file_write(file_path(name), bytes, len, &err), VLY_OK);
}

/* sum = x + state, both float [2]; name = who */
static void write_named(void)
{
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 1, (int64_t[]){2});
    ob_input(&b, "state", OB_FLOAT, 1, (int64_t[]){2});
    ob_input(&b, "who", OB_STRING, 1, (int64_t[]){1});
    ob_output(&b, "sum", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&b, "name", OB_STRING, 1, (int64_t[]){1});
    ob_node(&b, "Add", "x,state", "sum");
    ob_node(&b, "Identity", "who", "name");
    vly_str file = ob_finish(&b, 17);
    write_file("named.onnx", file.ptr, file.len);
    ob_release(&b);
}

/* y, h_out = GRU(x, h), float x [T, 1, INPUT] */
static void write_gru(void)
{
    float w[3 * HIDDEN * INPUT], r[3 * HIDDEN * HIDDEN];
    onnx_builder b;

    for (size_t i = 0; i < VLY_COUNT(w); i++)
        w[i] = (float)((i * 37 + 11) % 101) / 100.0f - 0.5f;
    for (size_t i = 0; i < VLY_COUNT(r); i++)
        r[i] = (float)((i * 53 + 29) % 97) / 96.0f - 0.5f;
    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 3, (int64_t[]){-1, 1, INPUT});
    ob_input(&b, "h", OB_FLOAT, 3, (int64_t[]){1, 1, HIDDEN});
    ob_output(&b, "y", OB_FLOAT, 4, (int64_t[]){-1, 1, 1, HIDDEN});
    ob_output(&b, "h_out", OB_FLOAT, 3, (int64_t[]){1, 1, HIDDEN});
    ob_floats(&b, "w", 3, (int64_t[]){1, (int64_t)3 * HIDDEN, INPUT}, w);
    ob_floats(&b, "r", 3, (int64_t[]){1, (int64_t)3 * HIDDEN, HIDDEN}, r);
    ob_node(&b, "GRU", "x,w,r,,,h", "y,h_out");
    ob_attr_int(&b, "hidden_size", HIDDEN);
    vly_str file = ob_finish(&b, 17);
    write_file("gru.onnx", file.ptr, file.len);
    ob_release(&b);
}

static int set_up(void **state)
{
    const vly_scheduler_opts opts = {.n_threads = 2,
                                     .max_waiting = 8,
                                     .max_scratch_bytes = 1 << 20,
                                     .picture_limits = VLY_PICTURE_LIMITS_INIT};

    (void)state;
    if (!temp_dir_make(dir) || vly_scheduler_new(&opts, &s, &err) != VLY_OK)
        return -1;
    write_named();
    write_gru();
    return mkdir(file_path("initial_state"), 0777);
}

static int tear_down(void **state)
{
    (void)state;
    vly_scheduler_free(s);
    s = NULL;
    return temp_dir_remove(dir) ? 0 : -1;
}

static vly_served *load(const char *file, const char *config)
{
    char config_path[TEMP_DIR_PATH_MAX + 64];
    vly_served *m;

    write_file("config.pbtxt", config, strlen(config));
    snprintf(config_path, sizeof(config_path), "%s", file_path("config.pbtxt"));
    const vly_servable_spec spec = {.path = file_path(file),
                                    .name = "m",
                                    .version = "1",
                                    .config_path = config_path,
                                    .options = VLY_MODEL_OPTIONS_DEFAULT};
    assert_int_equal(vly_scheduler_load(s, &spec, &m, &err), VLY_OK);
    assert_int_equal(vly_scheduler_publish(s, m, &err), VLY_OK);
    vly_served_unref(m);
    return m;
}

/* ---- requests ---- */

typedef struct request {
    vly_job job;
    vly_tensor input;
    float out[2][64];
    char text[64];
    sem_t done;
} request;

static vly_status encode(vly_job *job, vly_err *e)
{
    request *r = job->ctx;

    (void)e;
    memcpy(r->out[0], job->outputs[0].data, job->outputs[0].bytes);
    if (job->outputs[1].dtype == VLY_DTYPE_STRING) {
        vly_str name = *(const vly_str *)job->outputs[1].data;
        snprintf(r->text, sizeof(r->text), "%.*s", VLY_STR_ARG(name));
    }
    return VLY_OK;
}

static void done(vly_job *job)
{
    sem_post(&((request *)job->ctx)->done);
}

static void ask(vly_served *m, request *r, const vly_tensor *input, vly_job_sequence sequence)
{
    vly_job *job = &r->job;

    *r = (request){.input = *input};
    sem_init(&r->done, 0, 0);
    r->job = (vly_job){.kind = VLY_JOB_TENSORS,
                       .ctx = r,
                       .sequence = sequence,
                       .inputs = &r->input,
                       .encode = encode,
                       .done = done};
    assert_int_equal(vly_scheduler_submit(m, &job, 1, &err), VLY_OK);
    sem_wait(&r->done);
    if (job->status != VLY_OK)
        print_message("%s\n", job->err.msg);
    assert_int_equal(job->status, VLY_OK);
}

/* ---- tests ---- */

#define OUTPUTS "output [{ name: 'sum' }, { name: 'name' }] "
#define WHO                                                                                        \
    "control_input { name: 'who' control { kind: CONTROL_SEQUENCE_CORRID "                         \
    "data_type: TYPE_STRING } } "
#define STATE(rest)                                                                                \
    "state { input_name: 'state' output_name: 'sum' data_type: TYPE_FP32 dims: [2] " rest " } "

/* The state begins as a file says, and is an output too; ids are names. */
static void initial_values_and_names(void **state)
{
    (void)state;
    static const float initial[] = {100, 200}, x[] = {1, 2};
    const vly_shape shape = VLY_SHAPE(2);
    const vly_tensor input = vly_tensor_borrow(VLY_DTYPE_F32, &shape, x);
    request r;

    write_file("initial_state/begin", initial, sizeof(initial));
    vly_served *m = load(
        "named.onnx",
        OUTPUTS "sequence_batching { " WHO STATE(
            "initial_state { name: 'i' data_type: TYPE_FP32 dims: [2] data_file: 'begin' }") "}");
    assert_null(m->error);
    for (int round = 0; round < 2; round++) { /* the second begins from the file again */
        ask(m, &r, &input, (vly_job_sequence){.name = VLY_STR("left"), .is_start = true});
        assert_float_equal(r.out[0][0], 101, 0);
        assert_string_equal(r.text, "left");
    }
    ask(m, &r, &input, (vly_job_sequence){.name = VLY_STR("right"), .is_start = true});
    ask(m, &r, &input, (vly_job_sequence){.name = VLY_STR("left"), .is_end = true});
    assert_float_equal(r.out[0][0], 102, 0);
    assert_float_equal(r.out[0][1], 204, 0);
}

static void refuses_wrong_configurations(void **state)
{
    (void)state;
    static const struct {
        const char *config, *want;
    } cases[] = {
        {"control_input { control { kind: CONTROL_SEQUENCE_START } }",
         "sequence batching control tensor must have a name for m"},
        {"control_input { name: 'nobody' control { kind: CONTROL_SEQUENCE_START "
         "int32_false_true: [0, 1] } }",
         "configuration specified sequence control 'nobody', but model does not provide that "
         "input"},
        {"control_input { name: 'x' control { kind: CONTROL_SEQUENCE_START } }",
         "sequence batching must specify either 'int32_false_true', 'fp32_false_true' or "
         "'bool_false_true' for CONTROL_SEQUENCE_START for m"},
        {"control_input { name: 'x' control { kind: CONTROL_SEQUENCE_END "
         "int32_false_true: [0, 1] fp32_false_true: [0, 1] } }",
         "sequence batching specifies more than one from"},
        {"control_input { name: 'x' control { kind: CONTROL_SEQUENCE_END fp32_false_true: [1] } }",
         "'fp32_false_true' must have exactly 2 entries for CONTROL_SEQUENCE_END for m"},
        {"control_input { name: 'x' control { kind: CONTROL_SEQUENCE_END "
         "int32_false_true: [0, 1] } }",
         "model 'm': 'x' is int32 in the configuration, but float32 in the model"},
        {"control_input { name: 'x' control { kind: CONTROL_SEQUENCE_END "
         "fp32_false_true: [0, 1] } }",
         "sequence control 'x': expected one element, got a dimension of 2"},
        {"control_input { name: 'who' control { kind: CONTROL_SEQUENCE_CORRID "
         "data_type: TYPE_FP32 } }",
         "unexpected control data type, expected TYPE_UINT64, TYPE_INT64, TYPE_UINT32, TYPE_INT32, "
         "or TYPE_STRING for CONTROL_SEQUENCE_CORRID for m"},
        {WHO WHO, "sequence batching control tensor 'who' is specified for multiple control kinds "
                  "for m"},
        {WHO "control_input { name: 'x' control { kind: CONTROL_SEQUENCE_CORRID "
             "data_type: TYPE_INT64 } }",
         "sequence batching specifies multiple CONTROL_SEQUENCE_CORRID tensors for m"},
        {"state { input_name: 'nobody' output_name: 'sum' data_type: TYPE_FP32 dims: [2] }",
         "there is no input 'nobody' to keep a state in"},
        {"state { input_name: 'state' output_name: 'sum' data_type: TYPE_INT32 dims: [2] }",
         "'state' is int32 in the configuration, but float32 in the model"},
        {STATE("") STATE(""), "specified more than once"},
        {STATE("initial_state { name: 'i' data_type: TYPE_INT32 dims: [2] zero_data: true }"),
         "The data type used for 'initial_state' field of state 'state' does not match"},
        {STATE("initial_state { data_type: TYPE_FP32 dims: [2] zero_data: true }"),
         "Field 'name' must be set when using initial_state for state input 'state'."},
        {STATE("initial_state { name: 'i' data_type: TYPE_FP32 dims: [3] zero_data: true }"),
         "'initial_state' dim for input name 'state' doesn't match 'state' dim description. 3 != "
         "2"},
        {STATE("initial_state { name: 'i' data_type: TYPE_FP32 dims: [2, 1] zero_data: true }"),
         "for state input 'state'. 2 != 1"},
        {STATE("initial_state { name: 'i' data_type: TYPE_FP32 dims: [2] data_file: '../x' }"),
         "expected the name of a file in initial_state/, got '../x'"},
        {STATE("initial_state { name: 'i' data_type: TYPE_FP32 dims: [2] data_file: 'short' }"),
         "initial_state setting expects 8 bytes, but the data provided from short only has 4 "
         "bytes"},
        {"iterative_sequence: true", "iterative_sequence wants a backend"},
    };
    char config[1024];

    write_file("initial_state/short", "four", 4);
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        snprintf(config, sizeof(config), "sequence_batching { %s }", cases[i].config);
        const vly_served *m = load("named.onnx", config);
        assert_non_null(m->error);
        if (strstr(m->error, cases[i].want) == NULL)
            print_message("# got:  %s\n# want: %s\n", m->error, cases[i].want);
        assert_non_null(strstr(m->error, cases[i].want));
    }
}

static void fill(float x[STEPS * INPUT])
{
    for (size_t i = 0; i < (size_t)STEPS * INPUT; i++)
        x[i] = (float)((i * 29 + 7) % 41) / 20.0f - 1;
}

/* The oracle: the engine on all steps, from zero. */
static void run_whole(const float *x, float y[STEPS * HIDDEN])
{
    static const float zero[HIDDEN];
    const vly_shape x_shape = VLY_SHAPE(STEPS, 1, INPUT), h_shape = VLY_SHAPE(1, 1, HIDDEN);
    const vly_tensor inputs[] = {vly_tensor_borrow(VLY_DTYPE_F32, &x_shape, x),
                                 vly_tensor_borrow(VLY_DTYPE_F32, &h_shape, zero)};
    vly_tensor outputs[2];
    vly_instance *instance;
    vly_model *model;

    assert_int_equal(vly_model_load(file_path("gru.onnx"), NULL, &model, &err), VLY_OK);
    assert_int_equal(vly_instance_new(model, NULL, &instance, &err), VLY_OK);
    assert_int_equal(vly_instance_run(instance, inputs, outputs, &err), VLY_OK);
    memcpy(y, outputs[0].data, sizeof(float) * STEPS * HIDDEN);
    vly_tensor_release(&outputs[0]);
    vly_tensor_release(&outputs[1]);
    vly_instance_free(instance);
    vly_model_unref(model);
}

/* Two clients send the same steps, one of them two at a time; neither sends a state. */
static void a_gru_step_by_step(void **state)
{
    (void)state;
    float x[STEPS * INPUT], want[STEPS * HIDDEN];
    request r;

    fill(x);
    run_whole(x, want);
    vly_served *m =
        load("gru.onnx", "output [{ name: 'y' }, { name: 'h_out' }] sequence_batching { "
                         "state { input_name: 'h' output_name: 'h_out' "
                         "data_type: TYPE_FP32 dims: [1, 1, 4] } }");
    assert_null(m->error);
    assert_int_equal(m->servable->info->n_inputs, 1);
    for (int t = 0; t < STEPS; t++) {
        const vly_shape one = VLY_SHAPE(1, 1, INPUT), two = VLY_SHAPE(2, 1, INPUT);
        vly_tensor step = vly_tensor_borrow(VLY_DTYPE_F32, &one, &x[(size_t)t * INPUT]);
        ask(m, &r, &step, (vly_job_sequence){.id = 1, .is_start = t == 0});
        for (int i = 0; i < HIDDEN; i++)
            assert_float_equal(r.out[0][i], want[t * HIDDEN + i], 1e-6f);
        if (t % 2 != 0)
            continue;
        step = vly_tensor_borrow(VLY_DTYPE_F32, &two, &x[(size_t)t * INPUT]);
        ask(m, &r, &step, (vly_job_sequence){.id = 2, .is_start = t == 0});
        for (int i = 0; i < 2 * HIDDEN; i++)
            assert_float_equal(r.out[0][i], want[t * HIDDEN + i], 1e-6f);
    }
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(initial_values_and_names, set_up, tear_down),
           cmocka_unit_test_setup_teardown(refuses_wrong_configurations, set_up, tear_down),
           cmocka_unit_test_setup_teardown(a_gru_step_by_step, set_up, tear_down))
