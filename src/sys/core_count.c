/* SPDX-License-Identifier: MIT */
#include "sys/core_count.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* First line of dir/cgroup/file; false when it cannot be read. */
static bool read_line(const char *dir, const char *cgroup, const char *file, char *line, int size)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s%s/%s", dir, cgroup, file) >= (int)sizeof(path))
        return false;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    bool ok = fgets(line, size, f) != NULL;
    fclose(f);
    return ok;
}

static unsigned cores_of(long long quota_us, long long period_us)
{
    if (quota_us <= 0 || period_us <= 0)
        return 0;
    long long cores = (quota_us - 1) / period_us + 1;
    return cores > UINT_MAX ? 0 : (unsigned)cores;
}

/* Quota of one cgroup: "max 100000" or "150000 100000" in v2, two files in v1. 0: none. */
static unsigned quota_at(const char *mount, const char *cgroup, bool is_v2)
{
    char line[128];
    long long quota, period;

    if (is_v2) {
        if (!read_line(mount, cgroup, "cpu.max", line, sizeof(line)) ||
            sscanf(line, "%lld %lld", &quota, &period) != 2)
            return 0;
        return cores_of(quota, period);
    }
    if (!read_line(mount, cgroup, "cpu.cfs_quota_us", line, sizeof(line)) ||
        sscanf(line, "%lld", &quota) != 1 ||
        !read_line(mount, cgroup, "cpu.cfs_period_us", line, sizeof(line)) ||
        sscanf(line, "%lld", &period) != 1)
        return 0;
    return cores_of(quota, period);
}

/* The smallest quota on the way from cgroup up to the root. Shortens cgroup. In a container the
 * mount often shows the own cgroup as its root, while the path is the host's: then only the last
 * step finds files, and finds the right ones. */
static unsigned quota_upwards(const char *mount, char *cgroup, bool is_v2)
{
    unsigned least = 0;

    for (;;) {
        unsigned q = quota_at(mount, cgroup, is_v2);
        if (q != 0 && (least == 0 || q < least))
            least = q;
        char *slash = strrchr(cgroup, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

/* True when "cpu" is one of the comma-separated controllers. */
static bool has_cpu_controller(const char *controllers)
{
    while (*controllers != '\0') {
        size_t len = strcspn(controllers, ",");
        if (len == 3 && strncmp(controllers, "cpu", 3) == 0)
            return true;
        controllers += len + (controllers[len] == ',');
    }
    return false;
}

unsigned vly_core_count_quota(const char *cgroup_file, const char *cgroup_mount)
{
    char line[PATH_MAX], mount[PATH_MAX];
    unsigned least = 0;
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
        if (!is_v2 && !has_cpu_controller(controllers))
            continue;
        int n = snprintf(mount, sizeof(mount), "%s%s%s", cgroup_mount, is_v2 ? "" : "/",
                         is_v2 ? "" : controllers);
        if (n < 0 || n >= (int)sizeof(mount))
            continue;
        unsigned q = quota_upwards(mount, cgroup, is_v2);
        if (q != 0 && (least == 0 || q < least))
            least = q;
    }
    fclose(f);
    return least;
}

unsigned vly_core_count(void)
{
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned cores = online > 0 ? (unsigned)online : 1;

    /* Fails on machines with more than CPU_SETSIZE (1024) cores; the online count stands then. */
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && (unsigned)CPU_COUNT(&set) < cores)
        cores = (unsigned)CPU_COUNT(&set);
    unsigned quota = vly_core_count_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    if (quota != 0 && quota < cores)
        cores = quota;
    return cores > 0 ? cores : 1;
}
