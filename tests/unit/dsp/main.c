/* SPDX-License-Identifier: MIT */
#include "dsp/tests.h"

int main(void)
{
    int n_failed = 0;

    n_failed += test_act();
    return n_failed != 0;
}
