/* SPDX-License-Identifier: MIT */
/* The commands of `volley`, in the order that help shows them. One line each. */
#ifndef VLY_CLI_COMMAND_LIST_H
#define VLY_CLI_COMMAND_LIST_H

#include "cli/command.h"

#define VLY_COMMANDS(X)                                                                            \
    X(detect)                                                                                      \
    X(steps)                                                                                       \
    X(serve)                                                                                       \
    X(load)                                                                                        \
    X(route_list)                                                                                  \
    X(route_show)                                                                                  \
    X(route_set)                                                                                   \
    X(route_promote)                                                                               \
    X(route_rollback)                                                                              \
    X(route_remove)                                                                                \
    X(route_compare)                                                                               \
    X(store_backup)                                                                                \
    X(model_inspect)                                                                               \
    X(model_bench)                                                                                 \
    X(model_run)                                                                                   \
    X(model_quantize)                                                                              \
    X(model_prune)                                                                                 \
    X(model_verify)                                                                                \
    X(eval_detect)                                                                                 \
    X(eval_steps)                                                                                  \
    X(train_steps)                                                                                 \
    X(synth_imu)                                                                                   \
    X(key_mint)                                                                                    \
    X(key_list)                                                                                    \
    X(key_revoke)                                                                                  \
    X(config_show)                                                                                 \
    X(config_check)                                                                                \
    X(completion)                                                                                  \
    X(manual)

#define VLY_COMMAND_DECLARE(id) extern const vly_command vly_command_##id;
VLY_COMMANDS(VLY_COMMAND_DECLARE)
#undef VLY_COMMAND_DECLARE

#endif
