/* SPDX-License-Identifier: MIT */
/*
 * Answers of an HTTP/1 server, one behind the other: the first byte chooses the pieces, the second
 * whether the requests were HEAD and whether bodies may be dropped unread. However they are cut,
 * the same answers come out, of the same lengths.
 */
#include "base/assert.h"
#include "load/load_answer.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

typedef struct outcome {
    uint64_t digest, n_body;
    unsigned n_answers;
    vly_load_answer_event last;
} outcome;

static void mix(outcome *o, uint64_t v)
{
    o->digest = (o->digest ^ v) * UINT64_C(0x100000001b3);
}

static void on_body(void *ctx, vly_str piece)
{
    outcome *o = ctx;

    o->n_body += piece.len;
    for (size_t i = 0; i < piece.len; i++)
        mix(o, (unsigned char)piece.ptr[i]);
}

static void end_answer(outcome *o, vly_load_answer *a)
{
    VLY_ASSERT(a->status >= 101 && a->status <= 999);
    VLY_ASSERT(vly_load_answer_body_left(a) == 0);
    VLY_ASSERT(memchr(a->accept, '\0', sizeof(a->accept)) != NULL);
    mix(o, (uint64_t)a->status << 8 | (uint64_t)a->is_cached << 1 | a->has_keep_alive);
    mix(o, strlen(a->accept));
    o->n_answers++;
}

static vly_load_answer_event feed(vly_load_answer *a, vly_str *in, bool is_dropping, outcome *o)
{
    uint64_t left = vly_load_answer_body_left(a);

    if (!is_dropping || left == 0 || in->len == 0)
        return vly_load_answer_feed(a, in);
    size_t n = in->len < left ? in->len : (size_t)left;
    on_body(o, (vly_str){in->ptr, n});
    *in = (vly_str){in->ptr + n, in->len - n};
    return vly_load_answer_skip(a, n);
}

static outcome run(vly_str in, size_t piece, bool is_to_head, bool is_dropping)
{
    outcome o = {.last = VLY_LOAD_ANSWER_MORE};
    vly_load_answer a = {.on_body = on_body, .ctx = &o};

    vly_load_answer_begin(&a, is_to_head);
    while (in.len > 0 && o.last != VLY_LOAD_ANSWER_BROKEN) {
        vly_str part = {in.ptr, in.len < piece ? in.len : piece};
        size_t before = part.len;
        o.last = feed(&a, &part, is_dropping, &o);
        VLY_ASSERT(o.last != VLY_LOAD_ANSWER_MORE || part.len == 0 || is_dropping);
        size_t n = before - part.len;
        in = (vly_str){in.ptr + n, in.len - n};
        if (o.last != VLY_LOAD_ANSWER_WHOLE)
            continue;
        end_answer(&o, &a);
        vly_load_answer_begin(&a, is_to_head);
    }
    if (o.last == VLY_LOAD_ANSWER_MORE)
        o.last = vly_load_answer_end(&a);
    if (o.last == VLY_LOAD_ANSWER_WHOLE && a.status != 0)
        end_answer(&o, &a);
    VLY_ASSERT(o.last != VLY_LOAD_ANSWER_BROKEN || a.reason.len > 0);
    return o;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    if (n < 2)
        return 0;
    vly_str in = {(const char *)bytes + 2, n - 2};
    bool is_to_head = (bytes[1] & 1) != 0;
    outcome whole = run(in, SIZE_MAX, is_to_head, false);
    outcome cut = run(in, 1 + bytes[0] % 64, is_to_head, (bytes[1] & 2) != 0);
    VLY_ASSERT(whole.n_answers == cut.n_answers && whole.last == cut.last);
    if (whole.last != VLY_LOAD_ANSWER_BROKEN)
        VLY_ASSERT(whole.digest == cut.digest && whole.n_body == cut.n_body);
    return 0;
}
