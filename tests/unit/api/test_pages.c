/* SPDX-License-Identifier: MIT */
/* The files of web/ as answers. What they do in a browser: tests/web. */
#include "api/pages.h"
#include "service.h"

#include <stdio.h>
#include <string.h>

static void page_and_parts(void **state)
{
    (void)state;
    reply r = get("/steps");
    assert_says(r, 200, "<title>Steps");
    assert_string_equal(header(&r, "Content-Type"), "text/html; charset=utf-8");
    assert_string_equal(header(&r, "Cache-Control"), "no-cache");
    assert_non_null(strstr(header(&r, "Content-Security-Policy"), "default-src 'none'"));
    assert_string_equal(header(&r, "X-Content-Type-Options"), "nosniff");
    r = ask("HEAD", "/steps", "", NULL, 0);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body_len, 0);
    r = get("/web/base.css");
    assert_says(r, 200, "--page:");
    assert_string_equal(header(&r, "Content-Type"), "text/css; charset=utf-8");
    r = get("/web/steps.js");
    assert_string_equal(header(&r, "Content-Type"), "text/javascript; charset=utf-8");
    assert_reply(get("/web/nothing"), 404, "{\"error\":\"nothing is served at '/web/nothing'\"}");
    assert_int_equal(get("/web/../steps.css").status, 404);
}

/* Whatever a page names below web/ is there. */
static void names_are_served(void **state)
{
    (void)state;
    char target[64];
    size_t n = 0;

    for (size_t i = 0; i < vly_n_pages; i++) {
        for (const char *at = vly_pages[i].bytes; (at = strstr(at, "\"web/")) != NULL; n++) {
            const char *end = strchr(++at, '"');
            (void)snprintf(target, sizeof(target), "/%.*s", (int)(end - at), at);
            if (get(target).status != 200)
                fail_msg("%s names '%s', which is not served", vly_pages[i].name, target);
        }
    }
    assert_true(n >= 3);
}

static void copies_are_revalidated(void **state)
{
    (void)state;
    char tag[32], headers[96];
    reply r = get("/steps");

    (void)snprintf(tag, sizeof(tag), "%s", header(&r, "ETag"));
    (void)snprintf(headers, sizeof(headers), "If-None-Match: \"other\", %s\r\n", tag);
    r = ask("GET", "/steps", headers, NULL, 0);
    assert_reply(r, 304, "");
    assert_string_equal(header(&r, "ETag"), tag);
    assert_int_equal(ask("GET", "/steps", "If-None-Match: *\r\n", NULL, 0).status, 304);
    assert_int_equal(ask("GET", "/steps", "If-None-Match: \"other\"\r\n", NULL, 0).status, 200);
    (void)snprintf(headers, sizeof(headers), "If-None-Match: %s\r\n", tag);
    assert_int_equal(ask("GET", "/web/steps.css", headers, NULL, 0).status, 200);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(page_and_parts, service_start, service_stop),
           cmocka_unit_test_setup_teardown(names_are_served, service_start, service_stop),
           cmocka_unit_test_setup_teardown(copies_are_revalidated, service_start, service_stop))
