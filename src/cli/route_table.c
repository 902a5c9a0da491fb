/* SPDX-License-Identifier: MIT */
#include "cli/route_table.h"

#include <stdio.h>
#include <yyjson.h>

static const char *text_of(yyjson_val *obj, const char *key)
{
    const char *text = yyjson_get_str(yyjson_obj_get(obj, key));
    return text != NULL ? text : "";
}

static double number_of(yyjson_val *obj, const char *key)
{
    return yyjson_get_num(yyjson_obj_get(obj, key));
}

static uint64_t count_of(yyjson_val *stats, const char *key)
{
    return yyjson_get_uint(yyjson_obj_get(stats, key));
}

static void print_arm(yyjson_val *arm)
{
    yyjson_val *stats = yyjson_obj_get(arm, "stats");
    const char *version = text_of(arm, "version");
    bool is_there = yyjson_get_bool(yyjson_obj_get(arm, "is_available"));
    char name[VLY_ROUTE_MODEL_MAX + VLY_ROUTE_VERSION_MAX + 2];

    snprintf(name, sizeof(name), "%s%s%s", text_of(arm, "model"), version[0] != '\0' ? "/" : "",
             version);
    printf("  %-24s %7.3f %%  %-12s %10llu %8llu %8llu %8llu %9.3f %9.3f\n", name,
           100 * number_of(arm, "share"), is_there ? text_of(arm, "state") : "unavailable",
           (unsigned long long)(count_of(stats, "ok") + count_of(stats, "cached")),
           (unsigned long long)count_of(stats, "failed"),
           (unsigned long long)(count_of(stats, "rejected") + count_of(stats, "unavailable")),
           (unsigned long long)count_of(stats, "refused"), number_of(stats, "p50_ms"),
           number_of(stats, "p95_ms"));
    if (text_of(arm, "why")[0] != '\0')
        printf("    %s: %s\n", text_of(arm, "reason"), text_of(arm, "why"));
}

static void print_schedule(yyjson_val *schedule)
{
    yyjson_val *share;
    size_t i, n;

    printf("  schedule, %g s each:", number_of(schedule, "hold_s"));
    yyjson_arr_foreach(yyjson_obj_get(schedule, "shares"), i, n, share)
    {
        printf(i == count_of(schedule, "step") ? " [%g %%]" : " %g %%",
               100 * yyjson_get_num(share));
    }
    printf("\n");
}

static void print_guard(yyjson_val *guard)
{
    yyjson_val *key, *value;
    size_t i, n;

    printf("  guard:");
    yyjson_obj_foreach(guard, i, n, key, value)
    {
        printf("%s %s %g", i > 0 ? "," : "", yyjson_get_str(key), yyjson_get_num(value));
    }
    printf("\n");
}

static void print_shadow(yyjson_val *shadow, yyjson_val *stats)
{
    const char *version = text_of(shadow, "version");

    printf("  shadow %s%s%s: %g %%; %llu agreed, %llu differed, %llu failed, %llu dropped\n",
           text_of(shadow, "model"), version[0] != '\0' ? "/" : "", version,
           100 * number_of(shadow, "share"), (unsigned long long)count_of(stats, "agreed"),
           (unsigned long long)count_of(stats, "differed"),
           (unsigned long long)count_of(stats, "failed"),
           (unsigned long long)count_of(stats, "dropped"));
}

static void print_route(yyjson_val *route)
{
    yyjson_val *arm, *shadow = yyjson_obj_get(route, "shadow");
    size_t i, n;

    printf("%s\n", text_of(route, "name"));
    printf("  %-24s %9s  %-12s %10s %8s %8s %8s %9s %9s\n", "ARM", "SHARE", "STATE", "OK", "FAILED",
           "REJECTED", "REFUSED", "P50 ms", "P95 ms");
    yyjson_arr_foreach(yyjson_obj_get(route, "arms"), i, n, arm)
    {
        print_arm(arm);
    }
    if (shadow != NULL)
        print_shadow(shadow, yyjson_obj_get(route, "shadow_stats"));
    if (yyjson_obj_get(route, "guard") != NULL)
        print_guard(yyjson_obj_get(route, "guard"));
    if (yyjson_obj_get(route, "schedule") != NULL)
        print_schedule(yyjson_obj_get(route, "schedule"));
}

vly_status vly_route_print(vly_str json, vly_err *err)
{
    yyjson_doc *doc = yyjson_read(json.ptr, json.len, YYJSON_READ_NOFLAG);
    yyjson_val *root = yyjson_doc_get_root(doc), *list = yyjson_obj_get(root, "routes"), *route;
    size_t i, n;
    bool is_route = yyjson_is_arr(yyjson_obj_get(root, "arms"));
    bool is_list = yyjson_is_arr(list);

    if (is_route)
        print_route(root);
    yyjson_arr_foreach(list, i, n, route)
    {
        print_route(route);
    }
    if (is_list && yyjson_arr_size(list) == 0)
        printf("there are no routes\n");
    yyjson_doc_free(doc);
    if (!is_route && !is_list)
        return vly_fail(err, VLY_EIO, "the server's answer is no route");
    return VLY_OK;
}

bool vly_route_error(vly_str json, char *ret, size_t cap)
{
    yyjson_doc *doc = json.len > 0 ? yyjson_read(json.ptr, json.len, YYJSON_READ_NOFLAG) : NULL;
    const char *text = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "error"));

    if (text != NULL)
        snprintf(ret, cap, "%s", text);
    yyjson_doc_free(doc);
    return text != NULL;
}
