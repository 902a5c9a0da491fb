/* SPDX-License-Identifier: MIT */
/*
 * A list of all blocks. Out of memory at the wrong moment, nghttp2 frees an item that it still
 * points to (1.52 does, when DATA cannot be queued): so its blocks are then freed here, not by it.
 */
#include "net/http2_mem.h"

#include "base/bits.h"
#include "base/mem.h"

#include <stddef.h>

struct vly_http2_block {
    vly_http2_block *next, **link;
};

_Static_assert(sizeof(vly_http2_block) % _Alignof(max_align_t) == 0, "what follows is aligned");

/* Links b, whose place may be new, into the list where its neighbours say; NULL: it failed. */
static void *place(vly_http2_mem *m, vly_http2_block *b)
{
    if (b == NULL) {
        m->is_out = true;
        return NULL;
    }
    *b->link = b;
    if (b->next != NULL)
        b->next->link = &b->next;
    return b + 1;
}

static void *add(vly_http2_mem *m, vly_http2_block *b)
{
    if (b != NULL)
        *b = (vly_http2_block){.next = m->blocks, .link = &m->blocks};
    return place(m, b);
}

static void *ng_malloc(size_t n, void *user)
{
    size_t size;
    return add(user, vly_size_add(n, sizeof(vly_http2_block), &size) ? vly_alloc(VLY_MEM_NET, size)
                                                                     : NULL);
}

static void *ng_calloc(size_t n, size_t each, void *user)
{
    size_t size;
    bool fits = vly_size_mul(n, each, &size) && vly_size_add(size, sizeof(vly_http2_block), &size);
    return add(user, fits ? vly_calloc(VLY_MEM_NET, 1, size) : NULL);
}

static void ng_free(void *p, void *user)
{
    vly_http2_block *b = p;
    (void)user;

    if (b == NULL)
        return;
    b--;
    *b->link = b->next;
    if (b->next != NULL)
        b->next->link = b->link;
    vly_free(b);
}

static void *ng_realloc(void *p, size_t n, void *user)
{
    size_t size;

    if (p == NULL)
        return ng_malloc(n, user);
    if (!vly_size_add(n, sizeof(vly_http2_block), &size))
        return place(user, NULL);
    return place(user, vly_realloc(VLY_MEM_NET, (vly_http2_block *)p - 1, size));
}

nghttp2_mem vly_http2_mem_of(vly_http2_mem *m)
{
    return (nghttp2_mem){.mem_user_data = m,
                         .malloc = ng_malloc,
                         .free = ng_free,
                         .calloc = ng_calloc,
                         .realloc = ng_realloc};
}

void vly_http2_mem_end(vly_http2_mem *m, nghttp2_session *ng)
{
    if (!m->is_out)
        nghttp2_session_del(ng);
    while (m->blocks != NULL)
        ng_free(m->blocks + 1, m);
    m->is_out = false;
}
