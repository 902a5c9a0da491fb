/* SPDX-License-Identifier: MIT */
#include "api/infer_parts.h"

#define ARENA_BYTES ((size_t)2 << 10) /* of a small answer: it allocates nothing */
#define COPY_MAX    ((size_t)4 << 10) /* a copy this large costs less than a part of its own */

static vly_buf *add(const vly_infer *call, vly_infer_parts *p)
{
    vly_buf *b = &p->buf[p->n++];

    vly_buf_init(b, VLY_MEM_NET, call->api->max_answer_bytes);
    return b;
}

vly_buf *vly_infer_parts_open(const vly_infer *call, vly_infer_parts *p)
{
    if (p->n == 0) {
        void *memory = vly_arena_alloc(call->arena, ARENA_BYTES);
        vly_buf *first = add(call, p);
        if (memory != NULL)
            vly_buf_lend(first, memory, 0, ARENA_BYTES, NULL, NULL);
        return first;
    }
    vly_buf *last = &p->buf[p->n - 1];
    bool is_only_lent = last->is_lent && last->cap == 0;
    return is_only_lent && p->n < VLY_HTTP_MAX_PARTS ? add(call, p) : last;
}

void vly_infer_parts_put(const vly_infer *call, const vly_tensor *t, vly_infer_parts *p)
{
    /* Behind the part that is lent there must be room for one to go on with. */
    if (t->bytes > COPY_MAX && p->n < VLY_HTTP_MAX_PARTS - 1) {
        vly_buf *next = add(call, p);
        if (vly_infer_lend_wire(call, t, next))
            return;
        p->n--;
    }
    vly_infer_put_wire(t, vly_infer_parts_open(call, p));
}

size_t vly_infer_parts_bytes(const vly_infer_parts *p)
{
    size_t bytes = 0;

    for (size_t i = 0; i < p->n; i++)
        bytes += p->buf[i].len;
    return bytes;
}

vly_status vly_infer_parts_check(const vly_infer *call, const vly_infer_parts *p, vly_err *err)
{
    bool ok = vly_infer_parts_bytes(p) <= call->api->max_answer_bytes;

    for (size_t i = 0; i < p->n; i++)
        ok = ok && !p->buf[i].failed;
    return ok ? VLY_OK : vly_fail(err, VLY_ENOMEM, "out of memory for the answer");
}

void vly_infer_parts_release(vly_infer_parts *p)
{
    for (size_t i = 0; i < p->n; i++)
        vly_buf_release(&p->buf[i]);
    p->n = 0;
}
