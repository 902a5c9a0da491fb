/* SPDX-License-Identifier: MIT */
#include "dsp/vec/conv_direct.h"
