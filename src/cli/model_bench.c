/* SPDX-License-Identifier: MIT */
/*
 * `volley model bench`: how long a model takes, as a whole and step by step, against the peak of
 * this machine.
 *
 * Order: load and first answer, warm-up, timed runs, profiled runs, the peak probe last. Timed runs
 * are not profiled, so the sum of the steps may differ from the median by the cost of the clock.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "base/cpu.h"
#include "cli/command.h"
#include "cli/model_io.h"
#include "cli/model_runner.h"
#include "cli/picture_bench.h"
#include "cli/spread.h"
#include "dsp/peak.h"
#include "sys/core_count.h"
#include "sys/file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define OUTPUT_MAX   ((size_t)64 << 20)
#define ARENA_BUDGET ((size_t)1 << 30)
#define PEAK_NS      (50 * VLY_NSEC_PER_MS)

enum {
    SAMPLES_MAX = 4096, /* shorter runs are timed in groups, or the clock would be a part of them */
    RUNS_MIN = 10,
    PROFILES_MIN = 3,
    PROFILES_MAX = 25,
};

typedef struct bench_opts {
    vly_opt_list inputs, shapes;
    const char *precision, *picture;
    int64_t threads, batch, runs;
    double seconds;
    bool json;
} bench_opts;

static const bench_opts defaults = {.precision = "auto", .seconds = 3};

static const vly_opt options[] = {
    VLY_OPT(bench_opts, threads, 't', INT, "threads", "N", "cores to use (default: all)"),
    VLY_OPT(bench_opts, batch, 'b', INT, "batch", "N",
            "first dimension of the inputs that leave it open (default 1)"),
    VLY_OPT(bench_opts, precision, 0, TEXT, "precision", "P[:NODE,..]",
            "exact, fp32, bf16, int8 or auto (default auto)"),
    VLY_OPT(bench_opts, seconds, 0, FLOAT, "seconds", "S", "time to spend on runs (default 3)"),
    VLY_OPT(bench_opts, runs, 0, INT, "runs", "N", "so many runs, however long they take"),
    VLY_OPT(bench_opts, shapes, 0, LIST, "shape", "NAME=1x3x640x640",
            "shape of an input that the model leaves open (default: 1 for each)"),
    VLY_OPT(bench_opts, inputs, 'i', LIST, "input", "NAME=FILE",
            "an input tensor, .npy or .pb (default: random numbers from 0 to 1)"),
    VLY_OPT(bench_opts, picture, 0, TEXT, "picture", "FILE",
            "also time this picture, from its bytes to what is seen in it, stage by stage"),
    VLY_OPT(bench_opts, json, 0, FLAG, "json", NULL, "print JSON"),
    VLY_OPT_END,
};

static const char *const kind_names[VLY_PEAK_N] = {"fp32", "bf16", "int8"};

typedef struct peak {
    const char *isa;
    double ops; /* per second, of all threads together */
} peak;

typedef struct bench {
    const bench_opts *opts;
    vly_runner runner;
    vly_model_options model;
    unsigned n_threads;
    vly_arena arena;
    vly_shape *shapes; /* [n_inputs] */
    vly_plan_summary plan;
    double load_ms; /* to the first answer */
    uint64_t rss_kb;
    size_t n_runs;
    vly_spread ms;             /* of one run */
    vly_step_profile *steps;   /* [plan.n_steps], medians */
    double steps_ms;           /* their sum */
    peak peaks[VLY_PEAK_N];    /* of the kinds that the steps need */
    double floor_ms;           /* all operations at their peaks */
    vly_picture_bench picture; /* path NULL: not asked for */
} bench;

/* ---- inputs ------------------------------------------------------------------------------- */

/* A real number from 0 to 1 into element i; other types stay zero, which any index may be. */
static void set_random(vly_tensor *t, uint64_t i, uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    float v = (float)(*seed >> 8) / (float)(1 << 24);

    switch ((int)t->dtype) {
    case VLY_DTYPE_F32:
        ((float *)t->data)[i] = v;
        break;
    case VLY_DTYPE_F64:
        ((double *)t->data)[i] = (double)v;
        break;
    case VLY_DTYPE_F16:
        ((uint16_t *)t->data)[i] = vly_f32_to_f16(v);
        break;
    case VLY_DTYPE_BF16:
        ((uint16_t *)t->data)[i] = vly_bf16_from_f32(v);
        break;
    case VLY_DTYPE_U8:
        ((uint8_t *)t->data)[i] = (uint8_t)(v * 256);
        break;
    default:
        break;
    }
}

static vly_status make_input(const vly_model_io *io, const vly_shape *shape, vly_tensor *ret,
                             vly_err *err)
{
    uint32_t seed = 1;

    if (!io->has_shape && shape->rank == 0)
        return vly_fail(err, VLY_EINVAL, "input '%s' has no shape: give --shape or --input",
                        io->name);
    vly_status st = vly_tensor_new(io->dtype, shape, ret, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "input '%s'", io->name);
    if (ret->bytes > 0)
        memset(ret->data, 0, ret->bytes);
    for (uint64_t i = 0, n = vly_tensor_count(ret); i < n; i++)
        set_random(ret, i, &seed);
    return VLY_OK;
}

static vly_status set_batch(const vly_model_info *info, int64_t batch, vly_shape *shapes,
                            vly_err *err)
{
    size_t n_open = 0;

    if (batch < 0)
        return vly_fail(err, VLY_EINVAL, "option --batch: expected 1 or more");
    for (size_t i = 0; i < info->n_inputs && batch > 0; i++) {
        if (info->inputs[i].shape.rank == 0 || info->inputs[i].shape.dim[0] != VLY_DIM_UNKNOWN)
            continue;
        shapes[i].dim[0] = batch;
        n_open++;
    }
    if (batch > 1 && n_open == 0)
        return vly_fail(err, VLY_EINVAL, "option --batch: the model's inputs have fixed shapes");
    return VLY_OK;
}

static vly_status make_inputs(bench *b, vly_err *err)
{
    const vly_model_info *info = b->runner.info;
    vly_status st = vly_cli_input_shapes(info, &b->opts->shapes, &b->arena, &b->shapes, err);

    if (st == VLY_OK)
        st = set_batch(info, b->opts->batch, b->shapes, err);
    if (st == VLY_OK)
        st = vly_runner_read_inputs(&b->runner, &b->opts->inputs, err);
    for (size_t i = 0; i < info->n_inputs && st == VLY_OK; i++) {
        if (b->runner.inputs[i].dtype == VLY_DTYPE_UNDEFINED)
            st = make_input(&info->inputs[i], &b->shapes[i], &b->runner.inputs[i], err);
        b->shapes[i] = b->runner.inputs[i].shape;
    }
    return st;
}

/* ---- measuring ---------------------------------------------------------------------------- */

/* VmHWM, not getrusage: that one remembers the program that started this one. */
static uint64_t peak_rss_kb(void)
{
    vly_buf file;
    uint64_t kb = 0;

    vly_buf_init(&file, VLY_MEM_CLI, 1 << 16);
    if (vly_file_read("/proc/self/status", 1 << 16, &file, NULL) == VLY_OK) {
        for (vly_str rest = vly_buf_str(&file); rest.ptr != NULL;) {
            vly_str line = vly_str_split(&rest, '\n');
            vly_str name = vly_str_split(&line, ':');
            vly_str number = vly_str_trim(line);
            number = vly_str_split(&number, ' ');
            if (vly_str_is(name, "VmHWM") && !vly_str_to_u64(number, &kb))
                kb = 0;
        }
    }
    vly_buf_release(&file);
    return kb;
}

static vly_status run_group(vly_runner *r, size_t n, double *ret_ms, vly_err *err)
{
    vly_nsec start = vly_clock_now();

    for (size_t i = 0; i < n; i++) {
        vly_status st = vly_runner_run(r, err);
        if (st != VLY_OK)
            return st;
    }
    *ret_ms = vly_clock_ms(vly_clock_now() - start) / (double)n;
    return VLY_OK;
}

/* A tenth of the time or more, and 3 runs at least; *ret_ms: of one. */
static vly_status warm_up(bench *b, double *ret_ms, vly_err *err)
{
    vly_nsec start = vly_clock_now();
    double spent = 0, ms;
    size_t n = 0;

    while (n < 3 || spent < b->opts->seconds * 100) {
        size_t group = n > 0 ? n : 1;
        vly_status st = run_group(&b->runner, group, &ms, err);
        if (st != VLY_OK)
            return st;
        n += group;
        spent = vly_clock_ms(vly_clock_now() - start);
    }
    *ret_ms = spent / (double)n;
    return VLY_OK;
}

static vly_status time_runs(bench *b, vly_err *err)
{
    double one_ms;
    vly_status st = warm_up(b, &one_ms, err);

    if (st != VLY_OK)
        return st;
    size_t n = b->opts->runs > 0 ? (size_t)b->opts->runs
                                 : (size_t)fmax(RUNS_MIN, b->opts->seconds * 1e3 / one_ms);
    size_t group = (n + SAMPLES_MAX - 1) / SAMPLES_MAX;
    size_t n_samples = n / group;
    double *ms = vly_arena_calloc(&b->arena, n_samples, sizeof(*ms));
    if (ms == NULL)
        return vly_arena_fail(&b->arena, err);
    for (size_t i = 0; i < n_samples && st == VLY_OK; i++)
        st = run_group(&b->runner, group, &ms[i], err);
    b->n_runs = n_samples * group;
    b->ms = vly_spread_of(ms, n_samples);
    b->rss_kb = peak_rss_kb();
    return st;
}

static vly_status profile(bench *b, vly_err *err)
{
    size_t n = b->n_runs / 4, n_steps = b->plan.n_steps;
    vly_status st = VLY_OK;

    n = n < PROFILES_MIN ? PROFILES_MIN : n > PROFILES_MAX ? PROFILES_MAX : n;
    double *ns = vly_arena_calloc(&b->arena, n * n_steps, sizeof(*ns)); /* [n_steps][n] */
    b->steps = vly_arena_calloc(&b->arena, n_steps, sizeof(*b->steps));
    if (ns == NULL || b->steps == NULL)
        return vly_arena_fail(&b->arena, err);
    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        vly_runner_release_outputs(&b->runner);
        st = vly_instance_profile(b->runner.instance, b->runner.inputs, b->runner.outputs, b->steps,
                                  err);
        for (size_t s = 0; s < n_steps; s++)
            ns[s * n + i] = (double)b->steps[s].ns;
    }
    for (size_t s = 0; s < n_steps; s++) {
        b->steps[s].ns = (vly_nsec)vly_spread_of(ns + s * n, n).median;
        b->steps_ms += vly_clock_ms(b->steps[s].ns);
    }
    return st;
}

/* ---- the peak ----------------------------------------------------------------------------- */

static vly_peak_kind kind_of(const vly_step_profile *step)
{
    switch ((int)step->precision) {
    case VLY_DTYPE_I8:
    case VLY_DTYPE_U8:
        return VLY_PEAK_INT8;
    case VLY_DTYPE_BF16:
        return VLY_PEAK_BF16;
    default:
        return VLY_PEAK_F32;
    }
}

typedef struct probe {
    const vly_peak_loop *loop;
    double *ops; /* [n_threads] */
} probe;

static void probe_threads(void *ctx, size_t begin, size_t end)
{
    probe *p = ctx;

    for (size_t i = begin; i < end; i++)
        p->ops[i] = vly_peak_measure(p->loop, PEAK_NS);
}

/* All threads at once: cores that share units or power reach less together. */
static void probe_kind(bench *b, const vly_peak_dsp *dsp, vly_peak_kind kind, double *ops)
{
    for (size_t i = 0; i < dsp->n_loops; i++) {
        probe p = {.loop = &dsp->loops[i], .ops = ops};
        double sum = 0;
        if (dsp->loops[i].kind != kind)
            continue;
        vly_parallel_for(b->runner.pool, b->n_threads, 1, probe_threads, &p);
        for (unsigned t = 0; t < b->n_threads; t++)
            sum += ops[t];
        if (sum > b->peaks[kind].ops)
            b->peaks[kind] = (peak){dsp->loops[i].isa, sum};
    }
}

/* A CPU without a loop of its own for a precision does that arithmetic in fp32. */
static vly_status measure_peaks(bench *b, vly_err *err)
{
    bool is_used[VLY_PEAK_N] = {[VLY_PEAK_F32] = true};
    double *ops = vly_arena_calloc(&b->arena, b->n_threads, sizeof(*ops));
    vly_peak_dsp dsp;

    if (ops == NULL)
        return vly_arena_fail(&b->arena, err);
    for (size_t s = 0; s < b->plan.n_steps; s++)
        is_used[kind_of(&b->steps[s])] = true;
    vly_peak_dsp_init(&dsp, vly_cpu_flags());
    for (int k = 0; k < VLY_PEAK_N; k++) {
        if (!is_used[k])
            continue;
        probe_kind(b, &dsp, (vly_peak_kind)k, ops);
        if (b->peaks[k].ops <= 0)
            b->peaks[k] = b->peaks[VLY_PEAK_F32];
    }
    for (size_t s = 0; s < b->plan.n_steps; s++)
        b->floor_ms += (double)b->steps[s].flops * 1e3 / b->peaks[kind_of(&b->steps[s])].ops;
    return VLY_OK;
}

/* ---- reports ------------------------------------------------------------------------------ */

static double gflops(uint64_t flops, double ms)
{
    return ms > 0 ? (double)flops / ms / 1e6 : 0;
}

static double peak_share(const bench *b, const vly_step_profile *step)
{
    return gflops(step->flops, vly_clock_ms(step->ns)) * 1e9 / b->peaks[kind_of(step)].ops;
}

static void add_steps(vly_buf *out, const bench *b)
{
    char text[VLY_SHAPE_TEXT_MAX];

    vly_buf_printf(out, "%4s  %-24s %-8s %-20s %10s %6s %8s %6s  %s\n", "step", "kernel", "dtype",
                   "output", "ms", "share", "GFLOP/s", "peak", "node");
    for (size_t s = 0; s < b->plan.n_steps; s++) {
        const vly_step_profile *p = &b->steps[s];
        double ms = vly_clock_ms(p->ns);
        vly_buf_printf(out, "%4zu  %-24s %-8s %-20s %10.5f %5.1f%% ", s, p->kernel,
                       p->precision != VLY_DTYPE_UNDEFINED ? vly_dtype_name(p->precision) : "?",
                       p->precision != VLY_DTYPE_UNDEFINED ? vly_shape_text(&p->shape, text) : "?",
                       ms, 100 * ms / fmax(b->steps_ms, 1e-9));
        if (p->flops > 0)
            vly_buf_printf(out, "%8.1f %5.1f%%", gflops(p->flops, ms), 100 * peak_share(b, p));
        else
            vly_buf_printf(out, "%8s %6s", "", "");
        vly_buf_printf(out, "  %s\n", p->node);
    }
}

static void add_text(vly_buf *out, const bench *b, const char *path)
{
    double median = b->ms.median;

    add_steps(out, b);
    vly_buf_printf(out, "\n%s: %u thread%s, %s, %s\n", path, b->n_threads,
                   b->n_threads == 1 ? "" : "s", vly_precision_name(b->model.precision),
                   vly_cpu_level());
    vly_buf_printf(out, "  %-7s min %.5f, median %.5f, p95 %.5f ms of %zu runs; steps %.5f ms\n",
                   "run", b->ms.min, median, b->ms.p95, b->n_runs, b->steps_ms);
    if (b->opts->batch > 1)
        vly_buf_printf(out, "  %-7s %.6f ms an item, %.0f items a second\n", "batch",
                       median / (double)b->opts->batch, (double)b->opts->batch * 1e3 / median);
    for (int k = 0; k < VLY_PEAK_N; k++)
        if (b->peaks[k].ops > 0)
            vly_buf_printf(out, "  %-7s %s %.1f GFLOP/s by %s\n", "peak", kind_names[k],
                           b->peaks[k].ops / 1e9, b->peaks[k].isa);
    if (b->plan.flops > 0)
        vly_buf_printf(out, "  %-7s %.6g GFLOP, at the peak %.5f ms: %.1f GFLOP/s, %.1f %% of it\n",
                       "work", (double)b->plan.flops / 1e9, b->floor_ms,
                       gflops(b->plan.flops, median), 100 * b->floor_ms / median);
    vly_buf_printf(out, "  %-7s %.1f ms to the first answer\n", "load", b->load_ms);
    vly_buf_printf(out, "  %-7s %.1f MB at most\n", "memory", (double)b->rss_kb / 1e3);
    if (b->picture.path != NULL)
        vly_picture_bench_text(out, &b->picture);
}

static void add_steps_json(vly_buf *out, const bench *b)
{
    for (size_t s = 0; s < b->plan.n_steps; s++) {
        const vly_step_profile *p = &b->steps[s];
        vly_buf_puts(out, s > 0 ? ",{\"kernel\":" : "{\"kernel\":");
        vly_buf_json_str(out, vly_str_from(p->kernel));
        vly_buf_puts(out, ",\"node\":");
        vly_buf_json_str(out, vly_str_from(p->node));
        vly_buf_printf(out, ",\"dtype\":\"%s\",\"shape\":[", vly_dtype_name(p->precision));
        for (int k = 0; k < p->shape.rank; k++)
            vly_buf_printf(out, "%s%" PRId64, k > 0 ? "," : "", p->shape.dim[k]);
        vly_buf_printf(
            out, "],\"ms\":%.6f,\"flops\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"peak_share\":%.4f}",
            vly_clock_ms(p->ns), p->flops, p->bytes, peak_share(b, p));
    }
}

static void add_json(vly_buf *out, const bench *b, const char *path)
{
    const char *comma = "";

    vly_buf_puts(out, "{\"model\":");
    vly_buf_json_str(out, vly_str_from(path));
    vly_buf_printf(out,
                   ",\"threads\":%u,\"batch\":%" PRId64
                   ",\"precision\":\"%s\",\"cpu\":\"%s\",\"runs\":%zu",
                   b->n_threads, b->opts->batch > 0 ? b->opts->batch : 1,
                   vly_precision_name(b->model.precision), vly_cpu_level(), b->n_runs);
    vly_buf_puts(out, ",\"ms\":");
    vly_spread_json(out, b->ms);
    vly_buf_printf(out, ",\"gflop\":%.9f,\"gflops\":%.3f,\"peak_gflops\":{",
                   (double)b->plan.flops / 1e9, gflops(b->plan.flops, b->ms.median));
    for (int k = 0; k < VLY_PEAK_N; k++) {
        if (b->peaks[k].ops <= 0)
            continue;
        vly_buf_printf(out, "%s\"%s\":%.1f", comma, kind_names[k], b->peaks[k].ops / 1e9);
        comma = ",";
    }
    vly_buf_printf(out,
                   "},\"floor_ms\":%.6f,\"peak_share\":%.4f,\"load_ms\":%.3f"
                   ",\"peak_rss_kb\":%" PRIu64 ",\"steps\":[",
                   b->floor_ms, b->floor_ms / b->ms.median, b->load_ms, b->rss_kb);
    add_steps_json(out, b);
    vly_buf_puts(out, b->picture.path != NULL ? "],\"picture\":" : "]");
    if (b->picture.path != NULL)
        vly_picture_bench_json(out, &b->picture);
    vly_buf_puts(out, "}\n");
}

/* ---- the command -------------------------------------------------------------------------- */

static vly_status check_options(bench *b, vly_err *err)
{
    const bench_opts *o = b->opts;

    if (o->runs < 0 || o->runs > 1000000000)
        return vly_fail(err, VLY_EINVAL, "option --runs: expected 1 to 1000000000");
    if (!(o->seconds > 0 && o->seconds <= 86400))
        return vly_fail(err, VLY_EINVAL, "option --seconds: expected more than 0, at most 86400");
    return vly_precision_parse(vly_str_from(o->precision), &b->model, err);
}

static vly_status time_picture(bench *b, const char *path, vly_err *err)
{
    const vly_session_options session = {
        .model = path, .precision = b->opts->precision, .threads = b->opts->threads};

    return vly_picture_bench_run(b->opts->picture, &session, b->opts->seconds,
                                 (size_t)b->opts->runs, &b->picture, err);
}

static vly_status measure(bench *b, const char *path, vly_err *err)
{
    b->model = (vly_model_options)VLY_MODEL_OPTIONS_DEFAULT;
    vly_status st = check_options(b, err);

    if (st != VLY_OK)
        return st;
    vly_nsec start = vly_clock_now();
    st = vly_runner_open(&b->runner, path, &b->model, b->opts->threads, err);
    vly_nsec loaded = vly_clock_now();
    if (st == VLY_OK)
        st = make_inputs(b, err);
    vly_nsec ready = vly_clock_now();
    if (st == VLY_OK)
        st = vly_runner_run(&b->runner, err);
    if (st != VLY_OK)
        return st;
    b->load_ms = vly_clock_ms(loaded - start + (vly_clock_now() - ready));
    b->n_threads = b->runner.pool != NULL ? vly_worker_pool_threads(b->runner.pool) + 1 : 1;
    st = vly_instance_plan(b->runner.instance, b->shapes, &b->plan, err);
    if (st == VLY_OK)
        st = time_runs(b, err);
    if (st == VLY_OK)
        st = profile(b, err);
    if (st == VLY_OK)
        st = measure_peaks(b, err);
    return st == VLY_OK && b->opts->picture != NULL ? time_picture(b, path, err) : st;
}

static int run(const void *opts, int n_args, char *const *args)
{
    bench b = {.opts = opts};
    vly_buf out;
    vly_err err;

    (void)n_args;
    vly_arena_init(&b.arena, VLY_MEM_CLI, 1 << 16, ARENA_BUDGET);
    vly_buf_init(&out, VLY_MEM_CLI, OUTPUT_MAX);
    vly_status st = measure(&b, args[0], &err);
    if (st == VLY_OK) {
        if (b.opts->json)
            add_json(&out, &b, args[0]);
        else
            add_text(&out, &b, args[0]);
        fwrite(out.ptr, 1, out.len, stdout);
    } else {
        vly_command_fail(&err);
    }
    vly_buf_release(&out);
    vly_runner_close(&b.runner);
    vly_arena_release(&b.arena);
    return vly_cli_exit_status(st);
}

const vly_command vly_command_model_bench = {
    .name = "model bench",
    .args = "FILE",
    .summary = "time a model, step by step, against this machine's peak",
    .details =
        "Runs an .onnx model again and again and prints what each step of its plan takes, the\n"
        "operations per second it reaches (2 per multiply-add), and their share of what this\n"
        "machine's arithmetic units reach on registers alone, measured in the same process. Then\n"
        "the whole: fastest, median and 95th percentile, the time at the peak, load to the first\n"
        "answer, and peak memory. Runs much shorter than a millisecond are timed in groups.\n"
        "A Winograd convolution does fewer operations than the 2 per multiply-add counted, so its\n"
        "share may exceed 100 %.\n",
    .examples = "  volley model bench yolov8n.onnx --threads 1\n"
                "  volley model bench yolov8n.onnx --threads 1 --picture match.jpg\n"
                "  volley model bench step.onnx --batch 1024 --json | jq .ms\n",
    .opts = options,
    .opts_bytes = sizeof(bench_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = 1,
    .run = run,
};
