/* SPDX-License-Identifier: MIT */
/* Kernels of Add, Mul, Max and Min, for the reductions of the scattering ops. */
#ifndef VLY_ENGINE_NATIVE_ARITH_H
#define VLY_ENGINE_NATIVE_ARITH_H

#include "engine/native/op_util.h"

extern vly_binary_table vly_add_table, vly_mul_table, vly_max_table, vly_min_table;

#endif
