/* SPDX-License-Identifier: MIT */
#include "cli/serve_steps.h"

#include "cli/serve_mqtt.h"

#include <stdio.h>
#include <string.h>

static vly_status open_store(const vly_config *c, vly_serve_steps *s, vly_err *err)
{
    vly_store_safety safety = c->store_power_safe ? VLY_STORE_POWER_SAFE : VLY_STORE_PROCESS_SAFE;

    if (c->store_path[0] == '\0')
        return VLY_OK;
    vly_status st = vly_session_store_open(c->store_path, safety, &s->store, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "setting 'store.path'");
}

static vly_status open_backup(const vly_config *c, vly_serve_steps *s, vly_err *err)
{
    vly_buf path;

    if (s->store == NULL)
        return VLY_OK;
    vly_buf_init(&path, VLY_MEM_CLI, 8192);
    if (c->store_backup_path[0] != '\0')
        vly_buf_puts(&path, c->store_backup_path);
    else
        vly_buf_printf(&path, "%s.backup", c->store_path);
    vly_status st = path.failed ? vly_fail(err, VLY_ENOMEM, "out of memory for a path")
                                : vly_store_backup_new(s->store, path.ptr, &s->backup, err);
    vly_buf_release(&path);
    return st;
}

static vly_status start_sessions(const vly_config *c, vly_serve_steps *s, vly_err *err)
{
    const vly_imu_sessions_opts opts = {.model = s->model,
                                        .n_loops =
                                            (unsigned)c->http_loops + vly_serve_mqtt_loops(c),
                                        .max_sessions = (size_t)c->imu_max_sessions,
                                        .max_waiting = (size_t)c->imu_max_waiting,
                                        .max_waiting_all = (size_t)c->imu_max_waiting_total,
                                        .idle_ns = (vly_nsec)c->imu_idle_ms * VLY_NSEC_PER_MS,
                                        .store = s->store,
                                        .snapshot_ms = (unsigned)c->imu_snapshot_ms};

    return vly_imu_sessions_new(&opts, &s->sessions, err);
}

static void print_steps(const vly_config *c, const vly_serve_steps *s)
{
    const vly_imu_sessions_stats *stats = vly_imu_sessions_get_stats(s->sessions);

    printf("steps by model '%s'", s->model->name);
    if (s->store != NULL)
        printf(", sessions in '%s': %lld go on", c->store_path,
               (long long)vly_gauge_get(&stats->sessions));
    printf("\n");
}

vly_status vly_serve_steps_open(const vly_config *c, unsigned n_workers, vly_serve_steps *s,
                                vly_err *err)
{
    const char *path = c->steps_model;

    if (strcmp(path, "off") == 0)
        return VLY_OK;
    vly_status st = vly_step_model_load(path[0] != '\0' ? path : NULL, (int)c->steps_look_ahead_ms,
                                        &s->model, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "setting 'steps.model'");
    st = open_store(c, s, err);
    if (st == VLY_OK)
        st = open_backup(c, s, err);
    if (st == VLY_OK)
        st = start_sessions(c, s, err);
    if (st == VLY_OK)
        st = vly_steps_pool_new(s->model, (size_t)c->queue_max, n_workers, &s->pool, err);
    if (st == VLY_OK)
        print_steps(c, s);
    return st;
}

void vly_serve_steps_close(vly_serve_steps *s)
{
    vly_steps_pool_free(s->pool);
    vly_imu_sessions_free(s->sessions);
    vly_store_backup_free(s->backup);
    vly_session_store_close(s->store);
    vly_step_model_unref(s->model);
}
