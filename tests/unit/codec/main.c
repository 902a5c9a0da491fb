/* SPDX-License-Identifier: MIT */
#include "codec/tests.h"

int main(void)
{
    int n_failed = 0;

    n_failed += test_pbwire();
    return n_failed != 0;
}
