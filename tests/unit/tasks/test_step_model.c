/* SPDX-License-Identifier: MIT */
/* Files that are step models, or nearly. */
#include "support/onnx_builder.h"
#include "tasks/steps/step_stream.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* What to do otherwise than a model that works. */
typedef struct twist {
    const char *skip;        /* a property that is left out */
    const char *key, *value; /* a property of another value */
    int n_events;            /* outputs of a reading that the file says it has; 0: 2 */
    int n_made;              /* that it makes; 0: 2 */
} twist;

static const char *const properties[][2] = {
    {"volley.task", "steps"},
    {"volley.steps.features", "1"},
    {"volley.steps.rate_hz", "80"},
    {"volley.steps.hop", "1"},
    {"volley.steps.delay", "16"},
    {"volley.steps.threshold_first", "0.4"},
    {"volley.steps.threshold_early", "0.5"},
    {"volley.steps.threshold_due", "0.1"},
    {"volley.steps.share", "0.5"},
    {"volley.steps.fall_from_ms", "250"},
    {"volley.steps.fall_to_ms", "500"},
    {"volley.steps.min_gap_ms", "200"},
    {"volley.steps.max_step_ms", "1500"},
    {"volley.steps.confirm", "2"},
};

enum { N_PROPERTIES = sizeof(properties) / sizeof(properties[0]), WIDTH = VLY_IMU_FEATURES + 1 };

static void add_properties(onnx_builder *b, const twist *t)
{
    for (int i = 0; i < N_PROPERTIES; i++) {
        const char *key = properties[i][0];
        if (t->skip != NULL && strcmp(t->skip, key) == 0)
            continue;
        bool is_other = t->key != NULL && strcmp(t->key, key) == 0;
        ob_prop(b, key, is_other ? t->value : properties[i][1]);
    }
}

/* Each probability is a product of the features; the state stays as it is. */
static vly_str build(onnx_builder *b, const twist *t)
{
    static const float zeroes[WIDTH * VLY_ACTIVITIES];
    int64_t n_events = t->n_events != 0 ? t->n_events : 2, n_made = t->n_made != 0 ? t->n_made : 2;

    ob_init(b);
    ob_input(b, "frames", OB_FLOAT, 3, (int64_t[]){-1, -1, WIDTH});
    ob_input(b, "state", OB_FLOAT, 3, (int64_t[]){1, -1, 8});
    ob_output(b, "events", OB_FLOAT, 3, (int64_t[]){-1, -1, n_events});
    ob_output(b, "activity", OB_FLOAT, 3, (int64_t[]){-1, -1, VLY_ACTIVITIES});
    ob_output(b, "state_out", OB_FLOAT, 3, (int64_t[]){1, -1, 8});
    ob_floats(b, "we", 2, (int64_t[]){WIDTH, n_made}, zeroes);
    ob_floats(b, "wa", 2, (int64_t[]){WIDTH, VLY_ACTIVITIES}, zeroes);
    ob_node(b, "MatMul", "frames,we", "e");
    ob_node(b, "Sigmoid", "e", "events");
    ob_node(b, "MatMul", "frames,wa", "a");
    ob_node(b, "Softmax", "a", "activity");
    ob_attr_int(b, "axis", -1);
    ob_node(b, "Identity", "state", "state_out");
    add_properties(b, t);
    return ob_finish(b, 17);
}

static vly_status load(const twist *t, int64_t look_ahead_ms, vly_step_model **ret, vly_err *err)
{
    onnx_builder b;
    vly_str file = build(&b, t);
    vly_status st = vly_step_model_load_bytes(file.ptr, file.len, look_ahead_ms, ret, err);

    ob_release(&b);
    return st;
}

static void tells_what_it_says(void **state)
{
    vly_step_model *m;
    vly_err err;

    (void)state;
    if (load(&(twist){0}, -1, &m, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(m->hop, 1);
    assert_int_equal(m->delay, 16);
    assert_int_equal(m->n_layers * m->n_hidden, 8);
    assert_int_equal(vly_step_model_width(m), WIDTH);
    assert_int_equal(m->rule.confirm, 2);
    assert_int_equal(m->rule.fall_from, 20);
    assert_int_equal(m->rule.fall_to, 40);
    assert_int_equal(m->rule.min_gap, 16);
    assert_int_equal(m->rule.max_step, 120);
    assert_true(m->rule.threshold_first == 0.4F && m->rule.share == 0.5F);
    /* 16 + 2 readings, an end half a reading and one before the peak: 19.5 of 12.5 ms */
    assert_int_equal(vly_step_model_delay_us(m), 243750);
    vly_step_model_unref(m);
}

static void look_ahead_is_what_the_peak_waits_for(void **state)
{
    vly_step_model *m;
    vly_err err;

    (void)state;
    const int64_t enough[] = {244, 10000, UINT32_MAX, INT64_MAX}; /* 243.75 ms, as above */
    for (size_t i = 0; i < sizeof(enough) / sizeof(enough[0]); i++) {
        assert_int_equal(load(&(twist){0}, enough[i], &m, &err), VLY_OK);
        assert_int_equal(m->rule.confirm, 2);
        vly_step_model_unref(m);
    }
    for (int64_t ms = 232; ms <= 243; ms += 11) { /* a reading less: 231.25 ms */
        assert_int_equal(load(&(twist){0}, ms, &m, &err), VLY_OK);
        assert_int_equal(m->rule.confirm, 1);
        assert_int_equal(vly_step_model_delay_us(m), 231250);
        vly_step_model_unref(m);
    }
    for (int64_t ms = 231; ms >= -2; ms -= 233) {
        assert_int_equal(load(&(twist){0}, ms, &m, &err), VLY_EINVAL);
        assert_non_null(strstr(err.msg, "look-ahead: expected at least 232 ms, of which the net "
                                        "takes 200, or -1 for the model's own; got "));
    }
}

static void names_what_is_missing(void **state)
{
    vly_step_model *m;
    vly_err err;
    char want[128];

    (void)state;
    for (int i = 0; i < N_PROPERTIES; i++) {
        assert_int_equal(load(&(twist){.skip = properties[i][0]}, -1, &m, &err), VLY_EFORMAT);
        snprintf(want, sizeof(want), "not a step model: metadata has no '%s'", properties[i][0]);
        assert_string_equal(err.msg, want);
    }
}

static void refuses_numbers_outside_their_range(void **state)
{
    static const char *const bad[][2] = {
        {"volley.task", "detect"},
        {"volley.steps.features", "2"},
        {"volley.steps.rate_hz", "100"},
        {"volley.steps.hop", "0"},
        {"volley.steps.hop", "9"},
        {"volley.steps.hop", "1.5"},
        {"volley.steps.hop", "2"}, /* and the frames are of one reading */
        {"volley.steps.delay", "-1"},
        {"volley.steps.delay", "801"},
        {"volley.steps.threshold_first", "1.01"},
        {"volley.steps.threshold_due", "nan"},
        {"volley.steps.share", ""},
        {"volley.steps.fall_from_ms", "600"},
        {"volley.steps.max_step_ms", "inf"},
        {"volley.steps.confirm", "0"},
        {"volley.steps.confirm", "4"},
    };
    vly_step_model *m;
    vly_err err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const twist t = {.key = bad[i][0], .value = bad[i][1]};
        if (load(&t, -1, &m, &err) != VLY_EFORMAT)
            fail_msg("%s = %s is accepted", bad[i][0], bad[i][1]);
    }
}

static void refuses_other_nets(void **state)
{
    vly_step_batcher *b;
    vly_step_model *m = NULL;
    vly_err err;

    (void)state;
    assert_int_equal(load(&(twist){.n_events = 3, .n_made = 3}, -1, &m, &err), VLY_EFORMAT);
    assert_int_equal(vly_step_model_load_bytes("no model", 8, -1, &m, &err), VLY_EFORMAT);
    /* says two, makes three: found at the latest when it runs */
    if (load(&(twist){.n_made = 3}, -1, &m, &err) == VLY_OK) {
        assert_int_not_equal(vly_step_batcher_new(m, &b, &err), VLY_OK);
        vly_step_model_unref(m);
    }
    assert_int_equal(vly_step_model_load("/no/such/file", -1, &m, &err), VLY_ENOTFOUND);
}

UNIT_TESTS(cmocka_unit_test(tells_what_it_says),
           cmocka_unit_test(look_ahead_is_what_the_peak_waits_for),
           cmocka_unit_test(names_what_is_missing),
           cmocka_unit_test(refuses_numbers_outside_their_range),
           cmocka_unit_test(refuses_other_nets))
