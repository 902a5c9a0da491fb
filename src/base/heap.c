/* SPDX-License-Identifier: MIT */
/* No node is later than its children, which are a list; link is the pointer that points to it. */
#include "base/heap.h"

#include "base/assert.h"

/* Two trees into one: the later root becomes the first child of the other. Either may be NULL. */
static vly_heap_node *meld(vly_heap_node *a, vly_heap_node *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (b->at_ns < a->at_ns) {
        vly_heap_node *sooner = b;
        b = a;
        a = sooner;
    }
    b->next = a->child;
    if (b->next != NULL)
        b->next->link = &b->next;
    a->child = b;
    b->link = &a->child;
    return a;
}

/* A list of siblings into one tree: by pairs, then the pairs from the last to the first, which is
 * what keeps removals cheap. */
static vly_heap_node *meld_all(vly_heap_node *first)
{
    vly_heap_node *pairs = NULL, *tree = NULL;

    while (first != NULL) {
        vly_heap_node *a = first, *b = a->next;
        first = b != NULL ? b->next : NULL;
        a->next = NULL;
        if (b != NULL)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        vly_heap_node *a = pairs;
        pairs = a->next;
        a->next = NULL;
        tree = meld(tree, a);
    }
    return tree;
}

static void set_first(vly_heap *h, vly_heap_node *root)
{
    h->first = root;
    if (root != NULL)
        root->link = &h->first;
}

void vly_heap_add(vly_heap *h, vly_heap_node *n, vly_nsec at_ns)
{
    VLY_ASSERT(n->link == NULL);
    n->at_ns = at_ns;
    set_first(h, meld(h->first, n));
}

void vly_heap_remove(vly_heap *h, vly_heap_node *n)
{
    if (n->link == NULL)
        return;
    bool is_first = h->first == n;
    vly_heap_node *rest = meld_all(n->child);
    *n->link = n->next;
    if (n->next != NULL)
        n->next->link = n->link;
    n->child = n->next = NULL;
    n->link = NULL;
    set_first(h, is_first ? rest : meld(h->first, rest));
}
