/* SPDX-License-Identifier: MIT */
/*
 * The families of /metrics by subject: each is defined in the file of its name, and the table of
 * metrics.c calls them in order. Names are volley_SUBJECT_..., in base units, counters end in
 * _total; what nobody uses here is left out rather than shown as 0. Labels take values from tables,
 * or from what the operator has named (models, routes), never from a client.
 */
#ifndef VLY_API_METRICS_FAMILIES_H
#define VLY_API_METRICS_FAMILIES_H

#include "api/api.h"
#include "api/metrics_text.h"

/* Whose names there are, for vly_metrics_opts.names (setting metrics.names). */
#define VLY_METRICS_TRITON UINT32_C(1)
#define VLY_METRICS_VOLLEY UINT32_C(2)
#define VLY_METRICS_GUIDES UINT32_C(4)
#define VLY_METRICS_ALL    UINT32_C(7)

/* "all", or some of triton, volley and guides, by commas. */
vly_status vly_metrics_names_parse(vly_str text, uint32_t *ret, vly_err *err) VLY_MUST_CHECK;

/* A page in the making. Owner: the thread that writes it. */
typedef struct vly_metrics_page {
    const vly_metrics_out *out;
    const vly_api *api;
    const vly_http_stats *http;
    vly_arena *arena;
} vly_metrics_page;

/* model="m",version="1"; NULL: the arena is full. */
const char *vly_metrics_model_labels(const vly_served *m, vly_arena *arena);

void vly_metrics_put_models(const vly_metrics_page *p);
void vly_metrics_put_cache(const vly_metrics_page *p);
void vly_metrics_put_access(const vly_metrics_page *p);
void vly_metrics_put_http(const vly_metrics_page *p);
void vly_metrics_put_imu(const vly_metrics_page *p);
void vly_metrics_put_mqtt(const vly_metrics_page *p);
void vly_metrics_put_redis(const vly_metrics_page *p);
void vly_metrics_put_otlp(const vly_metrics_page *p);
void vly_metrics_put_routes(const vly_metrics_page *p);
void vly_metrics_put_process(const vly_metrics_page *p);

#endif
