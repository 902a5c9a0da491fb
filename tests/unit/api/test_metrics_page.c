/* SPDX-License-Identifier: MIT */
/* What /metrics shows: names of Triton and of the guides, requests by route, limits. */
#include "api/metrics_families.h"
#include "api/metrics_text.h"
#include "api/metrics_window.h"
#include "base/assert.h"
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_family(const char *page, const char *name, const char *type)
{
    char line[160];

    snprintf(line, sizeof(line), "\n# TYPE %s %s\n", name, type);
    return strstr(page, line) != NULL || strncmp(page, line + 1, strlen(line + 1)) == 0;
}

#define IDENTITY                                                                                   \
    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[3,1],\"data\":[1,2,3]}]}"

static void infer_once(void)
{
    assert_int_equal(post("/v2/models/id_FP32/infer", IDENTITY).status, 200);
}

/* The families of a page captured from Triton 2.22 with a model repository of examples, but for
 * those of GPUs, which are not here (nv_gpu_*, nv_energy_consumption), and those of newer versions
 * (docs/user_guide/metrics.md). Those of its cache: test of the cache. */
static void has_triton_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type;
    } want[] = {
        {"nv_inference_request_success", "counter"},
        {"nv_inference_request_failure", "counter"},
        {"nv_inference_count", "counter"},
        {"nv_inference_exec_count", "counter"},
        {"nv_inference_request_duration_us", "counter"},
        {"nv_inference_queue_duration_us", "counter"},
        {"nv_inference_compute_input_duration_us", "counter"},
        {"nv_inference_compute_infer_duration_us", "counter"},
        {"nv_inference_compute_output_duration_us", "counter"},
        {"nv_inference_pending_request_count", "gauge"},
        {"nv_cpu_utilization", "gauge"},
        {"nv_cpu_memory_total_bytes", "gauge"},
        {"nv_cpu_memory_used_bytes", "gauge"},
        {"nv_inference_request_summary_us", "summary"},
        {"nv_inference_queue_summary_us", "summary"},
        {"nv_inference_compute_input_summary_us", "summary"},
        {"nv_inference_compute_infer_summary_us", "summary"},
        {"nv_inference_compute_output_summary_us", "summary"},
        {"nv_model_load_duration_secs", "gauge"},
        {"nv_inference_first_response_histogram_ms", "histogram"},
    };

    infer_once();
    reply r = get("/metrics");
    for (size_t i = 0; i < VLY_COUNT(want); i++)
        if (!has_family(r.body, want[i].name, want[i].type))
            fail_msg("no %s '%s'", want[i].type, want[i].name);
    assert_null(strstr(r.body, "nv_gpu_"));
    assert_null(strstr(r.body, "nv_energy"));
    assert_null(strstr(r.body, "nv_pinned"));
#define SUMMARY "nv_inference_request_summary_us"
    assert_says(r, 200, SUMMARY "{model=\"id_FP32\",version=\"1\",quantile=\"0.999\"} ");
    assert_says(r, 200, SUMMARY "_count{model=\"id_FP32\",version=\"1\"} 1\n");
#define FIRST "nv_inference_first_response_histogram_ms_bucket{model=\"id_FP32\",version=\"1\",le="
    assert_says(r, 200, FIRST "\"100\"} ");
    assert_says(r, 200, FIRST "\"5000\"} 1\n");
}

static void has_names_of_the_guides(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type;
    } want[] = {
        {"http_request_duration_seconds", "histogram"},
        {"http_requests_total", "counter"},
        {"model_inference_duration_seconds", "histogram"},
        {"model_inference_batch_size", "histogram"},
        {"inference_queue_depth", "gauge"},
        {"process_cpu_usage_percent", "gauge"},
        {"process_memory_bytes", "gauge"},
        {"request_duration_seconds", "histogram"},
        {"batch_size_histogram", "histogram"},
        {"model_inference_duration", "histogram"},
        {"queue_size_gauge", "gauge"},
        {"memory_usage_bytes", "gauge"},
        {"cpu_utilization_percent", "gauge"},
        {"error_rate_percent", "gauge"},
    };

    infer_once();
    reply r = get("/metrics");
    for (size_t i = 0; i < VLY_COUNT(want); i++)
        if (!has_family(r.body, want[i].name, want[i].type))
            fail_msg("no %s '%s'", want[i].type, want[i].name);
}

static void counts_requests_by_route(void **state)
{
    (void)state;
#define ROUTE(route, method, code)                                                                 \
    "\nhttp_requests_total{route=\"" route "\",method=\"" method "\",code=\"" code "\"} "

    infer_once();
    infer_once();
    assert_int_equal(post("/v2/models/id_FP32/infer", "{\"inputs\":[]}").status, 400);
    assert_int_equal(post("/v2/models/nobody/versions/7/infer", IDENTITY).status, 404);
    assert_int_equal(get("/a/path/of/the/client").status, 404);
    assert_int_equal(get("/another").status, 404);
    assert_int_equal(get("/v2/models/id_FP32/infer").status, 405);
    reply r = get("/metrics");
    assert_says(r, 200, ROUTE("/v2/models/{}/infer", "POST", "2xx") "2\n");
    assert_says(r, 200, ROUTE("/v2/models/{}/infer", "POST", "4xx") "1\n");
    assert_says(r, 200, ROUTE("/v2/models/{}/versions/{n}/infer", "POST", "4xx") "1\n");
    assert_says(r, 200, ROUTE("other", "other", "4xx") "3\n");
#define REQUESTS(scope, code) "\nvolley_requests_total{scope=\"" scope "\",code=\"" code "\"} "
    assert_says(r, 200, REQUESTS("infer", "2xx") "2\n");
    assert_says(r, 200, REQUESTS("infer", "4xx") "2\n");
    assert_says(r, 200, REQUESTS("infer", "5xx") "0\n");
    assert_says(r, 200, REQUESTS("none", "4xx") "3\n");
    assert_says(r, 200, REQUESTS("admin", "2xx") "0\n");
    assert_null(strstr(r.body, "/a/path"));
    assert_null(strstr(r.body, ROUTE("/v2", "GET", "2xx"))); /* nobody has asked */
#define TOOK                                                                                       \
    "volley_http_request_duration_seconds_bucket{scope=\"infer\",route=\"/v2/models/{}/infer\","   \
    "method=\"POST\","
    assert_says(r, 200, TOOK "code=\"2xx\",le=\"10\"} 2\n");
    assert_says(r, 200, TOOK "code=\"2xx\",le=\"+Inf\"} 2\n");
    r = get("/metrics");
    assert_says(r, 200, ROUTE("/metrics", "GET", "2xx") "1\n");
}

static void shows_names_of_triton_alone(void **state)
{
    (void)state;
    svc.api.metrics.names = VLY_METRICS_TRITON; /* before the first request, as below */
    reply r = get("/metrics");
    assert_says(r, 200, "\nnv_inference_count{");
    assert_null(strstr(r.body, "volley_"));
    assert_null(strstr(r.body, "http_requests_total"));
}

static void shows_names_but_for_triton(void **state)
{
    (void)state;
    svc.api.metrics.names = VLY_METRICS_VOLLEY | VLY_METRICS_GUIDES;
    reply r = get("/metrics");
    assert_null(strstr(r.body, "\nnv_"));
    assert_says(r, 200, "\nvolley_batch_size_count{");
    assert_says(r, 200, "\nmodel_inference_batch_size_count{");
    assert_says(r, 200, "\nvolley_memory_limit_bytes 1000000\n");
    assert_says(r, 200, "\nprocess_resident_memory_bytes ");
}

static void names_parse(void **state)
{
    (void)state;
    uint32_t names = 0;
    vly_err err;

    assert_int_equal(vly_metrics_names_parse(VLY_STR("all"), &names, &err), VLY_OK);
    assert_int_equal(names, VLY_METRICS_ALL);
    assert_int_equal(vly_metrics_names_parse(VLY_STR("guides, triton"), &names, &err), VLY_OK);
    assert_int_equal(names, VLY_METRICS_GUIDES | VLY_METRICS_TRITON);
    assert_int_equal(vly_metrics_names_parse(VLY_STR("volley,"), &names, &err), VLY_EINVAL);
    assert_int_equal(vly_metrics_names_parse(VLY_STR("nvidia"), &names, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "expected all, or some of triton, volley and guides by commas, "
                                 "got 'nvidia'");
    assert_int_equal(names, VLY_METRICS_GUIDES | VLY_METRICS_TRITON);
}

static size_t count_of(const char *page, const char *text)
{
    size_t n = 0;

    for (const char *at = page; (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

static void models_are_bounded(void **state)
{
    (void)state;
    svc.api.metrics.max_models = 2;
    reply r = get("/metrics");
    assert_int_equal(count_of(r.body, "\nnv_inference_count{"), 2);
    const char *left = strstr(r.body, "\nvolley_metrics_models_left_out ");
    assert_non_null(left);
    assert_true(strtol(strchr(left, ' '), NULL, 10) >= 15); /* of the 20 or so that serve */
}

static vly_model_routes *routes; /* of one test; goes when nobody asks any more */

static int stop_with_routes(void **state)
{
    vly_model_routes_stop(routes);
    int rc = service_stop(state);
    vly_model_routes_free(routes);
    return rc;
}

/* Of 3 routes of 2 arms and a shadow each: as many as there is room for. */
static void arms_are_bounded(void **state)
{
    static const char route[] =
        "{\"arms\":[{\"model\":\"colour\",\"weight\":1},{\"model\":\"colours\",\"weight\":1}],"
        "\"shadow\":{\"model\":\"colours\",\"share\":0.5}}";
    const vly_model_routes_opts opts = {
        .scheduler = svc.scheduler, .max_routes = 8, .shadow_max = 1, .shadow_max_bytes = 1};

    (void)state;
    assert_int_equal(vly_model_routes_new(&opts, &routes, NULL), VLY_OK);
    svc.api.model_routes = routes; /* before the first request, as the next */
    svc.api.metrics.max_models = 5;
    for (int i = 0; i < 3; i++) {
        const char *const names[] = {"/v1/routes/a?force=true", "/v1/routes/b?force=true",
                                     "/v1/routes/c?force=true"};
        reply made = ask("PUT", names[i], "", route, strlen(route));
        if (made.status != 201)
            fail_msg("%d %s", made.status, made.body);
    }
    reply r = get("/metrics");
    assert_int_equal(count_of(r.body, "\nvolley_route_arm_share{"), 5);
    assert_int_equal(count_of(r.body, "\nvolley_route_arm_state{"), 5); /* the state that is */
    assert_int_equal(count_of(r.body, "\nvolley_route_shadow_requests_total{"), 0);
    assert_says(r, 200, "\nvolley_metrics_arms_left_out 4\n"); /* an arm, three shadows */
    assert_int_equal(post("/v1/routes/a:rollback", "{\"model\":\"colours\"}").status, 200);
    r = get("/metrics");
    assert_says(r, 200, "arm=\"colours\",state=\"rolled_back\"} 1\n");
}

#define OPEN_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Who likes OpenMetrics best gets it. As Prometheus 2.42 and 3.0 ask, and others. */
static void openmetrics_is_negotiated(void **state)
{
    static const struct {
        const char *accept;
        bool is_open;
    } rows[] = {
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         true},
        {"application/openmetrics-text; version=\t1.0.0 ; charset=utf-8", true},
        {"Application/OpenMetrics-Text", true},
        {"application/json, application/openmetrics-text", true},
        {"application/openmetrics-text;version=0.0.1, text/plain", false},
        {"application/openmetrics-text;version=2.0.0", false},
        {"text/plain;version=0.0.4, application/openmetrics-text", false},
        {"*/*", false},
        {"application/openmetrics-text;q=0, text/plain", false},
        {"application/openmetrics-text;q=0", false},
        {"application/openmetrics-text;q=0.000;version=1.0.0, */*;q=0.1", false},
        {"application/openmetrics-text;q=0.5, text/plain;q=0.6", false},
        {"text/plain;q=0.5, application/openmetrics-text;q=0.6;version=1.0.0", true},
        {"text/plain;q=0, application/openmetrics-text;q=0.1", true},
        {"application/openmetrics-text;q=2, text/plain;q=0.1", false},
        {",;,=;", false},
        {"", false},
    };
    char line[256];

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        snprintf(line, sizeof(line), "Accept: %s\r\n", rows[i].accept);
        reply r = ask("GET", "/metrics", line, NULL, 0);
        assert_int_equal(r.status, 200);
        assert_string_equal(header(&r, "Content-Type"),
                            rows[i].is_open ? OPEN_TYPE
                                            : "text/plain; version=0.0.4; charset=utf-8");
        assert_string_equal(header(&r, "Vary"), "Accept");
        size_t n = strlen(r.body);
        assert_int_equal(strcmp(r.body + n - 6, "# EOF\n") == 0, rows[i].is_open);
    }
}

/* A cache between must not give one format for another, nor a packed one to who cannot read it. */
static void what_the_page_varies_by(void **state)
{
    (void)state;
    reply r = ask("GET", "/metrics", "Accept-Encoding: gzip\r\n", NULL, 0);
    assert_string_equal(header(&r, "Content-Encoding"), "gzip");
    assert_non_null(strstr(r.head, "\r\nVary: Accept\r\n"));
    assert_non_null(strstr(r.head, "\r\nVary: Accept-Encoding\r\n"));
}

static reply get_open(void)
{
    return ask("GET", "/metrics", "Accept: application/openmetrics-text\r\n", NULL, 0);
}

/* Triton's names are the same; a counter that does not end in _total is of no known type. */
static void openmetrics_names_families(void **state)
{
    (void)state;
    infer_once();
    reply r = get_open();
    assert_true(has_family(r.body, "volley_requests", "counter"));
    assert_says(r, 200, REQUESTS("infer", "2xx") "1\n");
    assert_true(has_family(r.body, "nv_inference_count", "unknown"));
    assert_says(r, 200, "\nnv_inference_count{model=\"id_FP32\",version=\"1\"} ");
    assert_says(r, 200, TOOK "code=\"2xx\",le=\"10.0\"} 1\n");
    assert_says(r, 200, TOOK "code=\"2xx\",le=\"0.5\"} ");
    assert_null(strstr(r.body, "trace_id")); /* nothing was traced */
}

static vly_metrics_sample at_second(unsigned s)
{
    return (vly_metrics_sample){.at = s * VLY_NSEC_PER_SEC, .responses = s};
}

static void a_window_is_at_least_so_long(void **state)
{
    (void)state;
    static const struct {
        unsigned asked, since;
    } rows[] = {{101, 100}, {104, 100}, {106, 100}, {107, 100},
                {111, 106}, {112, 106}, {200, 111}, {201, 111}};
    vly_metrics_window *w;

    assert_int_equal(vly_metrics_window_new(100 * VLY_NSEC_PER_SEC, &w, NULL), VLY_OK);
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        vly_metrics_sample now = at_second(rows[i].asked);
        vly_metrics_sample since = vly_metrics_window_take(w, &now);
        assert_int_equal(since.at / VLY_NSEC_PER_SEC, rows[i].since);
    }
    vly_metrics_window_free(w);
}

static void labels_are_utf8(void **state)
{
    vly_buf b;

    (void)state;
    vly_buf_init(&b, VLY_MEM_NET, 4096);
    vly_metrics_label(&b, "model", "\xc3\xa4\xff\"\\\n\xc3");
    vly_buf_putc(&b, '\0');
    assert_string_equal(b.ptr, "model=\"\xc3\xa4\xef\xbf\xbd\\\"\\\\\\n\xef\xbf\xbd\"");
    vly_buf_release(&b);
}

/* Every le counts what took exactly so long, and nothing that took longer. */
static void buckets_of_seconds_are_exact(void **state)
{
    const vly_metrics_bound *bounds = vly_metrics_seconds_bounds;
    static vly_histogram h;
    char line[64];
    vly_buf b;

    (void)state;
    vly_buf_init(&b, VLY_MEM_NET, 16384);
    for (size_t i = 0; i < VLY_METRICS_SECONDS_N; i++) {
        vly_histogram_record(&h, bounds[i].limit);
        vly_histogram_record(&h, bounds[i].limit + 1);
    }
    vly_metrics_seconds(&(vly_metrics_out){.b = &b}, "x", "", &h);
    vly_buf_putc(&b, '\0');
    for (size_t i = 0; i < VLY_METRICS_SECONDS_N; i++) {
        snprintf(line, sizeof(line), "x_bucket{le=\"%s\"} %zu\n", bounds[i].le, 2 * i + 1);
        if (strstr(b.ptr, line) == NULL)
            fail_msg("no %s in\n%s", line, b.ptr);
    }
    vly_buf_release(&b);
}

UNIT_TESTS(cmocka_unit_test(labels_are_utf8), cmocka_unit_test(buckets_of_seconds_are_exact),
           cmocka_unit_test_setup_teardown(has_triton_names, service_start, service_stop),
           cmocka_unit_test_setup_teardown(has_names_of_the_guides, service_start, service_stop),
           cmocka_unit_test_setup_teardown(counts_requests_by_route, service_start, service_stop),
           cmocka_unit_test_setup_teardown(shows_names_of_triton_alone, service_start,
                                           service_stop),
           cmocka_unit_test_setup_teardown(shows_names_but_for_triton, service_start, service_stop),
           cmocka_unit_test_setup_teardown(models_are_bounded, service_start, service_stop),
           cmocka_unit_test_setup_teardown(arms_are_bounded, service_start, stop_with_routes),
           cmocka_unit_test_setup_teardown(openmetrics_is_negotiated, service_start, service_stop),
           cmocka_unit_test_setup_teardown(what_the_page_varies_by, service_start, service_stop),
           cmocka_unit_test_setup_teardown(openmetrics_names_families, service_start, service_stop),
           cmocka_unit_test(names_parse), cmocka_unit_test(a_window_is_at_least_so_long))
