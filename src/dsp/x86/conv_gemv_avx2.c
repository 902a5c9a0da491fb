/* SPDX-License-Identifier: MIT */
#include "dsp/x86/conv_gemv.h"
