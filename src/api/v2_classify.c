/* SPDX-License-Identifier: MIT */
#include "api/v2_classify.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

typedef struct ranked {
    double value;
    uint64_t idx;
} ranked;

static int by_value(const void *a, const void *b)
{
    const ranked *x = a, *y = b;

    if (isnan(x->value) != isnan(y->value))
        return isnan(x->value) ? 1 : -1;
    if (x->value > y->value || x->value < y->value)
        return x->value > y->value ? -1 : 1;
    return (x->idx > y->idx) - (x->idx < y->idx);
}

/* What the rows of one tensor have in common. */
typedef struct classifier {
    const vly_tensor *tensor;
    const vly_labels *labels;
    vly_arena *arena;
    uint64_t n_columns;
    uint64_t k;
    ranked *scratch; /* [n_columns] */
} classifier;

/* The value as C++'s std::to_string has it, which is what clients of Triton parse. */
static char *text_of(const classifier *c, uint64_t element, uint64_t idx)
{
    const vly_labels *labels = c->labels;
    bool has_label = idx < labels->count && labels->names[idx].len > 0;
    vly_str label = has_label ? labels->names[idx] : VLY_STR("");
    const char *colon = has_label ? ":" : "";

    if (vly_dtype_is_float(c->tensor->dtype))
        return vly_arena_printf(c->arena, "%f:%llu%s%.*s", vly_tensor_get_f64(c->tensor, element),
                                (unsigned long long)idx, colon, VLY_STR_ARG(label));
    return vly_arena_printf(c->arena, "%lld:%llu%s%.*s",
                            (long long)vly_tensor_get_i64(c->tensor, element),
                            (unsigned long long)idx, colon, VLY_STR_ARG(label));
}

static vly_status classify_row(const classifier *c, uint64_t row, vly_str *out, vly_err *err)
{
    uint64_t first = row * c->n_columns;

    for (uint64_t i = 0; i < c->n_columns; i++)
        c->scratch[i] = (ranked){vly_tensor_get_f64(c->tensor, first + i), i};
    qsort(c->scratch, c->n_columns, sizeof(*c->scratch), by_value);
    for (uint64_t i = 0; i < c->k; i++) {
        char *text = text_of(c, first + c->scratch[i].idx, c->scratch[i].idx);
        if (text == NULL)
            return vly_fail(err, VLY_ELIMIT, "classification: out of scratch memory");
        out[i] = vly_str_from(text);
    }
    return VLY_OK;
}

vly_status vly_v2_classify(const vly_tensor *t, bool is_batched, uint64_t k,
                           const vly_labels *labels, vly_arena *arena, vly_tensor *ret,
                           vly_err *err)
{
    uint64_t n_rows = is_batched && t->shape.rank > 0 ? (uint64_t)t->shape.dim[0] : 1;
    classifier c = {.tensor = t, .labels = labels, .arena = arena};
    vly_tensor out = {.data = NULL};

    if (!vly_dtype_is_float(t->dtype) && !vly_dtype_is_int(t->dtype))
        return vly_fail(err, VLY_EINVAL,
                        "class result not available for output due to unsupported type '%s'",
                        vly_dtype_kserve(t->dtype));
    c.n_columns = n_rows > 0 ? vly_tensor_count(t) / n_rows : 0;
    c.k = k < c.n_columns ? k : c.n_columns;
    c.scratch = vly_calloc(VLY_MEM_NET, c.n_columns + 1, sizeof(*c.scratch));
    if (c.scratch == NULL)
        return vly_fail(err, VLY_ENOMEM, "classification: out of memory");
    vly_shape shape =
        is_batched ? VLY_SHAPE((int64_t)n_rows, (int64_t)c.k) : VLY_SHAPE((int64_t)c.k);
    vly_status st = vly_tensor_new(VLY_DTYPE_STRING, &shape, &out, err);
    for (uint64_t row = 0; st == VLY_OK && row < n_rows; row++)
        st = classify_row(&c, row, (vly_str *)out.data + row * c.k, err);
    vly_free(c.scratch);
    if (st == VLY_OK)
        *ret = out;
    else
        vly_tensor_release(&out);
    return st;
}
