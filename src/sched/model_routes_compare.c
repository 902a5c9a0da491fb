/* SPDX-License-Identifier: MIT */
#include "sched/model_routes_compare.h"

#include "base/str.h"
#include "dsp/nms.h"

#include <math.h>

static size_t at_most(size_t n)
{
    return n < VLY_ROUTE_BOXES_MAX ? n : VLY_ROUTE_BOXES_MAX;
}

/* The free box of the class of d that it overlaps most; n: none by enough. */
static size_t best_match(const vly_detection *d, const vly_detection *others, const bool *is_taken,
                         size_t n, float *ret_iou)
{
    size_t best = n;

    *ret_iou = VLY_ROUTE_IOU_MIN;
    for (size_t i = 0; i < n; i++) {
        if (is_taken[i] || others[i].class_id != d->class_id)
            continue;
        float iou = vly_box_iou(d->bbox, others[i].bbox);
        if (iou > *ret_iou || (iou >= *ret_iou && best == n)) {
            best = i;
            *ret_iou = iou;
        }
    }
    return best;
}

vly_route_boxes_diff vly_route_compare_boxes(const vly_detection *first, size_t n_first,
                                             const vly_detection *second, size_t n_second)
{
    bool is_taken[VLY_ROUTE_BOXES_MAX] = {false};
    vly_route_boxes_diff d = {.n_first = at_most(n_first), .n_second = at_most(n_second)};

    for (size_t i = 0; i < d.n_first; i++) {
        float iou;
        size_t k = best_match(&first[i], second, is_taken, d.n_second, &iou);
        if (k == d.n_second)
            continue;
        double score = fabs((double)first[i].confidence - (double)second[k].confidence);
        is_taken[k] = true;
        d.n_matched++;
        d.mean_iou += (double)iou;
        d.mean_score_diff += score;
        d.max_score_diff = score > d.max_score_diff ? score : d.max_score_diff;
    }
    if (d.n_matched > 0) {
        d.mean_iou /= (double)d.n_matched;
        d.mean_score_diff /= (double)d.n_matched;
    }
    return d;
}

static vly_route_tensor_diff compare_texts(const vly_tensor *a, const vly_tensor *b)
{
    const vly_str *x = a->data, *y = b->data;
    uint64_t n = vly_tensor_count(a), n_other = 0;

    for (uint64_t i = 0; i < n; i++)
        n_other += !vly_str_eq(x[i], y[i]);
    return (vly_route_tensor_diff){.is_same_type = true,
                                   .max_abs = n_other > 0,
                                   .mean_abs = n > 0 ? (double)n_other / (double)n : 0,
                                   .cosine = n_other == 0};
}

static bool is_same_type(const vly_tensor *a, const vly_tensor *b)
{
    bool is_same = a->dtype == b->dtype && a->shape.rank == b->shape.rank;

    for (int i = 0; is_same && i < a->shape.rank; i++)
        is_same = a->shape.dim[i] == b->shape.dim[i];
    return is_same;
}

vly_route_tensor_diff vly_route_compare_tensors(const vly_tensor *first, const vly_tensor *second)
{
    vly_route_tensor_diff d = {.is_same_type = is_same_type(first, second)};
    double dot = 0, aa = 0, bb = 0;

    if (!d.is_same_type)
        return d;
    if (first->dtype == VLY_DTYPE_STRING)
        return compare_texts(first, second);
    uint64_t n = vly_tensor_count(first);
    const float *x = first->data, *y = second->data;
    for (uint64_t i = 0; i < n; i++) {
        bool is_f32 = first->dtype == VLY_DTYPE_F32;
        double a = is_f32 ? (double)x[i] : vly_tensor_get_f64(first, i);
        double b = is_f32 ? (double)y[i] : vly_tensor_get_f64(second, i);
        double diff = isfinite(a) && isfinite(b) ? fabs(a - b) : HUGE_VAL;
        d.max_abs = diff > d.max_abs ? diff : d.max_abs;
        d.mean_abs += diff;
        dot += a * b;
        aa += a * a;
        bb += b * b;
    }
    d.mean_abs = n > 0 ? d.mean_abs / (double)n : 0;
    d.cosine = aa > 0 && bb > 0 ? dot / sqrt(aa) / sqrt(bb) : aa == bb;
    return d;
}
