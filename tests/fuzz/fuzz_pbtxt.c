/* SPDX-License-Identifier: MIT */
/*
 * The text format, as a tree and as Triton's configuration. A tree that was accepted is printed and
 * read again: the same tree must come out.
 */
#include "base/assert.h"
#include "base/buf.h"
#include "codec/pbtxt.h"
#include "codec/triton_config.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

#define ARENA_BUDGET ((size_t)16 << 20)

static void print_string(vly_buf *out, vly_str s)
{
    vly_buf_putc(out, '"');
    for (size_t i = 0; i < s.len; i++)
        vly_buf_printf(out, "\\%03o", (unsigned char)s.ptr[i]);
    vly_buf_putc(out, '"');
}

/* In preorder; the messages that are open stand on `open`. */
static void print_tree(vly_buf *out, const vly_pbtxt *root)
{
    const vly_pbtxt *open[VLY_PBTXT_DEPTH_MAX + 1];
    const vly_pbtxt *f = root->first;
    size_t depth = 0;

    while (f != NULL || depth > 0) {
        if (f == NULL) {
            vly_buf_puts(out, "}\n");
            f = open[--depth]->next;
            continue;
        }
        vly_buf_add_str(out, f->name);
        if (f->kind == VLY_PBTXT_MESSAGE) {
            VLY_ASSERT(depth < VLY_PBTXT_DEPTH_MAX);
            vly_buf_puts(out, " {\n");
            open[depth++] = f;
            f = f->first;
            continue;
        }
        vly_buf_puts(out, f->is_negative ? ": -" : ": ");
        if (f->kind == VLY_PBTXT_STRING)
            print_string(out, f->text);
        else
            vly_buf_add_str(out, f->text);
        vly_buf_putc(out, '\n');
        f = f->next;
    }
}

static void check_values(const vly_pbtxt *root)
{
    for (const vly_pbtxt *f = root->first; f != NULL; f = f->next) {
        int64_t i;
        double d;
        bool b;
        VLY_ASSERT(f->line >= 1 && f->column >= 1 && f->name.len > 0);
        if (vly_pbtxt_i64(f, &i))
            VLY_ASSERT(f->kind == VLY_PBTXT_NUMBER && (i >= 0 || f->is_negative));
        if (vly_pbtxt_f64(f, &d) || vly_pbtxt_bool(f, &b))
            VLY_ASSERT(f->kind == VLY_PBTXT_NUMBER || f->kind == VLY_PBTXT_IDENT);
    }
}

static void check_round_trip(const vly_pbtxt *root)
{
    const vly_pbtxt *again = NULL;
    vly_arena arena;
    vly_buf first, second;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 8 * ARENA_BUDGET);
    vly_buf_init(&first, VLY_MEM_CODEC, SIZE_MAX);
    vly_buf_init(&second, VLY_MEM_CODEC, SIZE_MAX);
    print_tree(&first, root);
    VLY_ASSERT(!first.failed);
    VLY_ASSERT(vly_pbtxt_parse(vly_buf_str(&first), &arena, &again, NULL) == VLY_OK);
    print_tree(&second, again);
    VLY_ASSERT(vly_str_eq(vly_buf_str(&first), vly_buf_str(&second)));
    vly_buf_release(&first);
    vly_buf_release(&second);
    vly_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    const vly_pbtxt *root = NULL;
    const vly_triton_config *c = NULL;
    vly_str text = {(const char *)bytes, n};
    vly_arena arena;
    vly_err err = VLY_ERR_INIT;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, ARENA_BUDGET);
    vly_status st = vly_pbtxt_parse(text, &arena, &root, &err);
    VLY_ASSERT((st == VLY_OK) == (root != NULL) && st == err.status);
    if (root != NULL) {
        check_values(root);
        check_round_trip(root);
    }
    vly_arena_reset(&arena);
    bool is_tree = st == VLY_OK;
    st = vly_triton_config_parse(text, &arena, &c, NULL);
    VLY_ASSERT((st == VLY_OK) == (c != NULL) && (is_tree || c == NULL));
    if (c != NULL) {
        VLY_ASSERT(c->max_batch_size >= 0);
        for (size_t i = 0; i < c->n_inputs; i++)
            for (size_t d = 0; d < c->inputs[i].n_dims; d++)
                VLY_ASSERT(c->inputs[i].dims[d] >= -1);
        for (size_t i = 0; i < c->n_unknown; i++)
            VLY_ASSERT(c->unknown[i].len > 0);
    }
    vly_arena_release(&arena);
    return 0;
}
