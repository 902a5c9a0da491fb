/* SPDX-License-Identifier: MIT */
/* Tensors and shapes of the `model` commands: from files and from arguments. */
#ifndef VLY_CLI_MODEL_IO_H
#define VLY_CLI_MODEL_IO_H

#include "base/arena.h"
#include "base/status.h"
#include "cli/command.h"
#include "engine/model.h"

/* Shapes of all inputs for a plan: the model's own, 1 where it leaves the choice, or what the
 * arguments "NAME=1x3x640x640" (NAME may be left out with one input) say. */
vly_status vly_cli_input_shapes(const vly_model_info *info, const vly_opt_list *args,
                                vly_arena *arena, vly_shape **ret, vly_err *err) VLY_MUST_CHECK;

/* "NAME=VALUE" -> index of the input NAME and VALUE; "VALUE" alone with a single input. */
vly_status vly_cli_input_arg(const vly_model_info *info, const char *arg, size_t *ret_index,
                             vly_str *ret_value, vly_err *err) VLY_MUST_CHECK;

/* A tensor from a .npy file or an ONNX TensorProto (.pb). New storage. */
vly_status vly_cli_tensor_read(const char *path, vly_tensor *ret, vly_err *err) VLY_MUST_CHECK;
/* Writes t as .npy. */
vly_status vly_cli_tensor_write(const char *path, const vly_tensor *t, vly_err *err) VLY_MUST_CHECK;

int vly_cli_exit_status(vly_status st); /* VLY_EXIT_UNSUPPORTED for a missing operator */

#endif
