/* SPDX-License-Identifier: MIT */
/* The process, the machine it runs on, and rates over a window (api/metrics_window.h). */
#include "api/metrics_families.h"
#include "api/metrics_text.h"
#include "api/metrics_window.h"
#include "base/assert.h"
#include "base/mem.h"
#include "sys/config_live.h"
#include "volley/version.h"

/* What the families below are made from. */
typedef struct figures {
    vly_metrics_sample now, since;
    unsigned n_workers;
} figures;

static vly_metrics_sample sample(const vly_metrics_page *p)
{
    vly_metrics_sample s = {.at = vly_clock_now()};

    vly_usage_read(&s.usage);
    for (int k = 1; k < 6; k++)
        s.responses += vly_counter_get(&p->http->responses[k]);
    s.server_errors = vly_counter_get(&p->http->responses[5]);
    return s;
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

/* Of one core. */
static double process_share(const figures *f)
{
    return ratio(f->now.usage.process_cpu_seconds - f->since.usage.process_cpu_seconds,
                 (double)(f->now.at - f->since.at) / 1e9);
}

static double machine_share(const figures *f)
{
    const vly_usage *now = &f->now.usage, *since = &f->since.usage;

    return ratio((double)(now->machine_busy_ticks - since->machine_busy_ticks),
                 (double)(now->machine_all_ticks - since->machine_all_ticks));
}

static void put_triton(const vly_metrics_out *o, const figures *f)
{
    if (f->now.usage.machine_all_ticks != 0)
        vly_metrics_value(o, "nv_cpu_utilization", "gauge",
                          "CPU utilization rate of the machine [0.0 - 1.0]", machine_share(f));
    if (f->now.usage.machine_memory_bytes == 0)
        return;
    vly_metrics_value(o, "nv_cpu_memory_total_bytes", "gauge", "CPU total memory (RAM), in bytes",
                      (double)f->now.usage.machine_memory_bytes);
    vly_metrics_value(o, "nv_cpu_memory_used_bytes", "gauge", "CPU used memory (RAM), in bytes",
                      (double)f->now.usage.machine_used_bytes);
}

static void put_guides(const vly_metrics_out *o, const figures *f)
{
    double resident = (double)f->now.usage.process_resident_bytes;

    vly_metrics_value(o, "process_cpu_usage_percent", "gauge",
                      "CPU of the process; 100 is one core", 100 * process_share(f));
    vly_metrics_value(o, "cpu_utilization_percent", "gauge",
                      "The same; 100 is a core for each worker",
                      100 * process_share(f) / f->n_workers);
    vly_metrics_value(o, "process_memory_bytes", "gauge", "As process_resident_memory_bytes",
                      resident);
    vly_metrics_value(o, "memory_usage_bytes", "gauge", "As process_resident_memory_bytes",
                      resident);
    vly_metrics_value(o, "error_rate_percent", "gauge", "Answers of status 5xx, of all",
                      100 * ratio((double)(f->now.server_errors - f->since.server_errors),
                                  (double)(f->now.responses - f->since.responses)));
}

static void put_volley(const vly_metrics_out *o, const vly_api *api, const figures *f)
{
    vly_metrics_head(o, "volley_build_info", "gauge", "1, labelled with the version");
    vly_buf_puts(o->b, "volley_build_info{version=\"" VOLLEY_VERSION "\"} 1\n");
    vly_metrics_value(o, "volley_uptime_seconds", "gauge", "Time since the start",
                      (double)(f->now.at - api->started_ns) / 1e9);
    vly_metrics_value(o, "volley_worker_threads", "gauge", "Threads that run models", f->n_workers);
    if (api->metrics.memory_limit_bytes > 0)
        vly_metrics_value(o, "volley_memory_limit_bytes", "gauge",
                          "Memory that the process may use: its cgroup's limit, or the machine's",
                          (double)api->metrics.memory_limit_bytes);
    vly_metrics_value(o, "volley_disk_read_bytes_total", "counter", "Bytes read from disks",
                      (double)f->now.usage.disk_read_bytes);
    vly_metrics_value(o, "volley_disk_written_bytes_total", "counter", "Bytes written to disks",
                      (double)f->now.usage.disk_written_bytes);
    vly_metrics_head(o, "volley_allocations_total", "counter", "Heap allocations by kind");
    for (int k = 0; k < VLY_MEM_N_KINDS; k++)
        vly_buf_printf(o->b, "volley_allocations_total{kind=\"%s\"} %llu\n",
                       vly_mem_kind_name((vly_mem_kind)k),
                       (unsigned long long)vly_mem_count((vly_mem_kind)k));
}

/* The names of every client library of Prometheus, whoever asks. */
static void put_process(const vly_metrics_out *o, const vly_api *api, const vly_usage *u)
{
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"process_cpu_seconds_total", "counter", "User and system CPU time in seconds",
         u->process_cpu_seconds},
        {"process_resident_memory_bytes", "gauge", "Resident memory size in bytes",
         (double)u->process_resident_bytes},
        {"process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes",
         (double)u->process_virtual_bytes},
        {"process_open_fds", "gauge", "Open file descriptors", (double)u->process_open_fds},
        {"process_max_fds", "gauge", "File descriptors that may be open",
         (double)u->process_max_fds},
        {"process_start_time_seconds", "gauge", "When the process was started, in Unix time",
         api->metrics.process_start_s},
    };

    for (size_t i = 0; i < VLY_COUNT(rows); i++)
        vly_metrics_value(o, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}

/* Settings that were read again (POST /v1/config:reload, SIGHUP). */
static void put_reloads(const vly_metrics_out *o, vly_config_live *config)
{
    const vly_config_live_stats s = vly_config_live_stats_of(config);

    vly_metrics_head(o, "volley_config_reloads_total", "counter",
                     "Times that the settings were read again, by result");
    vly_metrics_u64(o, "volley_config_reloads_total", "result=\"ok\"", s.n_reloads);
    vly_metrics_u64(o, "volley_config_reloads_total", "result=\"failed\"", s.n_failures);
    vly_metrics_value(o, "volley_config_last_reload_ok", "gauge",
                      "0: the settings could not be read again, and those before are in force",
                      s.is_ok);
}

void vly_metrics_put_process(const vly_metrics_page *p)
{
    const vly_api *api = p->api;
    figures f = {.now = sample(p),
                 .n_workers = vly_worker_pool_threads(vly_scheduler_pool(api->scheduler))};

    f.since = vly_metrics_window_take(api->metrics_window, &f.now);
    put_process(p->out, api, &f.now.usage);
    if ((api->metrics.names & VLY_METRICS_VOLLEY) != 0)
        put_volley(p->out, api, &f);
    if ((api->metrics.names & VLY_METRICS_VOLLEY) != 0 && api->config != NULL)
        put_reloads(p->out, api->config);
    if ((api->metrics.names & VLY_METRICS_TRITON) != 0)
        put_triton(p->out, &f);
    if ((api->metrics.names & VLY_METRICS_GUIDES) != 0)
        put_guides(p->out, &f);
}
