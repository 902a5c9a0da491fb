/* SPDX-License-Identifier: MIT */
/* What the files of dsp/vec export for 64-bit ARM, and the ladders that pick it. */
#ifndef VLY_DSP_ARM_VEC_ARM_H
#define VLY_DSP_ARM_VEC_ARM_H

#include "base/cpu.h"
#include "dsp/act.h"
#include "dsp/image_ops.h"
#include "dsp/norm.h"
#include "dsp/recurrent.h"
#include "dsp/rowmax.h"

void vly_act_dsp_init_neon(vly_act_dsp *dsp);
void vly_image_dsp_init_neon(vly_image_dsp *dsp);
void vly_softmax_dsp_init_neon(vly_softmax_dsp *dsp);
vly_rowmax_fn vly_rowmax_neon;
extern const vly_cell_kernel vly_cell_neon;

static inline void vly_act_dsp_init_arm(vly_act_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_NEON) != 0)
        vly_act_dsp_init_neon(dsp);
}

static inline void vly_image_dsp_init_arm(vly_image_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_NEON) != 0)
        vly_image_dsp_init_neon(dsp);
}

static inline void vly_softmax_dsp_init_arm(vly_softmax_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_NEON) != 0)
        vly_softmax_dsp_init_neon(dsp);
}

static inline void vly_rowmax_dsp_init_arm(vly_rowmax_dsp *dsp, unsigned cpu_flags)
{
    if ((cpu_flags & VLY_CPU_NEON) != 0)
        dsp->rowmax = vly_rowmax_neon;
}

static inline const vly_cell_kernel *vly_cell_choose_arm(unsigned cpu_flags)
{
    return (cpu_flags & VLY_CPU_NEON) != 0 ? &vly_cell_neon : NULL;
}

#endif
