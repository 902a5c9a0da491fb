/* SPDX-License-Identifier: MIT */
#include "sys/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

bool vly_cgroup_line(const char *mount, const char *cgroup, const char *file, char *line, int size)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s%s/%s", mount, cgroup, file) >= (int)sizeof(path))
        return false;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    bool ok = fgets(line, size, f) != NULL;
    fclose(f);
    return ok;
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The least on the way from cgroup up to the root. Shortens cgroup. In a container the mount often
 * shows the own cgroup as its root, while the path is the host's: then only the last step finds
 * files, and finds the right ones. */
static uint64_t least_upwards(const char *mount, char *cgroup, bool is_v2,
                              vly_cgroup_limit_fn limit)
{
    uint64_t least = 0;

    for (;;) {
        least = least_of(least, limit(mount, cgroup, is_v2));
        char *slash = strrchr(cgroup, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

/* True when name is one of the comma-separated controllers. */
static bool has_controller(const char *controllers, const char *name)
{
    while (*controllers != '\0') {
        size_t len = strcspn(controllers, ",");
        if (len == strlen(name) && strncmp(controllers, name, len) == 0)
            return true;
        controllers += len + (controllers[len] == ',');
    }
    return false;
}

uint64_t vly_cgroup_least(const char *cgroup_file, const char *mount, const char *controller,
                          vly_cgroup_limit_fn limit)
{
    char line[PATH_MAX], dir[PATH_MAX];
    uint64_t least = 0;
    FILE *f = fopen(cgroup_file, "re");

    if (f == NULL)
        return 0;
    /* Lines "ID:controllers:/path"; no controllers means v2. */
    while (fgets(line, sizeof(line), f) != NULL) {
        char *controllers = strchr(line, ':');
        char *cgroup = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (cgroup == NULL)
            continue;
        controllers++;
        *cgroup++ = '\0';
        cgroup[strcspn(cgroup, "\n")] = '\0';
        bool is_v2 = *controllers == '\0';
        if (!is_v2 && !has_controller(controllers, controller))
            continue;
        int n =
            snprintf(dir, sizeof(dir), "%s%s%s", mount, is_v2 ? "" : "/", is_v2 ? "" : controllers);
        if (n >= 0 && n < (int)sizeof(dir))
            least = least_of(least, least_upwards(dir, cgroup, is_v2, limit));
    }
    fclose(f);
    return least;
}
