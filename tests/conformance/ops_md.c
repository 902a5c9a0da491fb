/* SPDX-License-Identifier: MIT */
#include "conformance/ops_md.h"

#include "base/arena.h"
#include "codec/onnx.h"
#include "conformance/walk.h"
#include "engine/graph/sequence.h"
#include "engine/native/op_util.h"
#include "engine/op.h"
#include "sys/file.h"

#include <stdio.h>
#include <stdlib.h>

enum { OPS_MAX = 1024, NAME_MAX_BYTES = 96 };

/* ---- the ops that cases use --------------------------------------------------------------- */

typedef struct used_op {
    char name[NAME_MAX_BYTES]; /* "domain\top" */
    int n_cases;
    bool in_this_case;
} used_op;

typedef struct usage {
    used_op ops[OPS_MAX];
    int n;
} usage;

static void note_op(usage *u, const vly_onnx_node *node)
{
    char name[NAME_MAX_BYTES];
    int i = 0;

    snprintf(name, sizeof(name), "%.*s\t%.*s", VLY_STR_ARG(node->domain),
             VLY_STR_ARG(node->op_type));
    while (i < u->n && strcmp(u->ops[i].name, name) != 0)
        i++;
    if (i == OPS_MAX)
        return;
    if (i == u->n) {
        u->n++;
        memcpy(u->ops[i].name, name, sizeof(name));
    }
    u->ops[i].in_this_case = true;
}

static void visit_case(const char *path, const char *name, void *arg)
{
    usage *u = arg;
    const vly_onnx_model *model;
    vly_mmap file;
    vly_arena arena;
    char model_path[4200];

    (void)name;
    snprintf(model_path, sizeof(model_path), "%s/model.onnx", path);
    if (vly_mmap_open(model_path, (size_t)1 << 30, &file, NULL) != VLY_OK)
        return;
    vly_arena_init(&arena, VLY_MEM_CODEC, 1 << 16, (size_t)1 << 30);
    if (vly_onnx_model_parse(file.ptr, file.len, &arena, &model, NULL) == VLY_OK)
        for (size_t i = 0; i < model->graph->n_nodes; i++)
            note_op(u, &model->graph->nodes[i]);
    for (int i = 0; i < u->n; i++) {
        u->ops[i].n_cases += u->ops[i].in_this_case;
        u->ops[i].in_this_case = false;
    }
    vly_arena_release(&arena);
    vly_mmap_close(&file);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const used_op *)a)->name, ((const used_op *)b)->name);
}

vly_status ops_of_cases(char **dirs, int n_dirs, vly_buf *out, vly_err *err)
{
    static usage u;

    u.n = 0;
    for (int i = 0; i < n_dirs; i++)
        if (walk_cases(dirs[i], visit_case, &u) <= 0)
            return vly_fail(err, VLY_ENOTFOUND, "no cases in '%s'", dirs[i]);
    qsort(u.ops, (size_t)u.n, sizeof(u.ops[0]), by_name);
    for (int i = 0; i < u.n; i++)
        vly_buf_printf(out, "%s\t%d\n", u.ops[i].name, u.ops[i].n_cases);
    return VLY_OK;
}

/* ---- the page ----------------------------------------------------------------------------- */

typedef struct op_rows {
    const vly_op *rows[OPS_MAX];
    int n;
} op_rows;

static void collect(const vly_op *op, void *arg)
{
    op_rows *r = arg;
    if (r->n < OPS_MAX)
        r->rows[r->n++] = op;
}

static int by_domain_name_version(const void *a, const void *b)
{
    const vly_op *x = *(const vly_op *const *)a, *y = *(const vly_op *const *)b;
    int c = strcmp(x->domain != NULL ? x->domain : "", y->domain != NULL ? y->domain : "");

    if (c == 0)
        c = strcmp(x->name, y->name);
    return c != 0 ? c : x->since - y->since;
}

static bool is_same_op(const vly_op *a, const vly_op *b)
{
    return vly_str_eq(vly_str_from(a->domain), vly_str_from(b->domain)) &&
           vly_str_eq(vly_str_from(a->name), vly_str_from(b->name));
}

/* "7 to 12, 18 on" of the n rows of one op, adjacent ranges joined. */
static void add_versions(vly_buf *out, const vly_op *const *rows, int n)
{
    for (int i = 0; i < n; i++) {
        int since = rows[i]->since, until = rows[i]->until;
        while (i + 1 < n && until != 0 && rows[i + 1]->since <= until + 1)
            until = rows[++i]->until;
        vly_buf_printf(out, since == until ? "%d" : "%d ", since);
        if (until == 0)
            vly_buf_puts(out, "on");
        else if (until != since)
            vly_buf_printf(out, "to %d", until);
        if (i + 1 < n)
            vly_buf_puts(out, ", ");
    }
}

static void add_group(vly_buf *out, uint32_t *left, uint32_t group, const char *name)
{
    if ((*left & group) != group)
        return;
    *left &= ~group;
    vly_buf_printf(out, "%s ", name);
}

static void add_dtypes(vly_buf *out, uint32_t dtypes)
{
    uint32_t left = dtypes;

    if (dtypes == VLY_T_ANY) {
        vly_buf_puts(out, "all");
        return;
    }
    if (dtypes == VLY_T_BYTES) {
        vly_buf_puts(out, "all but the 4-bit ones");
        return;
    }
    add_group(out, &left, VLY_T_FLOAT, "floats");
    add_group(out, &left, VLY_T_INT, "integers");
    for (int t = 1; t < VLY_DTYPE_N; t++)
        if ((left & 1u << t) != 0)
            vly_buf_printf(out, "%s ", vly_dtype_name((vly_dtype)t));
    out->len--; /* the last blank */
}

static void add_implemented(vly_buf *out)
{
    static op_rows r;
    int n_ops = 0;

    r.n = 0;
    vly_op_each(collect, &r);
    qsort(r.rows, (size_t)r.n, sizeof(r.rows[0]), by_domain_name_version);
    for (int i = 0; i < r.n; i++)
        n_ops += i == 0 || !is_same_op(r.rows[i], r.rows[i - 1]);
    vly_buf_printf(out,
                   "## Implemented: %d\n\n| op | opsets | types of the first input |\n"
                   "|---|---|---|\n",
                   n_ops);
    for (int i = 0, n; i < r.n; i += n) {
        for (n = 1; i + n < r.n && is_same_op(r.rows[i], r.rows[i + n]);)
            n++;
        const char *domain = r.rows[i]->domain;
        vly_buf_printf(out, "| %s%s%s | ", domain != NULL ? domain : "", domain != NULL ? "." : "",
                       r.rows[i]->name);
        add_versions(out, r.rows + i, n);
        vly_buf_puts(out, " | ");
        add_dtypes(out, r.rows[i + n - 1]->dtypes);
        vly_buf_puts(out, " |\n");
    }
}

static void add_sequences(vly_buf *out)
{
    vly_buf_puts(out, "\n## Sequences\n\n"
                      "ConcatFromSequence, SequenceAt, SequenceConstruct, SequenceEmpty, "
                      "SequenceErase,\n"
                      "SequenceInsert, SequenceLength and SplitToSequence become ordinary ops at "
                      "load.\n"
                      "Positions and sizes must be constants; a sequence cannot be an input or "
                      "output of\n"
                      "the model.\n");
}

static vly_status add_missing(vly_buf *out, vly_str tsv, vly_err *err)
{
    vly_buf_puts(out,
                 "\n## Not implemented\n\nOps that ONNX's own backend cases (release 1.23) use, "
                 "with how many cases use them.\n\n| op | cases |\n|---|---|\n");
    while (tsv.ptr != NULL && tsv.len > 0) {
        vly_str line = vly_str_split(&tsv, '\n');
        vly_str domain = vly_str_split(&line, '\t'), name = vly_str_split(&line, '\t');
        bool has_name;
        int64_t n;
        if (!vly_str_to_i64(line, &n))
            return vly_fail(err, VLY_EFORMAT, "op list: expected 'domain<TAB>op<TAB>cases'");
        vly_op_find(domain, name, 1, &has_name);
        if (!has_name && !vly_sequence_has_op(domain, name))
            vly_buf_printf(out, "| %.*s%s%.*s | %d |\n", VLY_STR_ARG(domain),
                           domain.len > 0 ? "." : "", VLY_STR_ARG(name), (int)n);
    }
    return VLY_OK;
}

vly_status ops_page(vly_str tsv, vly_buf *out, vly_err *err)
{
    vly_buf_puts(
        out,
        "# Operators\n\n"
        "Made by `conformance --ops-md tests/conformance/cases_ops.tsv > docs/ops.md`; a test\n"
        "checks that it is up to date.\n\n"
        "\"opsets\": versions of the op's domain in which the engine runs it. \"floats\":\n"
        "float32, float64, float16, bfloat16; the half types are computed in float32.\n"
        "\"integers\": int8 to int64 and uint8 to uint64.\n\n");
    add_implemented(out);
    add_sequences(out);
    vly_status st = add_missing(out, tsv, err);
    if (st == VLY_OK && out->failed)
        st = vly_fail(err, VLY_ENOMEM, "page is too large");
    return st;
}
