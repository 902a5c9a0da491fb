/* SPDX-License-Identifier: MIT */
#include "sched/calibrate.h"

#include "sched/sample_input.h"

#include <stdio.h>

#define LARGE_FLOPS       UINT64_C(200000000) /* some milliseconds on one core */
#define MEASURE_NS        (VLY_CALIBRATE_NS / 4)
#define MEASURE_RUNS      32
#define MEASURE_BATCH_MAX 32
#define BATCH_GAIN        1.33 /* of inferences per second, for batching to be worth its wait */

static double us(vly_nsec ns)
{
    return (double)ns / 1e3;
}

static double gain(const vly_calibration *c)
{
    return c->batch_ns != 0 ? (double)c->one_ns * (double)c->batch / (double)c->batch_ns : 0;
}

/* Loop threads know no order but that of arrival. */
static bool can_inline(const vly_run_config *config)
{
    return !config->keeps_order && !config->needs_resources && config->rules.n_levels == 1;
}

static void choose_asked(vly_calibration *c, const vly_run_config *config)
{
    c->mode = config->execution;
    if (c->mode == VLY_EXECUTION_BATCHED && config->max_batch == 1) {
        c->mode = VLY_EXECUTION_PARALLEL;
        snprintf(c->why, sizeof(c->why), "batched was asked for, but the model does not batch");
    } else if (c->mode == VLY_EXECUTION_INLINE && !can_inline(config)) {
        c->mode = VLY_EXECUTION_PARALLEL;
        snprintf(c->why, sizeof(c->why),
                 "inline was asked for, but priorities, order and resources need a queue");
    } else {
        snprintf(c->why, sizeof(c->why), "asked for");
    }
}

void vly_calibration_choose(vly_calibration *c, const vly_run_config *config)
{
    if (config->execution != VLY_EXECUTION_AUTO) {
        choose_asked(c, config);
    } else if (config->asks_for_batches && config->max_batch > 1) {
        c->mode = VLY_EXECUTION_BATCHED;
        snprintf(c->why, sizeof(c->why), "dynamic_batching names preferred sizes or a delay");
    } else if (c->one_ns == 0) {
        c->mode = VLY_EXECUTION_PARALLEL; /* why says what hindered measuring */
    } else if (c->one_ns < VLY_INLINE_MAX_NS && can_inline(config)) {
        c->mode = VLY_EXECUTION_INLINE;
        snprintf(c->why, sizeof(c->why), "a run takes %.1f us, less than handing it to a worker",
                 us(c->one_ns));
    } else if (gain(c) >= BATCH_GAIN) {
        c->mode = VLY_EXECUTION_BATCHED;
        snprintf(c->why, sizeof(c->why), "a batch of %zu takes %.1f us, one inference %.1f us",
                 c->batch, us(c->batch_ns), us(c->one_ns));
    } else if (c->batch_ns != 0) {
        c->mode = VLY_EXECUTION_PARALLEL;
        snprintf(c->why, sizeof(c->why),
                 "a batch of %zu takes %.1f us, no better than %.1f us each", c->batch,
                 us(c->batch_ns), us(c->one_ns));
    } else {
        c->mode = VLY_EXECUTION_PARALLEL;
        snprintf(c->why, sizeof(c->why), "a run takes %.1f us%s", us(c->one_ns),
                 config->max_batch == 1 ? ", and the model does not batch" : "");
    }
}

/* The shortest of several runs; 0: it failed. */
static vly_nsec measure(const vly_servable *s, vly_executor *x, size_t batch, vly_err *err)
{
    vly_tensor *inputs = NULL;
    vly_nsec best = 0, begin = vly_clock_now(), now = begin;

    if (vly_sample_inputs(s, batch, &inputs, err) != VLY_OK)
        return 0;
    /* the first run compiles the plan, and is not counted if there are others */
    for (int i = 0; i <= MEASURE_RUNS && (i < 2 || now - begin < MEASURE_NS); i++) {
        vly_nsec from = vly_clock_now();
        if (vly_executor_warm(x, inputs, err) != VLY_OK) {
            best = 0;
            break;
        }
        now = vly_clock_now();
        if (i == 1 || now - from < best || best == 0)
            best = now - from > 0 ? now - from : 1;
    }
    vly_sample_inputs_free(s, inputs);
    return best;
}

/* What one run computes; 0: not known. */
static uint64_t flops_of(const vly_servable *s, vly_executor *x, vly_err *err)
{
    vly_tensor *inputs = NULL;
    uint64_t flops = 0;

    if (vly_sample_inputs(s, 1, &inputs, err) != VLY_OK)
        return 0;
    vly_plan_summary plan;
    if (vly_executor_plan(x, inputs, &plan, err) == VLY_OK)
        flops = plan.flops;
    vly_sample_inputs_free(s, inputs);
    return flops;
}

static size_t batch_to_measure(const vly_run_config *config, vly_nsec one_ns)
{
    size_t most = config->max_batch < MEASURE_BATCH_MAX ? config->max_batch : MEASURE_BATCH_MAX;
    size_t n = 1;

    while (n * 2 <= most && (vly_nsec)(n * 2) * one_ns <= MEASURE_NS / 2)
        n *= 2;
    return n;
}

static void measure_model(vly_calibration *c, const vly_servable *s, const vly_run_config *config,
                          vly_executor *x)
{
    vly_err err = VLY_ERR_INIT;
    uint64_t flops = flops_of(s, x, &err);

    if (flops > LARGE_FLOPS) {
        snprintf(c->why, sizeof(c->why), "a run computes %.2f GFLOP: one job for each core",
                 (double)flops / 1e9);
        return;
    }
    c->one_ns = err.status == VLY_OK ? measure(s, x, 1, &err) : 0;
    if (c->one_ns == 0) {
        snprintf(c->why, sizeof(c->why), "not measured: %.200s", err.msg);
        return;
    }
    size_t n = batch_to_measure(config, c->one_ns);
    if (n < 2)
        return;
    c->batch_ns = measure(s, x, n, &err);
    c->batch = c->batch_ns != 0 ? n : 0;
}

vly_calibration vly_calibrate(const vly_servable *s, const vly_run_config *config, vly_executor *x)
{
    vly_calibration c = {.mode = VLY_EXECUTION_PARALLEL};

    measure_model(&c, s, config, x);
    vly_calibration_choose(&c, config);
    return c;
}
