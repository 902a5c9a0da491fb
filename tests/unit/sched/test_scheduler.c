/* SPDX-License-Identifier: MIT */
/*
 * Queues, turns and statistics of the scheduler, on a model that copies its input. Where an order
 * is to be seen, a job holds the only worker at a gate while the others are queued.
 */
#include "sched/scheduler.h"

#include "base/assert.h"
#include "support/onnx_builder.h"
#include "sys/file.h"
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOBS_MAX    64
#define MAX_WAITING 8

static char path[64];
static vly_scheduler *s;
static vly_err err;

/* y = x, float [N, 2] */
static int write_model(void **state)
{
    onnx_builder b;

    (void)state;
    snprintf(path, sizeof(path), "/tmp/volley-scheduler-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 2, (int64_t[]){-1, 2});
    ob_output(&b, "y", OB_FLOAT, 2, (int64_t[]){-1, 2});
    ob_node(&b, "Identity", "x", "y");
    vly_str file = ob_finish(&b, 17);
    int st = vly_file_write(path, file.ptr, file.len, NULL) == VLY_OK ? 0 : -1;
    ob_release(&b);
    return st;
}

static int remove_model(void **state)
{
    (void)state;
    return unlink(path);
}

/* Loads and offers a model; the scheduler's reference keeps it. */
static vly_served *add(const char *name, const char *version, const char *file)
{
    const vly_servable_spec spec = {
        .path = file, .name = name, .version = version, .options = VLY_MODEL_OPTIONS_DEFAULT};
    vly_served *m;

    assert_int_equal(vly_scheduler_load(s, &spec, &m, &err), VLY_OK);
    assert_int_equal(vly_scheduler_publish(s, m, &err), VLY_OK);
    vly_served_unref(m);
    return m;
}

static vly_served *start(unsigned n_threads)
{
    const vly_scheduler_opts opts = {.n_threads = n_threads,
                                     .max_waiting = MAX_WAITING,
                                     .max_scratch_bytes = 1 << 20,
                                     .picture_limits = VLY_PICTURE_LIMITS_INIT};

    assert_int_equal(vly_scheduler_new(&opts, &s, &err), VLY_OK);
    vly_served *m = add("copy", "1", path);
    assert_null(m->error);
    return m;
}

static void stop(void)
{
    vly_scheduler_free(s);
    s = NULL;
}

/* A job whose value tells who ran when. */
typedef struct probe {
    vly_job job;
    float in[2], out[2];
    vly_tensor input;
    vly_status prepare_status, encode_status;
    sem_t *gate; /* prepare waits here; NULL: it does not */
    sem_t *began;
    int turn; /* of done, from 1 */
} probe;

static probe probes[JOBS_MAX];
static sem_t gate, began, all_done;
static _Atomic int n_done;

static vly_status prepare(vly_job *job, vly_err *e)
{
    probe *p = job->ctx;

    if (p->gate != NULL) {
        sem_post(p->began);
        sem_wait(p->gate);
    }
    job->inputs = &p->input;
    return p->prepare_status == VLY_OK ? VLY_OK : vly_fail(e, p->prepare_status, "bad input");
}

static vly_status encode(vly_job *job, vly_err *e)
{
    probe *p = job->ctx;

    memcpy(p->out, job->outputs[0].data, sizeof(p->out));
    return p->encode_status == VLY_OK ? VLY_OK : vly_fail(e, p->encode_status, "bad answer");
}

static void done(vly_job *job)
{
    probe *p = job->ctx;

    p->turn = atomic_fetch_add(&n_done, 1) + 1;
    sem_post(&all_done);
}

static vly_job *init_probe(size_t i)
{
    const vly_shape shape = VLY_SHAPE(1, 2);
    probe *p = &probes[i];

    *p = (probe){.in = {(float)i, -1.5f}};
    p->input = vly_tensor_borrow(VLY_DTYPE_F32, &shape, p->in);
    p->job = (vly_job){
        .kind = VLY_JOB_TENSORS, .ctx = p, .prepare = prepare, .encode = encode, .done = done};
    return &p->job;
}

static void reset(void)
{
    n_done = 0;
    sem_init(&gate, 0, 0);
    sem_init(&began, 0, 0);
    sem_init(&all_done, 0, 0);
}

static void wait_for(int n)
{
    while (n-- > 0)
        sem_wait(&all_done);
}

static vly_status submit_one(vly_served *m, size_t i)
{
    vly_job *job = &probes[i].job;
    return vly_scheduler_submit(m, &job, 1, &err);
}

/* Probe 0 holds the only worker until the gate opens. */
static void hold_worker(vly_served *m)
{
    init_probe(0);
    probes[0].gate = &gate;
    probes[0].began = &began;
    assert_int_equal(submit_one(m, 0), VLY_OK);
    sem_wait(&began);
}

static void runs_a_job(void **state)
{
    (void)state;
    vly_served *m = start(2);
    reset();
    init_probe(7);
    probes[7].job.n_inferences = 3;
    assert_int_equal(submit_one(m, 7), VLY_OK);
    wait_for(1);
    assert_int_equal(probes[7].job.status, VLY_OK);
    assert_memory_equal(probes[7].out, probes[7].in, sizeof(probes[7].in));
    assert_null(probes[7].job.outputs); /* they were gone before done */
    assert_int_equal(vly_counter_get(&m->stats.success), 1);
    assert_int_equal(vly_counter_get(&m->stats.inferences), 3);
    assert_int_equal(vly_counter_get(&m->stats.executions), 1);
    assert_int_equal(vly_gauge_get(&m->stats.pending), 0);
    assert_int_equal(vly_histogram_count(&m->stats.request), 1);
    assert_true(vly_histogram_sum(&m->stats.request) >= vly_histogram_sum(&m->stats.compute_infer));
    stop();
}

static void counts_failures_by_reason(void **state)
{
    (void)state;
    static const struct {
        vly_status prepare, encode;
        vly_job_failure reason;
    } cases[] = {
        {VLY_EINVAL, VLY_OK, VLY_JOB_FAILURE_OTHER},
        {VLY_EFORMAT, VLY_OK, VLY_JOB_FAILURE_OTHER},
        {VLY_EDEADLINE, VLY_OK, VLY_JOB_FAILURE_CANCELED},
        {VLY_OK, VLY_ENOMEM, VLY_JOB_FAILURE_BACKEND},
        {VLY_EINTERNAL, VLY_OK, VLY_JOB_FAILURE_BACKEND},
    };
    vly_served *m = start(1);

    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        uint64_t before = vly_counter_get(&m->stats.failures[cases[i].reason]);
        reset();
        init_probe(i);
        probes[i].prepare_status = cases[i].prepare;
        probes[i].encode_status = cases[i].encode;
        assert_int_equal(submit_one(m, i), VLY_OK);
        wait_for(1);
        assert_int_not_equal(probes[i].job.status, VLY_OK);
        assert_int_equal(probes[i].job.err.status, probes[i].job.status);
        assert_int_equal(vly_counter_get(&m->stats.failures[cases[i].reason]), before + 1);
    }
    assert_int_equal(vly_counter_get(&m->stats.success), 0);
    assert_int_equal(vly_histogram_count(&m->stats.request), 0);
    stop();
}

static void model_may_refuse(void **state)
{
    (void)state;
    const vly_shape wrong = VLY_SHAPE(2, 1);
    vly_served *m = start(1);
    reset();
    init_probe(1);
    probes[1].input = vly_tensor_borrow(VLY_DTYPE_F32, &wrong, probes[1].in);
    assert_int_equal(submit_one(m, 1), VLY_OK);
    wait_for(1);
    assert_int_equal(probes[1].job.status, VLY_EINVAL);
    assert_non_null(strstr(probes[1].job.err.msg, "x"));
    /* A picture for a model that takes none. */
    init_probe(2);
    probes[2].job.kind = VLY_JOB_PICTURE;
    assert_int_equal(submit_one(m, 2), VLY_OK);
    wait_for(1);
    assert_int_equal(probes[2].job.status, VLY_EUNSUPPORTED);
    stop();
}

static void drops_what_is_too_late(void **state)
{
    (void)state;
    _Atomic bool gone = false;
    vly_served *m = start(1);
    reset();
    hold_worker(m);
    for (size_t i = 1; i <= 3; i++) {
        init_probe(i);
        probes[i].prepare_status = VLY_EINTERNAL; /* tells when it runs all the same */
    }
    probes[1].job.is_cancelled = &gone;
    probes[2].job.deadline_ns = vly_clock_now() + VLY_NSEC_PER_MS;
    probes[3].prepare_status = VLY_OK;
    probes[3].job.deadline_ns = vly_clock_now() + 60 * VLY_NSEC_PER_SEC;
    for (size_t i = 1; i <= 3; i++)
        assert_int_equal(submit_one(m, i), VLY_OK);
    wait_for(1); /* it is answered when it expires, not when its turn comes */
    assert_int_equal(probes[2].turn, 1);
    assert_int_equal(probes[2].job.status, VLY_EDEADLINE);
    assert_string_equal(probes[2].job.err.msg, "Request timeout expired");
    assert_true(vly_clock_now() >= probes[2].job.deadline_ns);
    assert_int_equal(vly_gauge_get(&m->stats.pending), 2);
    atomic_store(&gone, true); /* only now: while it waits */
    sem_post(&gate);
    wait_for(3);
    assert_int_equal(probes[1].job.status, VLY_ECANCELLED);
    assert_int_equal(probes[3].job.status, VLY_OK);
    assert_int_equal(vly_counter_get(&m->stats.failures[VLY_JOB_FAILURE_CANCELED]), 2);
    stop();
}

/* In the second round it is known how fast jobs leave the queue. */
static void says_when_a_job_is_to_start(void **state)
{
    (void)state;
    _Atomic vly_nsec starts[2] = {0, 0};
    vly_served *m = start(1);
    for (int round = 0; round < 2; round++) {
        reset();
        hold_worker(m);
        for (size_t i = 0; i < 2; i++) {
            init_probe(i + 1);
            probes[i + 1].job.starts_ns = &starts[i];
            assert_int_equal(submit_one(m, i + 1), VLY_OK);
        }
        assert_int_equal(atomic_load(&starts[0]), 0); /* none is before it */
        if (round == 1)
            assert_true(atomic_load(&starts[1]) > probes[1].job.queued_ns);
        sem_post(&gate);
        wait_for(3);
        assert_int_equal(atomic_load(&starts[1]), 0); /* no forecast outlives its job's turn */
    }
    stop();
}

static void queue_is_bounded(void **state)
{
    (void)state;
    vly_job *jobs[MAX_WAITING + 1];
    vly_served *m = start(1);
    reset();
    hold_worker(m);
    for (size_t i = 0; i < MAX_WAITING + 1; i++)
        jobs[i] = init_probe(i + 1);
    assert_int_equal(vly_scheduler_submit(m, jobs, MAX_WAITING + 1, &err), VLY_ELIMIT);
    assert_int_equal(vly_scheduler_submit(m, jobs, MAX_WAITING - 1, &err), VLY_OK);
    /* Two do not fit any more, and then none of them is taken. */
    assert_int_equal(vly_scheduler_submit(m, jobs + MAX_WAITING - 1, 2, &err), VLY_EBUSY);
    assert_non_null(strstr(err.msg, "Exceeds maximum queue size"));
    assert_int_equal(vly_gauge_get(&m->stats.pending), MAX_WAITING - 1);
    assert_int_equal(vly_counter_get(&m->stats.failures[VLY_JOB_FAILURE_REJECTED]), 2);
    assert_int_equal(vly_scheduler_submit(m, jobs + MAX_WAITING - 1, 1, &err), VLY_OK);
    assert_int_equal(vly_scheduler_submit(m, jobs + MAX_WAITING, 1, &err), VLY_EBUSY);
    sem_post(&gate);
    wait_for(1 + MAX_WAITING);
    for (size_t i = 0; i < 1 + MAX_WAITING; i++) { /* in the order of their coming */
        assert_int_equal(probes[i].job.status, VLY_OK);
        assert_int_equal(probes[i].turn, i + 1);
    }
    assert_int_equal(probes[MAX_WAITING + 1].turn, 0);
    stop();
}

/* Two models with jobs waiting take turns, whoever came first. */
static void models_take_turns(void **state)
{
    (void)state;
    vly_served *a = start(1);
    vly_served *b = add("other", "1", path);
    reset();
    hold_worker(a);
    for (size_t i = 1; i <= 6; i++) {
        init_probe(i);
        assert_int_equal(submit_one(i <= 4 ? a : b, i), VLY_OK);
    }
    sem_post(&gate);
    wait_for(7);
    const int want[] = {1, 3, 5, 6, 7, 2, 4}; /* a0, b5, a1, b6, a2, a3, a4 */
    for (size_t i = 0; i < VLY_COUNT(want); i++)
        assert_int_equal(probes[i].turn, want[i]);
    stop();
}

typedef struct pusher {
    pthread_t thread;
    vly_served *model;
    size_t first, n;
} pusher;

static void *push(void *arg)
{
    pusher *p = arg;

    for (size_t i = p->first; i < p->first + p->n; i++) {
        vly_job *job = &probes[i].job;
        while (vly_scheduler_submit(p->model, &job, 1, NULL) == VLY_EBUSY)
            sched_yield();
    }
    return NULL;
}

/* Every job ends once, whatever thread it comes from. */
static void many_threads(void **state)
{
    (void)state;
    pusher pushers[4];
    vly_served *models[2] = {start(3)};

    models[1] = add("other", "1", path);
    reset();
    for (size_t i = 0; i < JOBS_MAX; i++)
        init_probe(i);
    for (size_t t = 0; t < VLY_COUNT(pushers); t++) {
        pushers[t] = (pusher){.model = models[t % 2], .first = t * 16, .n = 16};
        assert_int_equal(pthread_create(&pushers[t].thread, NULL, push, &pushers[t]), 0);
    }
    for (size_t t = 0; t < VLY_COUNT(pushers); t++)
        pthread_join(pushers[t].thread, NULL);
    wait_for(JOBS_MAX);
    for (size_t i = 0; i < JOBS_MAX; i++) {
        assert_int_equal(probes[i].job.status, VLY_OK);
        assert_memory_equal(probes[i].out, probes[i].in, sizeof(probes[i].in));
    }
    assert_int_equal(n_done, JOBS_MAX);
    assert_int_equal(vly_counter_get(&models[0]->stats.success), JOBS_MAX / 2);
    assert_int_equal(vly_counter_get(&models[1]->stats.success), JOBS_MAX / 2);
    stop();
}

static void free_waits_for_jobs(void **state)
{
    (void)state;
    vly_served *m = start(1);
    reset();
    hold_worker(m);
    init_probe(1);
    assert_int_equal(submit_one(m, 1), VLY_OK);
    sem_post(&gate);
    stop();
    assert_int_equal(n_done, 2);
}

static const vly_served *find(const char *name, const char *version)
{
    vly_served *m = vly_scheduler_find(s, vly_str_from(name), vly_str_from(version));
    vly_served_unref(m);
    return m;
}

static void finds_models(void **state)
{
    (void)state;
    vly_served *worse;
    const vly_served *v1 = start(1);
    const vly_served *v10 = add("copy", "10", path);
    const vly_served *v2 = add("copy", "2", path);
    const vly_served *bad = add("bad", "1", "/nonexistent/model.onnx");

    assert_int_equal(
        vly_served_new("copy", "11", NULL, VLY_SERVED_UNAVAILABLE, "no file", &worse, &err),
        VLY_OK);
    assert_int_equal(vly_scheduler_publish(s, worse, &err), VLY_OK);
    vly_served_unref(worse);
    assert_null(worse->servable);
    assert_string_equal(worse->error, "no file");
    assert_null(bad->servable);
    assert_int_equal(bad->state, VLY_SERVED_UNAVAILABLE);
    assert_non_null(strstr(bad->error, "/nonexistent/model.onnx"));

    const vly_served *const want[] = {bad, v1, v2, v10, worse};
    vly_model_set *set = vly_scheduler_models(s);
    assert_int_equal(set->n, VLY_COUNT(want));
    for (size_t i = 0; i < VLY_COUNT(want); i++)
        assert_ptr_equal(set->models[i], want[i]);
    vly_model_set_unref(set);
    assert_ptr_equal(find("copy", ""), v10);
    assert_ptr_equal(find("copy", "2"), v2);
    assert_ptr_equal(find("copy", "11"), worse);
    assert_ptr_equal(find("bad", ""), bad);
    assert_null(find("copy", "3"));
    assert_null(find("cop", ""));
    assert_null(find("copyy", ""));
    assert_null(vly_scheduler_find(s, (vly_str){NULL, 0}, (vly_str){NULL, 0}));
    stop();
}

/* What it had accepted is done by the model that is replaced; what comes later goes to the new. */
static void replaces_a_model_at_work(void **state)
{
    (void)state;
    vly_served *old = vly_served_ref(start(1));
    reset();
    hold_worker(old);
    init_probe(1);
    assert_int_equal(submit_one(old, 1), VLY_OK);
    vly_model_set *before = vly_scheduler_models(s);
    vly_served *new = add("copy", "1", path);
    assert_ptr_equal(find("copy", ""), new);
    assert_ptr_not_equal(new, old);
    assert_int_equal(old->state, VLY_SERVED_UNLOADING);
    assert_ptr_equal(before->models[0], old); /* a set never changes */
    vly_model_set_unref(before);
    init_probe(2);
    assert_int_equal(submit_one(new, 2), VLY_OK);
    sem_post(&gate);
    wait_for(3);
    assert_int_equal(vly_counter_get(&old->stats.success), 2);
    assert_int_equal(vly_counter_get(&new->stats.success), 1);
    vly_served_unref(old);
    stop();
}

static void withdraws_a_model_at_work(void **state)
{
    (void)state;
    vly_served *m = start(1);
    reset();
    hold_worker(m);
    assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("copy"), VLY_STR("2"), &err), VLY_ENOTFOUND);
    assert_int_equal(vly_scheduler_withdraw(s, VLY_STR("copy"), VLY_STR("1"), &err), VLY_OK);
    assert_null(find("copy", ""));
    sem_post(&gate); /* the last reference is that of the job's instance */
    wait_for(1);
    assert_int_equal(probes[0].job.status, VLY_OK);
    stop();
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(runs_a_job, write_model, remove_model),
           cmocka_unit_test_setup_teardown(counts_failures_by_reason, write_model, remove_model),
           cmocka_unit_test_setup_teardown(model_may_refuse, write_model, remove_model),
           cmocka_unit_test_setup_teardown(drops_what_is_too_late, write_model, remove_model),
           cmocka_unit_test_setup_teardown(says_when_a_job_is_to_start, write_model, remove_model),
           cmocka_unit_test_setup_teardown(queue_is_bounded, write_model, remove_model),
           cmocka_unit_test_setup_teardown(models_take_turns, write_model, remove_model),
           cmocka_unit_test_setup_teardown(many_threads, write_model, remove_model),
           cmocka_unit_test_setup_teardown(free_waits_for_jobs, write_model, remove_model),
           cmocka_unit_test_setup_teardown(finds_models, write_model, remove_model),
           cmocka_unit_test_setup_teardown(replaces_a_model_at_work, write_model, remove_model),
           cmocka_unit_test_setup_teardown(withdraws_a_model_at_work, write_model, remove_model))
