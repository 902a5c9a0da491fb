/* SPDX-License-Identifier: MIT */
/*
 * Everything that is wrong with settings at once, for who checks them. Reading them
 * (sys/config.h) stops at the first.
 */
#ifndef VLY_SYS_CONFIG_PROBLEM_H
#define VLY_SYS_CONFIG_PROBLEM_H

#include "sys/config.h"

/* A thing that is wrong with settings, or doubtful. */
typedef struct vly_config_problem {
    const char *file; /* NULL: it comes from elsewhere */
    size_t line;      /* of the file; 0: of none */
    bool is_warning;
    const char *msg; /* names the setting, what was expected and what came; until the call ends */
} vly_config_problem;

typedef struct vly_config_report {
    void (*on_problem)(void *ctx, const vly_config_problem *p);
    void *ctx;
} vly_config_report;

/* As load_file, load_yaml and load_env, but go on behind what is wrong, apply the rest, and report
 * each. */
void vly_config_check_file(vly_config *c, const char *path, const vly_config_report *to);
void vly_config_check_yaml(vly_config *c, const char *path, vly_str yaml,
                           const vly_config_report *to);
/* Warns of variables that begin with VOLLEY_ and name no setting, too. */
void vly_config_check_env(vly_config *c, char *const *envp, const vly_config_report *to);

#endif
