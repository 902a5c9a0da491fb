/* SPDX-License-Identifier: MIT */
#include "sched/model_routes_line.h"

#include "base/assert.h"
#include "codec/json_doc.h"

static const char *text_of(yyjson_val *line, const char *key)
{
    return yyjson_get_str(yyjson_obj_get(line, key));
}

static double number_of(yyjson_val *line, const char *key)
{
    return yyjson_get_num(yyjson_obj_get(line, key));
}

static bool find_kind(const char *name, vly_route_line_kind *ret)
{
    static const char *const names[] = {"boxes", "class", "tensors"};

    for (size_t i = 0; name != NULL && i < VLY_COUNT(names); i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        *ret = (vly_route_line_kind)(VLY_ROUTE_LINE_BOXES + i);
        return true;
    }
    return false;
}

vly_status vly_route_line_read(vly_str line, vly_arena *arena, vly_route_line *ret, vly_err *err)
{
    yyjson_val *v = NULL;
    vly_status st = vly_json_doc_read(line, arena, &v, err);

    if (st != VLY_OK)
        return st;
    vly_route_line l = {.kind = VLY_ROUTE_LINE_ERROR,
                        .route = text_of(v, "route"),
                        .arm = text_of(v, "arm"),
                        .shadow = text_of(v, "shadow"),
                        .agrees = yyjson_get_bool(yyjson_obj_get(v, "agrees")),
                        .arm_ms = number_of(v, "arm_ms"),
                        .shadow_ms = number_of(v, "shadow_ms"),
                        .n_arm = number_of(v, "n_arm"),
                        .n_shadow = number_of(v, "n_shadow"),
                        .matched = number_of(v, "matched"),
                        .mean_iou = number_of(v, "mean_iou"),
                        .mean_score_diff = number_of(v, "mean_score_diff"),
                        .max_abs = number_of(v, "max_abs"),
                        .cosine = number_of(v, "cosine")};
    if (l.route == NULL || l.arm == NULL || l.shadow == NULL ||
        !(find_kind(text_of(v, "kind"), &l.kind) || text_of(v, "error") != NULL))
        return vly_fail(err, VLY_EINVAL, "expected a line of the log of shadows");
    *ret = l;
    return VLY_OK;
}
