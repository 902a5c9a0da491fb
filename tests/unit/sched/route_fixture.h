/* SPDX-License-Identifier: MIT */
/*
 * What the tests of routes share: a scheduler that serves m/1, m/2 and n/1, one model y = x, float
 * [?, 2]; at most three routes over them, in a file, and a clock that is driven.
 */
#ifndef VLY_TESTS_ROUTE_FIXTURE_H
#define VLY_TESTS_ROUTE_FIXTURE_H

#include "sched/model_routes.h"
#include "support/temp_dir.h"

#define SEC VLY_NSEC_PER_SEC

#define SPLIT                                                                                      \
    "{\"arms\": [{\"model\": \"m\", \"version\": \"1\", \"weight\": 90},"                          \
    "            {\"model\": \"m\", \"version\": 2, \"weight\": 10}]}"

#define GUARDED                                                                                    \
    "{\"arms\": [{\"model\": \"m\", \"version\": \"1\", \"weight\": 90},"                          \
    "            {\"model\": \"m\", \"version\": \"2\", \"weight\": 10, \"state\": "               \
    "\"probation\"}],"                                                                             \
    " \"guard\": {\"window_s\": 12, \"min_requests\": 20, \"max_error_rate\": 0.1,"                \
    "             \"max_latency_ms\": 50}"

extern char routes_dir[TEMP_DIR_PATH_MAX], routes_file[160];
extern vly_scheduler *route_scheduler;
extern vly_model_routes *routes;
extern vly_err route_err; /* of what failed last */

int route_set_up(void **state);
int route_tear_down(void **state);
void routes_open(void); /* as the file says; the old ones are freed */

/* out = in, [rows, columns]; 0 when it is written */
int route_write_model(const char *path, const char *in, const char *out, int type, int64_t rows,
                      int64_t columns);
void route_add_file(const char *path, const char *name, const char *version);
void route_add(const char *name, const char *version);
void route_add_configured(const char *name, const char *config); /* config.pbtxt, as JSON */

vly_status route_set_on(const char *name, const char *json, const vly_route_terms *terms);
vly_status route_set(const char *name, const char *json);
void route_must_set(const char *name, const char *json);
vly_status route_promote(vly_str name, vly_str model, vly_str version, double share);
vly_status route_roll_back(vly_str name, vly_str model, vly_str version, const char *why);

const vly_route_spec *route_spec_of(const char *name); /* until the next call, as the next */
/* The version that this session gets; NULL: the route answers nobody. */
const char *route_pick(const char *name, const char *session);
/* Requests to an arm at this time and in the two slots before. */
void route_serve(const char *name, size_t arm, vly_nsec now, size_t n, vly_status st,
                 vly_nsec latency);

#endif
