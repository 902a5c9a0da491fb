/* SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include <stdio.h>

/* What was printed and did not arrive, on a full disk say, is a failure of any command. */
int main(int argc, char **argv)
{
    int status = vly_command_main(argc, argv);

    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    fprintf(stderr, "volley: cannot write to standard output\n");
    return status == VLY_EXIT_OK ? VLY_EXIT_FAILURE : status;
}
