/* SPDX-License-Identifier: MIT */
/* What the files of dsp/vec export, for each instruction set of this architecture. */
#ifndef VLY_DSP_VEC_VEC_ISA_H
#define VLY_DSP_VEC_VEC_ISA_H

#if defined(__aarch64__)
#include "dsp/arm/vec_arm.h"
#else
#include "dsp/x86/act_x86.h"
#include "dsp/x86/image_ops_x86.h"
#include "dsp/x86/norm_x86.h"
#include "dsp/x86/recurrent_x86.h"
#include "dsp/x86/rowmax_x86.h"
#endif

#endif
