/* SPDX-License-Identifier: MIT */
/*
 * Results of an ensemble one of whose models changes after they were looked up, and before they are
 * there, whichever of the two has computed them: they are answered, but not kept under a key that
 * says what the models were.
 */
#include "base/assert.h"
#include "service.h"
#include "support/onnx_builder.h"
#include "sys/file.h"

#include <stdio.h>
#include <string.h>

#define SUMS                                                                                       \
    "platform: 'ensemble' input { name: 'x' data_type: TYPE_FP32 dims: [-1, -1] } "                \
    "output { name: 'y' data_type: TYPE_FP32 dims: [-1, -1] } ensemble_scheduling { "              \
    "step { model_name: 'plus' model_version: -1 input_map { key: 'x' value: 'x' } "               \
    "output_map { key: 'y' value: 'y' } } }"
#define SEES                                                                                       \
    "platform: 'ensemble' input { name: 'photo' data_type: TYPE_STRING dims: [1] } "               \
    "output [{ name: 'boxes' data_type: TYPE_FP32 dims: [-1, 4] }, "                               \
    "{ name: 'scores' data_type: TYPE_FP32 dims: [-1] }, "                                         \
    "{ name: 'labels' data_type: TYPE_INT32 dims: [-1] }] ensemble_scheduling { "                  \
    "step { model_name: 'boxes' model_version: -1 input_map { key: 'picture' value: 'photo' } "    \
    "output_map [{ key: 'boxes' value: 'boxes' }, { key: 'scores' value: 'scores' }, "             \
    "{ key: 'labels' value: 'labels' }] } }"

static const char *path_of(const char *file)
{
    static char path[2][TEMP_DIR_PATH_MAX + 64];
    static int turn;

    turn ^= 1;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", svc.dir, file);
    return path[turn];
}

static const char *write_config(const char *config)
{
    const char *path = path_of("some.pbtxt");

    assert_int_equal(vly_file_write(path, config, strlen(config), NULL), VLY_OK);
    return path;
}

/* plus: y = x + k, float [N, M], from files of stamp k; by a worker, however short it is. */
static void offer_plus(unsigned k)
{
    const float value = (float)k;
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 2, (int64_t[]){-1, -1});
    ob_output(&b, "y", OB_FLOAT, 2, (int64_t[]){-1, -1});
    ob_floats(&b, "k", 1, (int64_t[]){1}, &value);
    ob_node(&b, "Add", "x,k", "y");
    vly_str bytes = ob_finish(&b, 17);
    assert_int_equal(vly_file_write(path_of("plus.onnx"), bytes.ptr, bytes.len, NULL), VLY_OK);
    ob_release(&b);
    service_add("plus", path_of("plus.onnx"),
                write_config("parameters { key: 'execution' value { string_value: 'parallel' } }"),
                k);
}

static void offer_boxes(unsigned k)
{
    service_add("boxes", path_of("boxes.onnx"), NULL, k);
}

static const char request[] =
    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,1],\"data\":[10]}]}";

static void assert_sum(reply r, const char *cached, const char *sum)
{
    assert_says(r, 200, sum);
    assert_string_equal(header(&r, "Volley-Cache"), cached);
}

static void sums_of_another_model_are_not_kept(void **state)
{
    (void)state;
    size_t len = sizeof(request) - 1;

    offer_plus(1);
    service_add("sums", NULL, write_config(SUMS), 0);
    service_hold_workers();
    int fd = service_send("POST", "/v2/models/sums/infer", "", request, len);
    service_wait_pending("plus");
    offer_plus(2);
    service_release_workers();
    assert_sum(service_receive(fd), "miss", "\"data\":[11");
    offer_plus(1); /* and back */
    assert_sum(post("/v2/models/sums/infer", request), "miss", "\"data\":[11");
    assert_sum(post("/v2/models/sums/infer", request), "hit", "\"data\":[11");
}

/* Pictures are decoded by a worker, and only then come to a model. */
static void wait_for_lookup(void)
{
    vly_cache_totals t;

    do {
        get("/health");
        vly_cache_get_totals(svc.cache, &t);
    } while (t.lookups == 0);
}

static void boxes_of_another_model_are_not_kept(void **state)
{
    (void)state;
    static const char target[] = "/v1/images:detect?model=sees";
    vly_buf picture = picture_of(32, 32, 0, 0, 0);

    offer_boxes(1);
    service_add("sees", NULL, write_config(SEES), 0);
    service_hold_workers();
    int fd = service_send("POST", target, "", picture.ptr, picture.len);
    wait_for_lookup();
    offer_boxes(2);
    service_release_workers();
    assert_sum(service_receive(fd), "miss", "\"cat\"");
    offer_boxes(1);
    assert_sum(ask("POST", target, "", picture.ptr, picture.len), "miss", "\"cat\"");
    assert_sum(ask("POST", target, "", picture.ptr, picture.len), "hit", "\"cat\"");
    vly_buf_release(&picture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, service_start_cached, service_stop)
UNIT_TESTS(TEST(sums_of_another_model_are_not_kept), TEST(boxes_of_another_model_are_not_kept))
