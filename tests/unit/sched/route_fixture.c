/* SPDX-License-Identifier: MIT */
#include "sched/route_fixture.h"

#include "support/onnx_builder.h"
#include "support/temp_dir.h"
#include "sys/file.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

char routes_dir[TEMP_DIR_PATH_MAX], routes_file[160];
vly_scheduler *route_scheduler;
vly_model_routes *routes;
vly_err route_err;

static char model_file[160];

/* out = in, [rows, columns] */
int route_write_model(const char *path, const char *in, const char *out, int type, int64_t rows,
                      int64_t columns)
{
    const int64_t dims[] = {rows, columns};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, in, type, 2, dims);
    ob_output(&b, out, type, 2, dims);
    ob_node(&b, "Identity", in, out);
    vly_str file = ob_finish(&b, 17);
    int st = vly_file_write(path, file.ptr, file.len, NULL) == VLY_OK ? 0 : -1;
    ob_release(&b);
    return st;
}

static int make_files(void)
{
    if (!temp_dir_make(routes_dir))
        return -1;
    snprintf(model_file, sizeof(model_file), "%s/m.onnx", routes_dir);
    snprintf(routes_file, sizeof(routes_file), "%s/routes.json", routes_dir);
    return route_write_model(model_file, "x", "y", OB_FLOAT, -1, 2);
}

static void add(const char *path, const char *name, const char *version, const char *config)
{
    const vly_servable_spec spec = {.path = path,
                                    .name = name,
                                    .version = version,
                                    .config_json = config,
                                    .options = VLY_MODEL_OPTIONS_DEFAULT};
    vly_served *m;

    if (vly_scheduler_load(route_scheduler, &spec, &m, &route_err) != VLY_OK)
        fail_msg("%s", route_err.msg);
    assert_int_equal(vly_scheduler_publish(route_scheduler, m, &route_err), VLY_OK);
    vly_served_unref(m);
}

void route_add_file(const char *path, const char *name, const char *version)
{
    add(path, name, version, NULL);
}

void route_add(const char *name, const char *version)
{
    add(model_file, name, version, NULL);
}

void route_add_configured(const char *name, const char *config)
{
    add(model_file, name, "1", config);
}

void routes_open(void)
{
    const vly_model_routes_opts opts = {
        .scheduler = route_scheduler, .file = routes_file, .max_routes = 3};

    if (vly_model_routes_new(&opts, &routes, &route_err) != VLY_OK)
        fail_msg("%s", route_err.msg);
}

int route_set_up(void **state)
{
    const vly_scheduler_opts opts = {.n_threads = 1,
                                     .max_waiting = 8,
                                     .max_scratch_bytes = 1 << 20,
                                     .picture_limits = VLY_PICTURE_LIMITS_INIT};

    (void)state;
    if (make_files() != 0)
        return -1;
    assert_int_equal(vly_scheduler_new(&opts, &route_scheduler, &route_err), VLY_OK);
    route_add("m", "1");
    route_add("m", "2");
    route_add("n", "1");
    routes_open();
    return 0;
}

int route_tear_down(void **state)
{
    (void)state;
    vly_model_routes_free(routes);
    vly_scheduler_free(route_scheduler);
    return temp_dir_remove(routes_dir) ? 0 : -1;
}

vly_status route_set_on(const char *name, const char *json, const vly_route_terms *terms)
{
    vly_route_spec spec;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_SCHED, 4096, 1 << 20);
    vly_status st =
        vly_route_spec_read(vly_str_from(json), vly_str_from(name), &arena, &spec, &route_err);
    vly_arena_release(&arena);
    return st == VLY_OK ? vly_model_routes_set(routes, &spec, terms, NULL, NULL, &route_err) : st;
}

vly_status route_set(const char *name, const char *json)
{
    return route_set_on(name, json, NULL);
}

void route_must_set(const char *name, const char *json)
{
    if (route_set(name, json) != VLY_OK)
        fail_msg("%s", route_err.msg);
}

vly_status route_promote(vly_str name, vly_str model, vly_str version, double share)
{
    return vly_model_routes_promote(
        routes, name, &(vly_route_order){.model = model, .version = version, .share = share}, NULL,
        NULL, &route_err);
}

vly_status route_roll_back(vly_str name, vly_str model, vly_str version, const char *why)
{
    return vly_model_routes_roll_back(
        routes, name, &(vly_route_order){.model = model, .version = version, .why = why}, NULL,
        NULL, &route_err);
}

const vly_route_spec *route_spec_of(const char *name)
{
    static vly_route_spec spec;
    vly_model_route *route = vly_model_routes_find(routes, vly_str_from(name));

    assert_non_null(route);
    spec = route->spec;
    vly_model_route_unref(route);
    return &spec;
}

/* The version that this session gets; NULL: the route answers nobody. */
const char *route_pick(const char *name, const char *session)
{
    static char version[32];
    vly_model_route *route = vly_model_routes_find(routes, vly_str_from(name));
    vly_route_pick p;

    assert_non_null(route);
    uint64_t hash = session != NULL ? vly_route_session_hash(vly_str_from(session)) : 0;
    vly_status st = vly_model_route_pick(routes, route, hash, &p, &route_err);
    vly_model_route_unref(route);
    if (st != VLY_OK) {
        assert_int_equal(st, VLY_EUNAVAILABLE);
        return NULL;
    }
    snprintf(version, sizeof(version), "%s/%s", p.model->name, p.model->version);
    vly_route_pick_release(&p);
    return version;
}

/* Requests to an arm at this time and in the two slots before. */
void route_serve(const char *name, size_t arm, vly_nsec now, size_t n, vly_status st,
                 vly_nsec latency)
{
    vly_model_route *route = vly_model_routes_find(routes, vly_str_from(name));

    for (size_t i = 0; i < n; i++) {
        vly_nsec at = now - i % 3 * SEC;
        vly_route_arm_count(route->arms[arm], at, st, false, at - latency);
    }
    vly_model_route_unref(route);
}
