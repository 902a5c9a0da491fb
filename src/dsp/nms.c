/* SPDX-License-Identifier: MIT */
#include "dsp/nms.h"

#include <stdbool.h>

static float area(const float *b)
{
    float w = b[2] - b[0];
    float h = b[3] - b[1];
    return w > 0.0f && h > 0.0f ? w * h : 0.0f;
}

float vly_box_iou(const float *a, const float *b)
{
    float x1 = a[0] > b[0] ? a[0] : b[0];
    float y1 = a[1] > b[1] ? a[1] : b[1];
    float x2 = a[2] < b[2] ? a[2] : b[2];
    float y2 = a[3] < b[3] ? a[3] : b[3];

    if (!(x2 > x1 && y2 > y1))
        return 0.0f;
    float inter = (x2 - x1) * (y2 - y1);
    float both = area(a) + area(b) - inter;
    return both > 0.0f ? inter / both : 0.0f;
}

static bool before(const float *scores, uint32_t a, uint32_t b)
{
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
}

/* Restores the heap order below root: the item that comes last in the result is on top. */
static void sift_down(const float *scores, uint32_t *heap, size_t root, size_t n)
{
    uint32_t item = heap[root];

    for (size_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
        if (child + 1 < n && before(scores, heap[child], heap[child + 1]))
            child++;
        if (!before(scores, item, heap[child]))
            break;
        heap[root] = heap[child];
        root = child;
    }
    heap[root] = item;
}

/* Heap sort: no allocation, no recursion, n log n at worst whatever the scores are; the total order
 * of before() makes its instability invisible. */
void vly_sort_scores(const float *scores, size_t n, uint32_t *ret_order)
{
    for (size_t i = 0; i < n; i++)
        ret_order[i] = (uint32_t)i;
    for (size_t i = n / 2; i-- > 0;)
        sift_down(scores, ret_order, i, n);
    for (size_t end = n; end > 1; end--) {
        uint32_t last = ret_order[0];
        ret_order[0] = ret_order[end - 1];
        ret_order[end - 1] = last;
        sift_down(scores, ret_order, 0, end - 1);
    }
}

static bool is_suppressed(const vly_nms_args *a, uint32_t i, const uint32_t *keep, size_t n_keep)
{
    const float *box = a->boxes + 4 * (size_t)i;

    for (size_t k = 0; k < n_keep; k++) {
        if (a->classes != NULL && a->classes[keep[k]] != a->classes[i])
            continue;
        if (vly_box_iou(box, a->boxes + 4 * (size_t)keep[k]) > a->iou_threshold)
            return true;
    }
    return false;
}

size_t vly_nms(const vly_nms_args *a, uint32_t *order, uint32_t *keep)
{
    size_t n_visit = a->n < a->max_visit ? a->n : a->max_visit;
    size_t n_keep = 0;

    vly_sort_scores(a->scores, a->n, order);
    for (size_t i = 0; i < n_visit && n_keep < a->max_keep; i++)
        if (!is_suppressed(a, order[i], keep, n_keep))
            keep[n_keep++] = order[i];
    return n_keep;
}
