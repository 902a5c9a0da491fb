/* SPDX-License-Identifier: MIT */
/* Scores of step detectors: by hand, and against every possible matching. */
#include "base/mem.h"
#include "tasks/steps/step_event_list.h"
#include "tasks/steps/step_score.h"
#include "unit.h"

#include <stdlib.h>

#define MS ((int64_t)1000) /* us */

static vly_step_event event(vly_step_event_type type, int64_t t_ms, int64_t delay_ms)
{
    return (vly_step_event){.type = type, .t_us = t_ms * MS, .known_us = (t_ms + delay_ms) * MS};
}

static vly_step_score score_of(const vly_step_truth *truth, const vly_step_event *events, size_t n)
{
    vly_step_score s = {0};

    assert_int_equal(vly_step_score_add(&s, truth, events, n, NULL), VLY_OK);
    return s;
}

static void expect_match(const vly_match_counts *m, unsigned hit, unsigned wrong, unsigned missed)
{
    assert_int_equal(m->n_hit, hit);
    assert_int_equal(m->n_false, wrong);
    assert_int_equal(m->n_missed, missed);
}

/* Truth: steps 1000..1500, 1512..2000, 3000..3500 ms. Found: starts 1040, 1600, 3101, ends 1500,
 * 1925.
 *
 * starts  1000-1040 is 40; 1512-1600 is 88; 3000-3101 is 101, a false one and a missed one
 *     50 ms: 1 hit, 2 false, 2 missed: F1 2/(2+4) = 1/3      100 ms: 2, 1, 1: F1 4/6
 * ends    1500-1500 is 0; 2000-1925 is 75; 3500 is missed
 *     50 ms: 1 hit, 1 false, 2 missed: F1 2/5                100 ms: 2, 0, 1: F1 4/5 */
static void counts_by_hand(void **state)
{
    static const vly_step_interval steps[] = {
        {1000 * MS, 1500 * MS}, {1512 * MS, 2000 * MS}, {3000 * MS, 3500 * MS}};
    const vly_step_truth truth = {.steps = steps, .n_steps = 3};
    const vly_step_event events[] = {
        event(VLY_STEP_START, 1040, 200), event(VLY_STEP_END, 1500, 210),
        event(VLY_STEP_START, 1600, 220), event(VLY_STEP_END, 1925, 230),
        event(VLY_STEP_START, 3101, 300),
    };

    (void)state;
    vly_step_score s = score_of(&truth, events, 5);
    expect_match(&s.match[0][0], 1, 2, 2);
    expect_match(&s.match[0][1], 2, 1, 1);
    expect_match(&s.match[1][0], 1, 1, 2);
    expect_match(&s.match[1][1], 2, 0, 1);
    assert_float_equal(vly_match_f1(&s.match[0][0]), 1.0 / 3, 1e-12);
    assert_float_equal(vly_match_f1(&s.match[1][1]), 0.8, 1e-12);
    assert_float_equal(s.offset_ms_sum[0], 40 + 88, 1e-12);
    assert_float_equal(s.offset_ms_sum[1], 0 - 75, 1e-12);
    assert_int_equal(s.n_true, 3);
    assert_int_equal(s.n_found, 2);
    assert_float_equal(s.abs_count_error, 1, 0);
    assert_float_equal(s.signed_count_error, -1, 0);
    assert_int_equal(s.n_delays, 5);
    assert_float_equal(vly_step_score_delay(&s, 0.5), 220, 0);
    assert_float_equal(vly_step_score_delay(&s, 0.8), 230, 0);
    assert_float_equal(vly_step_score_delay(&s, 1), 300, 0);
    assert_float_equal(s.delay_ms_max, 300, 0);
    assert_float_equal(s.standing_s, 0, 0);
}

/* The edge of a tolerance belongs to it. */
static void tolerance_is_inclusive(void **state)
{
    static const vly_step_interval steps[] = {{1000 * MS, 1500 * MS}};
    const vly_step_truth truth = {.steps = steps, .n_steps = 1};
    const vly_step_event events[] = {event(VLY_STEP_START, 950, 0), event(VLY_STEP_END, 1600, 0)};

    (void)state;
    vly_step_score s = score_of(&truth, events, 2);
    expect_match(&s.match[0][0], 1, 0, 0);
    expect_match(&s.match[1][0], 0, 1, 1);
    expect_match(&s.match[1][1], 1, 0, 0);
}

/* The nearest pair first would leave 1000 without one: 1090 is nearer to 1100. In order: 1000-1090,
 * 1100-1110. And of two found at one true start only one is right. */
static void matches_one_to_one(void **state)
{
    static const vly_step_interval steps[] = {{1000 * MS, 1050 * MS}, {1100 * MS, 5000 * MS}};
    const vly_step_truth truth = {.steps = steps, .n_steps = 2};
    const vly_step_event two[] = {event(VLY_STEP_START, 1090, 0), event(VLY_STEP_START, 1110, 0)};
    const vly_step_event doubled[] = {event(VLY_STEP_END, 4990, 0), event(VLY_STEP_END, 5000, 0),
                                      event(VLY_STEP_END, 5005, 0)};

    (void)state;
    vly_step_score s = score_of(&truth, two, 2);
    expect_match(&s.match[0][1], 2, 0, 0);
    assert_float_equal(s.offset_ms_sum[0], 90 + 10, 1e-12);
    s = score_of(&truth, doubled, 3);
    expect_match(&s.match[1][0], 1, 2, 1);
    assert_float_equal(s.offset_ms_sum[1], 0, 0); /* of the three the nearest */
}

/* 80 Hz: samples 0..799 standing (10 s), 800..1599 walking, 1600..1759 standing (2 s). One step
 * labelled 9..9.9 s. Ends at 2 s: false. At 8.5 s: 0.5 s before the step, not counted; at 8.4:
 * counted. At 10.4 s: walking. At 21 s: false. */
static void counts_false_steps_while_standing(void **state)
{
    static const vly_step_interval steps[] = {{9000 * MS, 9900 * MS}};
    static uint8_t activity[1760];
    const vly_step_truth truth = {
        .steps = steps, .n_steps = 1, .activity = activity, .n_samples = 1760, .rate_hz = 80};
    const vly_step_event events[] = {
        event(VLY_STEP_START, 1500, 0), event(VLY_STEP_END, 2000, 0),
        event(VLY_STEP_END, 8400, 0),   event(VLY_STEP_END, 8500, 0),
        event(VLY_STEP_END, 10400, 0),  event(VLY_STEP_END, 21000, 0),
        event(VLY_STEP_END, 23000, 0), /* behind the recording */
    };

    (void)state;
    for (size_t i = 800; i < 1600; i++)
        activity[i] = VLY_ACTIVITY_WALKING;
    vly_step_score s = score_of(&truth, events, 7);
    assert_float_equal(s.standing_s, 12, 1e-12);
    assert_int_equal(s.n_false_standing, 3);
}

static void sums_recordings(void **state)
{
    static const vly_step_interval steps[] = {{1000 * MS, 1500 * MS}, {1512 * MS, 2000 * MS}};
    const vly_step_truth truth = {.steps = steps, .n_steps = 2};
    const vly_step_event one[] = {event(VLY_STEP_START, 1000, 100), event(VLY_STEP_END, 1500, 100)};
    const vly_step_event four[] = {event(VLY_STEP_END, 1500, 50), event(VLY_STEP_END, 2000, 50),
                                   event(VLY_STEP_END, 2500, 50), event(VLY_STEP_END, 3000, 999)};
    vly_step_score sum = score_of(&truth, one, 2), other = score_of(&truth, four, 4);

    (void)state;
    vly_step_score_merge(&sum, &other);
    assert_int_equal(sum.n_recordings, 2);
    assert_int_equal(sum.n_true, 4);
    assert_int_equal(sum.n_found, 5);
    assert_float_equal(sum.abs_count_error, 1 + 2, 0);
    assert_float_equal(sum.signed_count_error, -1 + 2, 0);
    expect_match(&sum.match[1][0], 3, 2, 1);
    expect_match(&sum.match[0][0], 1, 0, 3);
    assert_float_equal(vly_step_score_delay(&sum, 0.5), 50, 0);
    assert_float_equal(vly_step_score_delay(&sum, 1), 999, 0); /* past the histogram: the largest */
}

static void accepts_nothing(void **state)
{
    const vly_step_truth none = {0};
    vly_step_score s = score_of(&none, NULL, 0);

    (void)state;
    assert_float_equal(vly_match_f1(&s.match[0][0]), 0, 0);
    assert_float_equal(vly_step_score_delay(&s, 0.5), 0, 0);
    assert_int_equal(s.n_recordings, 1);
}

/* Without memory nothing is added, and what is missing from a list is told. */
static void survives_lack_of_memory(void **state)
{
    static const vly_step_interval steps[] = {{1000 * MS, 1500 * MS}};
    const vly_step_truth truth = {.steps = steps, .n_steps = 1};
    const vly_step_event events[] = {event(VLY_STEP_START, 1000, 0), event(VLY_STEP_END, 1500, 0)};
    vly_step_event_list list = {0};
    vly_step_score s = {0};

    (void)state;
    for (int64_t n = 0; n < 2; n++) {
        vly_mem_fail_after(n);
        vly_status st = vly_step_score_add(&s, &truth, events, 2, NULL);
        vly_mem_fail_after(-1);
        assert_int_equal(st, VLY_ENOMEM);
        assert_int_equal(s.n_recordings + s.n_true + s.match[0][0].n_hit, 0);
    }
    vly_step_event_list_add(&list, events, 2);
    assert_int_equal(vly_step_event_list_check(&list, NULL), VLY_OK);
    vly_mem_fail_after(0);
    for (int i = 0; i < 200; i++)
        vly_step_event_list_add(&list, events, 2);
    vly_mem_fail_after(-1);
    assert_int_equal(list.n, 256); /* what the first room holds */
    assert_int_equal(vly_step_event_list_check(&list, NULL), VLY_ENOMEM);
    vly_step_event_list_release(&list);
}

/* ---- every matching ------------------------------------------------------------------------ */

#define POINTS 6

typedef struct best {
    unsigned n_hit;
    int64_t cost;
} best;

/* The best of all matchings of truth[i..] with what of found is not taken (a bit set). */
static best try_all(const int64_t *truth, size_t n_true, const int64_t *found, size_t n_found,
                    unsigned taken, int64_t tolerance)
{
    if (n_true == 0)
        return (best){0, 0};
    best b = try_all(truth + 1, n_true - 1, found, n_found, taken, tolerance);
    for (size_t j = 0; j < n_found; j++) {
        int64_t distance = llabs(found[j] - truth[0]);
        if (distance > tolerance || (taken & 1U << j) != 0)
            continue;
        best c = try_all(truth + 1, n_true - 1, found, n_found, taken | 1U << j, tolerance);
        c.n_hit++;
        c.cost += distance;
        if (c.n_hit > b.n_hit || (c.n_hit == b.n_hit && c.cost < b.cost))
            b = c;
    }
    return b;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* n different times in order, close enough together to compete for each other. */
static size_t random_times(uint32_t *seed, int64_t *to)
{
    size_t n = next_random(seed) % (POINTS + 1);
    int64_t t = 500 * MS;

    for (size_t i = 0; i < n; i++) {
        t += (1 + next_random(seed) % 130) * MS;
        to[i] = t;
    }
    return n;
}

/* Hits at both tolerances; that the distances are least shows in matches_one_to_one. */
static void equals_every_matching(void **state)
{
    uint32_t seed = 5;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        int64_t starts[POINTS], found[POINTS];
        vly_step_interval steps[POINTS];
        vly_step_event events[POINTS];
        size_t n_true = random_times(&seed, starts), n_found = random_times(&seed, found);
        for (size_t i = 0; i < n_true; i++)
            steps[i] = (vly_step_interval){starts[i], starts[i]};
        for (size_t i = 0; i < n_found; i++)
            events[i] = (vly_step_event){.type = VLY_STEP_START, .t_us = found[i]};
        const vly_step_truth truth = {.steps = steps, .n_steps = n_true};
        vly_step_score s = score_of(&truth, events, n_found);
        for (int k = 0; k < VLY_STEP_TOLERANCES; k++) {
            best b = try_all(starts, n_true, found, n_found, 0, vly_step_tolerance_us[k]);
            expect_match(&s.match[0][k], b.n_hit, (unsigned)n_found - b.n_hit,
                         (unsigned)n_true - b.n_hit);
        }
    }
}

UNIT_TESTS(cmocka_unit_test(counts_by_hand), cmocka_unit_test(tolerance_is_inclusive),
           cmocka_unit_test(matches_one_to_one),
           cmocka_unit_test(counts_false_steps_while_standing), cmocka_unit_test(sums_recordings),
           cmocka_unit_test(accepts_nothing), cmocka_unit_test(survives_lack_of_memory),
           cmocka_unit_test(equals_every_matching))
