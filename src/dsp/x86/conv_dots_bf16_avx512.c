/* SPDX-License-Identifier: MIT */
#include "dsp/x86/conv_dots_bf16.h"
