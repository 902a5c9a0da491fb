/* SPDX-License-Identifier: MIT */
/*
 * A cluster keeps sums, so that adding a box to it costs the same however many it has. All sums are
 * double: the order in which boxes come changes the float that comes out at most in its last bit.
 */
#include "tasks/box_fusion.h"

#include "base/assert.h"

#include <math.h>
#include <stdlib.h>

/* A box that takes part. */
typedef struct entry {
    const float *box;
    double score; /* times the weight */
    int32_t label;
    uint32_t member;
    uint32_t order; /* in which it came: settles equal scores */
} entry;

typedef struct cluster {
    double box[4];      /* of the fused box so far */
    double box_sums[4]; /* of score * coordinate */
    double score_sum, score_max;
    double weight_sum;
    size_t n_boxes;
    uint64_t members; /* a bit for each that saw it */
    int32_t label;
} cluster;

vly_status vly_fusion_conf_parse(vly_str text, vly_fusion_conf *ret, vly_err *err)
{
#define NAME(name, text) text,
    static const char *const names[] = {VLY_FUSION_CONF_MAP(NAME)};
#undef NAME

    for (size_t i = 0; i < VLY_COUNT(names); i++) {
        if (vly_str_is(text, names[i])) {
            *ret = (vly_fusion_conf)i;
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_EINVAL,
                    "expected one of avg, max, box_and_model_avg, absent_model_aware_avg, got "
                    "'%.*s'",
                    VLY_STR_ARG(text));
}

/* ---- which boxes take part ---- */

static bool has_area(const float box[4])
{
    return isfinite(box[0]) && isfinite(box[1]) && isfinite(box[2]) && isfinite(box[3]) &&
           box[2] > box[0] && box[3] > box[1];
}

static bool takes_part(const vly_fusion_member *m, size_t i, const vly_fusion_opts *opts)
{
    return isfinite(m->scores[i]) && m->scores[i] >= opts->skip_box_threshold && m->scores[i] > 0 &&
           has_area(&m->boxes[i * 4]);
}

/* Falling score, then the order in which they came. */
static int by_score(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static vly_status list_entries(const vly_fusion_member *members, size_t n_members,
                               const vly_fusion_opts *opts, vly_arena *arena, entry **ret,
                               size_t *ret_n, vly_err *err)
{
    size_t n_all = 0, n = 0;

    for (size_t m = 0; m < n_members; m++)
        n_all += members[m].n;
    entry *list = vly_arena_calloc(arena, n_all + 1, sizeof(*list));
    if (list == NULL)
        return vly_arena_fail(arena, err);
    for (size_t m = 0; m < n_members; m++) {
        for (size_t i = 0; i < members[m].n; i++) {
            if (!takes_part(&members[m], i, opts))
                continue;
            list[n] = (entry){.box = &members[m].boxes[i * 4],
                              .score = (double)members[m].scores[i] * (double)members[m].weight,
                              .label = members[m].labels[i],
                              .member = (uint32_t)m,
                              .order = (uint32_t)n};
            n++;
        }
    }
    qsort(list, n, sizeof(*list), by_score);
    *ret = list;
    *ret_n = n < VLY_FUSION_BOXES_MAX ? n : VLY_FUSION_BOXES_MAX;
    return VLY_OK;
}

/* ---- clusters ---- */

static double iou(const double a[4], const float b[4])
{
    double w = fmin(a[2], (double)b[2]) - fmax(a[0], (double)b[0]);
    double h = fmin(a[3], (double)b[3]) - fmax(a[1], (double)b[1]);

    if (w <= 0 || h <= 0)
        return 0;
    double area_a = (a[2] - a[0]) * (a[3] - a[1]);
    double area_b = ((double)b[2] - (double)b[0]) * ((double)b[3] - (double)b[1]);
    return w * h / (area_a + area_b - w * h);
}

/* The cluster of its class that a box overlaps most, when that is more than the threshold. */
static cluster *find_cluster(cluster *clusters, size_t n, const entry *e, double threshold)
{
    cluster *best = NULL;
    double best_iou = threshold;

    for (size_t i = 0; i < n; i++) {
        if (clusters[i].label != e->label)
            continue;
        double overlap = iou(clusters[i].box, e->box);
        if (overlap > best_iou) {
            best_iou = overlap;
            best = &clusters[i];
        }
    }
    return best;
}

static void add_box(cluster *c, const entry *e, double weight)
{
    c->label = e->label;
    c->n_boxes++;
    c->members |= UINT64_C(1) << e->member;
    c->weight_sum += weight;
    c->score_sum += e->score;
    c->score_max = fmax(c->score_max, e->score);
    for (int i = 0; i < 4; i++) {
        c->box_sums[i] += e->score * (double)e->box[i];
        c->box[i] = c->box_sums[i] / c->score_sum;
    }
}

typedef struct weighing {
    double sum, max;
    size_t n;
} weighing;

static double seen_weight(const cluster *c, const vly_fusion_member *members, size_t n_members)
{
    double sum = 0;

    for (size_t m = 0; m < n_members; m++)
        if ((c->members >> m & 1) != 0)
            sum += (double)members[m].weight;
    return sum;
}

static double score_of(const cluster *c, vly_fusion_conf conf, const vly_fusion_member *members,
                       const weighing *w)
{
    double n_boxes = (double)c->n_boxes;
    double seen = seen_weight(c, members, w->n);

    switch (conf) {
    case VLY_FUSION_CONF_AVG:
        return c->score_sum / n_boxes * fmin((double)w->n, n_boxes) / w->sum;
    case VLY_FUSION_CONF_MAX:
        return c->score_max / w->max;
    case VLY_FUSION_CONF_BOX_AND_MODEL_AVG:
        return c->score_sum / c->weight_sum * seen / w->sum;
    case VLY_FUSION_CONF_ABSENT_MODEL_AWARE_AVG:
        return c->score_sum / (c->weight_sum + w->sum - seen);
    }
    return 0;
}

typedef struct ranked {
    vly_fused_box box;
    uint32_t rank;
} ranked;

static int by_fused_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;

    if (x->box.score != y->box.score)
        return x->box.score > y->box.score ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static vly_status rank(const cluster *clusters, size_t n, const vly_fusion_member *members,
                       vly_fusion_conf conf, const weighing *w, vly_arena *arena,
                       vly_fused_box **ret, vly_err *err)
{
    ranked *list = vly_arena_calloc(arena, n + 1, sizeof(*list));
    vly_fused_box *boxes = vly_arena_calloc(arena, n + 1, sizeof(*boxes));

    if (list == NULL || boxes == NULL)
        return vly_arena_fail(arena, err);
    for (size_t i = 0; i < n; i++) {
        const cluster *c = &clusters[i];
        list[i].rank = (uint32_t)i;
        list[i].box.label = c->label;
        list[i].box.score = (float)score_of(c, conf, members, w);
        for (int k = 0; k < 4; k++)
            list[i].box.box[k] = (float)c->box[k];
    }
    qsort(list, n, sizeof(*list), by_fused_score);
    for (size_t i = 0; i < n; i++)
        boxes[i] = list[i].box;
    *ret = boxes;
    return VLY_OK;
}

vly_status vly_fuse_boxes(const vly_fusion_member *members, size_t n_members,
                          const vly_fusion_opts *opts, vly_arena *arena, vly_fused_box **ret,
                          size_t *ret_n, vly_err *err)
{
    weighing w = {.n = n_members};
    entry *entries = NULL;
    size_t n_entries = 0, n = 0;

    VLY_ASSERT(n_members >= 1 && n_members <= VLY_FUSION_MEMBERS_MAX);
    for (size_t m = 0; m < n_members; m++) {
        w.sum += (double)members[m].weight;
        w.max = fmax(w.max, (double)members[m].weight);
    }
    vly_status st = list_entries(members, n_members, opts, arena, &entries, &n_entries, err);
    if (st != VLY_OK)
        return st;
    cluster *clusters = vly_arena_calloc(arena, n_entries + 1, sizeof(*clusters));
    if (clusters == NULL)
        return vly_arena_fail(arena, err);
    for (size_t i = 0; i < n_entries; i++) {
        const entry *e = &entries[i];
        cluster *c = find_cluster(clusters, n, e, (double)opts->iou_threshold);
        add_box(c != NULL ? c : &clusters[n++], e, (double)members[e->member].weight);
    }
    st = rank(clusters, n, members, opts->conf, &w, arena, ret, err);
    if (st == VLY_OK)
        *ret_n = n;
    return st;
}

void vly_vote(const float *const *scores, const float *weights, size_t n_members, size_t n,
              float *ret)
{
    double weight_sum = 0;

    for (size_t m = 0; m < n_members; m++)
        weight_sum += (double)weights[m];
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t m = 0; m < n_members; m++)
            sum += (double)weights[m] * (double)scores[m][i];
        ret[i] = (float)(sum / weight_sum);
    }
}
