/* SPDX-License-Identifier: MIT */
#include "conformance/walk.h"

#include "sys/file.h"

#include <stdio.h>

int walk_cases(const char *dir, void (*visit)(const char *path, const char *name, void *arg),
               void *arg)
{
    vly_dir list;
    int n_cases = 0;

    if (vly_dir_list(dir, 100000, &list, NULL) != VLY_OK)
        return -1;
    for (size_t i = 0; i < list.n_entries; i++) {
        char path[4096], model[4200];
        snprintf(path, sizeof(path), "%s/%s", dir, list.entries[i].name);
        snprintf(model, sizeof(model), "%s/model.onnx", path);
        if (!vly_file_exists(model))
            continue;
        visit(path, list.entries[i].name, arg);
        n_cases++;
    }
    vly_dir_release(&list);
    return n_cases;
}
