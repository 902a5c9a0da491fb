/* SPDX-License-Identifier: MIT */
/* GET /v1/models/{m}/explain: how a model's requests are run, why, and what ran last. */
#include "api/routes.h"

#include "api/answer.h"
#include "api/infer.h"
#include "sched/explain.h"

static void put_us(vly_buf *b, const char *key, vly_nsec ns)
{
    vly_buf_printf(b, "\"%s\":%.1f", key, (double)ns / 1e3);
}

static void put_bool(vly_buf *b, const char *key, bool value)
{
    vly_buf_printf(b, ",\"%s\":%s", key, value ? "true" : "false");
}

static void put_mode(vly_buf *b, const vly_explanation *e)
{
    const vly_calibration *c = &e->calibration;

    vly_buf_printf(b, ",\"execution\":{\"mode\":\"%s\",\"why\":", vly_execution_name(c->mode));
    vly_buf_json_str(b, vly_str_from(c->why));
    if (c->one_ns != 0) {
        vly_buf_putc(b, ',');
        put_us(b, "run_us", c->one_ns);
    }
    if (c->batch != 0) {
        vly_buf_printf(b, ",\"batch\":%zu,", c->batch);
        put_us(b, "batch_run_us", c->batch_ns);
    }
    put_bool(b, "unbatchable", e->is_unbatchable);
    vly_buf_putc(b, '}');
}

static void put_policy(vly_buf *b, const vly_queue_policy *p)
{
    vly_buf_printf(b, "{\"timeout_action\":\"%s\",\"default_timeout_microseconds\":%llu",
                   p->is_delay ? "DELAY" : "REJECT",
                   (unsigned long long)(p->timeout_ns / VLY_NSEC_PER_US));
    put_bool(b, "allow_timeout_override", p->allows_override);
    vly_buf_printf(b, ",\"max_queue_size\":%zu}", p->max_size);
}

static void put_queue(vly_buf *b, const vly_explanation *e)
{
    const vly_batch_rules *r = e->rules;

    vly_buf_printf(b, ",\"queue\":{\"waiting\":%zu,\"max_waiting\":%zu,\"max_batch_size\":%zu",
                   e->n_waiting, r->max_waiting, e->max_batch);
    vly_buf_puts(b, ",\"preferred_batch_size\":[");
    for (size_t i = 0; i < r->n_preferred; i++)
        vly_buf_printf(b, "%s%zu", i > 0 ? "," : "", r->preferred[i]);
    vly_buf_printf(b, "],\"max_queue_delay_microseconds\":%llu",
                   (unsigned long long)(r->delay_ns / VLY_NSEC_PER_US));
    put_bool(b, "preserve_ordering", e->keeps_order);
    vly_buf_printf(b, ",\"default_priority_level\":%zu,\"levels\":[", r->default_level);
    for (size_t i = 0; i < r->n_levels; i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        put_policy(b, &r->policies[i]);
    }
    vly_buf_puts(b, "]}");
}

static void put_arrivals(vly_buf *b, const vly_arrivals *a)
{
    vly_buf_puts(b, ",\"arrivals\":{");
    put_us(b, "gap_us", a->gap_ns);
    vly_buf_printf(b, ",\"met_others_in_a_row\":%u", a->streak);
    put_bool(b, "company_expected", a->streak >= VLY_COMPANY_EVIDENCE);
    vly_buf_putc(b, '}');
}

static void put_batch(vly_buf *b, const vly_batch_record *r, vly_nsec now)
{
    vly_buf_printf(b, "{\"ago_ms\":%.1f,\"requests\":%zu,\"inferences\":%zu,\"closed\":\"%s\",",
                   vly_clock_ms(now > r->at_ns ? now - r->at_ns : 0), r->n_jobs, r->n_inferences,
                   vly_batch_reason_name(r->reason));
    put_us(b, "oldest_wait_us", r->waited_ns);
    vly_buf_putc(b, ',');
    put_us(b, "run_us", r->run_ns);
    vly_buf_putc(b, '}');
}

static void put_name(vly_buf *b, const vly_served *m)
{
    vly_buf_puts(b, "{\"name\":");
    vly_buf_json_str(b, vly_str_from(m->name));
    vly_buf_puts(b, ",\"version\":");
    vly_buf_json_str(b, vly_str_from(m->version));
}

static void put_explanation(vly_buf *b, const vly_served *m, const vly_explanation *e)
{
    vly_nsec now = vly_clock_now();

    put_name(b, m);
    put_mode(b, e);
    vly_buf_printf(b, ",\"instances\":{\"count\":%zu,\"running\":%zu}", e->n_instances,
                   e->n_running);
    put_queue(b, e);
    put_arrivals(b, &e->arrivals);
    vly_buf_puts(b, ",\"batches\":[");
    for (size_t i = 0; i < e->n_batches; i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        put_batch(b, &e->batches[i], now);
    }
    vly_buf_puts(b, "]}");
}

/* Of what has no queue of its own: an ensemble, or a built-in step. */
static void put_without_queue(vly_buf *b, const vly_served *m)
{
    const vly_triton_ensemble *ensemble = m->servable->config->ensemble_scheduling;

    put_name(b, m);
    if (ensemble == NULL) {
        vly_buf_puts(b, ",\"execution\":{\"mode\":\"step\",\"why\":\"it is built in: each request "
                        "runs by itself, on a worker\"}}");
        return;
    }
    vly_buf_puts(b, ",\"execution\":{\"mode\":\"ensemble\",\"why\":\"each step is a request to its "
                    "model, which explains itself\"},\"steps\":[");
    for (size_t i = 0; i < ensemble->n_steps; i++) {
        vly_buf_puts(b, i > 0 ? ",{\"model\":" : "{\"model\":");
        vly_buf_json_str(b, ensemble->steps[i].model_name);
        vly_buf_putc(b, '}');
    }
    vly_buf_puts(b, "]}");
}

static vly_status explain(vly_api *api, const vly_str *captures, vly_buf *b, vly_err *err)
{
    vly_served *m = NULL;
    vly_explanation e;
    vly_status st = vly_infer_find(api, captures[0], captures[1], &m, err);

    if (st != VLY_OK)
        return st;
    if (m->runner->ops->explain != NULL) {
        m->runner->ops->explain(m->runner, &e);
        put_explanation(b, m, &e);
    } else {
        put_without_queue(b, m);
    }
    vly_served_unref(m);
    return VLY_OK;
}

void vly_route_v1_explain(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    if (explain(api, captures, &b, &err) == VLY_OK) {
        vly_answer_json(req, 200, &b);
        return;
    }
    vly_buf_release(&b);
    vly_answer_err(req, &err);
}
