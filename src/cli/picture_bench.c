/* SPDX-License-Identifier: MIT */
#include "cli/picture_bench.h"

#include "base/mem.h"

#include <inttypes.h>

enum { WARM_UPS = 3, RUNS_MIN = 5, RUNS_MAX = 2000 };

static const char *const stage_names[VLY_STAGE_N] = {"decode", "prep", "net", "post", "total"};

static vly_status run_once(vly_session *s, vly_picture_bench *b, double ms[VLY_STAGE_N],
                           vly_err *err)
{
    vly_detector_options detector = VLY_DETECTOR_OPTIONS_INIT;
    vly_observations seen;
    vly_vision_times t;
    vly_status st = vly_session_run(s, b->path, &detector, &seen, NULL, &t, err);

    if (st != VLY_OK)
        return st;
    ms[VLY_STAGE_DECODE] = vly_clock_ms(t.decode);
    ms[VLY_STAGE_PREP] = vly_clock_ms(t.prep);
    ms[VLY_STAGE_NET] = vly_clock_ms(t.infer);
    ms[VLY_STAGE_POST] = vly_clock_ms(t.post);
    ms[VLY_STAGE_TOTAL] = vly_clock_ms(t.decode + t.prep + t.infer + t.post);
    b->width = seen.width;
    b->height = seen.height;
    b->file_bytes = s->file.len;
    b->n_found = seen.n_detections + seen.n_classes; /* one of the two is 0 */
    return VLY_OK;
}

/* *ret_n: how many runs to time. */
static vly_status warm_up(vly_session *s, vly_picture_bench *b, double seconds, size_t *ret_n,
                          vly_err *err)
{
    double ms[VLY_STAGE_N];

    for (int i = 0; i < WARM_UPS; i++) {
        vly_status st = run_once(s, b, ms, err);
        if (st != VLY_OK)
            return st;
    }
    double n = seconds * 1e3 / ms[VLY_STAGE_TOTAL];
    *ret_n = n < RUNS_MIN ? RUNS_MIN : n > RUNS_MAX ? RUNS_MAX : (size_t)n;
    return VLY_OK;
}

static vly_status time_stages(vly_session *s, vly_picture_bench *b, vly_err *err)
{
    size_t n = b->n_runs;
    double *ms = vly_calloc(VLY_MEM_CLI, n * VLY_STAGE_N, sizeof(*ms)); /* [VLY_STAGE_N][n] */
    vly_status st = VLY_OK;

    if (ms == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        double one[VLY_STAGE_N] = {0};
        st = run_once(s, b, one, err);
        for (size_t k = 0; k < VLY_STAGE_N; k++)
            ms[k * n + i] = one[k];
    }
    for (size_t k = 0; k < VLY_STAGE_N; k++)
        b->ms[k] = vly_spread_of(ms + k * n, n);
    vly_free(ms);
    return st;
}

vly_status vly_picture_bench_run(const char *path, const vly_session_options *opts, double seconds,
                                 size_t n_runs, vly_picture_bench *ret, vly_err *err)
{
    vly_picture_bench b = {.path = path};
    vly_session session;
    vly_status st = vly_session_open(&session, opts, err);

    if (st == VLY_OK)
        st = warm_up(&session, &b, seconds, &b.n_runs, err);
    if (n_runs > 0)
        b.n_runs = n_runs < RUNS_MAX ? n_runs : RUNS_MAX;
    if (st == VLY_OK)
        st = time_stages(&session, &b, err);
    if (st == VLY_OK)
        *ret = b;
    vly_session_close(&session);
    return st;
}

void vly_picture_bench_text(vly_buf *out, const vly_picture_bench *b)
{
    vly_buf_printf(out, "\n%s: %" PRIu32 "x%" PRIu32 ", %zu kB, %zu found, %zu runs\n", b->path,
                   b->width, b->height, b->file_bytes / 1000, b->n_found, b->n_runs);
    vly_buf_printf(out, "  %-7s %10s %10s %10s %7s\n", "stage", "min ms", "median", "p95", "share");
    for (int k = 0; k < VLY_STAGE_N; k++)
        vly_buf_printf(out, "  %-7s %10.4f %10.4f %10.4f %6.1f%%\n", stage_names[k], b->ms[k].min,
                       b->ms[k].median, b->ms[k].p95,
                       100 * b->ms[k].median / b->ms[VLY_STAGE_TOTAL].median);
}

void vly_picture_bench_json(vly_buf *out, const vly_picture_bench *b)
{
    vly_buf_printf(out,
                   "{\"width\":%" PRIu32 ",\"height\":%" PRIu32
                   ",\"file_bytes\":%zu,\"found\":%zu,\"runs\":%zu,\"ms\":{",
                   b->width, b->height, b->file_bytes, b->n_found, b->n_runs);
    for (int k = 0; k < VLY_STAGE_N; k++) {
        vly_buf_printf(out, "%s\"%s\":", k > 0 ? "," : "", stage_names[k]);
        vly_spread_json(out, b->ms[k]);
    }
    vly_buf_puts(out, "}}");
}
