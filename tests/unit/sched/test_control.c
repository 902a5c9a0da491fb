/* SPDX-License-Identifier: MIT */
/*
 * Models come and go: each look at the directory is asked for, so that no test waits for a clock.
 * Model k adds k to its input.
 */
#include "sched/control.h"
#include "support/onnx_builder.h"
#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[TEMP_DIR_PATH_MAX];
static vly_scheduler *scheduler;
static vly_control *control;
static sem_t answered;

static int set_up(void **state)
{
    (void)state;
    const vly_scheduler_opts opts = {.n_threads = 1,
                                     .max_waiting = 4,
                                     .max_scratch_bytes = 1 << 20,
                                     .picture_limits = VLY_PICTURE_LIMITS_INIT};

    sem_init(&answered, 0, 0);
    control = NULL;
    return temp_dir_make(root) && vly_scheduler_new(&opts, &scheduler, NULL) == VLY_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vly_control_free(control);
    vly_scheduler_free(scheduler);
    sem_destroy(&answered);
    return temp_dir_remove(root) ? 0 : -1;
}

/* ---- files ---- */

static void put(const char *path, vly_str bytes)
{
    char full[256];
    vly_err err;

    snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *p = full + strlen(root) + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    assert_int_equal(vly_file_write(full, bytes.ptr, bytes.len, &err), VLY_OK);
}

static void put_text(const char *path, const char *text)
{
    put(path, vly_str_from(text));
}

/* location: of the file that holds k; NULL: k is in the model. */
static void put_adder(const char *path, const char *location, float k)
{
    const int64_t dims[] = {-1, 2};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 2, dims);
    ob_output(&b, "y", OB_FLOAT, 2, dims);
    if (location != NULL)
        ob_external(&b, "k", OB_FLOAT, 0, NULL, location);
    else
        ob_floats(&b, "k", 0, NULL, &k);
    ob_node(&b, "Add", "x,k", "y");
    put(path, ob_finish(&b, 17));
    ob_release(&b);
}

static void put_model(const char *path, float k)
{
    put_adder(path, NULL, k);
}

/* The length changes too: a file that is replaced twice may get its former place and time. */
static void put_data(const char *path, float k)
{
    const float data[8] = {k};

    put(path, (vly_str){(const char *)data, sizeof(k) * (size_t)k});
}

static void put_cut(const char *path)
{
    put_text(path, "\x08");
}

static void erase(const char *path)
{
    char full[256];

    snprintf(full, sizeof(full), "%s/%s", root, path);
    assert_int_equal(remove(full), 0);
}

/* ---- control ---- */

static void start(vly_control_mode mode, const char *load)
{
    const vly_control_opts opts = {.dir = root,
                                   .mode = mode,
                                   .load = load,
                                   .poll_interval_ms = 3600000,
                                   .max_waiting = 2,
                                   .model = VLY_MODEL_OPTIONS_DEFAULT};
    vly_err err = VLY_ERR_INIT;

    if (vly_control_new(scheduler, &opts, &control, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

static void answer(vly_control_request *r)
{
    (void)r;
    sem_post(&answered);
}

static vly_control_request ask(vly_control_request r)
{
    r.done = answer;
    assert_int_equal(vly_control_submit(control, &r, &r.err), VLY_OK);
    sem_wait(&answered);
    return r;
}

static void look(void)
{
    (void)ask((vly_control_request){.action = VLY_CONTROL_LOOK});
}

static vly_status load(const char *name)
{
    return ask((vly_control_request){.action = VLY_CONTROL_LOAD, .name = vly_str_from(name)})
        .status;
}

static vly_status unload(const char *name, bool dependents)
{
    return ask((vly_control_request){.action = VLY_CONTROL_UNLOAD,
                                     .name = vly_str_from(name),
                                     .unload_dependents = dependents})
        .status;
}

/* ---- what is served ---- */

static vly_served *find(const char *name, const char *version)
{
    return vly_scheduler_find(scheduler, vly_str_from(name), vly_str_from(version));
}

static void finish(vly_job *job)
{
    sem_post(job->ctx);
}

static vly_status keep_first(vly_job *job, vly_err *err)
{
    (void)err;
    *(float *)(uintptr_t)job->inputs[0].data = *(const float *)job->outputs[0].data;
    return VLY_OK;
}

/* What the model adds; -1: it does not serve. */
static float added_by(vly_served *m)
{
    float data[2] = {0, 0};
    sem_t done;
    vly_err err;
    vly_tensor in = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(1, 2), data);
    vly_job job = {.kind = VLY_JOB_TENSORS,
                   .ctx = &done,
                   .inputs = &in,
                   .n_inferences = 1,
                   .encode = keep_first,
                   .done = finish};
    vly_job *jobs[] = {&job};

    if (m == NULL || m->servable == NULL)
        return -1;
    sem_init(&done, 0, 0);
    assert_int_equal(vly_scheduler_submit(m, jobs, 1, &err), VLY_OK);
    sem_wait(&done);
    sem_destroy(&done);
    assert_int_equal(job.status, VLY_OK);
    return data[0];
}

static void expect_added(const char *name, const char *version, float k)
{
    vly_served *m = find(name, version);
    float got = added_by(m);

    vly_served_unref(m);
    if (got < k || got > k)
        fail_msg("%s %s: expected %g, got %g", name, version, (double)k, (double)got);
}

static void expect_row(const char *name, const char *version, const char *state, const char *reason)
{
    vly_control_index index;
    vly_arena arena;
    vly_err err;
    const vly_control_row *row = NULL;

    vly_arena_init(&arena, VLY_MEM_SCHED, 4096, 1 << 20);
    assert_int_equal(vly_control_list(control, &arena, &index, &err), VLY_OK);
    for (size_t i = 0; i < index.n_rows; i++)
        if (strcmp(index.rows[i].name, name) == 0 &&
            (version == NULL) == (index.rows[i].version == NULL) &&
            (version == NULL || strcmp(index.rows[i].version, version) == 0))
            row = &index.rows[i];
    if (row == NULL)
        fail_msg("%s is not listed", name);
    else if (state == NULL)
        assert_null(row->state);
    else
        assert_string_equal(row->state, state);
    if (row != NULL && reason != NULL)
        assert_non_null(strstr(row->reason, reason));
    else if (row != NULL)
        assert_null(row->reason);
    vly_model_set_unref(index.models);
    vly_arena_release(&arena);
}

static bool has_note(const char *name)
{
    vly_control_index index;
    vly_arena arena;
    vly_err err;
    bool has = false;

    vly_arena_init(&arena, VLY_MEM_SCHED, 4096, 1 << 20);
    assert_int_equal(vly_control_list(control, &arena, &index, &err), VLY_OK);
    for (size_t i = 0; i < index.n_rows; i++)
        has = has || (strcmp(index.rows[i].name, name) == 0 && index.rows[i].note != NULL);
    vly_model_set_unref(index.models);
    vly_arena_release(&arena);
    return has;
}

/* ---- polling ---- */

static void loads_what_stands_still(void **state)
{
    (void)state;
    put_model("a/1/model.onnx", 1);
    start(VLY_CONTROL_POLL, NULL);
    expect_added("a", "", 1); /* at start at once */
    put_model("a/1/model.onnx", 2);
    look();
    expect_added("a", "", 1);
    put_model("a/1/model.onnx", 3); /* it still changes */
    look();
    expect_added("a", "", 1);
    look();
    expect_added("a", "", 3);
    put_model("b/1/model.onnx", 7);
    look();
    expect_row("b", NULL, NULL, NULL);
    look();
    expect_added("b", "", 7);
}

static void failures_leave_what_serves(void **state)
{
    (void)state;
    put_model("a/1/model.onnx", 1);
    start(VLY_CONTROL_POLL, NULL);
    put_cut("a/1/model.onnx");
    look();
    assert_false(has_note("a"));
    look();
    expect_added("a", "", 1);
    assert_true(has_note("a"));
    expect_row("a", "1", "READY", NULL);
    put_text("a/config.pbtxt", "max_batch_size: {");
    put_model("a/1/model.onnx", 2);
    look();
    look();
    expect_added("a", "", 1);
    assert_true(has_note("a"));
    put_text("a/config.pbtxt", "max_batch_size: 2");
    look();
    look();
    expect_added("a", "", 2);
    assert_false(has_note("a"));
}

/* Weights in files of their own, wherever they lie, count as the model's. */
static void data_files_are_looked_at(void **state)
{
    (void)state;
    static const char *const data[] = {"a.bin", "deep/b.bin", "c/1/c.bin", "d/1/deep/er/d.bin",
                                       "e/e.bin"};
    static const char *const name[] = {"a", "b", "c", "d", "e"};

    put_adder("a.onnx", "a.bin", 0);
    put_adder("b.onnx", "deep/b.bin", 0);
    put_adder("c/1/model.onnx", "c.bin", 0);
    put_adder("d/1/model.onnx", "deep/er/d.bin", 0);
    put_adder("e/model.onnx", "e.bin", 0);
    for (size_t i = 0; i < 5; i++)
        put_data(data[i], 1);
    start(VLY_CONTROL_POLL, NULL);
    for (size_t i = 0; i < 5; i++) {
        expect_added(name[i], "", 1);
        put_data(data[i], 2);
        look();
        expect_added(name[i], "", 1);
        put_data(data[i], 3); /* it still changes */
        look();
        expect_added(name[i], "", 1);
        look();
        expect_added(name[i], "", 3);
    }
    vly_served *before[5], *after;
    for (size_t i = 0; i < 5; i++)
        before[i] = find(name[i], "");
    look();
    look();
    for (size_t i = 0; i < 5; i++) {
        after = find(name[i], "");
        assert_ptr_equal(after, before[i]); /* nothing has changed */
        vly_served_unref(after);
        vly_served_unref(before[i]);
    }
}

static void bad_data_files_leave_what_serves(void **state)
{
    (void)state;
    put_adder("a/1/model.onnx", "deep/k.bin", 0);
    put_data("a/1/deep/k.bin", 1);
    put_adder("b.onnx", "b.bin", 0);
    start(VLY_CONTROL_POLL, NULL);
    expect_added("b", "", -1); /* its data come later */
    put_data("b.bin", 5);
    put_text("a/1/deep/k.bin", "cut");
    look();
    assert_false(has_note("a"));
    look();
    expect_added("b", "", 5);
    expect_added("a", "", 1);
    assert_true(has_note("a"));
    put_data("a/1/deep/k.bin", 2);
    look();
    look();
    expect_added("a", "", 2);
    assert_false(has_note("a"));
    erase("a/1/deep/k.bin");
    look();
    look();
    expect_added("a", "", 2);
    assert_true(has_note("a"));
}

static void loads_find_changed_data(void **state)
{
    (void)state;
    put_adder("a.onnx", "k.bin", 0);
    put_data("k.bin", 1);
    start(VLY_CONTROL_EXPLICIT, "a");
    vly_served *m = find("a", "");
    assert_int_equal(load("a"), VLY_OK);
    vly_served *same = find("a", "");
    assert_ptr_equal(same, m);
    put_data("k.bin", 2);
    assert_int_equal(load("a"), VLY_OK);
    expect_added("a", "", 2);
    vly_served *other = find("a", "");
    assert_int_not_equal(vly_served_identity(other), vly_served_identity(m));
    vly_served_unref(other);
    vly_served_unref(same);
    vly_served_unref(m);
}

static void versions_change_together(void **state)
{
    (void)state;
    put_text("a/config.pbtxt", "version_policy { all { } }");
    put_model("a/1/model.onnx", 1);
    put_model("a/2/model.onnx", 2);
    start(VLY_CONTROL_POLL, NULL);
    vly_served *one = find("a", "1"), *two = find("a", "2");
    put_model("a/1/model.onnx", 10);
    put_model("a/3/model.onnx", 30);
    look();
    look();
    expect_added("a", "1", 10);
    expect_added("a", "2", 2);
    expect_added("a", "", 30);
    vly_served *still = find("a", "2");
    assert_ptr_equal(still, two); /* its files have not changed */
    vly_served_unref(still);
    assert_int_equal(atomic_load(&one->state), VLY_SERVED_UNLOADING);
    assert_true(added_by(one) < 1.5F); /* who holds it may still use it */
    vly_served_unref(one);
    vly_served_unref(two);
    put_text("a/config.pbtxt", "version_policy { specific { versions: [ 2 ] } }");
    look();
    look();
    expect_added("a", "", 2);
    expect_row("a", "1", "UNAVAILABLE", "unloaded");
    expect_row("a", "3", "UNAVAILABLE", "unloaded");
}

/* A version that goes is UNLOADING while somebody holds it. */
static void unloading_is_seen(void **state)
{
    (void)state;
    put_model("a/1/model.onnx", 1);
    start(VLY_CONTROL_EXPLICIT, "a");
    vly_served *held = find("a", "");
    assert_int_equal(unload("a", false), VLY_OK);
    expect_row("a", "1", "UNLOADING", NULL);
    expect_added("a", "", -1);
    vly_served_unref(held);
    expect_row("a", "1", "UNAVAILABLE", "unloaded");
    assert_int_equal(load("a"), VLY_OK);
    expect_row("a", "1", "READY", NULL);
    expect_added("a", "", 1);
}

static void what_goes_is_unloaded(void **state)
{
    (void)state;
    char away[TEMP_DIR_PATH_MAX + 8];

    put_model("a.onnx", 1);
    put_model("b.onnx", 2);
    start(VLY_CONTROL_POLL, NULL);
    erase("a.onnx");
    look();
    expect_added("a", "", -1);
    expect_added("b", "", 2);
    snprintf(away, sizeof(away), "%s.away", root);
    assert_int_equal(rename(root, away), 0);
    look();
    look();
    expect_added("b", "", 2); /* a directory that cannot be read says nothing */
    assert_int_equal(rename(away, root), 0);
    put_model("a.onnx", 5);
    look();
    look();
    expect_added("a", "", 5);
}

/* ---- requests ---- */

static void obeys_its_mode(void **state)
{
    (void)state;
    vly_control_request r = {.action = VLY_CONTROL_LOAD, .name = VLY_STR("a"), .done = answer};
    vly_err err;

    put_model("a.onnx", 1);
    start(VLY_CONTROL_NONE, NULL);
    expect_added("a", "", 1);
    assert_int_equal(vly_control_submit(control, &r, &err), VLY_EUNAVAILABLE);
    put_model("a.onnx", 2);
    look(); /* as a rescan: at once */
    expect_added("a", "", 2);
    vly_control_mode mode;
    assert_true(vly_control_mode_parse("explicit", &mode) && mode == VLY_CONTROL_EXPLICIT);
    assert_true(vly_control_mode_parse("poll", &mode) && mode == VLY_CONTROL_POLL);
    assert_false(vly_control_mode_parse("POLL", &mode));
}

static void checks_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"", " \t", "..", "a/b", "../a", "a..b"};
    vly_err err;

    start(VLY_CONTROL_EXPLICIT, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        vly_control_request r = {
            .action = VLY_CONTROL_LOAD, .name = vly_str_from(bad[i]), .done = answer};
        assert_int_equal(vly_control_submit(control, &r, &err), VLY_EINVAL);
    }
    assert_int_equal(load("nobody"), VLY_EINTERNAL);
}

static sem_t gate;

static void hold(vly_control_request *r)
{
    (void)r;
    sem_post(&answered);
    sem_wait(&gate);
}

/* Two may wait while the loader is at work; at the end those that wait are told. */
static void the_queue_is_bounded(void **state)
{
    (void)state;
    vly_control_request r[4];
    vly_err err;

    sem_init(&gate, 0, 0);
    start(VLY_CONTROL_EXPLICIT, NULL);
    for (int i = 0; i < 4; i++)
        r[i] = (vly_control_request){
            .action = VLY_CONTROL_UNLOAD, .name = VLY_STR("a"), .done = i == 0 ? hold : answer};
    assert_int_equal(vly_control_submit(control, &r[0], &err), VLY_OK);
    sem_wait(&answered);
    assert_int_equal(vly_control_submit(control, &r[1], &err), VLY_OK);
    assert_int_equal(vly_control_submit(control, &r[2], &err), VLY_OK);
    assert_int_equal(vly_control_submit(control, &r[3], &err), VLY_EBUSY);
    sem_post(&gate);
    vly_control_stop(control);
    sem_wait(&answered);
    sem_wait(&answered);
    for (int i = 1; i < 3; i++)
        assert_true(r[i].status == VLY_OK || r[i].status == VLY_EUNAVAILABLE);
    assert_int_equal(vly_control_submit(control, &r[3], &err), VLY_EUNAVAILABLE);
    sem_destroy(&gate);
}

/* ---- ensembles ---- */

static void put_ensemble(const char *name, const char *step)
{
    char path[64], text[512];

    snprintf(path, sizeof(path), "%s/config.pbtxt", name);
    snprintf(text, sizeof(text),
             "platform: 'ensemble' max_batch_size: 4\n"
             "input { name: 'in' data_type: TYPE_FP32 dims: 2 }\n"
             "output { name: 'out' data_type: TYPE_FP32 dims: 2 }\n"
             "ensemble_scheduling { step { model_name: '%s' model_version: -1\n"
             "  input_map { key: 'x' value: 'in' } output_map { key: 'y' value: 'out' } } }\n",
             step);
    put_text(path, text);
}

static void ensembles_bring_their_models(void **state)
{
    (void)state;
    put_model("a/1/model.onnx", 1);
    put_model("b/1/model.onnx", 2);
    put_ensemble("e", "a");
    start(VLY_CONTROL_EXPLICIT, "b");
    assert_int_equal(load("e"), VLY_OK);
    expect_added("e", "", 1);
    expect_added("a", "", 1);
    assert_int_equal(unload("a", false), VLY_OK);
    expect_added("a", "", -1);
    expect_row("e", "1", "UNAVAILABLE", "ensemble 'e' depends on 'a' which has no loaded version");
    assert_int_equal(load("e"), VLY_OK);
    expect_added("e", "", 1);
    assert_int_equal(unload("e", false), VLY_OK);
    expect_added("a", "", 1);
    assert_int_equal(load("e"), VLY_OK);
    assert_int_equal(unload("e", true), VLY_OK);
    expect_added("a", "", -1); /* only e needed it */
    expect_added("b", "", 2);  /* asked for by name */
}

/* An ensemble that was asked for too early comes when it can, and stays until it is unloaded. */
static void ensembles_wait_while_they_are_wanted(void **state)
{
    (void)state;
    put_ensemble("e", "a");
    put_model("b/1/model.onnx", 2);
    start(VLY_CONTROL_EXPLICIT, "b");
    assert_int_not_equal(load("e"), VLY_OK);
    put_model("a/1/model.onnx", 1);
    assert_int_equal(load("a"), VLY_OK);
    expect_added("e", "", 1);
    assert_int_equal(unload("b", true), VLY_OK);
    expect_added("e", "", 1); /* it is nobody's orphan */
    assert_int_equal(unload("e", false), VLY_OK);
    erase("a/1/model.onnx");
    assert_int_equal(unload("a", false), VLY_OK);
    assert_int_not_equal(load("e"), VLY_OK);
    assert_int_equal(unload("e", false), VLY_OK);
    put_model("a/1/model.onnx", 1);
    assert_int_equal(load("a"), VLY_OK);
    expect_added("e", "", -1); /* it was unloaded since */
}

/* A configuration that comes with the request is for the model that it names. */
static void overrides_one_model(void **state)
{
    (void)state;
    static const char config[] =
        "{\"platform\":\"ensemble\",\"max_batch_size\":4,"
        "\"input\":[{\"name\":\"in\",\"data_type\":\"TYPE_FP32\",\"dims\":[2]}],"
        "\"output\":[{\"name\":\"out\",\"data_type\":\"TYPE_FP32\",\"dims\":[2]}],"
        "\"ensemble_scheduling\":{\"step\":[{\"model_name\":\"a\",\"model_version\":-1,"
        "\"input_map\":{\"x\":\"in\"},\"output_map\":{\"y\":\"out\"}}]}}";

    put_model("a/1/model.onnx", 1);
    put_ensemble("e", "nobody");
    start(VLY_CONTROL_EXPLICIT, "");
    vly_control_request r = ask((vly_control_request){
        .action = VLY_CONTROL_LOAD, .name = VLY_STR("e"), .config = vly_str_from(config)});
    assert_int_equal(r.status, VLY_OK);
    expect_added("a", "", 1);
    expect_added("e", "", 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

UNIT_TESTS(TEST(loads_what_stands_still), TEST(failures_leave_what_serves),
           TEST(data_files_are_looked_at), TEST(bad_data_files_leave_what_serves),
           TEST(loads_find_changed_data), TEST(versions_change_together), TEST(unloading_is_seen),
           TEST(what_goes_is_unloaded), TEST(obeys_its_mode), TEST(checks_names),
           TEST(the_queue_is_bounded), TEST(ensembles_bring_their_models),
           TEST(ensembles_wait_while_they_are_wanted), TEST(overrides_one_model))
