/* SPDX-License-Identifier: MIT */
/*
 * Einsum: sums of products over labelled dimensions. A plan gives each label its size and each
 * operand a stride along it; output labels are walked outside, summed labels inside. A product of
 * two float matrices, possibly in a batch, goes to the GEMM instead.
 */
#include "dsp/gemm_plain.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/product.h"

#include <inttypes.h>
#include <string.h>

#define OPERANDS_MAX VLY_HALF_IN_MAX
#define LETTERS      52
#define LABELS_MAX   (LETTERS + VLY_RANK_MAX) /* letters, then the dimensions of the ellipsis */
#define ELLIPSIS     LETTERS                  /* in a term */
#define TERM_MAX     (VLY_RANK_MAX + 1)

typedef struct term {
    int n;
    uint8_t label[TERM_MAX];
} term;

typedef struct einsum_params {
    int n_operands;
    term operand[OPERANDS_MAX], out;
} einsum_params;

static int letter_label(char c)
{
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    return c >= 'A' && c <= 'Z' ? c - 'A' + 26 : -1;
}

static vly_status bad_equation(vly_str equation, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL, "attribute 'equation': cannot read '%.*s'",
                    VLY_STR_ARG(equation));
}

/* Reads one term from *s, up to a comma, an arrow or the end. */
static bool read_term(vly_str *s, term *ret)
{
    bool has_ellipsis = false;

    *ret = (term){0};
    while (s->len > 0 && s->ptr[0] != ',' && s->ptr[0] != '-') {
        int label = letter_label(s->ptr[0]);
        size_t used = 1;
        if (s->len >= 3 && memcmp(s->ptr, "...", 3) == 0 && !has_ellipsis) {
            label = ELLIPSIS;
            has_ellipsis = true;
            used = 3;
        }
        if (label < 0 && s->ptr[0] != ' ')
            return false;
        if (label >= 0 && ret->n == TERM_MAX)
            return false;
        if (label >= 0)
            ret->label[ret->n++] = (uint8_t)label;
        s->ptr += used;
        s->len -= used;
    }
    return true;
}

static int count_label(const term *t, int label)
{
    int n = 0;
    for (int i = 0; i < t->n; i++)
        n += t->label[i] == label;
    return n;
}

/* Without an arrow: the ellipsis, then the labels that appear once, in alphabetical order. */
static bool implicit_output(einsum_params *p)
{
    static const char order[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    int n_ellipsis = 0;

    for (int i = 0; i < p->n_operands; i++)
        n_ellipsis += count_label(&p->operand[i], ELLIPSIS);
    if (n_ellipsis > 0)
        p->out.label[p->out.n++] = ELLIPSIS;
    for (const char *c = order; *c != '\0'; c++) {
        int label = letter_label(*c), n = 0;
        for (int i = 0; i < p->n_operands; i++)
            n += count_label(&p->operand[i], label);
        if (n == 1 && p->out.n == TERM_MAX)
            return false;
        if (n == 1)
            p->out.label[p->out.n++] = (uint8_t)label;
    }
    return true;
}

/* Every output letter is there once and appears in an operand. */
static bool is_output_valid(const einsum_params *p)
{
    for (int i = 0; i < p->out.n; i++) {
        int label = p->out.label[i], n = 0;
        for (int k = 0; k < p->n_operands; k++)
            n += count_label(&p->operand[k], label);
        if (count_label(&p->out, label) != 1 || (n == 0 && label != ELLIPSIS))
            return false;
    }
    return true;
}

static vly_status einsum_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    einsum_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    vly_str equation = vly_attrs_string(&a, "equation", ""), s = equation;
    vly_status st = vly_attrs_end(&a, err);

    if (st != VLY_OK)
        return st;
    for (;;) {
        if (p->n_operands == OPERANDS_MAX || !read_term(&s, &p->operand[p->n_operands++]))
            return bad_equation(equation, err);
        if (s.len == 0 || s.ptr[0] != ',')
            break;
        s.ptr++;
        s.len--;
    }
    bool has_arrow = s.len >= 2 && s.ptr[0] == '-' && s.ptr[1] == '>';
    if (has_arrow) {
        s.ptr += 2;
        s.len -= 2;
    }
    if ((has_arrow && !read_term(&s, &p->out)) || s.len > 0 ||
        (!has_arrow && !implicit_output(p)) || !is_output_valid(p))
        return bad_equation(equation, err);
    return VLY_OK;
}

/* Labels in use, output first, each with its size and the operands' strides. */
typedef struct einsum_plan {
    bool is_known;
    int n_labels, n_out;
    int64_t dim[LABELS_MAX];
    int64_t stride[OPERANDS_MAX][LABELS_MAX];
    vly_shape out;
} einsum_plan;

typedef struct label_map {
    int ellipsis_rank;
    int64_t dim[LABELS_MAX]; /* VLY_DIM_UNKNOWN: not seen, or not known */
    bool is_seen[LABELS_MAX];
    int64_t stride[OPERANDS_MAX][LABELS_MAX];
} label_map;

/* One dimension of operand i has this label. */
static vly_status map_dim(label_map *m, int i, int label, int64_t dim, int64_t stride, vly_err *err)
{
    int64_t *have = &m->dim[label];

    if (m->is_seen[label] && *have >= 0 && dim >= 0 && *have != dim && *have != 1 && dim != 1)
        return vly_fail(err, VLY_EINVAL,
                        "input %d: a dimension of %" PRId64 " where another input has %" PRId64, i,
                        dim, *have);
    if (!m->is_seen[label] || (dim >= 0 && (*have == 1 || *have < 0)) || (dim < 0 && *have == 1))
        *have = dim;
    m->is_seen[label] = true;
    m->stride[i][label] += dim == 1 ? 0 : stride; /* size 1 broadcasts */
    return VLY_OK;
}

static vly_status map_operand(const vly_op_ctx *ctx, const einsum_params *p, int i, label_map *m,
                              vly_err *err)
{
    const vly_shape *s = &ctx->in[i]->shape;
    const term *t = &p->operand[i];
    bool has_ellipsis = count_label(t, ELLIPSIS) > 0;
    int n_ellipsis = s->rank - (t->n - has_ellipsis), d = 0;
    int64_t strides[VLY_RANK_MAX];

    if (n_ellipsis < 0 || (!has_ellipsis && n_ellipsis > 0)) {
        char text[VLY_SHAPE_TEXT_MAX];
        return vly_fail(err, VLY_EINVAL, "input %d: shape %s does not fit the equation", i,
                        vly_shape_text(s, text));
    }
    if (vly_shape_known(s))
        vly_shape_strides(s, strides);
    else
        memset(strides, 0, sizeof(strides));
    for (int k = 0; k < t->n; k++) {
        int n = t->label[k] == ELLIPSIS ? n_ellipsis : 1;
        for (int e = 0; e < n; e++, d++) {
            /* the ellipsis is aligned at its end, like every broadcast */
            int label = t->label[k] == ELLIPSIS ? LETTERS + VLY_RANK_MAX - n + e : t->label[k];
            vly_status st = map_dim(m, i, label, s->dim[d], strides[d], err);
            if (st != VLY_OK)
                return st;
        }
    }
    if (n_ellipsis > m->ellipsis_rank)
        m->ellipsis_rank = n_ellipsis;
    return VLY_OK;
}

static void add_label(einsum_plan *plan, const label_map *m, int n_operands, int label)
{
    plan->dim[plan->n_labels] = m->dim[label];
    for (int i = 0; i < n_operands; i++)
        plan->stride[i][plan->n_labels] = m->stride[i][label];
    plan->n_labels++;
}

static vly_status order_labels(const einsum_params *p, const label_map *m, einsum_plan *plan,
                               vly_err *err)
{
    bool is_out[LABELS_MAX] = {false};

    for (int k = 0; k < p->out.n; k++) {
        bool is_ellipsis = p->out.label[k] == ELLIPSIS;
        int first = is_ellipsis ? LABELS_MAX - m->ellipsis_rank : p->out.label[k];
        int n = is_ellipsis ? m->ellipsis_rank : 1;
        for (int label = first; label < first + n; label++) {
            if (plan->out.rank == VLY_RANK_MAX)
                return vly_fail(err, VLY_ELIMIT, "more than %d output dimensions", VLY_RANK_MAX);
            is_out[label] = true;
            plan->out.dim[plan->out.rank++] = m->dim[label];
            add_label(plan, m, p->n_operands, label);
        }
    }
    plan->n_out = plan->n_labels;
    for (int label = 0; label < LABELS_MAX; label++)
        if (m->is_seen[label] && !is_out[label])
            add_label(plan, m, p->n_operands, label);
    return VLY_OK;
}

/* The number of products fits the arithmetic of the loops. */
static bool is_countable(const einsum_plan *plan)
{
    int64_t n = 1;

    for (int l = 0; l < plan->n_labels; l++)
        if (plan->dim[l] > 0 && __builtin_mul_overflow(n, plan->dim[l], &n))
            return false;
    return true;
}

static vly_status einsum_resolve(const vly_op_ctx *ctx, einsum_plan *ret, vly_err *err)
{
    const einsum_params *p = ctx->params;
    einsum_plan plan = {.is_known = true};
    label_map m = {0};
    vly_status st = VLY_OK;

    if (ctx->n_in != p->n_operands)
        return vly_fail(err, VLY_EINVAL, "expected %d inputs as in the equation, got %d",
                        p->n_operands, ctx->n_in);
    for (int i = 0; i < ctx->n_in && st == VLY_OK; i++) {
        plan.is_known = plan.is_known && vly_shape_known(&ctx->in[i]->shape);
        st = map_operand(ctx, p, i, &m, err);
    }
    if (st == VLY_OK)
        st = order_labels(p, &m, &plan, err);
    if (st == VLY_OK && plan.is_known && !is_countable(&plan))
        st = vly_fail(err, VLY_ELIMIT, "the equation has too many products to sum");
    *ret = plan;
    return st;
}

/* ---- the product of two matrices ---------------------------------------------------------- */

typedef struct einsum_product {
    vly_gemm_shape shape;
    int a, b;    /* operands: rows and columns of the output */
    int n_batch; /* the first output labels */
} einsum_product;

/* Is the equation batch..., m, n with one label m in one operand, n in the other, and one summed
 * label in both? Then it is a matrix product for every batch index. */
static bool as_product(const vly_op_ctx *ctx, const einsum_plan *plan, einsum_product *ret)
{
    int m = plan->n_out - 2, n = plan->n_out - 1, k = plan->n_out;

    if (ctx->n_in != 2 || plan->n_out < 2 || plan->n_labels != plan->n_out + 1 ||
        ctx->in[0]->dtype == VLY_DTYPE_F64 || !vly_dtype_is_float(ctx->in[0]->dtype))
        return false;
    for (int a = 0; a < 2; a++) {
        const int64_t *sa = plan->stride[a], *sb = plan->stride[1 - a];
        bool n_only_in_b = sa[n] == 0 && sb[m] == 0;
        if (!n_only_in_b)
            continue;
        *ret = (einsum_product){.shape = {.m = plan->dim[m],
                                          .n = plan->dim[n],
                                          .k = plan->dim[k],
                                          .a_row = sa[m],
                                          .a_col = sa[k],
                                          .b_row = sb[k],
                                          .b_col = sb[n],
                                          .ldc = plan->dim[n]},
                                .a = a,
                                .b = 1 - a,
                                .n_batch = m};
        return true;
    }
    return false;
}

static vly_status einsum_infer(vly_op_ctx *ctx, vly_err *err)
{
    einsum_plan plan;
    einsum_product product;
    vly_status st = vly_op_check_same_dtype(ctx, 1, ctx->n_in - 1, err);

    if (st == VLY_OK)
        st = einsum_resolve(ctx, &plan, err);
    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &plan.out);
    if (!plan.is_known)
        return VLY_OK;
    ctx->flops = 2;
    for (int l = 0; l < plan.n_labels; l++)
        ctx->flops *= (uint64_t)plan.dim[l];
    if (as_product(ctx, &plan, &product))
        ctx->scratch_bytes = vly_product_f32_bytes(&product.shape);
    return vly_half_infer(ctx, err);
}

/* Offsets of all operands for one index along labels begin..end, counted like digits. */
static void offsets_of(const einsum_plan *plan, int n_operands, int begin, int end, int64_t index,
                       int64_t *ret_offset)
{
    memset(ret_offset, 0, sizeof(int64_t) * (size_t)n_operands);
    for (int l = end - 1; l >= begin; l--) {
        int64_t digit = index % plan->dim[l];
        index /= plan->dim[l];
        for (int i = 0; i < n_operands; i++)
            ret_offset[i] += digit * plan->stride[i][l];
    }
}

static int64_t span(const einsum_plan *plan, int begin, int end)
{
    int64_t n = 1;
    for (int l = begin; l < end; l++)
        n *= plan->dim[l];
    return n;
}

#define EINSUM_SUM(suffix, type)                                                                   \
    static void sum_##suffix(const vly_op_ctx *ctx, const einsum_plan *plan, type *y)              \
    {                                                                                              \
        int64_t n_out = span(plan, 0, plan->n_out);                                                \
        int64_t n_sum = span(plan, plan->n_out, plan->n_labels);                                   \
        for (int64_t o = 0; o < n_out; o++) {                                                      \
            int64_t base[OPERANDS_MAX], at[OPERANDS_MAX];                                          \
            type sum = 0;                                                                          \
            offsets_of(plan, ctx->n_in, 0, plan->n_out, o, base);                                  \
            for (int64_t s = 0; s < n_sum; s++) {                                                  \
                type v = 1;                                                                        \
                offsets_of(plan, ctx->n_in, plan->n_out, plan->n_labels, s, at);                   \
                for (int i = 0; i < ctx->n_in; i++)                                                \
                    v *= ((const type *)ctx->in[i]->data)[base[i] + at[i]];                        \
                sum += v;                                                                          \
            }                                                                                      \
            y[o] = sum;                                                                            \
        }                                                                                          \
    }

EINSUM_SUM(f32, float)
EINSUM_SUM(f64, double)
EINSUM_SUM(u32, uint32_t)
EINSUM_SUM(u64, uint64_t)

static void run_products(const vly_op_ctx *ctx, const einsum_plan *plan, const einsum_product *p)
{
    const float *a = ctx->in[p->a]->data, *b = ctx->in[p->b]->data;
    int64_t n = span(plan, 0, p->n_batch), offset[OPERANDS_MAX];
    float *y = ctx->out[0].data;

    for (int64_t i = 0; i < n; i++, y += p->shape.m * p->shape.n) {
        offsets_of(plan, ctx->n_in, 0, p->n_batch, i, offset);
        vly_product_f32(ctx, &p->shape, ctx->scratch, a + offset[p->a], b + offset[p->b], y);
    }
}

static vly_status einsum_run_any(vly_op_ctx *ctx, vly_err *err)
{
    einsum_plan plan;
    einsum_product product;
    vly_dtype dtype = ctx->in[0]->dtype;
    vly_status st = einsum_resolve(ctx, &plan, err);

    if (st != VLY_OK)
        return st;
    if (as_product(ctx, &plan, &product))
        run_products(ctx, &plan, &product);
    else if (dtype == VLY_DTYPE_F32)
        sum_f32(ctx, &plan, ctx->out[0].data);
    else if (dtype == VLY_DTYPE_F64)
        sum_f64(ctx, &plan, ctx->out[0].data);
    else if (vly_dtype_bits(dtype) == 32)
        sum_u32(ctx, &plan, ctx->out[0].data);
    else
        sum_u64(ctx, &plan, ctx->out[0].data);
    return VLY_OK;
}

static vly_status einsum_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, einsum_run_any, err);
}

const vly_op vly_ops_einsum[] = {
    {.name = "Einsum",
     .since = 12,
     .n_in_min = 1,
     .n_in_max = OPERANDS_MAX,
     .dtypes = VLY_T_FLOAT | VLY_T(I32) | VLY_T(I64) | VLY_T(U32) | VLY_T(U64),
     .params_bytes = sizeof(einsum_params),
     .prepare = einsum_prepare,
     .infer = einsum_infer,
     .run = einsum_run},
    {NULL},
};
