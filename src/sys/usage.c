/* SPDX-License-Identifier: MIT */
#include "sys/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KIB UINT64_C(1024)

/* The first bytes of a file, as text; false: it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return true;
}

static void read_process(vly_usage *u)
{
    struct rusage r;
    char text[128];
    uint64_t pages, resident;
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);

    if (getrusage(RUSAGE_SELF, &r) == 0)
        u->process_cpu_seconds = (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
                                 (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
    if (read_text("/proc/self/statm", text, sizeof(text)) &&
        sscanf(text, "%" SCNu64 " %" SCNu64, &pages, &resident) == 2) {
        u->process_virtual_bytes = pages * page_bytes;
        u->process_resident_bytes = resident * page_bytes;
    }
}

/* The size of the folder is their number since Linux 6.2; before, they have to be counted. */
static uint64_t count_fds(void)
{
    static const char path[] = "/proc/self/fd";
    struct stat st;
    uint64_t n = 0;

    if (stat(path, &st) == 0 && st.st_size > 0)
        return (uint64_t)st.st_size;
    DIR *d = opendir(path);
    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the folder itself */
}

static void read_fds(vly_usage *u)
{
    struct rlimit limit;

    u->process_open_fds = count_fds();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        u->process_max_fds = limit.rlim_cur;
}

double vly_usage_process_start(void)
{
    struct timespec now, boot;
    char text[1024];
    uint64_t ticks;

    if (!read_text("/proc/self/stat", text, sizeof(text)))
        return 0;
    const char *at = strrchr(text, ')'); /* behind the name, which may hold anything */
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL || sscanf(at, " %" SCNu64, &ticks) != 1 ||
        clock_gettime(CLOCK_REALTIME, &now) != 0 || clock_gettime(CLOCK_BOOTTIME, &boot) != 0)
        return 0;
    return (double)(now.tv_sec - boot.tv_sec) + (double)(now.tv_nsec - boot.tv_nsec) / 1e9 +
           (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* "cpu  user nice system idle iowait irq softirq steal ...": waiting for a disk is idle. */
static void read_cores(vly_usage *u)
{
    enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, N };
    uint64_t t[N] = {0};
    char text[512];

    if (!read_text("/proc/stat", text, sizeof(text)) ||
        sscanf(text,
               "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 " %" SCNu64,
               &t[USER], &t[NICE], &t[SYSTEM], &t[IDLE], &t[IOWAIT], &t[IRQ], &t[SOFTIRQ],
               &t[STEAL]) < IDLE + 1)
        return;
    for (int i = 0; i < N; i++)
        u->machine_all_ticks += t[i];
    u->machine_busy_ticks = u->machine_all_ticks - t[IDLE] - t[IOWAIT];
}

/* The number behind name; 0: it is not there. */
static uint64_t number_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    uint64_t n;

    return at != NULL && sscanf(at + strlen(name), " %" SCNu64, &n) == 1 ? n : 0;
}

/* "read_bytes: 4096" and the like; kernels may be built without. */
static void read_disk(vly_usage *u)
{
    char text[512];

    if (!read_text("/proc/self/io", text, sizeof(text)))
        return;
    u->disk_read_bytes = number_of(text, "\nread_bytes:");
    u->disk_written_bytes = number_of(text, "\nwrite_bytes:");
}

static void read_memory(vly_usage *u)
{
    char text[1024];

    if (!read_text("/proc/meminfo", text, sizeof(text)))
        return;
    uint64_t available = number_of(text, "MemAvailable:") * KIB;
    u->machine_memory_bytes = number_of(text, "MemTotal:") * KIB;
    if (available <= u->machine_memory_bytes)
        u->machine_used_bytes = u->machine_memory_bytes - available;
}

void vly_usage_read_process(vly_usage *ret)
{
    *ret = (vly_usage){0};
    read_process(ret);
}

void vly_usage_read(vly_usage *ret)
{
    *ret = (vly_usage){0};
    read_process(ret);
    read_fds(ret);
    read_disk(ret);
    read_cores(ret);
    read_memory(ret);
}
