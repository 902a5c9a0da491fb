/* SPDX-License-Identifier: MIT */
/*
 * Heap of intrusive nodes in order of a time: a pairing heap, so that adding a node allocates
 * nothing, cannot fail, and needs no bound of its own. Adding is O(1), removing any node is
 * O(log n) in the long run. Nodes of equal times come out in any order.
 *
 * Owner: whoever holds the heap; the nodes belong to the objects they are part of.
 */
#ifndef VLY_BASE_HEAP_H
#define VLY_BASE_HEAP_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>

/* Zeroed: in no heap. All members private but at_ns, which is read only while the node is in. */
typedef struct vly_heap_node {
    vly_nsec at_ns;
    struct vly_heap_node *child, *next, **link;
} vly_heap_node;

typedef struct vly_heap {
    vly_heap_node *first; /* the earliest; NULL: empty */
} vly_heap;

static inline bool vly_heap_has(const vly_heap_node *n)
{
    return n->link != NULL;
}

void vly_heap_add(vly_heap *h, vly_heap_node *n, vly_nsec at_ns); /* n is in no heap */
void vly_heap_remove(vly_heap *h, vly_heap_node *n);              /* n is in h, or in none */

#endif
