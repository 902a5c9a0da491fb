/* SPDX-License-Identifier: MIT */
/* What the files of the settings share. */
#ifndef VLY_SYS_CONFIG_INTERNAL_H
#define VLY_SYS_CONFIG_INTERNAL_H

#include "sys/config.h"
#include "sys/config_problem.h"
#include "sys/config_text.h"

const void *vly_config__field(const vly_config *c, size_t idx);
const char *vly_config__nearest(vly_str name); /* the setting whose name is most like this one */
/* "64 MiB": the largest unit that divides it, so that what a person wrote reads the same again. */
void vly_config__put_bytes(uint64_t n, vly_buf *out);

#endif
