/* SPDX-License-Identifier: MIT */
/*
 * Ops on strings: StringNormalizer, StringConcat, StringSplit.
 *
 * A string's bytes belong to its tensor. What StringNormalizer and StringConcat make is put
 * together in a block of run's own and copied from there, so their outputs are left to run even
 * where infer could tell the shape. The parts that StringSplit makes are views of its input's
 * bytes, as with any op that only moves elements.
 */
#include "base/bits.h"
#include "base/mem.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"

#include <inttypes.h>

/* Of one output: broadcasting and splitting multiply what came in. */
#define STRINGS_MAX_BYTES ((size_t)1 << 30)

/* One block of n strings and, behind them, n_bytes for their text. */
static vly_status new_strings(uint64_t n, size_t n_bytes, vly_str **ret, char **ret_text,
                              vly_err *err)
{
    size_t total;

    if (!vly_dtype_size(VLY_DTYPE_STRING, n, &total) || !vly_size_add(total, n_bytes, &total) ||
        total > STRINGS_MAX_BYTES)
        return vly_fail(err, VLY_ELIMIT, "strings of more than %zu bytes", STRINGS_MAX_BYTES);
    vly_str *list = vly_alloc(VLY_MEM_TENSOR, total > 0 ? total : 1);
    if (list == NULL)
        return vly_fail(err, VLY_ENOMEM, "cannot allocate %zu bytes for strings", total);
    *ret = list;
    *ret_text = (char *)(list + n);
    return VLY_OK;
}

/* Output 0 becomes a copy of the list, text included. */
static vly_status give_strings(vly_op_ctx *ctx, const vly_shape *shape, const vly_str *list,
                               vly_err *err)
{
    vly_tensor t = vly_tensor_borrow(VLY_DTYPE_STRING, shape, list);
    return vly_tensor_copy(&t, &ctx->out[0], err);
}

/* ---- StringNormalizer --------------------------------------------------------------------- */

typedef struct normalizer {
    int action; /* index into case_actions */
    bool is_case_sensitive;
    const vly_str *stopwords;
    size_t n_stopwords;
} normalizer;

enum { CASE_NONE, CASE_LOWER, CASE_UPPER };
#define CASE_ACTIONS "NONE\0LOWER\0UPPER\0"

static vly_status normalizer_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    normalizer *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->action = vly_attrs_enum(&a, "case_change_action", CASE_ACTIONS, CASE_NONE);
    p->is_case_sensitive = vly_attrs_int(&a, "is_case_sensitive", 0) != 0;
    p->stopwords = vly_attrs_strings(&a, "stopwords", &p->n_stopwords);
    return vly_attrs_end(&a, err);
}

static vly_status normalizer_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_shape shape = ctx->in[0]->shape;
    vly_status st = vly_op_check_rank(ctx, 0, 1, 2, err);

    if (st != VLY_OK)
        return st;
    if (shape.rank == 2 && shape.dim[0] != 1 && shape.dim[0] != VLY_DIM_UNKNOWN)
        return vly_fail(err, VLY_EINVAL,
                        "input 0: expected shape [C] or [1,C], got %" PRId64 " rows", shape.dim[0]);
    if (shape.rank == 2)
        shape.dim[0] = 1;
    shape.dim[shape.rank - 1] = VLY_DIM_UNKNOWN;
    vly_op_out_set(ctx, 0, VLY_DTYPE_STRING, &shape);
    return VLY_OK;
}

static bool is_stopword(const normalizer *p, vly_str s)
{
    for (size_t i = 0; i < p->n_stopwords; i++)
        if (p->is_case_sensitive ? vly_str_eq(s, p->stopwords[i])
                                 : vly_str_eq_nocase(s, p->stopwords[i]))
            return true;
    return false;
}

/* Case is that of ASCII here: a string with other letters would come out half changed. */
static vly_status check_ascii(const vly_tensor *in, vly_err *err)
{
    const vly_str *s = in->data;

    for (uint64_t i = 0; i < vly_tensor_count(in); i++)
        for (size_t k = 0; k < s[i].len; k++)
            if ((unsigned char)s[i].ptr[k] >= 0x80)
                return vly_fail(err, VLY_EUNSUPPORTED,
                                "string %" PRIu64 " has letters beyond ASCII, whose case is not "
                                "known here",
                                i);
    return VLY_OK;
}

static vly_str change_case(int action, vly_str s, char *to)
{
    const char first = action == CASE_UPPER ? 'a' : 'A';

    for (size_t i = 0; i < s.len; i++) {
        bool is_other = action != CASE_NONE && s.ptr[i] >= first && s.ptr[i] <= first + 25;
        to[i] = (char)(is_other ? s.ptr[i] ^ 0x20 : s.ptr[i]);
    }
    return (vly_str){to, s.len};
}

static vly_status normalizer_run(vly_op_ctx *ctx, vly_err *err)
{
    const normalizer *p = ctx->params;
    const vly_tensor *in = ctx->in[0];
    const vly_str *s = in->data;
    const uint64_t n = vly_tensor_count(in);
    vly_shape shape = in->shape;
    size_t n_bytes = 0;
    int64_t n_kept = 0;
    vly_str *kept;
    char *text;
    vly_status st = VLY_OK;

    if (p->action != CASE_NONE || (!p->is_case_sensitive && p->n_stopwords > 0))
        st = check_ascii(in, err);
    for (uint64_t i = 0; i < n && st == VLY_OK; i++)
        if (!vly_size_add(n_bytes, s[i].len, &n_bytes))
            st = vly_fail(err, VLY_ELIMIT, "the size of the strings overflows");
    if (st == VLY_OK)
        st = new_strings(n + 1, n_bytes, &kept, &text, err);
    if (st != VLY_OK)
        return st;
    kept[0] = (vly_str){NULL, 0}; /* what there is when nothing is left */
    for (uint64_t i = 0; i < n; i++) {
        if (is_stopword(p, s[i]))
            continue;
        kept[n_kept++] = change_case(p->action, s[i], text);
        text += s[i].len;
    }
    shape.dim[shape.rank - 1] = n_kept > 0 ? n_kept : 1;
    st = give_strings(ctx, &shape, kept, err);
    vly_free(kept);
    return st;
}

/* ---- StringConcat ------------------------------------------------------------------------- */

#define LEFT(x, y, T, U)  ((void)(y), (x))
#define RIGHT(x, y, T, U) ((void)(x), (y))
VLY_BINARY(left_STRING, vly_str, vly_str, vly_str, LEFT)
VLY_BINARY(right_STRING, vly_str, vly_str, vly_str, RIGHT)
static vly_binary_table left = {[VLY_DTYPE_STRING] = left_STRING};
static vly_binary_table right = {[VLY_DTYPE_STRING] = right_STRING};

static vly_status concat_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_status st = vly_infer_broadcast(ctx, err);

    if (st == VLY_OK)
        vly_op_out_unknown(ctx, 0, VLY_DTYPE_STRING);
    return st;
}

/* halves: n left ones, then n right ones. */
static vly_status join(vly_op_ctx *ctx, const vly_shape *shape, const vly_str *halves, uint64_t n,
                       vly_err *err)
{
    size_t n_bytes = 0;
    vly_str *whole;
    char *text;

    for (uint64_t i = 0; i < 2 * n; i++)
        if (!vly_size_add(n_bytes, halves[i].len, &n_bytes))
            return vly_fail(err, VLY_ELIMIT, "the size of the strings overflows");
    vly_status st = new_strings(n, n_bytes, &whole, &text, err);
    if (st != VLY_OK)
        return st;
    for (uint64_t i = 0; i < n; i++) {
        vly_str a = halves[i], b = halves[n + i];
        whole[i] = (vly_str){text, a.len + b.len};
        if (a.len > 0)
            memcpy(text, a.ptr, a.len);
        if (b.len > 0)
            memcpy(text + a.len, b.ptr, b.len);
        text += a.len + b.len;
    }
    st = give_strings(ctx, shape, whole, err);
    vly_free(whole);
    return st;
}

static vly_status concat_run(vly_op_ctx *ctx, vly_err *err)
{
    vly_shape shape;
    vly_str *halves;
    char *text;
    uint64_t n;

    if (!vly_shape_broadcast(&ctx->in[0]->shape, &ctx->in[1]->shape, &shape) ||
        !vly_shape_count(&shape, &n) || n > STRINGS_MAX_BYTES)
        return vly_fail(err, VLY_ELIMIT, "too many strings");
    vly_status st = new_strings(2 * n, 0, &halves, &text, err);
    if (st != VLY_OK)
        return st;
    vly_tensor a = vly_tensor_borrow(VLY_DTYPE_STRING, &shape, halves);
    vly_tensor b = vly_tensor_borrow(VLY_DTYPE_STRING, &shape, halves + n);
    st = vly_binary_run(ctx->in[0], ctx->in[1], &a, left, err);
    if (st == VLY_OK)
        st = vly_binary_run(ctx->in[0], ctx->in[1], &b, right, err);
    if (st == VLY_OK)
        st = join(ctx, &shape, halves, n, err);
    vly_free(halves);
    return st;
}

/* ---- StringSplit -------------------------------------------------------------------------- */

typedef struct splitter {
    vly_str delimiter; /* empty: runs of white space, none at the ends */
    uint64_t max_cuts;
} splitter;

static vly_status split_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    splitter *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    int64_t max_cuts = vly_attrs_int(&a, "maxsplit", -1);

    p->delimiter = vly_attrs_string(&a, "delimiter", "");
    p->max_cuts = max_cuts >= 0 ? (uint64_t)max_cuts : UINT64_MAX;
    return vly_attrs_end(&a, err);
}

static vly_status split_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_shape shape = ctx->in[0]->shape;

    if (vly_op_wants(ctx, 1))
        vly_op_out_set(ctx, 1, VLY_DTYPE_I64, &shape);
    vly_status st = vly_shape_push(&shape, VLY_DIM_UNKNOWN, err);
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, VLY_DTYPE_STRING, &shape);
    return st;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Length of the delimiter at s (0: none there). */
static size_t delimiter_at(const splitter *p, vly_str s)
{
    if (p->delimiter.len > 0)
        return vly_str_starts(s, p->delimiter) ? p->delimiter.len : 0;
    return s.len > 0 && is_space(s.ptr[0]) ? 1 : 0;
}

/* Cuts the next part off *s; false when there is none left. n: parts cut before. */
static bool next_part(const splitter *p, vly_str *s, uint64_t n, vly_str *ret)
{
    const bool is_space_run = p->delimiter.len == 0;
    vly_str rest = *s;
    size_t len = 0, cut;

    while (is_space_run && delimiter_at(p, rest) > 0)
        rest = (vly_str){rest.ptr + 1, rest.len - 1};
    if (s->ptr == NULL || (is_space_run && rest.len == 0))
        return false;
    while (len < rest.len && delimiter_at(p, (vly_str){rest.ptr + len, rest.len - len}) == 0)
        len++;
    if (len == rest.len || n >= p->max_cuts) {
        *ret = rest;
        *s = (vly_str){NULL, 0};
        return true;
    }
    cut = len + delimiter_at(p, (vly_str){rest.ptr + len, rest.len - len});
    *ret = (vly_str){rest.ptr, len};
    *s = (vly_str){rest.ptr + cut, rest.len - cut};
    return true;
}

/* A string to cut: its pointer must not be NULL, that means "all cut". */
static vly_str whole_of(const vly_tensor *in, uint64_t i)
{
    vly_str s = ((const vly_str *)in->data)[i];
    return s.len > 0 ? s : VLY_STR("");
}

static vly_status split_run(vly_op_ctx *ctx, vly_err *err)
{
    const splitter *p = ctx->params;
    const vly_tensor *in = ctx->in[0];
    const uint64_t n = vly_tensor_count(in);
    vly_shape shape = in->shape;
    vly_str part, rest;
    uint64_t most = 0, k;
    size_t bytes;

    for (uint64_t i = 0; i < n; i++) {
        rest = whole_of(in, i);
        for (k = 0; next_part(p, &rest, k, &part);)
            k++;
        most = k > most ? k : most;
        if (vly_op_wants(ctx, 1))
            ((int64_t *)ctx->out[1].data)[i] = (int64_t)k;
    }
    vly_status st = vly_shape_push(&shape, (int64_t)most, err);
    if (st == VLY_OK &&
        (!vly_shape_bytes(&shape, VLY_DTYPE_STRING, &bytes) || bytes > STRINGS_MAX_BYTES))
        st = vly_fail(err, VLY_ELIMIT, "strings of more than %zu bytes", STRINGS_MAX_BYTES);
    if (st == VLY_OK)
        st = vly_op_out_alloc(ctx, 0, &shape, err);
    if (st != VLY_OK || !vly_op_wants(ctx, 0))
        return st;
    vly_str *out = ctx->out[0].data;
    for (uint64_t i = 0; i < n; i++, out += most) {
        rest = whole_of(in, i);
        for (k = 0; next_part(p, &rest, k, &part);)
            out[k++] = part;
        while (k < most)
            out[k++] = VLY_STR("");
    }
    return VLY_OK;
}

const vly_op vly_ops_strings[] = {
    {.name = "StringNormalizer",
     .since = 10,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T(STRING),
     .params_bytes = sizeof(normalizer),
     .prepare = normalizer_prepare,
     .infer = normalizer_infer,
     .run = normalizer_run},
    {.name = "StringConcat",
     .since = 20,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T(STRING),
     .infer = concat_infer,
     .run = concat_run},
    {.name = "StringSplit",
     .since = 20,
     .n_in_min = 1,
     .n_in_max = 1,
     .n_out_max = 2,
     .dtypes = VLY_T(STRING),
     .params_bytes = sizeof(splitter),
     .prepare = split_prepare,
     .infer = split_infer,
     .run = split_run},
    {NULL},
};
