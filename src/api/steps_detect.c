/* SPDX-License-Identifier: MIT */
#include "api/steps_detect.h"

#include "tasks/steps/step_json.h"
#include "tasks/steps/step_plot.h"
#include "tasks/steps/step_scan.h"

#define PIECE_BYTES    ((size_t)256 << 10) /* between two looks at whether the client is there */
#define KEPT_BYTES_MAX ((size_t)64 << 20)  /* of readings that are to be drawn */

const char *vly_steps_answer_type(vly_steps_answer answer)
{
    switch (answer) {
    case VLY_STEPS_JSON:
        break;
    case VLY_STEPS_CSV:
        return "text/csv; charset=utf-8";
    case VLY_STEPS_SVG:
        return "image/svg+xml";
    }
    return "application/json";
}

static vly_status feed(const vly_steps_detect *d, vly_step_scan *scan, vly_str bytes, vly_err *err)
{
    vly_status st = VLY_OK;

    while (st == VLY_OK && bytes.len > 0) {
        size_t n = bytes.len < PIECE_BYTES ? bytes.len : PIECE_BYTES;
        if (atomic_load(d->is_cancelled))
            return vly_fail(err, VLY_ECANCELLED, "the client has gone");
        st = vly_step_scan_feed(scan, bytes.ptr, n, err);
        bytes.ptr += n;
        bytes.len -= n;
    }
    return st;
}

static vly_status keep_readings(void *arg, const vly_imu_reading *readings, size_t n, vly_err *err)
{
    vly_buf *kept = arg;

    vly_buf_add(kept, readings, n * sizeof(*readings));
    if (kept->failed)
        return vly_fail(err, VLY_ELIMIT, "too long to be drawn: more than %zu readings",
                        KEPT_BYTES_MAX / sizeof(*readings));
    return VLY_OK;
}

static vly_status draw(const vly_step_summary *s, const vly_buf *kept, vly_buf *out, vly_err *err)
{
    const vly_step_plot plot = {.title = "steps",
                                .readings = (const vly_imu_reading *)(const void *)kept->ptr,
                                .n_readings = kept->len / sizeof(vly_imu_reading),
                                .events = s->events,
                                .n_events = s->n_events};

    return vly_step_plot_svg(&plot, out, err);
}

static vly_status put_answer(const vly_steps_detect *d, vly_step_summary *s,
                             vly_steps_answer answer, const vly_buf *kept, vly_buf *out,
                             vly_err *err)
{
    if (d->is_without_events)
        s->n_events = 0;
    switch (answer) {
    case VLY_STEPS_JSON:
        vly_step_json_summary(out, s);
        break;
    case VLY_STEPS_CSV:
        vly_buf_puts(out, VLY_STEP_CSV_HEAD);
        for (size_t i = 0; i < s->n_events; i++)
            vly_step_csv_event(out, &s->events[i]);
        break;
    case VLY_STEPS_SVG:
        return draw(s, kept, out, err);
    }
    return VLY_OK;
}

static vly_status scan_all(const vly_steps_detect *d, vly_step_model *m, vly_step_batcher *batcher,
                           vly_str bytes, vly_steps_answer answer, vly_buf *out, vly_err *err)
{
    vly_step_scan_opts opts = {.model = m, .batcher = batcher, .reader = d->reader};
    vly_step_summary summary;
    vly_step_scan *scan = NULL;
    vly_buf kept;

    vly_buf_init(&kept, VLY_MEM_NET, KEPT_BYTES_MAX);
    opts.reader.max_readings = d->api->max_imu_readings;
    opts.reader.max_json_bytes = d->api->max_json_bytes;
    opts.reader.max_json_depth = d->api->max_json_depth;
    opts.on_readings = answer == VLY_STEPS_SVG ? keep_readings : NULL;
    opts.arg = &kept;
    vly_status st = vly_step_scan_new(&opts, &scan, err);
    if (st == VLY_OK)
        st = feed(d, scan, bytes, err);
    if (st == VLY_OK)
        st = vly_step_scan_end(scan, &summary, err);
    if (st == VLY_OK)
        st = put_answer(d, &summary, answer, &kept, out, err);
    vly_step_scan_free(scan);
    vly_buf_release(&kept);
    return st;
}

/* With a look-ahead of its own a recording has a batcher of its own. */
static vly_status detect_otherwise(const vly_steps_detect *d, vly_str bytes,
                                   vly_steps_answer answer, vly_buf *out, vly_err *err)
{
    vly_step_batcher *batcher = NULL;
    vly_step_model *m = NULL;
    vly_status st = vly_step_model_variant(d->api->step_model, d->look_ahead_ms, &m, err);

    if (st == VLY_OK)
        st = vly_step_batcher_new(m, &batcher, err);
    if (st == VLY_OK)
        st = scan_all(d, m, batcher, bytes, answer, out, err);
    vly_step_batcher_free(batcher);
    vly_step_model_unref(m);
    return st;
}

vly_status vly_steps_detect_run(const vly_steps_detect *d, vly_str bytes, vly_steps_answer answer,
                                vly_buf *out, vly_err *err)
{
    vly_step_batcher *batcher = NULL;

    if (d->look_ahead_ms >= 0)
        return detect_otherwise(d, bytes, answer, out, err);
    vly_status st = vly_steps_pool_take(d->api->steps_pool, &batcher, err);
    if (st == VLY_OK)
        st = scan_all(d, d->api->step_model, batcher, bytes, answer, out, err);
    vly_steps_pool_give(d->api->steps_pool, batcher);
    return st;
}
