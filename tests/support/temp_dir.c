/* SPDX-License-Identifier: MIT */
#include "support/temp_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

bool temp_dir_make(char path[TEMP_DIR_PATH_MAX])
{
    snprintf(path, TEMP_DIR_PATH_MAX, "/tmp/volley-test-XXXXXX");
    return mkdtemp(path) != NULL;
}

static int remove_entry(const char *path, const struct stat *s, int type, struct FTW *at)
{
    (void)s;
    (void)type;
    (void)at;
    return remove(path);
}

bool temp_dir_remove(const char *path)
{
    return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0;
}
