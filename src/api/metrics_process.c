/* SPDX-License-Identifier: MIT */
/* The process, and the machine it runs on. */
#include "api/metrics_families.h"
#include "api/metrics_text.h"
#include "base/mem.h"
#include "volley/version.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* Second number of /proc/self/statm, which the kernel makes from memory: reading it never waits. */
static double resident_bytes(void)
{
    char text[128];
    unsigned long long pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%*u %llu", &pages) != 1)
        return 0;
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void vly_metrics_put_process(const vly_metrics_page *p)
{
    vly_buf *b = p->b;
    const vly_api *api = p->api;

    vly_metrics_head(b, "volley_build_info", "gauge", "1, labelled with the version");
    vly_buf_puts(b, "volley_build_info{version=\"" VOLLEY_VERSION "\"} 1\n");
    vly_metrics_value(b, "volley_uptime_seconds", "gauge", "Time since the start",
                      (double)(vly_clock_now() - api->started_ns) / 1e9);
    vly_metrics_value(b, "volley_worker_threads", "gauge", "Threads that run models",
                      vly_worker_pool_threads(vly_scheduler_pool(api->scheduler)));
    vly_metrics_value(b, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes",
                      resident_bytes());
    vly_metrics_value(b, "process_cpu_seconds_total", "counter",
                      "User and system CPU time in seconds", cpu_seconds());
    vly_metrics_head(b, "volley_allocations_total", "counter", "Heap allocations by kind");
    for (int k = 0; k < VLY_MEM_N_KINDS; k++)
        vly_buf_printf(b, "volley_allocations_total{kind=\"%s\"} %llu\n",
                       vly_mem_kind_name((vly_mem_kind)k),
                       (unsigned long long)vly_mem_count((vly_mem_kind)k));
}
