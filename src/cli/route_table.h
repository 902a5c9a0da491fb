/* SPDX-License-Identifier: MIT */
/* What a server answers about routes, for people. Outside data: it is checked as it is read. */
#ifndef VLY_CLI_ROUTE_TABLE_H
#define VLY_CLI_ROUTE_TABLE_H

#include "sched/model_routes_spec.h"

#include <stdbool.h>

/* Prints one route, or those of {"routes": [...]}. EIO: it is neither. */
vly_status vly_route_print(vly_str json, vly_err *err) VLY_MUST_CHECK;
/* The text of {"error": "..."}, cut to cap; false: it is none. */
bool vly_route_error(vly_str json, char *ret, size_t cap);

#endif
