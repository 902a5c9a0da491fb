/* SPDX-License-Identifier: MIT */
/*
 * Ensembles of small arithmetic models: what they answer, what is refused when they are loaded, and
 * how they live with models that fail, come and go.
 */
#include "sched/control.h"
#include "sched/ensemble.h"

#include "base/assert.h"
#include "support/onnx_builder.h"
#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_WAITING 32

static char dir[TEMP_DIR_PATH_MAX];
static vly_scheduler *s;
static vly_err err;

/* ---- models ---- */

static const char *file_path(const char *name)
{
    static char path[2][TEMP_DIR_PATH_MAX + 64];
    static int turn;

    turn ^= 1;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
    return path[turn];
}

/* c = a op b, float [N, 2]; b is the constant when there is no second input. */
static void write_model(const char *name, const char *op, bool is_binary, float constant)
{
    const int64_t dims[] = {-1, 2};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "a", OB_FLOAT, 2, dims);
    if (is_binary)
        ob_input(&b, "b", OB_FLOAT, 2, dims);
    else
        ob_floats(&b, "b", 1, (int64_t[]){1}, &constant);
    ob_output(&b, "c", OB_FLOAT, 2, dims);
    ob_node(&b, op, "a,b", "c");
    vly_str file = ob_finish(&b, 17);
    assert_int_equal(vly_file_write(file_path(name), file.ptr, file.len, &err), VLY_OK);
    ob_release(&b);
}

static vly_served *offer(const vly_servable_spec *spec)
{
    vly_served *m;

    assert_int_equal(vly_scheduler_load(s, spec, &m, &err), VLY_OK);
    assert_int_equal(vly_scheduler_publish(s, m, &err), VLY_OK);
    vly_served_unref(m);
    return m;
}

static vly_served *add_file(const char *name, const char *file)
{
    return offer(&(vly_servable_spec){.path = file_path(file),
                                      .name = name,
                                      .version = "1",
                                      .options = VLY_MODEL_OPTIONS_DEFAULT});
}

static vly_served *add_config(const char *name, const char *config)
{
    const char *path = file_path("config.pbtxt");

    assert_int_equal(vly_file_write(path, config, strlen(config), &err), VLY_OK);
    return offer(&(vly_servable_spec){
        .name = name, .version = "1", .config_path = path, .options = VLY_MODEL_OPTIONS_DEFAULT});
}

static int set_up(void **state)
{
    const vly_scheduler_opts opts = {.n_threads = 2,
                                     .max_waiting = MAX_WAITING,
                                     .execution = "parallel", /* jobs are to wait for a worker */
                                     .max_scratch_bytes = 1 << 20,
                                     .picture_limits = VLY_PICTURE_LIMITS_INIT};

    (void)state;
    if (!temp_dir_make(dir) || vly_scheduler_new(&opts, &s, &err) != VLY_OK)
        return -1;
    write_model("plus1.onnx", "Add", false, 1);
    write_model("plus5.onnx", "Add", false, 5);
    write_model("twice.onnx", "Mul", false, 2);
    write_model("sum.onnx", "Add", true, 0);
    add_file("plus1", "plus1.onnx");
    add_file("twice", "twice.onnx");
    add_file("sum", "sum.onnx");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_scheduler_free(s);
    s = NULL;
    return temp_dir_remove(dir) ? 0 : -1;
}

#define IN_OUT                                                                                     \
    "platform: 'ensemble' max_batch_size: 4 "                                                      \
    "input { name: 'IN' data_type: TYPE_FP32 dims: [2] } "                                         \
    "output { name: 'OUT' data_type: TYPE_FP32 dims: [2] } "
#define STEP1(model, a, c)                                                                         \
    "step { model_name: '" model "' model_version: -1 input_map { key: 'a' value: '" a "' } "      \
    "output_map { key: 'c' value: '" c "' } } "
#define STEP2(model, a, b, c)                                                                      \
    "step { model_name: '" model "' model_version: -1 input_map { key: 'a' value: '" a "' } "      \
    "input_map { key: 'b' value: '" b "' } output_map { key: 'c' value: '" c "' } } "
/* OUT = (IN + 1) + (IN * 2); the steps stand in the file in no order */
#define DIAMOND                                                                                    \
    IN_OUT "ensemble_scheduling { " STEP2("sum", "A", "B", "OUT") STEP1("plus1", "IN", "A")        \
        STEP1("twice", "IN", "B") "}"

/* ---- requests ---- */

typedef struct request {
    vly_job job;
    float in[8], out[8];
    vly_tensor input;
    sem_t done, *gate, *began;
} request;

static vly_status prepare(vly_job *job, vly_err *e)
{
    request *r = job->ctx;

    (void)e;
    if (r->began != NULL)
        sem_post(r->began);
    if (r->gate != NULL)
        sem_wait(r->gate);
    job->inputs = &r->input;
    return VLY_OK;
}

static vly_status encode(vly_job *job, vly_err *e)
{
    request *r = job->ctx;

    (void)e;
    VLY_ASSERT(job->outputs[0].bytes <= sizeof(r->out));
    memcpy(r->out, job->outputs[0].data, job->outputs[0].bytes);
    return VLY_OK;
}

static void done(vly_job *job)
{
    sem_post(&((request *)job->ctx)->done);
}

static void init(request *r, float x)
{
    const vly_shape shape = VLY_SHAPE(1, 2);

    *r = (request){.in = {x, -x}};
    sem_init(&r->done, 0, 0);
    r->input = vly_tensor_borrow(VLY_DTYPE_F32, &shape, r->in);
    r->job = (vly_job){
        .kind = VLY_JOB_TENSORS, .ctx = r, .inputs = &r->input, .encode = encode, .done = done};
}

static vly_status submit(vly_served *m, request *r)
{
    vly_job *job = &r->job;
    return vly_scheduler_submit(m, &job, 1, &err);
}

static vly_status run(vly_served *m, request *r)
{
    assert_int_equal(submit(m, r), VLY_OK);
    sem_wait(&r->done);
    return r->job.status;
}

static float ask(vly_served *m, float x)
{
    request r;

    init(&r, x);
    vly_status st = run(m, &r);
    if (st != VLY_OK)
        print_message("%s\n", r.job.err.msg);
    assert_int_equal(st, VLY_OK);
    return r.out[0];
}

static vly_served *find(const char *name)
{
    vly_served *m = vly_scheduler_find(s, vly_str_from(name), VLY_STR(""));

    vly_served_unref(m);
    return m;
}

/* ---- what they answer ---- */

static void branches_meet(void **state)
{
    (void)state;
    request r;
    vly_served *m = add_config("e", DIAMOND);

    assert_null(m->error);
    assert_int_equal(m->state, VLY_SERVED_READY);
    assert_int_equal(m->servable->info->n_inputs, 1);
    assert_string_equal(m->servable->info->outputs[0].name, "OUT");
    assert_int_equal(m->servable->info->inputs[0].shape.rank, 2); /* with the batch */
    init(&r, 10);
    assert_int_equal(run(m, &r), VLY_OK);
    assert_float_equal(r.out[0], 31, 0);
    assert_float_equal(r.out[1], -29, 0);
    assert_null(r.job.outputs);
    assert_int_equal(vly_counter_get(&m->stats.success), 1);
    assert_int_equal(vly_counter_get(&m->stats.executions), 1);
    assert_int_equal(vly_counter_get(&find("plus1")->stats.success), 1);
    assert_int_equal(vly_counter_get(&find("sum")->stats.success), 1);
}

/* Both branches are with their models before any of them has run. */
static void branches_run_side_by_side(void **state)
{
    (void)state;
    request hold[2], r;
    sem_t gate, began;
    vly_served *m = add_config("e", DIAMOND), *busy = add_file("busy", "plus5.onnx");

    sem_init(&gate, 0, 0);
    sem_init(&began, 0, 0);
    for (int i = 0; i < 2; i++) { /* both workers */
        init(&hold[i], 1);
        hold[i].job.prepare = prepare;
        hold[i].gate = &gate;
        hold[i].began = &began;
        assert_int_equal(submit(busy, &hold[i]), VLY_OK);
        sem_wait(&began);
    }
    init(&r, 1);
    assert_int_equal(submit(m, &r), VLY_OK);
    assert_int_equal(vly_gauge_get(&find("plus1")->stats.pending), 1);
    assert_int_equal(vly_gauge_get(&find("twice")->stats.pending), 1);
    assert_int_equal(vly_gauge_get(&find("sum")->stats.pending), 0);
    sem_post(&gate);
    sem_post(&gate);
    sem_wait(&r.done);
    assert_float_equal(r.out[0], 4, 0);
    for (int i = 0; i < 2; i++)
        sem_wait(&hold[i].done);
}

/* An ensemble in an ensemble; a tensor that is an output and goes on too; one that is handed to two
 * inputs of a step. */
static void ensembles_nest(void **state)
{
    (void)state;
    add_config("inner", "platform: 'ensemble' max_batch_size: 4 "
                        "input { name: 'a' data_type: TYPE_FP32 dims: [2] } "
                        "output { name: 'c' data_type: TYPE_FP32 dims: [2] } "
                        "ensemble_scheduling { " STEP1("twice", "a", "c") "}");
    vly_served *m = add_config("outer", IN_OUT "output { name: 'A' data_type: TYPE_FP32 dims: [2] }"
                                               "ensemble_scheduling { " STEP1("inner", "IN", "A")
                                                   STEP2("sum", "A", "A", "OUT") "}");
    assert_null(m->error);
    assert_float_equal(ask(m, 3), 12, 0);
}

static void prepares_on_a_worker(void **state)
{
    (void)state;
    request r;
    vly_served *m = add_config("e", DIAMOND);

    init(&r, 2);
    r.job.inputs = NULL;
    r.job.prepare = prepare;
    assert_int_equal(run(m, &r), VLY_OK);
    assert_float_equal(r.out[0], 7, 0);
}

static void votes_and_fuses(void **state)
{
    (void)state;
    add_config("vote", "backend: 'volley' "
                       "parameters { key: 'step' value { string_value: 'vote' } } "
                       "parameters { key: 'weights' value { string_value: '3, 1' } }");
    vly_served *m = add_config(
        "e", IN_OUT "ensemble_scheduling { " STEP1("plus1", "IN", "A")
                 STEP1("twice", "IN",
                       "B") "step { model_name: 'vote' input_map { key: 'scores_0' value: 'A' } "
                            "input_map { key: 'scores_1' value: 'B' } "
                            "output_map { key: 'scores' value: 'OUT' } } }");
    assert_null(m->error);
    assert_float_equal(ask(m, 10), (3 * 11 + 20) / 4.0f, 0);
}

/* ---- what is refused ---- */

static void refuses_wrong_configurations(void **state)
{
    (void)state;
    static const struct {
        const char *config, *want;
    } cases[] = {
        {IN_OUT "ensemble_scheduling { }", "expected 1 to 256 steps, got 0"},
        {IN_OUT "ensemble_scheduling { step { input_map { key: 'a' value: 'IN' } } }",
         "must specify 'model_name' in step 0 of ensemble 'e'"},
        {IN_OUT "ensemble_scheduling { step { model_name: 'plus1' } }",
         "must specify 'input_map' in step 0 of ensemble 'e'"},
        {IN_OUT "ensemble_scheduling { " STEP1("plus1", "IN", "OUT")
             STEP1("twice", "IN", "OUT") "}",
         "ensemble tensor 'OUT' can appear in an output map only once for ensemble 'e' step 1"},
        {IN_OUT "ensemble_scheduling { " STEP1("plus1", "NOWHERE", "OUT") "}",
         "ensemble tensor 'NOWHERE' is read by step 0 of ensemble 'e'"},
        {IN_OUT "ensemble_scheduling { " STEP2("sum", "IN", "B", "A") STEP1("plus1", "A", "B")
             STEP1("plus1", "A", "OUT") "}",
         "ensemble 'e': step 0 (model 'sum') waits for its own outputs"},
        {IN_OUT "ensemble_scheduling { " STEP1("plus1", "IN", "A") "}",
         "output 'OUT' for ensemble 'e' is not written"},
        {IN_OUT "input { name: 'X' data_type: TYPE_FP32 dims: [2] } "
                "ensemble_scheduling { " STEP1("plus1", "IN", "OUT") "}",
         "ensemble tensor 'X' is unused in ensemble 'e'"},
        {IN_OUT "ensemble_scheduling { " STEP1("absent", "IN", "OUT") "}",
         "ensemble e contains models that are not available or ambiguous: absent"},
        {IN_OUT "ensemble_scheduling { " STEP1("e", "IN", "OUT") "}",
         "circular dependency between ensembles: e -> ... -> e -> e"},
        {IN_OUT "ensemble_scheduling { " STEP1("sum", "IN", "OUT") "}",
         "in ensemble e, input b in model sum is not mapped to any ensemble tensors"},
        {IN_OUT "ensemble_scheduling { " STEP2("plus1", "IN", "IN", "OUT") "}",
         "in ensemble e, ensemble tensor IN is mapping to non-existing input b in model plus1"},
        {IN_OUT "ensemble_scheduling { step { model_name: 'plus1' "
                "input_map { key: 'a' value: 'IN' } output_map { key: 'd' value: 'OUT' } } }",
         "in ensemble e, ensemble tensor OUT is mapped from non-existing output d in model plus1"},
        {"platform: 'ensemble' max_batch_size: 4 "
         "input { name: 'IN' data_type: TYPE_INT32 dims: [2] } "
         "output { name: 'OUT' data_type: TYPE_FP32 dims: [2] } "
         "ensemble_scheduling { " STEP1("plus1", "IN", "OUT") "}",
         "in ensemble e, ensemble tensor IN: inconsistent data type: TYPE_INT32 is inferred from "
         "model e while TYPE_FP32 is inferred from model plus1"},
        {"platform: 'ensemble' max_batch_size: 4 "
         "input { name: 'IN' data_type: TYPE_FP32 dims: [3] } "
         "output { name: 'OUT' data_type: TYPE_FP32 dims: [2] } "
         "ensemble_scheduling { " STEP1("plus1", "IN", "OUT") "}",
         "in ensemble e, ensemble tensor IN: inconsistent shape: [-1,3] is inferred from model e "
         "while [-1,2] is inferred from model plus1"},
        {"backend: 'volley'",
         "model 'e': parameter 'step': expected box_fusion, picture or vote, got ''"},
        {"backend: 'volley' parameters { key: 'step' value { string_value: 'vote' } } "
         "parameters { key: 'weights' value { string_value: '1,-1' } }",
         "parameter 'weights': expected 1 to 64 numbers above 0"},
        {"max_batch_size: 4", "neither an ensemble nor"},
    };

    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        vly_served *m = add_config("e", cases[i].config);
        assert_non_null(m->error);
        if (strstr(m->error, cases[i].want) == NULL)
            print_message("got:  %s\nwant: %s\n", m->error, cases[i].want);
        assert_non_null(strstr(m->error, cases[i].want));
        assert_int_equal(m->state, VLY_SERVED_UNAVAILABLE);
    }
}

/* By way of another ensemble, which was loaded when there was no ring yet. */
static void refuses_rings_of_ensembles(void **state)
{
    (void)state;
    static const char in_out[] = "platform: 'ensemble' max_batch_size: 4 "
                                 "input { name: 'a' data_type: TYPE_FP32 dims: [2] } "
                                 "output { name: 'c' data_type: TYPE_FP32 dims: [2] } "
                                 "ensemble_scheduling { ";
    char config[1024];

    snprintf(config, sizeof(config), "%s%s}", in_out, STEP1("plus1", "a", "c"));
    add_config("first", config);
    snprintf(config, sizeof(config), "%s%s}", in_out, STEP1("first", "a", "c"));
    assert_null(add_config("second", config)->error);
    snprintf(config, sizeof(config), "%s%s}", in_out, STEP1("second", "a", "c"));
    assert_null(add_config("third", config)->error);
    const vly_served *m = add_config("first", config); /* first -> second -> first */
    assert_string_equal(m->error,
                        "circular dependency between ensembles: first -> ... -> second -> first");
}

/* ---- failures ---- */

static void errors_name_the_step(void **state)
{
    (void)state;
    const vly_shape wrong = VLY_SHAPE(1, 3);
    request r;
    vly_served *m = add_config("e", DIAMOND);

    init(&r, 1);
    r.input = vly_tensor_borrow(VLY_DTYPE_F32, &wrong, r.in);
    assert_int_equal(run(m, &r), VLY_EINVAL);
    assert_non_null(strstr(r.job.err.msg, "ensemble 'e' step "));
    assert_non_null(strstr(r.job.err.msg, "(model '"));
    assert_int_equal(vly_counter_get(&m->stats.failures[VLY_JOB_FAILURE_OTHER]), 1);
    assert_float_equal(ask(m, 1), 4, 0);
}

static void cancelling_reaches_the_steps(void **state)
{
    (void)state;
    const _Atomic bool gone = true;
    request r;
    vly_served *m = add_config("e", DIAMOND);

    init(&r, 1);
    r.job.is_cancelled = &gone;
    assert_int_equal(run(m, &r), VLY_ECANCELLED);
    init(&r, 1);
    r.job.deadline_ns = 1;
    assert_int_equal(run(m, &r), VLY_EDEADLINE);
    assert_non_null(strstr(r.job.err.msg, "Request timeout expired"));
    assert_int_equal(vly_counter_get(&m->stats.failures[VLY_JOB_FAILURE_CANCELED]), 2);
    assert_int_equal(vly_counter_get(&find("sum")->stats.success), 0);
}

static void its_queue_is_bounded(void **state)
{
    (void)state;
    static request r[MAX_WAITING + 1];
    sem_t gate;
    vly_served *m = add_config("e", DIAMOND);

    sem_init(&gate, 0, 0);
    for (int i = 0; i < MAX_WAITING; i++) {
        init(&r[i], 1);
        r[i].job.prepare = prepare;
        r[i].gate = &gate;
        assert_int_equal(submit(m, &r[i]), VLY_OK);
    }
    init(&r[MAX_WAITING], 1);
    assert_int_equal(submit(m, &r[MAX_WAITING]), VLY_EBUSY);
    assert_non_null(strstr(err.msg, "Exceeds maximum queue size"));
    for (int i = 0; i < MAX_WAITING; i++)
        sem_post(&gate);
    for (int i = 0; i < MAX_WAITING; i++) {
        sem_wait(&r[i].done);
        assert_int_equal(r[i].job.status, VLY_OK);
    }
    assert_float_equal(ask(m, 1), 4, 0); /* the places are free again */
}

/* ---- models that come and go ---- */

static void waits_for_its_models(void **state)
{
    (void)state;
    static const char config[] = IN_OUT "ensemble_scheduling { " STEP1("late", "IN", "OUT") "}";

    assert_non_null(strstr(add_config("e", config)->error, "late"));
    add_file("late", "plus5.onnx");
    vly_served *m = add_config("e", config);
    assert_null(m->error);
    assert_float_equal(ask(m, 1), 6, 0);
    add_file("late", "twice.onnx"); /* another file: from now on */
    assert_float_equal(ask(m, 4), 8, 0);
    assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("late"), VLY_STR("1"), &err), VLY_OK);
    request r;
    init(&r, 1);
    assert_int_equal(submit(m, &r), VLY_EUNAVAILABLE);
    assert_string_equal(err.msg, "ensemble 'e' step 0: requested model 'late' is not available");
}

/* ---- in a repository ---- */

static void request_done(vly_control_request *r)
{
    sem_post(r->ctx);
}

static vly_status order(vly_control *c, vly_control_action action, const char *name)
{
    sem_t ended;
    vly_control_request r = {
        .action = action, .ctx = &ended, .name = vly_str_from(name), .done = request_done};

    sem_init(&ended, 0, 0);
    assert_int_equal(vly_control_submit(c, &r, &err), VLY_OK);
    sem_wait(&ended);
    return r.status;
}

static void make_dir(const char *name)
{
    assert_int_equal(mkdir(file_path(name), 0777), 0);
}

/* The model that it lacks comes to the directory: the ensemble serves without being asked again. */
static void comes_when_its_models_do(void **state)
{
    (void)state;
    static const vly_control_mode modes[] = {VLY_CONTROL_EXPLICIT, VLY_CONTROL_POLL};
    static const char config[] = IN_OUT "ensemble_scheduling { " STEP1("late", "IN", "OUT") "}";

    for (size_t i = 0; i < VLY_COUNT(modes); i++) {
        vly_control *c;
        char repo[8];
        snprintf(repo, sizeof(repo), "r%zu", i);
        make_dir(repo);
        snprintf(repo, sizeof(repo), "r%zu/e", i);
        make_dir(repo);
        char path[32];
        snprintf(path, sizeof(path), "r%zu/e/config.pbtxt", i);
        assert_int_equal(vly_file_write(file_path(path), config, strlen(config), &err), VLY_OK);
        snprintf(repo, sizeof(repo), "r%zu", i);
        const vly_control_opts opts = {.dir = file_path(repo),
                                       .mode = modes[i],
                                       .load = "e",
                                       .poll_interval_ms = 3600000,
                                       .max_waiting = 4,
                                       .model = VLY_MODEL_OPTIONS_DEFAULT};
        assert_int_equal(vly_control_new(s, &opts, &c, &err), VLY_OK);
        assert_int_equal(find("e")->state, VLY_SERVED_UNAVAILABLE);
        snprintf(path, sizeof(path), "r%zu/late.onnx", i);
        write_model(path, "Add", false, 5);
        if (modes[i] == VLY_CONTROL_EXPLICIT)
            assert_int_equal(order(c, VLY_CONTROL_LOAD, "late"), VLY_OK);
        for (int look = 0; look < 2 && modes[i] == VLY_CONTROL_POLL; look++)
            assert_int_equal(order(c, VLY_CONTROL_LOOK, ""), VLY_OK);
        assert_int_equal(find("e")->state, VLY_SERVED_READY);
        assert_float_equal(ask(find("e"), 1), 6, 0);
        vly_control_free(c);
        assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("e"), VLY_STR("1"), &err), VLY_OK);
        assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("late"), VLY_STR("1"), &err), VLY_OK);
    }
}

/* What it had accepted keeps the models it needs, and itself. */
static void goes_when_its_jobs_are_done(void **state)
{
    (void)state;
    request r;
    sem_t gate, began;
    vly_served *m = add_config("e", DIAMOND);

    sem_init(&gate, 0, 0);
    sem_init(&began, 0, 0);
    init(&r, 5);
    r.job.prepare = prepare;
    r.gate = &gate;
    r.began = &began;
    assert_int_equal(submit(m, &r), VLY_OK);
    sem_wait(&began);
    assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("e"), VLY_STR("1"), &err), VLY_OK);
    assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("sum"), VLY_STR("1"), &err), VLY_OK);
    sem_post(&gate);
    sem_wait(&r.done);
    assert_int_equal(r.job.status, VLY_OK);
    assert_float_equal(r.out[0], 16, 0);
}

typedef struct client {
    pthread_t thread;
    vly_served *model;
    bool is_right;
} client;

static void *talk(void *arg)
{
    client *c = arg;
    request r;

    c->is_right = true;
    for (int i = 0; i < 200; i++) {
        init(&r, (float)i);
        vly_job *job = &r.job;
        if (vly_scheduler_submit(c->model, &job, 1, NULL) != VLY_OK) {
            c->is_right = false;
            break;
        }
        sem_wait(&r.done);
        c->is_right = c->is_right && r.job.status == VLY_OK && r.out[0] == (float)(3 * i + 1);
    }
    return NULL;
}

static void many_clients(void **state)
{
    (void)state;
    client clients[4];
    vly_served *m = add_config("e", DIAMOND);

    for (size_t i = 0; i < VLY_COUNT(clients); i++) {
        clients[i] = (client){.model = m};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, talk, &clients[i]), 0);
    }
    for (size_t i = 0; i < VLY_COUNT(clients); i++)
        pthread_join(clients[i].thread, NULL);
    for (size_t i = 0; i < VLY_COUNT(clients); i++)
        assert_true(clients[i].is_right);
    assert_int_equal(vly_counter_get(&m->stats.success), 800);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(branches_meet, set_up, tear_down),
           cmocka_unit_test_setup_teardown(branches_run_side_by_side, set_up, tear_down),
           cmocka_unit_test_setup_teardown(ensembles_nest, set_up, tear_down),
           cmocka_unit_test_setup_teardown(prepares_on_a_worker, set_up, tear_down),
           cmocka_unit_test_setup_teardown(votes_and_fuses, set_up, tear_down),
           cmocka_unit_test_setup_teardown(refuses_wrong_configurations, set_up, tear_down),
           cmocka_unit_test_setup_teardown(refuses_rings_of_ensembles, set_up, tear_down),
           cmocka_unit_test_setup_teardown(errors_name_the_step, set_up, tear_down),
           cmocka_unit_test_setup_teardown(cancelling_reaches_the_steps, set_up, tear_down),
           cmocka_unit_test_setup_teardown(its_queue_is_bounded, set_up, tear_down),
           cmocka_unit_test_setup_teardown(waits_for_its_models, set_up, tear_down),
           cmocka_unit_test_setup_teardown(comes_when_its_models_do, set_up, tear_down),
           cmocka_unit_test_setup_teardown(goes_when_its_jobs_are_done, set_up, tear_down),
           cmocka_unit_test_setup_teardown(many_clients, set_up, tear_down))
