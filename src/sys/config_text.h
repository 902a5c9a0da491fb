/* SPDX-License-Identifier: MIT */
/* Settings for people and programs to see: nothing that others may not. */
#ifndef VLY_SYS_CONFIG_TEXT_H
#define VLY_SYS_CONFIG_TEXT_H

#include "sys/config.h"

/* The value without the user and the password of a URL. */
void vly_config_format_public(const vly_config *c, size_t idx, vly_buf *out);
bool vly_config_is_public(const vly_config *c, size_t idx);   /* that hides nothing */
const char *vly_config_origin_name(vly_config_origin origin); /* "default", "file", ... */
/* "default", "profile production", "file volley.yaml:12", "environment VOLLEY_HTTP_PORT". */
void vly_config_put_origin(const vly_config *c, size_t idx, vly_buf *out);
/* "VOLLEY_HTTP_PORT" */
void vly_config_put_env_name(size_t idx, vly_buf *out);
/* {"name": .., "value": .., "origin": .., ...} for each setting, as an array; changed: those alone
 * that are not the default. Only what vly_config_format_public says. */
void vly_config_put_json(const vly_config *c, bool is_changed_only, vly_buf *out);

#endif
