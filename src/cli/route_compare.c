/* SPDX-License-Identifier: MIT */
/* `volley route compare`: the log of shadows, summed up for each arm and its shadow. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/metrics.h"
#include "cli/command.h"
#include "sched/model_routes_line.h"
#include "sys/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PAIRS_MAX      1024
#define LINE_MEMORY    ((size_t)4 << 20)
#define FILE_BYTES_MAX ((size_t)1 << 30)

typedef struct compare_opts {
    bool is_json;
} compare_opts;

/* One arm and its shadow. */
typedef struct pair {
    char *route, *arm, *shadow;
    uint64_t n, errors, agreed;
    uint64_t n_boxes; /* lines of boxes, as n_tensors; the sums are theirs */
    double arm_boxes, matched, extra, iou, score_diff;
    uint64_t n_tensors;
    double max_abs, min_cosine;
    vly_histogram arm_ns, shadow_ns;
} pair;

typedef struct report {
    pair *pairs;
    size_t n_pairs;
    uint64_t n_bad; /* lines that are none */
} report;

static void add_latency(vly_histogram *h, double ms)
{
    if (ms >= 0 && ms < 1e9)
        vly_histogram_record(h, (uint64_t)(ms * 1e6));
}

static bool is_pair(const pair *p, const vly_route_line *l)
{
    return strcmp(p->route, l->route) == 0 && strcmp(p->arm, l->arm) == 0 &&
           strcmp(p->shadow, l->shadow) == 0;
}

static char *copy(const char *text)
{
    return vly_strndup(VLY_MEM_CLI, text, strlen(text));
}

static pair *find_pair(report *r, const vly_route_line *l)
{
    for (size_t i = 0; i < r->n_pairs; i++)
        if (is_pair(&r->pairs[i], l))
            return &r->pairs[i];
    if (r->n_pairs == PAIRS_MAX)
        return NULL;
    pair *pairs = vly_realloc(VLY_MEM_CLI, r->pairs, (r->n_pairs + 1) * sizeof(*pairs));
    if (pairs == NULL)
        return NULL;
    r->pairs = pairs;
    pair *p = &pairs[r->n_pairs];
    memset(p, 0, sizeof(*p));
    p->min_cosine = 1;
    p->route = copy(l->route);
    p->arm = copy(l->arm);
    p->shadow = copy(l->shadow);
    r->n_pairs++; /* release takes it from here */
    return p->route != NULL && p->arm != NULL && p->shadow != NULL ? p : NULL;
}

static void add_line(pair *p, const vly_route_line *l)
{
    p->n++;
    add_latency(&p->arm_ns, l->arm_ms);
    if (l->kind == VLY_ROUTE_LINE_ERROR) {
        p->errors++;
        return;
    }
    add_latency(&p->shadow_ns, l->shadow_ms);
    p->agreed += l->agrees;
    if (l->kind == VLY_ROUTE_LINE_BOXES) {
        p->n_boxes++;
        p->arm_boxes += l->n_arm;
        p->matched += l->matched;
        p->extra += l->n_shadow - l->matched;
        p->iou += l->mean_iou * l->matched;
        p->score_diff += l->mean_score_diff * l->matched;
    } else if (l->kind == VLY_ROUTE_LINE_TENSORS) {
        p->n_tensors++;
        p->max_abs = l->max_abs > p->max_abs ? l->max_abs : p->max_abs;
        p->min_cosine = l->cosine < p->min_cosine ? l->cosine : p->min_cosine;
    }
}

static vly_status read_log(vly_str text, report *r, vly_err *err)
{
    vly_status st = VLY_OK;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_CLI, (size_t)64 << 10, LINE_MEMORY);
    while (text.ptr != NULL && st == VLY_OK) {
        vly_str line = vly_str_trim(vly_str_split(&text, '\n'));
        vly_route_line l;
        vly_arena_reset(&arena);
        if (line.len == 0)
            continue;
        if (vly_route_line_read(line, &arena, &l, NULL) != VLY_OK) {
            r->n_bad++;
            continue;
        }
        pair *p = find_pair(r, &l);
        if (p != NULL)
            add_line(p, &l);
        else
            st = vly_fail(err, VLY_ELIMIT, "more than %d pairs of arm and shadow, or no memory",
                          PAIRS_MAX);
    }
    vly_arena_release(&arena);
    return st;
}

/* ---- the report ---- */

static double of(double sum, double n)
{
    return n > 0 ? sum / n : 0;
}

static double ms(const vly_histogram *h, double q)
{
    return (double)vly_histogram_quantile(h, q) / 1e6;
}

static double agreement(const pair *p)
{
    return of((double)p->agreed, (double)(p->n - p->errors));
}

static void print_pair(const pair *p)
{
    printf("%s: %s against %s\n", p->route, p->arm, p->shadow);
    printf("  compared %" PRIu64 ", failed %" PRIu64 ", agree %.2f %%\n", p->n - p->errors,
           p->errors, 100 * agreement(p));
    printf("  latency ms      p50 %9.3f  p95 %9.3f  p99 %9.3f\n", ms(&p->arm_ns, 0.5),
           ms(&p->arm_ns, 0.95), ms(&p->arm_ns, 0.99));
    printf("  of the shadow   p50 %9.3f  p95 %9.3f  p99 %9.3f\n", ms(&p->shadow_ns, 0.5),
           ms(&p->shadow_ns, 0.95), ms(&p->shadow_ns, 0.99));
    if (p->n_boxes > 0)
        printf("  boxes %.0f: matched %.2f %%, extra %.0f, mean IoU %.4f, mean score difference "
               "%.4f\n",
               p->arm_boxes, 100 * of(p->matched, p->arm_boxes), p->extra, of(p->iou, p->matched),
               of(p->score_diff, p->matched));
    if (p->n_tensors > 0)
        printf("  tensors: largest difference %.6g, least cosine %.6f\n", p->max_abs,
               p->min_cosine);
}

static void put_text(vly_buf *b, const char *key, const char *text)
{
    vly_buf_puts(b, key);
    vly_buf_json_str(b, vly_str_from(text));
}

static void put_latency(vly_buf *b, const char *key, const vly_histogram *h)
{
    vly_buf_printf(b, ",\"%s\":{\"p50\":%.6f,\"p95\":%.6f,\"p99\":%.6f}", key, ms(h, 0.5),
                   ms(h, 0.95), ms(h, 0.99));
}

static void put_pair(vly_buf *b, const pair *p)
{
    put_text(b, "{\"route\":", p->route);
    put_text(b, ",\"arm\":", p->arm);
    put_text(b, ",\"shadow\":", p->shadow);
    vly_buf_printf(b, ",\"compared\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"agreement\":%.6g",
                   p->n - p->errors, p->errors, agreement(p));
    put_latency(b, "arm_ms", &p->arm_ns);
    put_latency(b, "shadow_ms", &p->shadow_ns);
    if (p->n_boxes > 0)
        vly_buf_printf(b,
                       ",\"boxes\":%.0f,\"matched\":%.0f,\"extra\":%.0f,\"mean_iou\":%.6g,"
                       "\"mean_score_diff\":%.6g",
                       p->arm_boxes, p->matched, p->extra, of(p->iou, p->matched),
                       of(p->score_diff, p->matched));
    if (p->n_tensors > 0)
        vly_buf_printf(b, ",\"max_abs\":%.9g,\"min_cosine\":%.9g", p->max_abs, p->min_cosine);
    vly_buf_putc(b, '}');
}

static vly_status print_json(const report *r, vly_err *err)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CLI, (size_t)64 << 20);
    vly_buf_puts(&b, "{\"pairs\":[");
    for (size_t i = 0; i < r->n_pairs; i++) {
        vly_buf_puts(&b, i > 0 ? "," : "");
        put_pair(&b, &r->pairs[i]);
    }
    vly_buf_printf(&b, "],\"bad_lines\":%" PRIu64 "}\n", r->n_bad);
    vly_status st = b.failed ? vly_fail(err, VLY_ENOMEM, "out of memory for the report") : VLY_OK;
    if (st == VLY_OK)
        printf("%s", b.ptr);
    vly_buf_release(&b);
    return st;
}

static vly_status print(const report *r, bool is_json, vly_err *err)
{
    if (is_json)
        return print_json(r, err);
    for (size_t i = 0; i < r->n_pairs; i++)
        print_pair(&r->pairs[i]);
    if (r->n_pairs == 0)
        printf("nothing was compared\n");
    if (r->n_bad > 0)
        fprintf(stderr, "volley: %" PRIu64 " lines are none of the log of shadows\n", r->n_bad);
    return VLY_OK;
}

static void release(report *r)
{
    for (size_t i = 0; i < r->n_pairs; i++) {
        vly_free(r->pairs[i].route);
        vly_free(r->pairs[i].arm);
        vly_free(r->pairs[i].shadow);
    }
    vly_free(r->pairs);
}

static int run(const void *opts, int n_args, char *const *args)
{
    const compare_opts *o = opts;
    report r = {.n_pairs = 0};
    vly_buf text;
    vly_err err;

    (void)n_args;
    vly_buf_init(&text, VLY_MEM_CLI, FILE_BYTES_MAX + 1);
    vly_status st = vly_file_read(args[0], FILE_BYTES_MAX, &text, &err);
    if (st == VLY_OK)
        st = read_log(vly_buf_str(&text), &r, &err);
    if (st == VLY_OK)
        st = print(&r, o->is_json, &err);
    release(&r);
    vly_buf_release(&text);
    return st == VLY_OK ? VLY_EXIT_OK : vly_command_fail(&err);
}

static const vly_opt options[] = {
    VLY_OPT(compare_opts, is_json, 'j', FLAG, "json", NULL, "print JSON"),
    VLY_OPT_END,
};

const vly_command vly_command_route_compare = {
    .name = "route compare",
    .args = "FILE",
    .summary = "sum up what shadows answered against their arms",
    .details =
        "FILE is what the server writes to routes.shadow_log: a line for each request that was\n"
        "run twice. For each arm and its shadow it tells how often they agree, how far boxes and\n"
        "scores, or tensors, are apart, and what either took.\n",
    .examples = "  volley route compare shadow.jsonl\n"
                "  volley route compare shadow.jsonl --json\n",
    .opts = options,
    .opts_bytes = sizeof(compare_opts),
    .n_args_min = 1,
    .n_args_max = 1,
    .run = run,
};
