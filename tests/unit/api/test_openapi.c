/* SPDX-License-Identifier: MIT */
/* Every route is in the OpenAPI document. (That it is a valid one, e2e_openapi checks.) */
#include "api/routes.h"
#include "base/assert.h"
#include "service.h"

#include <string.h>
#include <yyjson.h>

/* "/a/{model}/b" and "/a/{}/b" are the same path, as is "/a/{n}/b". */
static bool is_path(const char *pattern, const char *path)
{
    while (*pattern != '\0' && *path != '\0') {
        if (*pattern == '{' && *path == '{') {
            pattern = strchr(pattern, '}');
            path = strchr(path, '}');
            if (pattern == NULL || path == NULL)
                return false;
        } else if (*pattern != *path) {
            return false;
        }
        pattern++;
        path++;
    }
    return *pattern == '\0' && *path == '\0';
}

static bool has_route(yyjson_val *paths, const char *method, const char *pattern)
{
    size_t i, n;
    yyjson_val *path, *item;

    yyjson_obj_foreach(paths, i, n, path, item)
    {
        if (is_path(pattern, yyjson_get_str(path)) && yyjson_obj_get(item, method) != NULL)
            return true;
    }
    return false;
}

#define ROW(method, scope, pattern, name) {#method, pattern, VLY_SCOPE_##scope},
static const struct {
    const char *method, *pattern;
    vly_key_scope scope;
} routes[] = {VLY_ROUTES(ROW)};
#undef ROW

/* security: [{"bearer": [scope]}, {"apiKey": [scope]}, {}], for a server may ask for none; [] where
 * none ever does. */
static void check_security(yyjson_val *security, vly_key_scope scope)
{
    static const char *const schemes[] = {"bearer", "apiKey"};

    assert_true(yyjson_is_arr(security));
    assert_int_equal(yyjson_arr_size(security), scope == VLY_SCOPE_NONE ? 0 : 3);
    for (size_t i = 0; i < VLY_COUNT(schemes) && scope != VLY_SCOPE_NONE; i++) {
        yyjson_val *scopes = yyjson_obj_get(yyjson_arr_get(security, i), schemes[i]);
        assert_int_equal(yyjson_arr_size(scopes), 1);
        assert_string_equal(yyjson_get_str(yyjson_arr_get(scopes, 0)), vly_key_scope_name(scope));
    }
}

/* What a key that is missing, too weak or too busy gets. */
static void check_refusals(yyjson_val *operation, vly_key_scope scope)
{
    static const char *const refusals[] = {"401", "403", "429"};
    yyjson_val *responses = yyjson_obj_get(operation, "responses");

    for (size_t i = 0; i < VLY_COUNT(refusals); i++)
        assert_int_equal(yyjson_obj_get(responses, refusals[i]) != NULL, scope != VLY_SCOPE_NONE);
}

static const char *method_of(size_t route)
{
    static const char *const methods[][2] = {
        {"GET", "get"}, {"POST", "post"}, {"PUT", "put"}, {"DELETE", "delete"}};

    for (size_t i = 0; i < VLY_COUNT(methods); i++)
        if (strcmp(routes[route].method, methods[i][0]) == 0)
            return methods[i][1];
    fail_msg("method %s", routes[route].method);
    return NULL;
}

static size_t find_route(const char *method, const char *path)
{
    for (size_t i = 0; i < VLY_COUNT(routes); i++)
        if (strcmp(method_of(i), method) == 0 && is_path(routes[i].pattern, path))
            return i;
    fail_msg("no route for %s %s", method, path);
    return 0;
}

/* And nothing else, with the scope that it needs. */
static void check_paths(yyjson_val *root, yyjson_val *paths)
{
    size_t i, n, j, m;
    yyjson_val *path, *item, *method, *operation;

    yyjson_obj_foreach(paths, i, n, path, item)
    {
        yyjson_obj_foreach(item, j, m, method, operation)
        {
            vly_key_scope scope =
                routes[find_route(yyjson_get_str(method), yyjson_get_str(path))].scope;
            yyjson_val *own = yyjson_obj_get(operation, "security");
            check_security(own != NULL ? own : yyjson_obj_get(root, "security"), scope);
            check_refusals(operation, scope);
        }
    }
}

static void holds_every_route(void **state)
{
    (void)state;
    reply r = get("/openapi.json");
    assert_int_equal(r.status, 200);
    yyjson_doc *doc = yyjson_read(r.body, r.body_len, 0);
    assert_non_null(doc);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *paths = yyjson_obj_get(root, "paths");
    assert_true(yyjson_is_obj(paths));
    for (size_t i = 0; i < VLY_COUNT(routes); i++) {
        if (!has_route(paths, method_of(i), routes[i].pattern))
            fail_msg("src/api/openapi.json lacks %s %s", routes[i].method, routes[i].pattern);
    }
    check_paths(root, paths);
    assert_false(has_route(paths, "post", "/v2/models/{}/ready"));
    assert_false(has_route(paths, "get", "/v2/models/{}/nothing"));
    yyjson_doc_free(doc);
}

static void index_tells_where_to_look(void **state)
{
    (void)state;
    reply r = get("/");
    assert_says(r, 200, "\"openapi\":\"/openapi.json\"");
    assert_string_equal(header(&r, "Content-Type"), "application/json");
    r = ask("GET", "/", "Accept: text/plain\r\n", NULL, 0);
    assert_says(r, 200, "openapi     /openapi.json\n");
    assert_string_equal(header(&r, "Content-Type"), "text/plain; charset=utf-8");
    r = ask("GET", "/", "Accept: text/plain;q=0.5, application/json\r\n", NULL, 0);
    assert_says(r, 200, "{\"name\":\"volley\"");
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(holds_every_route, service_start, service_stop),
           cmocka_unit_test_setup_teardown(index_tells_where_to_look, service_start, service_stop))
