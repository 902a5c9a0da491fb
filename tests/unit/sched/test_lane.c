/* SPDX-License-Identifier: MIT */
/*
 * Batches, modes and configurations of a lane, on models of one operator. A job holds the only
 * worker at a gate while others are queued, so that what runs together is known.
 */
#include "base/assert.h"
#include "sched/explain.h"
#include "sched/scheduler.h"
#include "support/onnx_builder.h"
#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { JOBS_MAX = 32, VALUES_MAX = 64 };

static char dir[TEMP_DIR_PATH_MAX];
static vly_scheduler *s;
static vly_err err;

/* ---- models ---- */

/* Valid for the next three calls. */
static const char *path_of(const char *name)
{
    static char path[4][256];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
    return path[turn];
}

static void write_file(const char *name, const void *bytes, size_t len)
{
    assert_int_equal(vly_file_write(path_of(name), bytes, len, &err), VLY_OK);
}

static void finish_model(onnx_builder *b, const char *name)
{
    vly_str file = ob_finish(b, 17);

    write_file(name, file.ptr, file.len);
    ob_release(b);
}

/* y = op(x), float [N, 2] */
static void write_unary(const char *name, const char *op)
{
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 2, (int64_t[]){-1, 2});
    ob_output(&b, "y", OB_FLOAT, 2, (int64_t[]){-1, -1});
    ob_node(&b, op, "x", "y");
    finish_model(&b, name);
}

/* y = table[x], int64 [N]; an index of 3 or more is an error of the run */
static void write_lookup(void)
{
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", OB_INT64, 1, (int64_t[]){-1});
    ob_output(&b, "y", OB_FLOAT, 1, (int64_t[]){-1});
    ob_floats(&b, "table", 1, (int64_t[]){3}, (float[]){10, 11, 12});
    ob_node(&b, "Gather", "table,x", "y");
    finish_model(&b, "lookup.onnx");
}

static int set_up(void **state)
{
    (void)state;
    if (!temp_dir_make(dir) || mkdir(path_of("net"), 0700) != 0 ||
        mkdir(path_of("net/1"), 0700) != 0 || mkdir(path_of("net/warmup"), 0700) != 0)
        return -1;
    write_unary("net/1/model.onnx", "Identity");
    write_unary("transpose.onnx", "Transpose");
    write_lookup();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_scheduler_free(s);
    s = NULL;
    return temp_dir_remove(dir) ? 0 : -1;
}

static vly_served *start(const char *model, const char *config, unsigned n_threads,
                         const char *execution)
{
    const vly_scheduler_opts opts = {.n_threads = n_threads,
                                     .max_waiting = 16,
                                     .n_loops = 1,
                                     .execution = execution,
                                     .max_scratch_bytes = 1 << 20,
                                     .picture_limits = VLY_PICTURE_LIMITS_INIT};
    vly_servable_spec spec = {.path = path_of(model),
                              .name = "net",
                              .version = "1",
                              .options = VLY_MODEL_OPTIONS_DEFAULT};
    vly_served *m;

    if (config != NULL) {
        write_file("config.pbtxt", config, strlen(config));
        spec.config_path = path_of("config.pbtxt");
    }
    assert_int_equal(vly_scheduler_new(&opts, &s, &err), VLY_OK);
    assert_int_equal(vly_scheduler_load(s, &spec, &m, &err), VLY_OK);
    assert_int_equal(vly_scheduler_publish(s, m, &err), VLY_OK);
    vly_served_unref(m); /* the scheduler keeps one */
    return m;
}

/* The same, of a model that is to serve. */
static vly_served *start_ready(const char *model, const char *config, unsigned n_threads,
                               const char *execution)
{
    vly_served *m = start(model, config, n_threads, execution);

    if (m->error != NULL)
        fail_msg("%s", m->error);
    return m;
}

static vly_explanation explain(const vly_served *m)
{
    vly_explanation e;

    m->runner->ops->explain(m->runner, &e);
    return e;
}

/* ---- jobs ---- */

typedef struct probe {
    vly_job job;
    vly_tensor input;
    float in[VALUES_MAX], out[VALUES_MAX];
    int64_t index[4];
    size_t n_out;
    vly_shape out_shape;
    sem_t *gate, *encoded; /* NULL: none */
    int turn;
} probe;

static probe probes[JOBS_MAX];
static sem_t gate, began, encoded, all_done;
static _Atomic int n_done;

static vly_status hold(vly_job *job, vly_err *e)
{
    const probe *p = job->ctx;

    (void)e;
    sem_post(&began);
    sem_wait(p->gate);
    return VLY_OK;
}

static vly_status encode(vly_job *job, vly_err *e)
{
    probe *p = job->ctx;
    const vly_tensor *y = &job->outputs[0];

    (void)e;
    p->out_shape = y->shape;
    p->n_out = y->bytes / sizeof(float);
    memcpy(p->out, y->data, y->bytes);
    if (p->encoded != NULL)
        sem_post(p->encoded);
    return VLY_OK;
}

static void done(vly_job *job)
{
    probe *p = job->ctx;

    p->turn = ++n_done;
    sem_post(&all_done);
}

/* A job of n rows whose values nobody else has. */
static vly_job *rows(size_t i, size_t n)
{
    const vly_shape shape = VLY_SHAPE((int64_t)n, 2);
    probe *p = &probes[i];

    *p = (probe){.turn = 0};
    for (size_t k = 0; k < 2 * n; k++)
        p->in[k] = (float)(100 * i + k);
    p->input = vly_tensor_borrow(VLY_DTYPE_F32, &shape, p->in);
    p->job = (vly_job){.kind = VLY_JOB_TENSORS,
                       .ctx = p,
                       .encode = encode,
                       .done = done,
                       .inputs = &p->input,
                       .n_inferences = n};
    return &p->job;
}

static vly_job *lookup(size_t i, int64_t index)
{
    const vly_shape shape = VLY_SHAPE(1);

    rows(i, 1);
    probes[i].index[0] = index;
    probes[i].input = vly_tensor_borrow(VLY_DTYPE_I64, &shape, probes[i].index);
    return &probes[i].job;
}

static void reset(void)
{
    n_done = 0;
    sem_init(&gate, 0, 0);
    sem_init(&began, 0, 0);
    sem_init(&encoded, 0, 0);
    sem_init(&all_done, 0, 0);
}

static void submit(vly_served *m, vly_job *job)
{
    if (vly_scheduler_submit(m, &job, 1, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

static void wait_for(int n)
{
    while (n-- > 0)
        sem_wait(&all_done);
}

/* Job i, made already, holds a worker until the gate opens. */
static void hold_worker(vly_served *m, size_t i)
{
    probes[i].gate = &gate;
    probes[i].job.prepare = hold;
    submit(m, &probes[i].job);
    sem_wait(&began);
}

static void expect_rows(size_t i)
{
    const probe *p = &probes[i];

    if (p->job.status != VLY_OK)
        fail_msg("job %zu: %s", i, p->job.err.msg);
    assert_int_equal(p->out_shape.dim[0], p->job.n_inferences);
    assert_int_equal(p->n_out, 2 * p->job.n_inferences);
    assert_memory_equal(p->out, p->in, p->n_out * sizeof(float));
}

static uint64_t batches_of(const vly_served *m, size_t size)
{
    for (size_t i = 0; i < VLY_BATCH_STATS_MAX; i++)
        if (m->stats.batches[i].size == size)
            return vly_counter_get(&m->stats.batches[i].count);
    return 0;
}

/* ---- batches ---- */

static void jobs_share_a_run(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 2, 1, 3, 1};
    vly_served *m = start_ready("net/1/model.onnx", NULL, 1, "batched");

    reset();
    rows(0, 1);
    hold_worker(m, 0);
    for (size_t i = 1; i <= 5; i++)
        submit(m, rows(i, sizes[i - 1]));
    assert_int_equal(vly_gauge_get(&m->stats.pending), 5);
    sem_post(&gate);
    wait_for(6);
    for (size_t i = 0; i <= 5; i++)
        expect_rows(i);
    assert_int_equal(vly_counter_get(&m->stats.executions), 2);
    assert_int_equal(vly_counter_get(&m->stats.inferences), 9);
    assert_int_equal(vly_counter_get(&m->stats.success), 6);
    assert_int_equal(batches_of(m, 1), 1);
    assert_int_equal(batches_of(m, 8), 1);
    assert_int_equal(vly_gauge_get(&m->stats.pending), 0);
    assert_true(m->stats.last_inference_ms != 0);
    vly_worker_pool_drain(vly_scheduler_pool(s)); /* the history is written behind the answers */
    const vly_explanation e = explain(m);
    assert_int_equal(e.n_batches, 2);
    assert_int_equal(e.batches[0].n_jobs, 5);
    assert_int_equal(e.batches[0].n_inferences, 8);
    assert_int_equal(e.batches[0].reason, VLY_BATCH_IDLE);
    assert_int_equal(e.calibration.mode, VLY_EXECUTION_BATCHED);
}

/* One that the model refuses does not take the others with it. */
static void company_does_not_suffer(void **state)
{
    (void)state;
    vly_served *m = start_ready("lookup.onnx", NULL, 1, "batched");

    reset();
    lookup(0, 0);
    hold_worker(m, 0);
    submit(m, lookup(1, 2));
    submit(m, lookup(2, 7));
    submit(m, lookup(3, 1));
    sem_post(&gate);
    wait_for(4);
    assert_int_equal(probes[1].job.status, VLY_OK);
    assert_float_equal(probes[1].out[0], 12, 0);
    assert_int_not_equal(probes[2].job.status, VLY_OK);
    assert_int_equal(probes[3].job.status, VLY_OK);
    assert_float_equal(probes[3].out[0], 11, 0);
    assert_int_equal(vly_counter_get(&m->stats.success), 3);
    assert_int_equal(vly_counter_get(&m->stats.executions), 3);
}

/* [N, 2] -> [2, N]: there is no row for each row. */
static void outputs_without_rows(void **state)
{
    (void)state;
    vly_served *m = start_ready("transpose.onnx", NULL, 1, "batched");

    reset();
    rows(0, 1);
    hold_worker(m, 0);
    for (size_t i = 1; i <= 3; i++)
        submit(m, rows(i, 1));
    sem_post(&gate);
    wait_for(4);
    for (size_t i = 0; i <= 3; i++) {
        assert_int_equal(probes[i].job.status, VLY_OK);
        assert_int_equal(probes[i].out_shape.dim[0], 2);
        assert_memory_equal(probes[i].out, probes[i].in, 2 * sizeof(float));
    }
    const vly_explanation e = explain(m);
    assert_true(e.is_unbatchable);
    assert_int_equal(e.max_batch, 1);
}

/* ---- configurations ---- */

static void a_lone_request_does_not_wait(void **state)
{
    (void)state;
    vly_served *m = start_ready(
        "net/1/model.onnx",
        "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 10000000 }", 2, NULL);
    const vly_explanation e = explain(m);

    assert_int_equal(e.calibration.mode, VLY_EXECUTION_BATCHED);
    assert_int_equal(e.rules->delay_ns, 10 * VLY_NSEC_PER_SEC);
    reset();
    for (size_t i = 0; i < 20; i++) { /* a client that waits for each answer */
        submit(m, rows(i, 1));
        wait_for(1);
        expect_rows(i);
        assert_true(probes[i].job.times.queue < 5 * VLY_NSEC_PER_SEC);
    }
}

static void priorities_and_bounds(void **state)
{
    (void)state;
    const uint64_t levels[] = {2, 1, 2, 1};
    vly_served *m = start_ready("net/1/model.onnx",
                                "max_batch_size: 8 parameters { key: \"execution\" "
                                "value { string_value: \"parallel\" } }\n"
                                "dynamic_batching { priority_levels: 2 default_priority_level: 2 "
                                "priority_queue_policy { key: 1 value { max_queue_size: 2 } } }",
                                1, "inline");
    vly_job *job;

    assert_int_equal(explain(m).calibration.mode, VLY_EXECUTION_PARALLEL); /* its own word */
    reset();
    rows(0, 1);
    hold_worker(m, 0);
    for (size_t i = 1; i <= 4; i++) {
        rows(i, 1);
        probes[i].job.priority = levels[i - 1];
        submit(m, &probes[i].job);
    }
    job = rows(5, 1);
    job->priority = 1;
    assert_int_equal(vly_scheduler_submit(m, &job, 1, &err), VLY_EBUSY);
    assert_string_equal(err.msg, "model 'net': Exceeds maximum queue size of 2");
    assert_int_equal(vly_counter_get(&m->stats.failures[VLY_JOB_FAILURE_REJECTED]), 1);
    sem_post(&gate);
    wait_for(5);
    assert_int_equal(probes[2].turn, 2);
    assert_int_equal(probes[4].turn, 3);
    assert_int_equal(probes[1].turn, 4);
    assert_int_equal(probes[3].turn, 5);
}

/* The second job is ready long before the first, and is answered behind it. */
static void order_is_preserved(void **state)
{
    (void)state;
    vly_served *m = start_ready("net/1/model.onnx",
                                "max_batch_size: 8 dynamic_batching { preserve_ordering: true }", 2,
                                "parallel");

    reset();
    rows(0, 1);
    hold_worker(m, 0);
    rows(1, 1);
    probes[1].encoded = &encoded;
    submit(m, &probes[1].job);
    sem_wait(&encoded);
    assert_int_equal(n_done, 0);
    sem_post(&gate);
    wait_for(2);
    assert_int_equal(probes[0].turn, 1);
    assert_int_equal(probes[1].turn, 2);
}

static void instance_count(void **state)
{
    (void)state;
    vly_served *m = start_ready("net/1/model.onnx",
                                "instance_group [ { count: 1 kind: KIND_CPU } ]", 2, "parallel");

    assert_int_equal(explain(m).n_instances, 1);
    reset();
    rows(0, 1);
    hold_worker(m, 0); /* the only instance: the other worker finds none */
    submit(m, rows(1, 1));
    assert_int_equal(vly_gauge_get(&m->stats.pending), 1);
    sem_post(&gate);
    wait_for(2);
    assert_int_equal(probes[1].turn, 2);
}

static void post_began(vly_work *work)
{
    (void)work;
    sem_post(&began);
}

/* Returns when a worker has taken what was in the pool's line until now. */
static void pass_work(vly_worker_pool *pool)
{
    vly_work work = {.run = post_began};

    assert_int_equal(vly_worker_pool_submit(pool, &work), VLY_OK);
    sem_wait(&began);
}

/* Two models whose instances need the one resource there is: one runs at a time. */
static void resources_are_shared(void **state)
{
    (void)state;
    static const char config[] = "instance_group [ { count: 2 kind: KIND_CPU rate_limiter { "
                                 "resources [ { name: \"R\" count: 1 } ] } } ]";
    vly_served *a = start_ready("net/1/model.onnx", config, 2, NULL), *b;
    const vly_servable_spec spec = {.path = path_of("net/1/model.onnx"),
                                    .name = "other",
                                    .version = "1",
                                    .config_path = path_of("config.pbtxt"),
                                    .options = VLY_MODEL_OPTIONS_DEFAULT};

    assert_int_not_equal(explain(a).calibration.mode, VLY_EXECUTION_INLINE);
    assert_int_equal(vly_scheduler_load(s, &spec, &b, &err), VLY_OK);
    assert_null(b->error);
    reset();
    rows(0, 1);
    hold_worker(a, 0);
    submit(b, rows(1, 1));
    submit(a, rows(2, 1));
    pass_work(vly_scheduler_pool(s));
    assert_int_equal(n_done, 0); /* though the other worker had nothing else to do */
    sem_post(&gate);
    wait_for(3);
    for (size_t i = 0; i < 3; i++)
        expect_rows(i);
    vly_served_unref(b);
}

static void expect_error(const char *config, const char *text)
{
    const vly_served *m = start("net/1/model.onnx", config, 1, NULL);

    assert_int_equal(m->state, VLY_SERVED_UNAVAILABLE);
    assert_null(m->runner);
    if (strstr(m->error, text) == NULL)
        fail_msg("expected '%s' in '%s'", text, m->error);
    vly_scheduler_free(s);
    s = NULL;
}

static void refuses_wrong_configurations(void **state)
{
    (void)state;
    expect_error("parameters { key: \"execution\" value { string_value: \"fast\" } }",
                 "parameter 'execution': expected auto, inline, parallel or batched, got 'fast'");
    expect_error("max_batch_size: 8 dynamic_batching { preferred_batch_size: [ 4, 16 ] }",
                 "dynamic batching preferred size must be <= max batch size for net");
    expect_error("max_batch_size: 8 dynamic_batching { priority_levels: 2 }",
                 "default priority level must be in range [1, 2] for net");
    expect_error("max_batch_size: 8 dynamic_batching { priority_levels: 5000 "
                 "default_priority_level: 1 }",
                 "priority_levels: expected at most 1024, got 5000");
    expect_error("max_batch_size: 8 model_warmup { name: \"w\" batch_size: 1 inputs { key: \"x\" "
                 "value { data_type: TYPE_FP32 dims: 3 zero_data: true } } }",
                 "model_warmup 'w'");
    expect_error("max_batch_size: 8 model_warmup { name: \"w\" batch_size: 1 inputs { key: \"x\" "
                 "value { data_type: TYPE_FP32 dims: 2 input_data_file: \"none\" } } }",
                 "net/warmup/none");
}

static void warms_up(void **state)
{
    (void)state;
    const float data[2] = {1, 2};

    write_file("net/warmup/data", data, sizeof(data));
    vly_served *m = start_ready(
        "net/1/model.onnx",
        "max_batch_size: 8\n"
        "model_warmup [ { name: \"zeros\" batch_size: 4 count: 2 inputs { key: \"x\" value { "
        "data_type: TYPE_FP32 dims: 2 zero_data: true } } },\n"
        "{ name: \"file\" batch_size: 1 inputs { key: \"x\" value { data_type: TYPE_FP32 "
        "dims: 2 input_data_file: \"data\" } } },\n"
        "{ name: \"random\" batch_size: 1 inputs { key: \"x\" value { data_type: TYPE_FP32 "
        "dims: 2 random_data: true } } } ]",
        2, "parallel");

    assert_int_equal(vly_counter_get(&m->stats.executions), 0); /* nobody's requests */
    reset();
    submit(m, rows(0, 4));
    wait_for(1);
    expect_rows(0);
}

/* ---- inline ---- */

static void runs_where_it_is_asked(void **state)
{
    (void)state;
    vly_served *m = start_ready("net/1/model.onnx", NULL, 1, NULL);

    assert_int_equal(explain(m).calibration.mode, VLY_EXECUTION_INLINE); /* by measurement */
    reset();
    submit(m, rows(0, 1));
    assert_int_equal(probes[0].turn, 1); /* before submit returned */
    expect_rows(0);
    rows(1, 1);
    hold_worker(m, 1); /* what must be prepared goes to a worker */
    submit(m, rows(2, 1));
    assert_int_equal(probes[2].turn, 0);
    sem_post(&gate);
    wait_for(3);
    expect_rows(2);
}

static void jobs_of_a_turn_share_a_run(void **state)
{
    (void)state;
    _Atomic bool gone = true;
    vly_served *m = start_ready("net/1/model.onnx", NULL, 1, "inline");

    reset();
    vly_scheduler_turn(s, 0); /* this thread is the loop from now on */
    for (size_t i = 0; i < 7; i++) {
        rows(i, 1);
        probes[i].job.loop = 1;
        if (i == 5)
            probes[i].job.is_cancelled = &gone;
        if (i == 6)
            probes[i].job.deadline_ns = 1;
        submit(m, &probes[i].job);
    }
    assert_int_equal(n_done, 0);
    vly_scheduler_turn(s, 0);
    assert_int_equal(n_done, 7);
    for (size_t i = 0; i < 5; i++)
        expect_rows(i);
    assert_int_equal(probes[5].job.status, VLY_ECANCELLED);
    assert_int_equal(probes[6].job.status, VLY_EDEADLINE);
    assert_int_equal(vly_counter_get(&m->stats.executions), 1);
    assert_int_equal(batches_of(m, 5), 1);
    assert_int_equal(explain(m).batches[0].reason, VLY_BATCH_TURN);
    /* A turn holds as many jobs as a queue. */
    for (size_t i = 0; i < 16; i++) {
        rows(i, 1);
        probes[i].job.loop = 1;
        submit(m, &probes[i].job);
    }
    vly_job *job = rows(16, 1);
    job->loop = 1;
    assert_int_equal(vly_scheduler_submit(m, &job, 1, &err), VLY_EBUSY);
    vly_scheduler_turn(s, 0);
    assert_int_equal(n_done, 23);
}

/* ---- the rule ---- */

static vly_execution choice(vly_calibration c, vly_run_config config)
{
    config.rules.n_levels = config.rules.n_levels != 0 ? config.rules.n_levels : 1;
    vly_calibration_choose(&c, &config);
    return c.mode;
}

static void chooses_by_measurement(void **state)
{
    (void)state;
    const vly_calibration tiny = {.one_ns = 4000, .batch = 32, .batch_ns = 20000};
    const vly_calibration gains = {.one_ns = 200000, .batch = 8, .batch_ns = 800000};
    const vly_calibration loses = {.one_ns = 200000, .batch = 8, .batch_ns = 1500000};
    const vly_run_config open = {.max_batch = 64};

    assert_int_equal(choice(tiny, open), VLY_EXECUTION_INLINE);
    assert_int_equal(choice(gains, open), VLY_EXECUTION_BATCHED);
    assert_int_equal(choice(loses, open), VLY_EXECUTION_PARALLEL);
    assert_int_equal(choice((vly_calibration){.one_ns = 0}, open), VLY_EXECUTION_PARALLEL);
    /* what needs a queue is not run inline */
    assert_int_equal(choice(tiny, (vly_run_config){.max_batch = 64, .keeps_order = true}),
                     VLY_EXECUTION_BATCHED);
    assert_int_equal(choice(tiny, (vly_run_config){.max_batch = 64, .rules = {.n_levels = 2}}),
                     VLY_EXECUTION_BATCHED);
    assert_int_equal(choice(tiny, (vly_run_config){.max_batch = 8, .asks_for_batches = true}),
                     VLY_EXECUTION_BATCHED);
    /* the user's word, as far as the model can follow it */
    assert_int_equal(
        choice(tiny, (vly_run_config){.max_batch = 8, .execution = VLY_EXECUTION_PARALLEL}),
        VLY_EXECUTION_PARALLEL);
    assert_int_equal(
        choice(loses, (vly_run_config){.max_batch = 8, .execution = VLY_EXECUTION_INLINE}),
        VLY_EXECUTION_INLINE);
    assert_int_equal(
        choice(tiny, (vly_run_config){.max_batch = 1, .execution = VLY_EXECUTION_BATCHED}),
        VLY_EXECUTION_PARALLEL);
}

#define LANE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

UNIT_TESTS(LANE_TEST(jobs_share_a_run), LANE_TEST(company_does_not_suffer),
           LANE_TEST(outputs_without_rows), LANE_TEST(a_lone_request_does_not_wait),
           LANE_TEST(priorities_and_bounds), LANE_TEST(order_is_preserved),
           LANE_TEST(instance_count), LANE_TEST(resources_are_shared),
           LANE_TEST(refuses_wrong_configurations), LANE_TEST(warms_up),
           LANE_TEST(runs_where_it_is_asked), LANE_TEST(jobs_of_a_turn_share_a_run),
           cmocka_unit_test(chooses_by_measurement))
