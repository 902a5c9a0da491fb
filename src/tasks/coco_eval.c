/* SPDX-License-Identifier: MIT */
/*
 * All pictures' truths and detections are kept in two flat arrays. compute() sorts references to
 * them by class, picture and score, matches one (class, picture) group at a time for all IoU
 * thresholds at once (a bit each), then walks each class's detections by falling score to its
 * curve.
 */
#include "tasks/coco_eval.h"

#include "base/bits.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DETECTIONS_DEFAULT 100

typedef struct truth {
    double box[4];
    double area;
    int32_t class_id;
    uint32_t image;
    uint32_t seq; /* order of arrival: ties keep it */
    bool is_crowd;
    bool is_ignored; /* counts neither way */
} truth;

typedef struct guess {
    double box[4];
    float score;
    int32_t class_id;
    uint32_t image;
    uint32_t seq;
    uint16_t is_hit;     /* bit per IoU threshold */
    uint16_t is_ignored; /* likewise */
} guess;

struct vly_coco_eval {
    vly_coco_options opts;
    truth *truths;
    size_t n_truths;
    size_t truths_cap;
    guess *guesses;
    size_t n_guesses;
    size_t guesses_cap;
    uint32_t n_images;
};

vly_status vly_coco_eval_new(const vly_coco_options *opts, vly_coco_eval **ret, vly_err *err)
{
    vly_coco_eval *e = vly_calloc(VLY_MEM_CLI, 1, sizeof(*e));

    if (e == NULL)
        return vly_fail(err, VLY_ENOMEM, "no memory for an evaluation");
    if (opts != NULL)
        e->opts = *opts;
    if (e->opts.max_detections == 0)
        e->opts.max_detections = MAX_DETECTIONS_DEFAULT;
    *ret = e;
    return VLY_OK;
}

void vly_coco_eval_free(vly_coco_eval *e)
{
    if (e == NULL)
        return;
    vly_free(e->truths);
    vly_free(e->guesses);
    vly_free(e);
}

/* Room for n more items of size bytes behind the *cap that *items has; false without memory. */
static bool reserve(void **items, size_t *cap, size_t len, size_t n, size_t size)
{
    size_t want;
    size_t bytes;

    if (n <= *cap - len)
        return true;
    if (!vly_size_add(len, n, &want) || !vly_size_add(want, want / 2 + 64, &want) ||
        want > UINT32_MAX || !vly_size_mul(want, size, &bytes))
        return false;
    void *grown = vly_realloc(VLY_MEM_CLI, *items, bytes);
    if (grown == NULL)
        return false;
    *items = grown;
    *cap = want;
    return true;
}

static bool is_box(const float *b)
{
    return isfinite(b[0]) && isfinite(b[1]) && isfinite(b[2]) && isfinite(b[3]);
}

static double box_area(const double *b)
{
    return (b[2] - b[0]) * (b[3] - b[1]);
}

static vly_status check_input(const vly_truth *truths, size_t n_truths,
                              const vly_detection *detections, size_t n_detections, vly_err *err)
{
    for (size_t i = 0; i < n_truths; i++)
        if (truths[i].class_id < 0 || !is_box(truths[i].bbox) || !isfinite(truths[i].area))
            return vly_fail(err, VLY_EINVAL, "truth %zu: expected a class and finite numbers", i);
    for (size_t i = 0; i < n_detections; i++)
        if (detections[i].class_id < 0 || !is_box(detections[i].bbox) ||
            !isfinite(detections[i].confidence))
            return vly_fail(err, VLY_EINVAL, "detection %zu: expected a class and finite numbers",
                            i);
    return VLY_OK;
}

static bool is_outside(const vly_coco_options *o, double area)
{
    return o->area_max > 0.0 && (area < o->area_min || area > o->area_max);
}

static void add_truth(vly_coco_eval *e, const vly_truth *t)
{
    truth *dst = &e->truths[e->n_truths];

    *dst = (truth){.class_id = t->class_id,
                   .image = e->n_images,
                   .seq = (uint32_t)e->n_truths,
                   .is_crowd = t->is_crowd};
    for (int i = 0; i < 4; i++)
        dst->box[i] = (double)t->bbox[i];
    dst->area = t->area > 0.0f ? (double)t->area : box_area(dst->box);
    dst->is_ignored = t->is_crowd || is_outside(&e->opts, dst->area);
    e->n_truths++;
}

static void add_guess(vly_coco_eval *e, const vly_detection *d)
{
    guess *dst = &e->guesses[e->n_guesses];

    *dst = (guess){.score = d->confidence,
                   .class_id = d->class_id,
                   .image = e->n_images,
                   .seq = (uint32_t)e->n_guesses};
    for (int i = 0; i < 4; i++)
        dst->box[i] = (double)d->bbox[i];
    e->n_guesses++;
}

vly_status vly_coco_eval_add(vly_coco_eval *e, const vly_truth *truths, size_t n_truths,
                             const vly_detection *detections, size_t n_detections, vly_err *err)
{
    void *grown_truths = e->truths;
    void *grown_guesses = e->guesses;

    vly_status st = check_input(truths, n_truths, detections, n_detections, err);
    if (st != VLY_OK)
        return st;
    bool has_room = reserve(&grown_truths, &e->truths_cap, e->n_truths, n_truths, sizeof(truth));
    e->truths = grown_truths;
    has_room = has_room &&
               reserve(&grown_guesses, &e->guesses_cap, e->n_guesses, n_detections, sizeof(guess));
    e->guesses = grown_guesses;
    if (!has_room || e->n_images == UINT32_MAX)
        return vly_fail(err, VLY_ENOMEM, "no memory for the boxes of an evaluation");
    for (size_t i = 0; i < n_truths; i++)
        add_truth(e, &truths[i]);
    for (size_t i = 0; i < n_detections; i++)
        add_guess(e, &detections[i]);
    e->n_images++;
    return VLY_OK;
}

static int compare_u32(uint32_t a, uint32_t b)
{
    return a < b ? -1 : a > b;
}

/* By class and picture; those that count before those that do not, as the matching wants it. */
static int compare_truths(const void *pa, const void *pb)
{
    const truth *a = pa;
    const truth *b = pb;

    if (a->class_id != b->class_id)
        return a->class_id < b->class_id ? -1 : 1;
    if (a->image != b->image)
        return compare_u32(a->image, b->image);
    if (a->is_ignored != b->is_ignored)
        return a->is_ignored ? 1 : -1;
    return compare_u32(a->seq, b->seq);
}

static int compare_scores(const guess *a, const guess *b)
{
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return compare_u32(a->seq, b->seq);
}

static int compare_guesses(const void *pa, const void *pb)
{
    const guess *a = pa;
    const guess *b = pb;

    if (a->class_id != b->class_id)
        return a->class_id < b->class_id ? -1 : 1;
    return a->image != b->image ? compare_u32(a->image, b->image) : compare_scores(a, b);
}

/* Within one class: over all pictures. */
static int compare_ranks(const void *pa, const void *pb)
{
    return compare_scores(pa, pb);
}

/* Over a crowd the detection's own area is the union. */
static double iou(const guess *g, const truth *t)
{
    double w = fmin(g->box[2], t->box[2]) - fmax(g->box[0], t->box[0]);
    double h = fmin(g->box[3], t->box[3]) - fmax(g->box[1], t->box[1]);

    if (w <= 0.0 || h <= 0.0)
        return 0.0;
    double inter = w * h;
    double all = t->is_crowd ? box_area(g->box) : box_area(g->box) + box_area(t->box) - inter;
    return inter / all;
}

/* Thresholds and recall points to the last bit as numpy.linspace gives them to pycocotools, so that
 * values on the edge fall to the same side. */
static double iou_threshold(int idx)
{
    return 0.5 + idx * ((0.95 - 0.5) / (VLY_COCO_N_IOU - 1));
}

static double recall_point(int idx)
{
    return idx * (1.0 / (VLY_COCO_N_RECALL - 1));
}

/* The truth that a detection takes at a threshold: the best one that is free, a counting one before
 * an ignored one; -1: none. taken: bit per threshold of each truth. */
static int64_t choose(const guess *g, const truth *truths, const uint16_t *taken, size_t n, int idx)
{
    double best = iou_threshold(idx);
    int64_t found = -1;

    for (size_t i = 0; i < n; i++) {
        if ((taken[i] >> idx & 1) != 0 && !truths[i].is_crowd)
            continue;
        if (found >= 0 && !truths[found].is_ignored && truths[i].is_ignored)
            break; /* ignored ones come last */
        double overlap = iou(g, &truths[i]);
        if (overlap < best)
            continue;
        best = overlap;
        found = (int64_t)i;
    }
    return found;
}

/* Matches the detections of one class in one picture, best first. taken: [n_truths] scratch. */
static void match_group(const vly_coco_options *o, guess *guesses, size_t n_guesses,
                        const truth *truths, size_t n_truths, uint16_t *taken)
{
    memset(taken, 0, n_truths * sizeof(*taken));
    for (size_t i = 0; i < n_guesses; i++) {
        guess *g = &guesses[i];
        for (int idx = 0; idx < VLY_COCO_N_IOU; idx++) {
            uint16_t bit = (uint16_t)(1u << idx);
            int64_t at = choose(g, truths, taken, n_truths, idx);
            if (at >= 0) {
                taken[at] |= bit;
                g->is_hit |= bit;
            }
            if (at >= 0 ? truths[at].is_ignored : is_outside(o, box_area(g->box)))
                g->is_ignored |= bit;
        }
    }
}

/* Working copies of one compute(). */
typedef struct work {
    truth *truths;
    guess *guesses;
    uint16_t *taken;
    double *precision; /* by detection of a class */
    double *recall;
} work;

/* Keeps the best max_detections of each picture of one class, matched; returns how many those are,
 * moved together. */
static size_t match_class(const vly_coco_options *o, work *w, guess *guesses, size_t n_guesses,
                          const truth *truths, size_t n_truths)
{
    size_t n_kept = 0;
    size_t t = 0;

    for (size_t begin = 0, end; begin < n_guesses; begin = end) {
        uint32_t image = guesses[begin].image;
        for (end = begin; end < n_guesses && guesses[end].image == image;)
            end++;
        size_t n = end - begin < o->max_detections ? end - begin : o->max_detections;
        while (t < n_truths && truths[t].image < image)
            t++;
        size_t t_end = t;
        while (t_end < n_truths && truths[t_end].image == image)
            t_end++;
        match_group(o, guesses + begin, n, truths + t, t_end - t, w->taken);
        memmove(guesses + n_kept, guesses + begin, n * sizeof(*guesses));
        n_kept += n;
    }
    return n_kept;
}

/* Mean precision over the recall points, and the final recall, at one threshold. */
static double average_precision(work *w, const guess *ranked, size_t n, size_t n_positives, int idx,
                                double *ret_recall)
{
    size_t hits = 0;
    size_t misses = 0;
    size_t len = 0;
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        if ((ranked[i].is_ignored >> idx & 1) == 0) {
            bool is_hit = (ranked[i].is_hit >> idx & 1) != 0;
            hits += is_hit;
            misses += !is_hit;
        }
        w->recall[len] = (double)hits / (double)n_positives;
        w->precision[len] = hits + misses > 0 ? (double)hits / (double)(hits + misses) : 0.0;
        len++;
    }
    for (size_t i = len; i-- > 1;) /* the envelope: precision at this recall or a higher one */
        w->precision[i - 1] = fmax(w->precision[i - 1], w->precision[i]);
    size_t at = 0;
    for (int point = 0; point < VLY_COCO_N_RECALL; point++) {
        while (at < len && w->recall[at] < recall_point(point))
            at++;
        sum += at < len ? w->precision[at] : 0.0;
    }
    *ret_recall = len > 0 ? w->recall[len - 1] : 0.0;
    return sum / VLY_COCO_N_RECALL;
}

/* Sums over classes. */
typedef struct totals {
    double ap[VLY_COCO_N_IOU];
    double recall;
    size_t n_classes;
    size_t n_positives;
} totals;

static void add_class(const vly_coco_options *o, work *w, guess *guesses, size_t n_guesses,
                      const truth *truths, size_t n_truths, totals *sum)
{
    size_t n_positives = 0;

    for (size_t i = 0; i < n_truths; i++)
        n_positives += !truths[i].is_ignored;
    if (n_positives == 0)
        return;
    size_t n = match_class(o, w, guesses, n_guesses, truths, n_truths);
    qsort(guesses, n, sizeof(*guesses), compare_ranks);
    for (int idx = 0; idx < VLY_COCO_N_IOU; idx++) {
        double recall;
        sum->ap[idx] += average_precision(w, guesses, n, n_positives, idx, &recall);
        sum->recall += recall / VLY_COCO_N_IOU;
    }
    sum->n_classes++;
    sum->n_positives += n_positives;
}

static totals add_classes(const vly_coco_eval *e, work *w)
{
    totals sum = {0};
    size_t g = 0;

    for (size_t t = 0, t_end; t < e->n_truths; t = t_end) {
        int32_t class_id = w->truths[t].class_id;
        for (t_end = t; t_end < e->n_truths && w->truths[t_end].class_id == class_id;)
            t_end++;
        while (g < e->n_guesses && w->guesses[g].class_id < class_id)
            g++;
        size_t g_end = g;
        while (g_end < e->n_guesses && w->guesses[g_end].class_id == class_id)
            g_end++;
        add_class(&e->opts, w, w->guesses + g, g_end - g, w->truths + t, t_end - t, &sum);
    }
    return sum;
}

static bool work_init(work *w, const vly_coco_eval *e)
{
    w->truths = vly_calloc(VLY_MEM_CLI, e->n_truths + 1, sizeof(*w->truths));
    w->guesses = vly_calloc(VLY_MEM_CLI, e->n_guesses + 1, sizeof(*w->guesses));
    w->taken = vly_calloc(VLY_MEM_CLI, e->n_truths + 1, sizeof(*w->taken));
    w->precision = vly_calloc(VLY_MEM_CLI, e->n_guesses + 1, sizeof(*w->precision));
    w->recall = vly_calloc(VLY_MEM_CLI, e->n_guesses + 1, sizeof(*w->recall));
    if (w->truths == NULL || w->guesses == NULL || w->taken == NULL || w->precision == NULL ||
        w->recall == NULL)
        return false;
    if (e->n_truths > 0)
        memcpy(w->truths, e->truths, e->n_truths * sizeof(*w->truths));
    if (e->n_guesses > 0)
        memcpy(w->guesses, e->guesses, e->n_guesses * sizeof(*w->guesses));
    qsort(w->truths, e->n_truths, sizeof(*w->truths), compare_truths);
    qsort(w->guesses, e->n_guesses, sizeof(*w->guesses), compare_guesses);
    return true;
}

static void work_release(work *w)
{
    vly_free(w->truths);
    vly_free(w->guesses);
    vly_free(w->taken);
    vly_free(w->precision);
    vly_free(w->recall);
}

static vly_coco_result result_of(const totals *sum, size_t n_images)
{
    vly_coco_result r = {.map50 = -1.0,
                         .map75 = -1.0,
                         .map50_95 = -1.0,
                         .recall = -1.0,
                         .n_images = n_images,
                         .n_truths = sum->n_positives,
                         .n_classes = sum->n_classes};
    double n = (double)sum->n_classes;

    if (sum->n_classes == 0)
        return r;
    r.map50 = sum->ap[0] / n;
    r.map75 = sum->ap[5] / n;
    r.map50_95 = 0.0;
    for (int idx = 0; idx < VLY_COCO_N_IOU; idx++)
        r.map50_95 += sum->ap[idx] / n / VLY_COCO_N_IOU;
    r.recall = sum->recall / n;
    return r;
}

vly_status vly_coco_eval_compute(const vly_coco_eval *e, vly_coco_result *ret, vly_err *err)
{
    work w = {0};
    vly_status st = VLY_ENOMEM;

    if (work_init(&w, e)) {
        totals sum = add_classes(e, &w);
        *ret = result_of(&sum, e->n_images);
        st = VLY_OK;
    } else {
        (void)vly_fail(err, st, "no memory to evaluate %zu boxes", e->n_truths + e->n_guesses);
    }
    work_release(&w);
    return st;
}
