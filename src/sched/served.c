/* SPDX-License-Identifier: MIT */
#include "sched/served.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

const char *vly_job_failure_name(vly_job_failure f)
{
#define NAME(name) #name,
    static const char *const names[] = {VLY_JOB_FAILURE_MAP(NAME)};
    VLY_ASSERT(f < VLY_JOB_FAILURE_N);
    return names[f];
}

const char *vly_served_state_name(vly_served_state state)
{
    static const char *const names[] = {VLY_SERVED_STATE_MAP(NAME)};
#undef NAME
    VLY_ASSERT((size_t)state < VLY_COUNT(names));
    return names[state];
}

/* Copies text to *at, which moves on; NULL stays NULL. */
static const char *keep(char **at, const char *text)
{
    if (text == NULL)
        return NULL;
    size_t bytes = strlen(text) + 1;
    char *copy = memcpy(*at, text, bytes);
    *at += bytes;
    return copy;
}

static size_t text_bytes(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

vly_status vly_served_new(const char *name, const char *version, const char *path,
                          vly_served_state state, const char *reason, vly_served **ret,
                          vly_err *err)
{
    vly_served *m = vly_calloc(VLY_MEM_SCHED, 1,
                               sizeof(*m) + text_bytes(name) + text_bytes(version) +
                                   text_bytes(path) + text_bytes(reason));

    if (m == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", name);
    char *at = (char *)(m + 1);
    m->name = keep(&at, name);
    m->version = keep(&at, version);
    m->path = keep(&at, path);
    m->error = keep(&at, reason);
    atomic_init(&m->state, state);
    atomic_init(&m->n_refs, 1);
    *ret = m;
    return VLY_OK;
}

vly_served *vly_served_ref(vly_served *m)
{
    atomic_fetch_add_explicit(&m->n_refs, 1, memory_order_relaxed); /* the caller holds one */
    return m;
}

void vly_served_unref(vly_served *m)
{
    /* acq_rel: the last owner must see what the others did before the memory goes */
    if (m == NULL || atomic_fetch_sub_explicit(&m->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    if (m->runner != NULL)
        m->runner->ops->free(m->runner);
    vly_servable_unref(m->servable);
    if (m->heir != NULL) {
        vly_served_state expected = VLY_SERVED_UNLOADING;
        atomic_compare_exchange_strong(&m->heir->state, &expected, VLY_SERVED_UNAVAILABLE);
        vly_served_unref(m->heir); /* a row without an heir: this goes one level deep */
    }
    vly_free(m);
}

/* The row of this size, taken if it is new; NULL: there is none left. */
static vly_batch_stat *stat_of(vly_served_stats *stats, size_t size)
{
    for (size_t i = 0; i < VLY_BATCH_STATS_MAX; i++) {
        vly_batch_stat *row = &stats->batches[i];
        size_t known = atomic_load(&row->size);
        if (known == size ||
            (known == 0 && atomic_compare_exchange_strong(&row->size, &known, size)))
            return row;
        if (known == size) /* somebody else was faster */
            return row;
    }
    return NULL;
}

void vly_served_count_run(vly_served *m, size_t n_inferences, const vly_job_times *times)
{
    vly_batch_stat *row = stat_of(&m->stats, n_inferences);

    vly_counter_add(&m->stats.executions, 1);
    atomic_store_explicit(&m->stats.last_inference_ms, vly_clock_unix_ms(),
                          memory_order_relaxed); /* a statistic, as the counters */
    if (row == NULL)
        return;
    vly_counter_add(&row->count, 1);
    vly_counter_add(&row->compute_input, times->input);
    vly_counter_add(&row->compute_infer, times->infer);
    vly_counter_add(&row->compute_output, times->output);
}

void vly_served_count_known(vly_served *m, vly_nsec received_ns)
{
    vly_nsec took = vly_clock_now() - received_ns;

    vly_counter_add(&m->stats.success, 1);
    vly_histogram_record(&m->stats.known, took);
    vly_histogram_record(&m->stats.request, took);
}

static vly_job_failure failure_of(vly_status st)
{
    if (st == VLY_EBUSY)
        return VLY_JOB_FAILURE_REJECTED;
    if (st == VLY_ECANCELLED || st == VLY_EDEADLINE)
        return VLY_JOB_FAILURE_CANCELED;
    if (st == VLY_EINVAL || st == VLY_EFORMAT || st == VLY_ELIMIT || st == VLY_EMEDIA)
        return VLY_JOB_FAILURE_OTHER;
    return VLY_JOB_FAILURE_BACKEND;
}

void vly_served_count_rejected(vly_served *m, const vly_job *first, size_t n)
{
    if (!first->is_copy)
        vly_counter_add(&m->stats.failures[VLY_JOB_FAILURE_REJECTED], n);
}

/* As the counters of requests have it. */
static void count_request(vly_served_stats *stats, const vly_job *job, vly_status st)
{
    vly_nsec began = job->received_ns != 0 ? job->received_ns : job->queued_ns;

    if (st == VLY_OK) {
        vly_counter_add(&stats->success, 1);
        vly_histogram_record(&stats->queue, job->times.queue);
        vly_histogram_record(&stats->compute_input, job->times.input);
        vly_histogram_record(&stats->compute_infer, job->times.infer);
        vly_histogram_record(&stats->compute_output, job->times.output);
        vly_histogram_record(&stats->request, vly_clock_now() - began);
    } else {
        vly_counter_add(&stats->failures[failure_of(st)], 1);
        vly_counter_add(&stats->failed_ns, vly_clock_now() - began);
    }
}

void vly_served_finish(vly_served *m, vly_job *job, vly_status st)
{
    job->status = st;
    if (st == VLY_OK)
        vly_counter_add(&m->stats.inferences, job->n_inferences != 0 ? job->n_inferences : 1);
    if (!job->is_copy)
        count_request(&m->stats, job, st);
    job->done(job);
}
