/* SPDX-License-Identifier: MIT */
/* Probabilities made by hand, and the events that they must become. */
#include "tasks/steps/step_decoder.h"
#include "unit.h"

#include <math.h>
#include <string.h>

enum { N = 400, TOLD = 32 };

static const vly_step_decoder_rule rule = {.threshold_first = 0.4F,
                                           .threshold_early = 0.5F,
                                           .threshold_due = 0.1F,
                                           .share = 0.5F,
                                           .fall_from = 20,
                                           .fall_to = 40,
                                           .confirm = 1,
                                           .min_gap = 16,
                                           .max_step = 120};

typedef struct curve {
    float start[N], end[N], standing[N];
} curve;

/* A peak at reading i, and half of it on each side. The label of an end is one before. */
static void peak(float *p, int i, float height)
{
    p[i - 1] = p[i + 1] = height / 2;
    p[i] = height;
}

static size_t decode_by(const vly_step_decoder_rule *r, const curve *c, vly_step_peak *told)
{
    vly_step_decoder d;
    size_t n = 0;

    vly_step_decoder_init(&d);
    for (int i = 0; i < N; i++) {
        n += vly_step_decoder_next(&d, r, c->start[i], c->end[i], c->standing[i], told + n);
        for (size_t k = 0; k < n; k++) /* nothing is told before it is known */
            assert_true(told[k].reading <= (uint64_t)i - r->confirm - r->smooth);
        assert_true(n + VLY_STEP_PEAKS_MAX <= TOLD);
    }
    return n;
}

static size_t decode(const curve *c, vly_step_peak *told)
{
    return decode_by(&rule, c, told);
}

static void expect(const vly_step_peak *p, vly_step_event_type type, uint64_t reading,
                   uint64_t step, float confidence)
{
    assert_int_equal(p->type, type);
    assert_int_equal(p->reading, reading);
    assert_int_equal(p->step, step);
    assert_true(p->confidence == confidence);
}

/* Start, a boundary that is both, and an end. */
static void two_steps(void **state)
{
    curve c = {0};
    vly_step_peak told[TOLD];

    (void)state;
    peak(c.start, 50, 0.8F);
    peak(c.start, 90, 0.6F);
    peak(c.end, 89, 0.7F);
    peak(c.end, 130, 0.9F);
    assert_int_equal(decode(&c, told), 4);
    expect(&told[0], VLY_STEP_START, 50, 1, 0.8F);
    expect(&told[1], VLY_STEP_END, 89, 1, 0.7F);
    expect(&told[2], VLY_STEP_START, 90, 2, 0.6F);
    expect(&told[3], VLY_STEP_END, 130, 2, 0.9F);
    for (int i = 0; i < 4; i++)
        assert_true(told[i].after == 0.0F);
}

/* Parabola through 0.2, 0.8, 0.5: (0.5 - 0.2) / 2 / (1.6 - 0.2 - 0.5) = 1/6. */
static void between_readings(void **state)
{
    curve c = {0};
    vly_step_peak told[TOLD];

    (void)state;
    c.start[49] = 0.2F;
    c.start[50] = 0.8F;
    c.start[51] = 0.5F;
    assert_int_equal(decode(&c, told), 1);
    assert_true(fabsf(told[0].after - 1.0F / 6) < 1e-6F);
    c.start[51] = 0.8F; /* a plateau: its first reading, half a reading on */
    assert_int_equal(decode(&c, told), 1);
    expect(&told[0], VLY_STEP_START, 50, 1, 0.8F);
    assert_true(told[0].after == 0.5F);
}

static void thresholds_follow_the_gap(void **state)
{
    vly_step_peak told[TOLD];
    curve c = {0};

    (void)state;
    peak(c.start, 50, 0.39F); /* below threshold_first */
    assert_int_equal(decode(&c, told), 0);
    peak(c.start, 50, 0.41F);
    peak(c.end, 69, 0.49F); /* 20 after: below threshold_early */
    assert_int_equal(decode(&c, told), 1);
    peak(c.end, 69, 0.51F);
    assert_int_equal(decode(&c, told), 2);
    memset(c.end, 0, sizeof(c.end));
    peak(c.end, 79, 0.29F); /* 30 after: 0.5 - (0.5 - 0.1) / 2 = 0.3 */
    assert_int_equal(decode(&c, told), 1);
    peak(c.end, 79, 0.31F);
    assert_int_equal(decode(&c, told), 2);
    memset(c.end, 0, sizeof(c.end));
    peak(c.end, 99, 0.09F); /* 50 after: 0.1 */
    assert_int_equal(decode(&c, told), 1);
    peak(c.end, 99, 0.11F);
    assert_int_equal(decode(&c, told), 2);
}

/* A boundary right after another is none, however high. */
static void boundaries_keep_apart(void **state)
{
    vly_step_peak told[TOLD];
    curve c = {0};

    (void)state;
    peak(c.start, 50, 0.8F);
    peak(c.end, 50 + rule.min_gap - 2, 1.0F); /* of the boundary one later: min_gap - 1 after */
    assert_int_equal(decode(&c, told), 1);
    memset(c.end, 0, sizeof(c.end));
    peak(c.end, 50 + rule.min_gap - 1, 1.0F);
    assert_int_equal(decode(&c, told), 2);
}

/* Neither kind without a probability of its own: half of the boundary's. */
static void each_kind_needs_its_own(void **state)
{
    vly_step_peak told[TOLD];
    curve c = {0};

    (void)state;
    peak(c.end, 49, 0.9F); /* an end when there is no step, with too little of a start */
    c.start[50] = 0.44F;
    assert_int_equal(decode(&c, told), 0);
    c.start[50] = 0.46F;
    assert_int_equal(decode(&c, told), 1);
    expect(&told[0], VLY_STEP_START, 50, 1, 0.46F);
}

/* A step without an end is given up after max_step; the next one has its number. */
static void steps_end_at_last(void **state)
{
    vly_step_peak told[TOLD];
    curve c = {0};

    (void)state;
    peak(c.start, 50, 0.8F);
    peak(c.start, 50 + rule.max_step, 0.8F); /* a start within a step: no event */
    assert_int_equal(decode(&c, told), 1);
    memset(c.start + 100, 0, 200 * sizeof(float));
    peak(c.start, 50 + rule.max_step + 1, 0.8F);
    assert_int_equal(decode(&c, told), 2);
    expect(&told[1], VLY_STEP_START, 50 + rule.max_step + 1U, 1, 0.8F);
}

/* 0.5, 1, 0.5 around reading 50: the means over five are 0.1 at 47, 0.3, 0.4, 0.4, 0.4, 0.3. */
static void curves_are_smoothed(void **state)
{
    vly_step_decoder_rule smooth = rule;
    vly_step_peak told[TOLD];
    curve c = {0};

    (void)state;
    smooth.smooth = 2;
    smooth.threshold_first = 0.39F;
    peak(c.start, 50, 1.0F);
    assert_int_equal(decode_by(&smooth, &c, told), 1);
    expect(&told[0], VLY_STEP_START, 49, 1, told[0].confidence);
    assert_true(fabsf(told[0].confidence - 0.4F) < 1e-6F);
    assert_true(fabsf(told[0].after - 0.5F) < 1e-5F);
    smooth.threshold_first = 0.41F;
    assert_int_equal(decode_by(&smooth, &c, told), 0);
}

static void no_walk_begins_where_one_stands(void **state)
{
    vly_step_decoder_rule gate = rule;
    vly_step_peak told[TOLD];
    curve c = {0};

    (void)state;
    gate.standing_max = 0.5F;
    peak(c.start, 50, 0.8F);
    peak(c.end, 89, 0.8F);
    c.standing[51] = 0.6F; /* when the peak is known */
    c.standing[91] = 0.6F; /* steps that have begun may end */
    assert_int_equal(decode_by(&gate, &c, told), 0);
    c.standing[51] = 0.4F;
    assert_int_equal(decode_by(&gate, &c, told), 2);
    c.standing[51] = 0.6F;
    assert_int_equal(decode(&c, told), 2); /* without the rule it does not matter */
}

static void missed_starts_are_made_up_for(void **state)
{
    vly_step_decoder_rule missed = rule;
    vly_step_peak told[TOLD];
    curve c = {0};

    (void)state;
    missed.threshold_missed = 0.2F;
    missed.missed_step = 52;
    missed.missed_gap = 60;
    peak(c.end, 149, 0.8F); /* the boundary at 150 */
    peak(c.start, 150, 0.5F);
    assert_int_equal(decode_by(&missed, &c, told), 3);
    expect(&told[0], VLY_STEP_START, 98, 1, 0.8F);
    expect(&told[1], VLY_STEP_END, 149, 1, 0.8F);
    expect(&told[2], VLY_STEP_START, 150, 2, 0.5F);
    peak(c.start, 50, 0.8F); /* with a boundary at 90 there is no room */
    peak(c.end, 89, 0.8F);
    memset(c.start + 140, 0, 20 * sizeof(float));
    assert_int_equal(decode_by(&missed, &c, told), 2);
    expect(&told[1], VLY_STEP_END, 89, 1, 0.8F);
    missed.missed_gap = 59;
    assert_int_equal(decode_by(&missed, &c, told), 4);
    expect(&told[2], VLY_STEP_START, 98, 2, 0.8F);
    expect(&told[3], VLY_STEP_END, 149, 2, 0.8F);
}

static void breaks_forget_all_but_the_count(void **state)
{
    vly_step_decoder d, fresh;
    curve c = {0};
    vly_step_peak told[TOLD];
    size_t n = 0;

    (void)state;
    peak(c.start, 50, 0.8F);
    peak(c.end, 89, 0.7F);
    peak(c.start, 150, 0.8F);
    vly_step_decoder_init(&d);
    for (int i = 0; i < 200; i++)
        n += vly_step_decoder_next(&d, &rule, c.start[i], c.end[i], c.standing[i], told + n);
    assert_int_equal(n, 3);
    vly_step_decoder_break(&d);
    vly_step_decoder_init(&fresh);
    fresh.n_steps = 1;
    assert_memory_equal(&d, &fresh, sizeof(d));
}

static void what_is_no_number_is_no_peak(void **state)
{
    vly_step_peak told[TOLD];
    curve c = {0};

    (void)state;
    for (int i = 40; i < 60; i++)
        c.start[i] = c.end[i] = NAN;
    peak(c.start, 100, 0.8F);
    assert_int_equal(decode(&c, told), 1);
    expect(&told[0], VLY_STEP_START, 100, 1, 0.8F);
}

UNIT_TESTS(cmocka_unit_test(two_steps), cmocka_unit_test(between_readings),
           cmocka_unit_test(thresholds_follow_the_gap), cmocka_unit_test(boundaries_keep_apart),
           cmocka_unit_test(each_kind_needs_its_own), cmocka_unit_test(steps_end_at_last),
           cmocka_unit_test(curves_are_smoothed), cmocka_unit_test(no_walk_begins_where_one_stands),
           cmocka_unit_test(missed_starts_are_made_up_for),
           cmocka_unit_test(breaks_forget_all_but_the_count),
           cmocka_unit_test(what_is_no_number_is_no_peak))
