/* SPDX-License-Identifier: MIT */
#include "cli/rewrite.h"

#include "codec/onnx_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *dir_of(vly_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return ".";
    return vly_arena_strdup(arena, (vly_str){path, slash == path ? 1 : (size_t)(slash - path)});
}

static vly_status open_model(vly_rewrite *r, vly_err *err)
{
    vly_task_config task = {.task = vly_str_from(r->opts->task)};
    vly_status st = vly_mmap_open(r->path, VLY_ONNX_FILE_MAX, &r->file, err);

    if (st == VLY_OK)
        st = vly_model_load(r->path, NULL, &r->model, err);
    if (st != VLY_OK)
        return st;
    r->info = vly_model_describe(r->model);
    r->dir = dir_of(&r->arena, r->path);
    if (r->dir == NULL)
        return vly_arena_fail(&r->arena, err);
    st = vly_decoder_init(&r->decoder, r->info, &task, &r->arena, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "model '%s'", r->path);
}

static vly_status open_samples(vly_rewrite *r, const char *calibrate, vly_err *err)
{
    const vly_rewrite_opts *o = r->opts;
    vly_status st = VLY_OK;

    if (calibrate != NULL) {
        r->has_samples = true;
        st = vly_cli_samples_open(&r->samples, calibrate, r->info, &r->decoder, o->samples,
                                  o->threads, err);
    }
    if (st == VLY_OK && o->eval != NULL) {
        r->has_eval = true;
        st = vly_cli_samples_open(&r->eval, o->eval, r->info, &r->decoder, o->samples, o->threads,
                                  err);
    }
    r->has_bench = r->has_samples || r->has_eval;
    if (r->has_bench)
        r->bench = vly_quality_bench_of(r->has_eval ? &r->eval : &r->samples, r->model);
    return st;
}

vly_status vly_rewrite_open(vly_rewrite *r, const char *path, const char *calibrate,
                            const vly_rewrite_opts *opts, vly_err *err)
{
    *r = (vly_rewrite){.opts = opts, .path = path};
    vly_arena_init(&r->arena, VLY_MEM_CLI, 1 << 16, (size_t)256 << 20);
    vly_buf_init(&r->out, VLY_MEM_CLI, VLY_ONNX_FILE_MAX);
    if (opts->out == NULL)
        return vly_fail(err, VLY_EINVAL, "option --out is required; see --help");
    if (!opts->force && vly_file_exists(opts->out))
        return vly_fail(err, VLY_EEXIST,
                        "'%s' exists: give another --out, or --force to replace it", opts->out);
    vly_status st = open_model(r, err);
    return st == VLY_OK ? open_samples(r, calibrate, err) : st;
}

void vly_rewrite_close(vly_rewrite *r)
{
    if (r->has_samples)
        vly_cli_samples_close(&r->samples);
    if (r->has_eval)
        vly_cli_samples_close(&r->eval);
    vly_model_unref(r->model);
    vly_mmap_close(&r->file);
    vly_buf_release(&r->out);
    vly_arena_release(&r->arena);
}

/* Size and cost of a model that is not run. */
static vly_status measure_still(const void *bytes, size_t len, vly_quality *ret, vly_err *err)
{
    vly_model *model = NULL;
    vly_instance *instance = NULL;
    vly_plan_summary plan;
    vly_status st = vly_model_load_bytes(bytes, len, NULL, &model, err);

    *ret = (vly_quality){.file_bytes = len};
    if (st == VLY_OK)
        st = vly_instance_new(model, NULL, &instance, err);
    if (st == VLY_OK && vly_instance_plan(instance, NULL, &plan, NULL) == VLY_OK)
        ret->flops = plan.flops;
    vly_instance_free(instance);
    vly_model_unref(model);
    return st;
}

vly_status vly_rewrite_measure_before(vly_rewrite *r, vly_err *err)
{
    return r->has_bench
               ? vly_quality_measure(&r->bench, r->file.ptr, r->file.len, "before", &r->before, err)
               : measure_still(r->file.ptr, r->file.len, &r->before, err);
}

vly_status vly_rewrite_measure_after(vly_rewrite *r, vly_err *err)
{
    return r->has_bench
               ? vly_quality_measure(&r->bench, r->out.ptr, r->out.len, "after", &r->after, err)
               : measure_still(r->out.ptr, r->out.len, &r->after, err);
}

vly_status vly_rewrite_save(vly_rewrite *r, vly_err *err)
{
    if (!r->opts->force && vly_file_exists(r->opts->out)) /* made meanwhile */
        return vly_fail(err, VLY_EEXIST, "'%s' exists by now: nothing was written", r->opts->out);
    return vly_file_write(r->opts->out, r->out.ptr, r->out.len, err);
}

static void add_row(vly_buf *out, const char *name, int decimals, double before, double after,
                    const char *unit)
{
    vly_buf_printf(out, "  %-14s %12.*f %12.*f %s", name, decimals, before, decimals, after, unit);
    if (before > 0 && after > 0)
        vly_buf_printf(out, "  (x %.3g)", after / before);
    vly_buf_putc(out, '\n');
}

void vly_rewrite_add_table(const vly_rewrite *r, vly_buf *out)
{
    const vly_quality *b = &r->before, *a = &r->after;

    vly_buf_printf(out, "%s\n  %-14s %12s %12s\n", r->opts->out, "", "before", "after");
    add_row(out, "file", 2, (double)b->file_bytes / 1e6, (double)a->file_bytes / 1e6, "MB");
    add_row(out, "work", 3, (double)b->flops / 1e9, (double)a->flops / 1e9, "GFLOP");
    if (!r->has_bench) {
        vly_buf_puts(out, "  time and accuracy: not measured, give --eval DIR\n");
        return;
    }
    add_row(out, "net", 2, b->ms, a->ms, "ms");
    vly_buf_printf(out, "  %-14s %12.4f %12.4f  (%+.4f)\n", vly_quality_name(r->bench.kind),
                   b->score, a->score, a->score - b->score);
    if (r->bench.kind != VLY_QUALITY_CLASSES)
        vly_buf_printf(out, "  %-14s %12.4f %12.4f  (%+.4f)\n", "mAP50", b->map50, a->map50,
                       a->map50 - b->map50);
    if (isfinite(a->snr_db))
        vly_buf_printf(out, "  %-14s %12s %12.1f dB\n", "outputs' SNR", "", a->snr_db);
    vly_buf_puts(out, "  accuracy: ");
    vly_quality_explain(&r->bench, out);
    vly_buf_putc(out, '\n');
}

static void add_quality(const vly_rewrite *r, const char *name, const vly_quality *q, vly_buf *out)
{
    vly_buf_printf(out, "\"%s\":{\"file_bytes\":%zu,\"flops\":%" PRIu64, name, q->file_bytes,
                   q->flops);
    if (r->has_bench) {
        vly_buf_printf(out, ",\"ms\":%.3f,\"score\":%.6f", q->ms, q->score);
        if (r->bench.kind != VLY_QUALITY_CLASSES)
            vly_buf_printf(out, ",\"map50_95\":%.6f,\"map50\":%.6f", q->score, q->map50);
        if (isfinite(q->snr_db))
            vly_buf_printf(out, ",\"snr_db\":%.2f", q->snr_db);
    }
    vly_buf_putc(out, '}');
}

void vly_rewrite_add_json(const vly_rewrite *r, vly_buf *out)
{
    vly_buf_puts(out, "\"out\":");
    vly_buf_json_str(out, vly_str_from(r->opts->out));
    if (r->has_bench) {
        vly_buf_puts(out, ",\"accuracy\":");
        vly_buf_json_str(out, vly_str_from(r->bench.kind == VLY_QUALITY_LABELS  ? "labels"
                                           : r->bench.kind == VLY_QUALITY_BOXES ? "boxes"
                                                                                : "classes"));
        vly_buf_printf(out, ",\"samples\":%zu", r->bench.samples->base.n);
    }
    vly_buf_putc(out, ',');
    add_quality(r, "before", &r->before, out);
    vly_buf_putc(out, ',');
    add_quality(r, "after", &r->after, out);
}
