/* SPDX-License-Identifier: MIT */
/* The public API as a program sees it: options and their versions. */
#include "support/onnx_builder.h"
#include "support/temp_dir.h"
#include "unit.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <volley/volley.h>

static char dir[TEMP_DIR_PATH_MAX];
static char path[TEMP_DIR_PATH_MAX + 16];

static int make_model(void **state)
{
    (void)state;
    onnx_builder b;

    if (!temp_dir_make(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/relu.onnx", dir);
    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 2, (int64_t[]){-1, 3});
    ob_output(&b, "y", OB_FLOAT, 2, (int64_t[]){-1, 3});
    ob_node(&b, "Relu", "x", "y");
    vly_str bytes = ob_finish(&b, 17);
    FILE *f = fopen(path, "wb");
    bool ok = f != NULL && fwrite(bytes.ptr, 1, bytes.len, f) == bytes.len;
    ok = f != NULL && fclose(f) == 0 && ok;
    ob_release(&b);
    return ok ? 0 : -1;
}

static int remove_model(void **state)
{
    (void)state;
    return temp_dir_remove(dir) ? 0 : -1;
}

static void runs_at_every_precision(void **state)
{
    (void)state;
    static const char *const names[] = {NULL, "exact", "fp32", "bf16", "int8", "auto"};
    float x[6] = {-1, 2, -3, 4, -5, 6};
    const float want[6] = {0, 2, 0, 4, 0, 6};
    volley_tensor in = {VOLLEY_FLOAT32, 2, {2, 3}, x, sizeof(x)}, out;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        volley_model_options options = VOLLEY_MODEL_OPTIONS_INIT;
        volley_model *model;
        volley_session *session;
        options.precision = names[i];
        assert_int_equal(volley_model_load(path, &options, &model, NULL), VOLLEY_OK);
        assert_int_equal(volley_session_new(model, NULL, &session, NULL), VOLLEY_OK);
        volley_model_free(model);
        assert_int_equal(volley_session_run(session, &in, &out, NULL), VOLLEY_OK);
        assert_int_equal(out.bytes, sizeof(want));
        assert_memory_equal(out.data, want, sizeof(want));
        volley_session_free(session);
    }
}

static void names_a_precision_that_is_not(void **state)
{
    (void)state;
    volley_model_options options = VOLLEY_MODEL_OPTIONS_INIT;
    volley_model *model = NULL;
    volley_error err = {0};

    options.precision = "fp7";
    assert_int_equal(volley_model_load(path, &options, &model, &err), VOLLEY_EINVAL);
    assert_null(model);
    assert_non_null(strstr(err.message, "fp7"));
}

/* A caller built before there was a precision has none in its struct: what follows is not read. */
static void reads_no_more_than_the_caller_has(void **state)
{
    (void)state;
    volley_model_options options = VOLLEY_MODEL_OPTIONS_INIT;
    volley_model *model;

    options.size = offsetof(volley_model_options, precision);
    options.precision = "fp7";
    assert_int_equal(volley_model_load(path, &options, &model, NULL), VOLLEY_OK);
    volley_model_free(model);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_model, remove_model)

UNIT_TESTS(TEST(runs_at_every_precision), TEST(names_a_precision_that_is_not),
           TEST(reads_no_more_than_the_caller_has))
