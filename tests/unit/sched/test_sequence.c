/* SPDX-License-Identifier: MIT */
/*
 * Sequences: state, order, control tensors, limits. The accumulator adds its input to its state, so
 * that every answer tells which requests went before; a GRU that runs step by step is compared with
 * the whole sequence at once. No test waits for time to pass: expiry is told what time it is, or
 * is waited for by a job that it lets run.
 */
#include "sched/sequence.h"

#include "base/assert.h"
#include "sched/explain.h"
#include "support/onnx_builder.h"
#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#define MAX_WAITING 64

static char dir[TEMP_DIR_PATH_MAX];
static vly_scheduler *s;
static vly_served *model;
static vly_err err;

/* ---- models ---- */

static void write_file(const char *name, const void *bytes, size_t len)
{
    char path[TEMP_DIR_PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(vly_file_write(path, bytes, len, &err), VLY_OK);
}

static void write_model(onnx_builder *b, const char *name)
{
    vly_str file = ob_finish(b, 17);
    write_file(name, file.ptr, file.len);
    ob_release(b);
}

/* sum = state_out = x + state; controls = start + 10 end + 100 ready; id is handed through. */
static void write_accumulator(void)
{
    const int64_t column[] = {-1, 1};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 2, column);
    ob_input(&b, "state", OB_FLOAT, 2, column);
    ob_input(&b, "start", OB_INT32, 2, column);
    ob_input(&b, "end", OB_BOOL, 2, column);
    ob_input(&b, "ready", OB_FLOAT, 2, column);
    ob_input(&b, "corrid", OB_INT64, 2, column);
    ob_output(&b, "sum", OB_FLOAT, 2, column);
    ob_output(&b, "state_out", OB_FLOAT, 2, column);
    ob_output(&b, "controls", OB_FLOAT, 2, column);
    ob_output(&b, "id", OB_INT64, 2, column);
    ob_floats(&b, "ten", 1, (int64_t[]){1}, (float[]){10});
    ob_floats(&b, "hundred", 1, (int64_t[]){1}, (float[]){100});
    ob_node(&b, "Add", "x,state", "sum");
    ob_node(&b, "Identity", "sum", "state_out");
    ob_node(&b, "Cast", "start", "start_f");
    ob_attr_int(&b, "to", OB_FLOAT);
    ob_node(&b, "Cast", "end", "end_f");
    ob_attr_int(&b, "to", OB_FLOAT);
    ob_node(&b, "Mul", "end_f,ten", "end_10");
    ob_node(&b, "Mul", "ready,hundred", "ready_100");
    ob_node(&b, "Add", "start_f,end_10", "both");
    ob_node(&b, "Add", "both,ready_100", "controls");
    ob_node(&b, "Identity", "corrid", "id");
    write_model(&b, "accumulator.onnx");
}

#define CONTROLS                                                                                   \
    "control_input [{ name: 'start' control { kind: CONTROL_SEQUENCE_START "                       \
    "  int32_false_true: [0, 1] } },"                                                              \
    "{ name: 'end' control { kind: CONTROL_SEQUENCE_END bool_false_true: [false, true] } },"       \
    "{ name: 'ready' control { kind: CONTROL_SEQUENCE_READY fp32_false_true: [0, 1] } },"          \
    "{ name: 'corrid' control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_INT64 } }]"
#define STATE_OF  "state { input_name: 'state' output_name: 'state_out' data_type: TYPE_FP32 "
#define STATE     STATE_OF "dims: [1] "
#define HOUR_IDLE "max_sequence_idle_microseconds: 3600000000 "
#define PLAIN     "max_batch_size: 8 sequence_batching { " HOUR_IDLE CONTROLS STATE "} }"

static vly_served *load(const char *file, const char *config)
{
    char path[TEMP_DIR_PATH_MAX + 64], config_path[TEMP_DIR_PATH_MAX + 64];
    const vly_servable_spec spec = {.path = path,
                                    .name = "m",
                                    .version = "1",
                                    .config_path = config_path,
                                    .options = VLY_MODEL_OPTIONS_DEFAULT};
    vly_served *m;

    write_file("config.pbtxt", config, strlen(config));
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    snprintf(config_path, sizeof(config_path), "%s/config.pbtxt", dir);
    assert_int_equal(vly_scheduler_load(s, &spec, &m, &err), VLY_OK);
    assert_int_equal(vly_scheduler_publish(s, m, &err), VLY_OK);
    vly_served_unref(m);
    return m;
}

static void start_as(const char *execution, unsigned n_threads, const char *file,
                     const char *config)
{
    const vly_scheduler_opts opts = {.n_threads = n_threads,
                                     .max_waiting = MAX_WAITING,
                                     .max_sequences = 40,
                                     .execution = execution,
                                     .max_scratch_bytes = 1 << 20,
                                     .picture_limits = VLY_PICTURE_LIMITS_INIT};

    assert_int_equal(vly_scheduler_new(&opts, &s, &err), VLY_OK);
    model = load(file, config);
    if (model->error != NULL)
        print_message("%s\n", model->error);
    assert_null(model->error);
}

/* Some jobs hold their worker. */
static void start(const char *file, const char *config)
{
    start_as("parallel", 2, file, config);
}

static int set_up(void **state)
{
    (void)state;
    if (!temp_dir_make(dir))
        return -1;
    write_accumulator();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_scheduler_free(s);
    s = NULL;
    return temp_dir_remove(dir) ? 0 : -1;
}

/* ---- requests ---- */

enum { START = 1, END = 2 };

typedef struct request {
    vly_job job;
    float x, sum, controls;
    int64_t id;
    vly_tensor input;
    vly_status encode_status;
    sem_t done, *gate, *began;
    int turn;
} request;

static _Atomic int n_done;

static vly_status encode(vly_job *job, vly_err *e)
{
    request *r = job->ctx;

    r->sum = *(const float *)job->outputs[0].data;
    r->controls = *(const float *)job->outputs[1].data;
    r->id = *(const int64_t *)job->outputs[2].data;
    if (r->began != NULL)
        sem_post(r->began);
    if (r->gate != NULL)
        sem_wait(r->gate);
    return r->encode_status == VLY_OK ? VLY_OK : vly_fail(e, r->encode_status, "bad answer");
}

static void done(vly_job *job)
{
    request *r = job->ctx;

    r->turn = atomic_fetch_add(&n_done, 1) + 1;
    sem_post(&r->done);
}

static void init(request *r, uint64_t id, unsigned flags, float x)
{
    const vly_shape shape = VLY_SHAPE(1, 1);

    *r = (request){.x = x};
    sem_init(&r->done, 0, 0);
    r->input = vly_tensor_borrow(VLY_DTYPE_F32, &shape, &r->x);
    r->job = (vly_job){
        .kind = VLY_JOB_TENSORS,
        .ctx = r,
        .sequence = {.id = id, .is_start = (flags & START) != 0, .is_end = (flags & END) != 0},
        .inputs = &r->input,
        .encode = encode,
        .done = done};
}

static vly_status submit(request *r)
{
    vly_job *job = &r->job;
    return vly_scheduler_submit(model, &job, 1, &err);
}

static void send(request *r, uint64_t id, unsigned flags, float x)
{
    init(r, id, flags, x);
    assert_int_equal(submit(r), VLY_OK);
}

static vly_status result(request *r)
{
    sem_wait(&r->done);
    return r->job.status;
}

/* Sends and waits; the sum. */
static float ask(uint64_t id, unsigned flags, float x)
{
    request r;

    send(&r, id, flags, x);
    assert_int_equal(result(&r), VLY_OK);
    return r.sum;
}

static vly_status refused(uint64_t id, unsigned flags)
{
    request r;

    init(&r, id, flags, 1);
    return submit(&r);
}

static int64_t n_live(void)
{
    return vly_gauge_get(&model->stats.sequences);
}

/* ---- tests ---- */

static void keeps_state(void **state)
{
    (void)state;
    start("accumulator.onnx", PLAIN);
    assert_float_equal(ask(7, START, 1), 1, 0);
    assert_float_equal(ask(9, START, 100), 100, 0);
    assert_float_equal(ask(7, 0, 2), 3, 0);
    assert_float_equal(ask(9, 0, 200), 300, 0);
    assert_int_equal(n_live(), 2);
    assert_float_equal(ask(7, END, 3), 6, 0);
    assert_int_equal(n_live(), 1);
    assert_float_equal(ask(9, START, 5), 5, 0); /* anew */
    assert_float_equal(ask(9, END, 5), 10, 0);
    assert_float_equal(ask(7, START | END, 4), 4, 0);
    assert_int_equal(n_live(), 0);
    assert_int_equal(vly_counter_get(&model->stats.success), 8);
    assert_int_equal(vly_gauge_get(&model->stats.pending), 0);
}

static void hides_what_it_fills(void **state)
{
    (void)state;
    start("accumulator.onnx", PLAIN);
    const vly_model_info *info = model->servable->info;
    assert_int_equal(info->n_inputs, 1);
    assert_string_equal(info->inputs[0].name, "x");
    assert_int_equal(info->n_outputs, 3);
    assert_string_equal(info->outputs[1].name, "controls");
    assert_int_equal(model->servable->run_info->n_inputs, 6);
    vly_served *m = load("accumulator.onnx",
                         "max_batch_size: 8 output [{ name: 'sum' }, { name: 'state_out' }] "
                         "sequence_batching { " CONTROLS STATE "} }");
    assert_null(m->error);
    assert_int_equal(m->servable->info->n_outputs, 4); /* state_out is asked for */
}

static void fills_controls(void **state)
{
    (void)state;
    static const unsigned flags[] = {START, 0, END, START | END};
    static const float want[] = {101, 100, 110, 111};
    request r;

    start("accumulator.onnx", PLAIN);
    for (size_t i = 0; i < VLY_COUNT(flags); i++) {
        send(&r, 1234567890123, flags[i], 0);
        assert_int_equal(result(&r), VLY_OK);
        assert_float_equal(r.controls, want[i], 0);
        assert_int_equal(r.id, 1234567890123);
    }
}

static void refuses_in_tritons_words(void **state)
{
    (void)state;
    char long_name[VLY_SEQUENCE_NAME_MAX + 2];
    request r;

    start("accumulator.onnx", PLAIN);
    assert_int_equal(refused(0, START), VLY_EINVAL);
    assert_string_equal(err.msg, "inference request to model 'm' must specify a non-zero or "
                                 "non-empty correlation ID");
    assert_int_equal(refused(5, 0), VLY_EINVAL);
    assert_string_equal(err.msg, "inference request for sequence 5 to model 'm' must specify the "
                                 "START flag on the first request of the sequence");
    ask(5, START | END, 1);
    assert_int_equal(refused(5, END), VLY_EINVAL); /* it has ended */
    init(&r, 5, START, 1);
    r.job.n_inferences = 2;
    assert_int_equal(submit(&r), VLY_EINVAL);
    assert_string_equal(err.msg, "inference request to model 'm' must specify batch-size 1 due to "
                                 "requirements of sequence batcher");
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    init(&r, 0, START, 1);
    r.job.sequence.name = vly_str_from(long_name);
    assert_int_equal(submit(&r), VLY_EINVAL);
    r.job.sequence.name = VLY_STR("camera"); /* for an int64 tensor */
    assert_int_equal(submit(&r), VLY_EINVAL);
    assert_non_null(strstr(err.msg, "a number"));
    assert_int_equal(n_live(), 0);
}

static void requests_keep_their_order(void **state)
{
    (void)state;
    enum { N = 20 };
    static request r[N];
    sem_t gate, began;
    float sum = 0;

    sem_init(&gate, 0, 0);
    sem_init(&began, 0, 0);
    n_done = 0;
    start("accumulator.onnx", PLAIN);
    for (int i = 0; i < N; i++) {
        init(&r[i], 3, i == 0 ? START : i == N - 1 ? END : 0, (float)(i + 1));
        if (i == 0) {
            r[i].gate = &gate;
            r[i].began = &began;
        }
        assert_int_equal(submit(&r[i]), VLY_OK);
    }
    sem_wait(&began);
    assert_int_equal(vly_gauge_get(&model->stats.pending), N - 1); /* one at a time */
    sem_post(&gate);
    for (int i = 0; i < N; i++) {
        assert_int_equal(result(&r[i]), VLY_OK);
        sum += (float)(i + 1);
        assert_float_equal(r[i].sum, sum, 0);
        assert_int_equal(r[i].turn, i + 1);
    }
    assert_int_equal(n_live(), 0);
}

/* Jobs of five sequences, which wait for the only worker, are one run; then they are one again. */
static void sequences_share_runs(void **state)
{
    (void)state;
    enum { N = 5 };
    static request first, r[N];
    sem_t gate, began;

    sem_init(&gate, 0, 0);
    sem_init(&began, 0, 0);
    start_as("batched", 1, "accumulator.onnx", PLAIN);
    for (int i = 0; i < N; i++)
        ask((uint64_t)i + 10, START, (float)i);
    uint64_t before = vly_counter_get(&model->stats.executions);
    init(&first, 1, START, 1);
    first.gate = &gate;
    first.began = &began;
    assert_int_equal(submit(&first), VLY_OK);
    sem_wait(&began);
    for (int i = 0; i < N; i++)
        send(&r[i], (uint64_t)i + 10, 0, 100);
    sem_post(&gate);
    for (int i = 0; i < N; i++) {
        assert_int_equal(result(&r[i]), VLY_OK);
        assert_float_equal(r[i].sum, (float)i + 100, 0); /* each with its own state */
        assert_int_equal(r[i].id, i + 10);
    }
    assert_int_equal(vly_counter_get(&model->stats.executions), before + 2);
    assert_int_equal(result(&first), VLY_OK);
}

/* The strategies' sizes and delays are those of the lane behind. */
static void strategies_reach_the_lane(void **state)
{
    (void)state;
    vly_explanation e;

    start_as("batched", 1, "accumulator.onnx",
             "max_batch_size: 8 sequence_batching { oldest { "
             "max_candidate_sequences: 9 preferred_batch_size: [4, 2] "
             "max_queue_delay_microseconds: 300 } " CONTROLS STATE "} }");
    model->runner->ops->explain(model->runner, &e);
    assert_int_equal(e.rules->n_preferred, 2);
    assert_int_equal(e.rules->preferred[1], 4);
    assert_int_equal(e.rules->delay_ns, 300000);
    model = load("accumulator.onnx", "max_batch_size: 8 sequence_batching { direct { "
                                     "max_queue_delay_microseconds: 700 "
                                     "minimum_slot_utilization: 0.6 } " CONTROLS STATE "} }");
    model->runner->ops->explain(model->runner, &e);
    assert_int_equal(e.rules->preferred[0], 5); /* 0.6 * 8, rounded up */
    assert_int_equal(e.rules->delay_ns, 700000);
    model = load("accumulator.onnx", "max_batch_size: 8 sequence_batching { direct { "
                                     "max_queue_delay_microseconds: 700 } " CONTROLS STATE "} }");
    model->runner->ops->explain(model->runner, &e);
    assert_int_equal(e.rules->delay_ns, 0);
}

/* As a tiny model runs: within submit. */
static void runs_where_it_is_asked(void **state)
{
    (void)state;
    start_as("inline", 2, "accumulator.onnx", PLAIN);
    for (int i = 0; i < 100; i++)
        assert_float_equal(ask(1, i == 0 ? START : 0, 1), (float)i + 1, 0);
}

/* The second sequence of the same id is sent before the first has run. */
static void same_id_again(void **state)
{
    (void)state;
    static request r[4];
    sem_t gate;

    sem_init(&gate, 0, 0);
    start("accumulator.onnx", PLAIN);
    init(&r[0], 3, START, 1);
    r[0].gate = &gate;
    assert_int_equal(submit(&r[0]), VLY_OK);
    send(&r[1], 3, END, 2);
    assert_int_equal(refused(3, 0), VLY_EINVAL);
    send(&r[2], 3, START, 30);
    send(&r[3], 3, 0, 40);
    sem_post(&gate);
    for (int i = 0; i < 4; i++)
        assert_int_equal(result(&r[i]), VLY_OK);
    assert_float_equal(r[1].sum, 3, 0);
    assert_float_equal(r[3].sum, 70, 0);
    assert_int_equal(n_live(), 1);
}

static void a_refused_request_changes_nothing(void **state)
{
    (void)state;
    request r;

    start("accumulator.onnx", PLAIN);
    assert_float_equal(ask(3, START, 1), 1, 0);
    init(&r, 3, END, 10);
    r.encode_status = VLY_EINVAL;
    assert_int_equal(submit(&r), VLY_OK);
    assert_int_equal(result(&r), VLY_EINVAL);
    assert_float_equal(ask(3, END, 2), 3, 0);
    assert_int_equal(vly_counter_get(&model->stats.failures[VLY_JOB_FAILURE_OTHER]), 1);
}

/* What is cancelled or too late leaves a gap: nothing is computed behind it. */
static void a_gap_ends_the_sequence(void **state)
{
    (void)state;
    static request r[4];
    const _Atomic bool gone = true;
    sem_t gate;

    sem_init(&gate, 0, 0);
    start("accumulator.onnx", PLAIN);
    for (int late = 0; late < 2; late++) {
        for (int i = 0; i < 4; i++)
            init(&r[i], 3, i == 0 ? START : 0, 1);
        r[0].gate = &gate;
        if (late != 0)
            r[1].job.deadline_ns = 1;
        else
            r[1].job.is_cancelled = &gone;
        for (int i = 0; i < 4; i++)
            assert_int_equal(submit(&r[i]), VLY_OK);
        sem_post(&gate);
        assert_int_equal(result(&r[0]), VLY_OK);
        assert_int_equal(result(&r[1]), late != 0 ? VLY_EDEADLINE : VLY_ECANCELLED);
        assert_int_equal(result(&r[2]), VLY_ECANCELLED);
        assert_int_equal(result(&r[3]), VLY_ECANCELLED);
        assert_non_null(strstr(r[3].job.err.msg, "an earlier request"));
        assert_float_equal(ask(4, START | END, 9), 9, 0); /* another one is not touched */
    }
    assert_int_equal(refused(3, 0), VLY_EINVAL);
    assert_float_equal(ask(3, START, 5), 5, 0);
    assert_int_equal(vly_gauge_get(&model->stats.pending), 0);
}

static void limits(void **state)
{
    (void)state;
    static request r[MAX_WAITING];
    sem_t gate;

    sem_init(&gate, 0, 0);
    start("accumulator.onnx", PLAIN);
    for (uint64_t id = 1; id <= 40; id++)
        ask(id, START, 1);
    assert_int_equal(refused(41, START), VLY_EBUSY);
    assert_string_equal(err.msg, "model 'm': expected at most 40 live sequences");
    ask(7, END, 1);
    ask(41, START, 1);
    for (int i = 0; i < MAX_WAITING; i++) {
        init(&r[i], 41, 0, 1);
        if (i == 0)
            r[i].gate = &gate;
        assert_int_equal(submit(&r[i]), VLY_OK);
    }
    assert_int_equal(refused(41, 0), VLY_EBUSY);
    assert_non_null(strstr(err.msg, "Exceeds maximum queue size"));
    assert_int_equal(vly_counter_get(&model->stats.failures[VLY_JOB_FAILURE_REJECTED]), 2);
    sem_post(&gate);
    for (int i = 0; i < MAX_WAITING; i++)
        assert_int_equal(result(&r[i]), VLY_OK);
    assert_float_equal(r[MAX_WAITING - 1].sum, MAX_WAITING + 1, 0);
}

/* A sequence is idle a moment after its last answer has come. */
static void expire_until(int64_t n, vly_nsec now)
{
    while (n_live() > n) {
        vly_sequence_expire(model->runner, now);
        sched_yield();
    }
    assert_int_equal(n_live(), n);
}

static void idle_ones_expire(void **state)
{
    (void)state;
    const vly_nsec hour = 3600 * VLY_NSEC_PER_SEC;
    vly_nsec before = vly_clock_now();

    start("accumulator.onnx", PLAIN);
    ask(1, START, 1);
    ask(2, START, 1);
    vly_nsec between = vly_clock_now();
    ask(1, 0, 1); /* now 2 is the older one */
    vly_sequence_expire(model->runner, before + hour);
    assert_int_equal(n_live(), 2);
    expire_until(1, between + hour);
    assert_int_equal(refused(2, 0), VLY_EINVAL);
    assert_float_equal(ask(1, 0, 1), 3, 0);
    expire_until(0, vly_clock_now() + hour);
}

/* Two candidates; the others get their turn in the order of their START, when one ends. */
static void others_wait_for_candidates(void **state)
{
    (void)state;
    static request r[5];

    n_done = 0;
    start("accumulator.onnx", "max_batch_size: 8 sequence_batching { oldest { "
                              "max_candidate_sequences: 2 } " HOUR_IDLE CONTROLS STATE "} }");
    ask(1, START, 1);
    ask(2, START, 1);
    send(&r[0], 3, START | END, 3);
    send(&r[1], 4, START, 4);
    send(&r[2], 4, 0, 4);
    assert_int_equal(n_live(), 4);
    assert_int_equal(n_done, 2);
    assert_float_equal(ask(1, END, 1), 2, 0); /* makes room for 3, whose end for 4 */
    for (int i = 0; i < 3; i++)
        assert_int_equal(result(&r[i]), VLY_OK);
    assert_true(r[0].turn < r[1].turn);
    assert_float_equal(r[2].sum, 8, 0);
    send(&r[3], 5, START, 5);
    expire_until(1, vly_clock_now() + 3600 * VLY_NSEC_PER_SEC); /* 2 and 4 are forgotten */
    assert_int_equal(result(&r[3]), VLY_OK);
    send(&r[4], 6, START, 6);
    assert_int_equal(result(&r[4]), VLY_OK);
}

/* The same by the alarm itself: nobody sends anything, and the one that waits is answered. */
static void the_alarm_rings(void **state)
{
    (void)state;
    request r;

    start("accumulator.onnx",
          "max_batch_size: 8 sequence_batching { oldest { max_candidate_sequences: 1 } "
          "max_sequence_idle_microseconds: 2000 " CONTROLS STATE "} }");
    ask(1, START, 1);
    send(&r, 2, START, 2);
    assert_int_equal(result(&r), VLY_OK);
}

/* A model that goes lets no one wait for a sequence that cannot be continued. */
static void withdrawal_lets_all_run(void **state)
{
    (void)state;
    static request r[3];

    start("accumulator.onnx", "max_batch_size: 8 sequence_batching { oldest { "
                              "max_candidate_sequences: 1 } " HOUR_IDLE CONTROLS STATE "} }");
    ask(1, START, 1);
    for (uint64_t i = 0; i < 3; i++)
        send(&r[i], 2 + i, START, 2);
    assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("m"), VLY_STR("1"), &err), VLY_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(result(&r[i]), VLY_OK);
}

typedef struct client {
    pthread_t thread;
    uint64_t id;
    bool is_right;
} client;

static void *talk(void *arg)
{
    client *c = arg;
    request r;

    c->is_right = true;
    for (int round = 0; round < 20; round++) {
        float want = 0;
        for (int i = 0; i < 10; i++) {
            float x = (float)(c->id * 100 + (uint64_t)i);
            want += x;
            init(&r, c->id, i == 0 ? START : i == 9 ? END : 0, x);
            vly_job *job = &r.job;
            c->is_right = c->is_right && vly_scheduler_submit(model, &job, 1, NULL) == VLY_OK &&
                          result(&r) == VLY_OK && r.sum == want && r.id == (int64_t)c->id;
        }
    }
    return NULL;
}

static void many_clients(void **state)
{
    (void)state;
    client clients[8];

    start("accumulator.onnx", PLAIN);
    for (size_t i = 0; i < VLY_COUNT(clients); i++) {
        clients[i] = (client){.id = i + 1};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, talk, &clients[i]), 0);
    }
    for (size_t i = 0; i < VLY_COUNT(clients); i++)
        pthread_join(clients[i].thread, NULL);
    for (size_t i = 0; i < VLY_COUNT(clients); i++)
        assert_true(clients[i].is_right);
    assert_int_equal(n_live(), 0);
    assert_int_equal(vly_counter_get(&model->stats.success), 8 * 20 * 10);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(keeps_state, set_up, tear_down),
           cmocka_unit_test_setup_teardown(hides_what_it_fills, set_up, tear_down),
           cmocka_unit_test_setup_teardown(fills_controls, set_up, tear_down),
           cmocka_unit_test_setup_teardown(refuses_in_tritons_words, set_up, tear_down),
           cmocka_unit_test_setup_teardown(requests_keep_their_order, set_up, tear_down),
           cmocka_unit_test_setup_teardown(sequences_share_runs, set_up, tear_down),
           cmocka_unit_test_setup_teardown(strategies_reach_the_lane, set_up, tear_down),
           cmocka_unit_test_setup_teardown(runs_where_it_is_asked, set_up, tear_down),
           cmocka_unit_test_setup_teardown(same_id_again, set_up, tear_down),
           cmocka_unit_test_setup_teardown(a_refused_request_changes_nothing, set_up, tear_down),
           cmocka_unit_test_setup_teardown(a_gap_ends_the_sequence, set_up, tear_down),
           cmocka_unit_test_setup_teardown(limits, set_up, tear_down),
           cmocka_unit_test_setup_teardown(idle_ones_expire, set_up, tear_down),
           cmocka_unit_test_setup_teardown(others_wait_for_candidates, set_up, tear_down),
           cmocka_unit_test_setup_teardown(the_alarm_rings, set_up, tear_down),
           cmocka_unit_test_setup_teardown(withdrawal_lets_all_run, set_up, tear_down),
           cmocka_unit_test_setup_teardown(many_clients, set_up, tear_down))
