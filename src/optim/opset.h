/* SPDX-License-Identifier: MIT */
/*
 * Raises a model to opset 13, the first whose DequantizeLinear has a scale for each channel: what
 * became an input since (Clip's limits, Slice's ranges, Split's sizes, axes) becomes one, and
 * Softmax keeps its meaning. Models of opset 13 and above stay as they are.
 * EUNSUPPORTED, naming the node: opsets below 9; Resize before opset 11, Upsample.
 */
#ifndef VLY_OPTIM_OPSET_H
#define VLY_OPTIM_OPSET_H

#include "optim/edit.h"

#define VLY_OPTIM_OPSET 13

vly_status vly_optim_raise_opset(vly_edit *e, vly_err *err) VLY_MUST_CHECK;

#endif
