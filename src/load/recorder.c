/* SPDX-License-Identifier: MIT */
#include "load/recorder.h"

void vly_load_recorder_init(vly_load_recorder *r)
{
    pthread_mutex_init(&r->lock, NULL);
}

void vly_load_recorder_release(vly_load_recorder *r)
{
    pthread_mutex_destroy(&r->lock);
}

/* ---- adding -------------------------------------------------------------------------------- */

static vly_nsec since(vly_nsec begin, vly_nsec end)
{
    return end > begin ? end - begin : 0;
}

static void count_status(vly_load_tally *t, int status, uint64_t n)
{
    for (size_t i = 0; i < t->n_statuses; i++)
        if (t->statuses[i].status == status) {
            t->statuses[i].n += n;
            return;
        }
    if (t->n_statuses < VLY_LOAD_STATUSES_MAX)
        t->statuses[t->n_statuses++] = (vly_load_status_count){status, n};
}

static void count_reason(vly_load_tally *t, vly_load_outcome outcome, int status, vly_str why,
                         uint64_t n)
{
    vly_load_reason r = {.outcome = outcome, .status = status, .n = n};

    for (size_t i = 0; i < why.len && i + 1 < sizeof(r.text); i++)
        r.text[i] = why.ptr[i];
    for (char *c = r.text; *c != '\0'; c++)
        *c = (char)(*c < ' ' || *c > '~' ? '.' : *c);
    for (size_t i = 0; i < t->n_reasons; i++) {
        vly_load_reason *known = &t->reasons[i];
        if (known->outcome == outcome && known->status == status &&
            strcmp(known->text, r.text) == 0) {
            known->n += n;
            return;
        }
    }
    if (t->n_reasons < VLY_LOAD_REASONS_MAX)
        t->reasons[t->n_reasons++] = r;
}

static void count(vly_load_outcomes *c, const vly_load_call *call)
{
    c->n_ok += call->outcome == VLY_LOAD_OK;
    c->n_hits += call->outcome == VLY_LOAD_OK && call->is_cached;
    c->n_refused += call->outcome == VLY_LOAD_STATUS;
    c->n_failed += call->outcome == VLY_LOAD_FAILED;
    c->n_timeout += call->outcome == VLY_LOAD_TIMEOUT;
    c->bytes_in += call->bytes_in;
    c->bytes_out += call->bytes_out;
}

static void add_success(vly_load_tally *t, const vly_load_call *call, vly_nsec handed_ns,
                        vly_nsec latency)
{
    vly_load_histogram_add(call->is_cached ? &t->hits : &t->computed, latency);
    vly_load_histogram_add(&t->service, since(call->sent_ns, call->done_ns));
    vly_load_histogram_add(&t->waits, since(handed_ns, call->sent_ns));
    t->last_ok_ns = call->done_ns > t->last_ok_ns ? call->done_ns : t->last_ok_ns;
}

void vly_load_recorder_add(vly_load_recorder *r, const vly_load_call *call, vly_nsec handed_ns)
{
    const vly_nsec latency = since(call->intended_ns, call->done_ns);
    vly_load_tally *t = &r->total;

    pthread_mutex_lock(&r->lock);
    count(&t->counts, call);
    count(&r->recent.counts, call);
    vly_load_histogram_add(&t->lateness, since(call->intended_ns, handed_ns));
    if (call->outcome == VLY_LOAD_OK || call->outcome == VLY_LOAD_TIMEOUT) {
        vly_load_histogram_add(&t->latency, latency);
        vly_load_histogram_add(&r->recent.latency, latency);
    }
    if (call->outcome == VLY_LOAD_OK)
        add_success(t, call, handed_ns, latency);
    else
        count_reason(t, call->outcome, call->status, call->why, 1);
    if (call->outcome == VLY_LOAD_STATUS) {
        vly_load_histogram_add(&t->refused, latency);
        count_status(t, call->status, 1);
    }
    pthread_mutex_unlock(&r->lock);
}

void vly_load_recorder_add_unsent(vly_load_recorder *r)
{
    pthread_mutex_lock(&r->lock);
    r->total.counts.n_unsent++;
    r->recent.counts.n_unsent++;
    pthread_mutex_unlock(&r->lock);
}

/* ---- taking -------------------------------------------------------------------------------- */

static void merge_counts(vly_load_outcomes *to, const vly_load_outcomes *from)
{
    to->n_ok += from->n_ok;
    to->n_hits += from->n_hits;
    to->n_refused += from->n_refused;
    to->n_failed += from->n_failed;
    to->n_timeout += from->n_timeout;
    to->n_unsent += from->n_unsent;
    to->bytes_in += from->bytes_in;
    to->bytes_out += from->bytes_out;
}

void vly_load_tally_merge(vly_load_tally *to, const vly_load_tally *from)
{
    merge_counts(&to->counts, &from->counts);
    vly_load_histogram_merge(&to->latency, &from->latency);
    vly_load_histogram_merge(&to->service, &from->service);
    vly_load_histogram_merge(&to->hits, &from->hits);
    vly_load_histogram_merge(&to->computed, &from->computed);
    vly_load_histogram_merge(&to->refused, &from->refused);
    vly_load_histogram_merge(&to->lateness, &from->lateness);
    vly_load_histogram_merge(&to->waits, &from->waits);
    for (size_t i = 0; i < from->n_statuses; i++)
        count_status(to, from->statuses[i].status, from->statuses[i].n);
    for (size_t i = 0; i < from->n_reasons; i++) {
        const vly_load_reason *r = &from->reasons[i];
        count_reason(to, r->outcome, r->status, vly_str_from(r->text), r->n);
    }
    to->last_ok_ns = from->last_ok_ns > to->last_ok_ns ? from->last_ok_ns : to->last_ok_ns;
}

void vly_load_recent_merge(vly_load_recent *to, const vly_load_recent *from)
{
    merge_counts(&to->counts, &from->counts);
    vly_load_histogram_merge(&to->latency, &from->latency);
}

void vly_load_recorder_take(vly_load_recorder *r, vly_load_tally *to)
{
    pthread_mutex_lock(&r->lock);
    vly_load_tally_merge(to, &r->total);
    memset(&r->total, 0, sizeof(r->total));
    pthread_mutex_unlock(&r->lock);
}

void vly_load_recorder_take_recent(vly_load_recorder *r, vly_load_recent *to)
{
    pthread_mutex_lock(&r->lock);
    vly_load_recent_merge(to, &r->recent);
    memset(&r->recent, 0, sizeof(r->recent));
    pthread_mutex_unlock(&r->lock);
}

double vly_load_error_share(const vly_load_outcomes *c)
{
    const uint64_t n = vly_load_n_all(c);
    return n > 0 ? (double)vly_load_n_errors(c) / (double)n : 0;
}
