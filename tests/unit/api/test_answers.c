/* SPDX-License-Identifier: MIT */
/* What every answer carries, what is compressed, and what the access log says of it. */
#include "base/assert.h"
#include "codec/deflate.h"
#include "service.h"
#include "sys/file.h"
#include "sys/line_log.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <yyjson.h>

static void ids_are_taken_over_or_made(void **state)
{
    (void)state;
    static const char trace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
    char first[64];
    reply r = ask("GET", "/v2", "X-Request-Id: abc-1\r\n", NULL, 0);
    assert_string_equal(header(&r, "X-Request-Id"), "abc-1");
    r = ask("GET", "/v2",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n", NULL, 0);
    assert_string_equal(header(&r, "X-Request-Id"), trace);
    r = get("/v2");
    snprintf(first, sizeof(first), "%s", header(&r, "X-Request-Id"));
    assert_int_equal(strlen(first), 32);
    for (const char *p = first; *p != '\0'; p++)
        assert_true(isxdigit((unsigned char)*p));
    r = get("/nothing"); /* errors have one, and another one */
    assert_int_equal(strlen(header(&r, "X-Request-Id")), 32);
    assert_string_not_equal(header(&r, "X-Request-Id"), first);
}

static void bad_ids_are_not_taken_over(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "X-Request-Id: a b\r\n",
        "X-Request-Id: a\"b\r\n",
        "X-Request-Id: \r\n",
        "X-Request-Id: \xc3\xa9\r\n",
        "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\n",
        "traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01\r\n",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736\r\n",
    };
    for (size_t i = 0; i < VLY_COUNT(bad); i++) {
        reply r = ask("GET", "/v2", bad[i], NULL, 0);
        const char *id = header(&r, "X-Request-Id");
        if (id == NULL || strlen(id) != 32 || strspn(id, "0123456789abcdef") != 32 ||
            strspn(id, "0") == 32)
            fail_msg("%s", bad[i]);
    }
}

#define X_OF(n, data)                                                                              \
    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"UINT8\",\"shape\":[1," #n "],\"data\":[" data "]" \
    "}"                                                                                            \
    "]"

static void timings_add_up(void **state)
{
    (void)state;
    double queue, input, compute, output, total;
    reply r = post("/v2/models/id_UINT8/infer", X_OF(1, "1") "}");

    assert_int_equal(r.status, 200);
    const char *text = header(&r, "Server-Timing");
    assert_int_equal(sscanf(text,
                            "queue;dur=%lf, input;dur=%lf, compute;dur=%lf, output;dur=%lf, "
                            "total;dur=%lf",
                            &queue, &input, &compute, &output, &total),
                     5);
    assert_true(queue >= 0 && compute >= 0 && output >= 0 && total < 60000);
    assert_true(queue + input + compute + output <= total + 0.003); /* each is rounded */
    r = get("/v2");
    assert_int_equal(sscanf(header(&r, "Server-Timing"), "total;dur=%lf", &total), 1);
    assert_true(total >= 0);
}

/* An answer of 1000 equal numbers, asked for in one way. */
static reply ask_thousand(const char *headers)
{
    vly_buf body;

    vly_buf_init(&body, VLY_MEM_NET, 1 << 20);
    vly_buf_puts(&body, "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"UINT8\",\"shape\":[1,1000],"
                        "\"data\":[7");
    for (int i = 1; i < 1000; i++)
        vly_buf_puts(&body, ",7");
    vly_buf_puts(&body, "]}]}");
    reply r = ask("POST", "/v2/models/id_UINT8/infer", headers, body.ptr, body.len);
    vly_buf_release(&body);
    assert_int_equal(r.status, 200);
    return r;
}

static void large_answers_are_compressed(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        vly_encoding encoding;
    } rows[] = {
        {"Accept-Encoding: gzip\r\n", VLY_ENCODING_GZIP},
        {"Accept-Encoding: deflate\r\n", VLY_ENCODING_DEFLATE},
        {"Accept-Encoding: gzip, zstd\r\n", VLY_ENCODING_ZSTD},
    };
    char plain[4096];
    reply r = ask_thousand("");
    size_t plain_len = r.body_len;

    assert_true(plain_len < sizeof(plain));
    memcpy(plain, r.body, plain_len);
    assert_null(header(&r, "Content-Encoding"));
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        vly_buf b;
        r = ask_thousand(rows[i].headers);
        assert_string_equal(header(&r, "Content-Encoding"), vly_encoding_name(rows[i].encoding));
        assert_string_equal(header(&r, "Vary"), "Accept-Encoding");
        assert_true(r.body_len < plain_len / 2);
        vly_buf_init(&b, VLY_MEM_NET, 1 << 20);
        assert_int_equal(vly_inflate(rows[i].encoding, (vly_str){r.body, r.body_len}, &b, NULL),
                         VLY_OK);
        assert_int_equal(b.len, plain_len);
        assert_memory_equal(b.ptr, plain, plain_len);
        vly_buf_release(&b);
    }
    r = ask("GET", "/v2", "Accept-Encoding: gzip\r\n", NULL, 0); /* too small */
    assert_null(header(&r, "Content-Encoding"));
    assert_says(get("/metrics"), 200, "volley_http_compressed_bytes_before_total 6");
}

static void compressed_requests_are_read(void **state)
{
    (void)state;
    const vly_str body = vly_str_from(X_OF(3, "1,2,3") "}");

    for (int e = VLY_ENCODING_GZIP; e < VLY_ENCODING_LZ4; e++) {
        char headers[64];
        vly_buf packed;
        vly_buf_init(&packed, VLY_MEM_NET, 1 << 20);
        assert_int_equal(vly_deflate((vly_encoding)e, &body, 1, &packed, NULL), VLY_OK);
        snprintf(headers, sizeof(headers), "Content-Encoding: %s\r\n",
                 vly_encoding_name((vly_encoding)e));
        assert_says(ask("POST", "/v2/models/id_UINT8/infer", headers, packed.ptr, packed.len), 200,
                    "\"data\":[1,2,3]");
        vly_buf_release(&packed);
    }
}

/* ---- the access log ---- */

static char log_path[TEMP_DIR_PATH_MAX + 8];

static int begin_log(void **state)
{
    vly_line_log *log;

    if (service_start(state) != 0)
        return -1;
    snprintf(log_path, sizeof(log_path), "%s/log", svc.dir);
    if (vly_line_log_open(log_path, 1 << 16, &log, NULL) != VLY_OK)
        return -1;
    svc.api.access_log = log; /* before the first request */
    return 0;
}

/* Ends the server, so that all of its requests are in the log, and reads it. */
static vly_buf read_log(void)
{
    vly_buf b;

    vly_http_server_free(svc.server);
    svc.server = NULL;
    vly_line_log_close(svc.api.access_log);
    svc.api.access_log = NULL;
    vly_buf_init(&b, VLY_MEM_NET, 1 << 20);
    assert_int_equal(vly_file_read(log_path, 1 << 20, &b, NULL), VLY_OK);
    return b;
}

static void log_tells_each_request(void **state)
{
    (void)state;
    static const char agent[] = "X-Request-Id: one\r\nUser-Agent: a \"b\"\r\n";
    static const char *const keys[] = {"time",      "id",       "peer",      "method",
                                       "path",      "protocol", "status",    "bytes_in",
                                       "bytes_out", "total_ms", "user_agent"};
    const char *body = X_OF(1, "1") "}";

    assert_int_equal(ask("POST", "/v2/models/id_UINT8/infer", agent, body, strlen(body)).status,
                     200);
    assert_int_equal(ask("GET", "/v2/models/no%22body", agent, NULL, 0).status, 404);
    vly_buf b = read_log();
    vly_str rest = vly_buf_str(&b);
    yyjson_doc *docs[2];
    for (int i = 0; i < 2; i++) {
        vly_str line = vly_str_split(&rest, '\n');
        docs[i] = yyjson_read(line.ptr, line.len, 0);
        assert_non_null(docs[i]);
        for (size_t k = 0; k < VLY_COUNT(keys); k++)
            if (yyjson_obj_get(yyjson_doc_get_root(docs[i]), keys[k]) == NULL)
                fail_msg("line %d lacks %s: %.*s", i, keys[k], VLY_STR_ARG(line));
    }
    assert_int_equal(rest.len, 0);
    yyjson_val *ok = yyjson_doc_get_root(docs[0]), *not_found = yyjson_doc_get_root(docs[1]);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(ok, "id")), "one");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(ok, "method")), "POST");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(ok, "protocol")), "HTTP/1.1");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(ok, "user_agent")), "a \"b\"");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(ok, "model")), "id_UINT8");
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(ok, "status")), 200);
    assert_true(yyjson_is_real(yyjson_obj_get(ok, "compute_ms")));
    assert_null(yyjson_obj_get(ok, "error"));
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(not_found, "status")), 404);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(not_found, "path")), "/v2/models/no\"body");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(not_found, "error")),
                        "Request for unknown model: 'no\"body' is not found");
    assert_null(yyjson_obj_get(not_found, "compute_ms"));
    yyjson_doc_free(docs[0]);
    yyjson_doc_free(docs[1]);
    vly_buf_release(&b);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(ids_are_taken_over_or_made, service_start, service_stop),
           cmocka_unit_test_setup_teardown(bad_ids_are_not_taken_over, service_start, service_stop),
           cmocka_unit_test_setup_teardown(timings_add_up, service_start, service_stop),
           cmocka_unit_test_setup_teardown(large_answers_are_compressed, service_start,
                                           service_stop),
           cmocka_unit_test_setup_teardown(compressed_requests_are_read, service_start,
                                           service_stop),
           cmocka_unit_test_setup_teardown(log_tells_each_request, begin_log, service_stop))
