/* SPDX-License-Identifier: MIT */
/* What the page /performance shows, second by second; the seconds end when the test says so. */
#include "api/performance.h"
#include "service.h"

#include <string.h>
#include <yyjson.h>

static yyjson_doc *doc;
static vly_nsec clock_ns;
static uint64_t clock_ms;

static int end(void **state)
{
    yyjson_doc_free(doc);
    doc = NULL;
    return service_stop(state);
}

static int begin(void **state)
{
    clock_ns = vly_clock_now();
    clock_ms = UINT64_C(1800000000000);
    return service_start(state);
}

static void pass_second(void)
{
    clock_ns = (clock_ns > vly_clock_now() ? clock_ns : vly_clock_now()) + VLY_NSEC_PER_SEC;
    clock_ms += 1000;
    vly_performance_sample(svc.performance, clock_ns, clock_ms);
}

static yyjson_val *look(const char *target)
{
    reply r = get(target);

    assert_int_equal(r.status, 200);
    yyjson_doc_free(doc);
    doc = yyjson_read(r.body, r.body_len, 0);
    assert_non_null(doc);
    return yyjson_doc_get_root(doc);
}

static yyjson_val *series_of(yyjson_val *root, const char *model)
{
    yyjson_val *list = yyjson_obj_get(root, "series"), *row;
    size_t i, n;

    yyjson_arr_foreach(list, i, n, row)
    {
        if (strcmp(yyjson_get_str(yyjson_obj_get(row, "model")), model) == 0)
            return row;
    }
    fail_msg("no series of '%s'", model);
    return NULL;
}

static double last_of(yyjson_val *row, const char *column)
{
    yyjson_val *values = yyjson_obj_get(row, column);

    assert_true(yyjson_arr_size(values) > 0);
    return yyjson_get_num(yyjson_arr_get_last(values));
}

static bool is_last_null(yyjson_val *row, const char *column)
{
    return yyjson_is_null(yyjson_arr_get_last(yyjson_obj_get(row, column)));
}

static void infer(size_t n)
{
    static const char one[] =
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"UINT8\",\"shape\":[1,1],\"data\":[1]}]}";

    for (size_t i = 0; i < n; i++)
        assert_int_equal(post("/v2/models/id_UINT8/infer", one).status, 200);
}

static void says_so_when_there_is_nothing(void **state)
{
    (void)state;
    yyjson_val *root = look("/v1/performance");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "message")),
                        "No metrics collected yet");
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(root, "total_requests")), 0);
    assert_true(yyjson_is_null(yyjson_obj_get(root, "average_inference_time_ms")));
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(root, "times_ms")), 0);
}

static void tells_each_second_apart(void **state)
{
    (void)state;
    infer(5);
    pass_second();
    infer(2);
    assert_int_equal(post("/v2/models/id_UINT8/infer", "{}").status, 400);
    pass_second();
    pass_second();
    yyjson_val *root = look("/v1/performance");
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(root, "last")), 3);
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(root, "total_requests")), 8);
    assert_null(yyjson_obj_get(root, "message"));
    assert_true(yyjson_get_num(yyjson_obj_get(root, "average_inference_time_ms")) > 0);
    assert_true(yyjson_get_num(yyjson_obj_get(root, "p95_inference_time_ms")) > 0);
    assert_true(yyjson_get_num(yyjson_obj_get(root, "average_memory_usage_percent")) > 0);
    assert_true(yyjson_is_num(yyjson_obj_get(root, "average_cpu_usage_percent")));
    yyjson_val *row = series_of(root, "id_UINT8");
    yyjson_val *computed = yyjson_obj_get(row, "computed");
    assert_int_equal(yyjson_arr_size(computed), 3);
    double first = yyjson_get_num(yyjson_arr_get(computed, 0));
    double second = yyjson_get_num(yyjson_arr_get(computed, 1));
    assert_true(first > 0 && first <= 5); /* five in a second, or a little more */
    assert_true(second > 0 && second <= 2);
    assert_true(yyjson_get_num(yyjson_arr_get(yyjson_obj_get(row, "failed"), 0)) == 0);
    assert_true(yyjson_get_num(yyjson_arr_get(yyjson_obj_get(row, "failed"), 1)) > 0);
    assert_true(last_of(row, "computed") == 0);
    assert_true(is_last_null(row, "p95_ms")); /* nothing ran in the last second */
    assert_true(is_last_null(row, "batch"));
    assert_true(yyjson_get_num(yyjson_arr_get(yyjson_obj_get(row, "batch"), 1)) == 1);
    assert_true(yyjson_get_num(yyjson_arr_get(yyjson_obj_get(row, "p50_ms"), 0)) > 0);
    assert_true(yyjson_is_null(yyjson_obj_get(row, "route")));
    assert_true(last_of(series_of(root, "simple"), "computed") == 0);
}

/* What the cache has answered is no latency of the model. */
static void tells_known_apart_from_computed(void **state)
{
    (void)state;
    vly_served *m = vly_scheduler_find(svc.scheduler, VLY_STR("id_UINT8"), VLY_STR(""));
    infer(3);
    for (int i = 0; i < 4; i++) {
        vly_served_count_known(m, vly_clock_now() - 40 * VLY_NSEC_PER_SEC);
        vly_counter_add(&m->stats.cache.memory_hits, 1);
    }
    vly_counter_add(&m->stats.cache.misses, 4);
    vly_served_unref(m);
    pass_second();
    yyjson_val *row = series_of(look("/v1/performance"), "id_UINT8");
    double computed = last_of(row, "computed"), cached = last_of(row, "cached");
    assert_true(computed > 0 && cached > computed * 1.3 && cached < computed * 1.4);
    assert_true(last_of(row, "hit_ratio") == 0.5);
    assert_true(last_of(row, "p99_ms") < 30000);
}

/* Looked up in one second and answered in the next: all hits, and then no lookup at all. */
static void tells_hits_of_slow_answers(void **state)
{
    (void)state;
    vly_served *m = vly_scheduler_find(svc.scheduler, VLY_STR("id_UINT8"), VLY_STR(""));
    infer(1);
    vly_counter_add(&m->stats.cache.shared, 4);
    pass_second();
    assert_true(last_of(series_of(look("/v1/performance"), "id_UINT8"), "hit_ratio") == 1);
    for (int i = 0; i < 4; i++)
        vly_served_count_known(m, vly_clock_now());
    vly_served_unref(m);
    pass_second();
    yyjson_val *row = series_of(look("/v1/performance"), "id_UINT8");
    assert_true(last_of(row, "cached") > 0);
    assert_true(is_last_null(row, "hit_ratio"));
}

static void gives_only_what_is_new(void **state)
{
    (void)state;
    pass_second();
    pass_second();
    pass_second();
    yyjson_val *root = look("/v1/performance?since=1");
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(root, "times_ms")), 2);
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(series_of(root, "simple"), "failed")), 2);
    assert_int_equal(yyjson_get_uint(yyjson_arr_get_last(yyjson_obj_get(root, "times_ms"))),
                     clock_ms);
    root = look("/v1/performance?since=3");
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(root, "times_ms")), 0);
    root = look("/v1/performance?since=99"); /* of a server before this one */
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(root, "last")), 3);
    assert_says(get("/v1/performance?since=x"), 400, "'since': expected a number");
}

static void keeps_five_minutes(void **state)
{
    (void)state;
    const uint64_t span_ms = (uint64_t)(VLY_PERFORMANCE_POINTS - 1) * 1000;
    for (int i = 0; i < VLY_PERFORMANCE_POINTS + 7; i++)
        pass_second();
    yyjson_val *root = look("/v1/performance");
    yyjson_val *times = yyjson_obj_get(root, "times_ms");
    assert_int_equal(yyjson_arr_size(times), VLY_PERFORMANCE_POINTS);
    assert_int_equal(yyjson_get_uint(yyjson_arr_get_last(times)), clock_ms);
    assert_int_equal(yyjson_get_uint(yyjson_arr_get_first(times)), clock_ms - span_ms);
}

static void says_what_it_leaves_out(void **state)
{
    const vly_performance_opts opts = {.scheduler = svc.scheduler, .n_cores = 1, .max_series = 2};
    vly_performance *p;
    vly_performance_view view;
    vly_arena arena;

    (void)state;
    vly_arena_init(&arena, VLY_MEM_BASE, 65536, 1 << 20);
    assert_int_equal(vly_performance_new(&opts, &p, NULL), VLY_OK);
    vly_performance_sample(p, vly_clock_now() + VLY_NSEC_PER_SEC, clock_ms);
    assert_int_equal(vly_performance_look(p, 0, &arena, &view, NULL), VLY_OK);
    assert_int_equal(view.n_rows, 2);
    assert_true(view.n_left_out > 10);
    vly_performance_free(p);
    vly_arena_release(&arena);
}

/* A route is set when the models have taken all of the room. */
static void arms_come_first(void **state)
{
    const vly_model_routes_opts routes_opts = {.scheduler = svc.scheduler, .max_routes = 1};
    vly_performance_opts opts = {.scheduler = svc.scheduler, .n_cores = 1, .max_series = 2};
    vly_route_spec spec = {
        .name = "r", .n_arms = 1, .arms = {{.target = {.model = "simple"}, .weight = 1}}};
    vly_performance_view view;
    vly_performance *p;
    vly_arena arena;

    (void)state;
    vly_arena_init(&arena, VLY_MEM_NET, 4096, 1 << 20);
    assert_int_equal(vly_model_routes_new(&routes_opts, &opts.routes, NULL), VLY_OK);
    assert_int_equal(vly_performance_new(&opts, &p, NULL), VLY_OK);
    vly_performance_sample(p, vly_clock_now() + VLY_NSEC_PER_SEC, clock_ms);
    assert_int_equal(vly_model_routes_set(opts.routes, &spec, NULL, NULL, NULL, NULL), VLY_OK);
    vly_performance_sample(p, vly_clock_now() + 2 * VLY_NSEC_PER_SEC, clock_ms);
    assert_int_equal(vly_performance_look(p, 0, &arena, &view, NULL), VLY_OK);
    assert_int_equal(view.n_rows, 2);
    assert_null(view.rows[0].route);
    assert_string_equal(view.rows[1].route, "r");
    vly_performance_free(p);
    vly_model_routes_free(opts.routes);
    vly_arena_release(&arena);
}

static void page_is_served(void **state)
{
    (void)state;
    assert_says(get("/performance"), 200, "<title>Performance");
    reply r = get("/performance");
    assert_non_null(strstr(header(&r, "Content-Security-Policy"), "default-src 'none'"));
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(says_so_when_there_is_nothing, begin, end),
           cmocka_unit_test_setup_teardown(tells_each_second_apart, begin, end),
           cmocka_unit_test_setup_teardown(tells_known_apart_from_computed, begin, end),
           cmocka_unit_test_setup_teardown(tells_hits_of_slow_answers, begin, end),
           cmocka_unit_test_setup_teardown(arms_come_first, begin, end),
           cmocka_unit_test_setup_teardown(gives_only_what_is_new, begin, end),
           cmocka_unit_test_setup_teardown(keeps_five_minutes, begin, end),
           cmocka_unit_test_setup_teardown(says_what_it_leaves_out, begin, end),
           cmocka_unit_test_setup_teardown(page_is_served, begin, end))
