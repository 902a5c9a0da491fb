/* SPDX-License-Identifier: MIT */
/* A heap against an array that is searched: adds, removals of any node, and of the first. */
#include "base/heap.h"

#include "unit.h"

enum { N_NODES = 200, N_STEPS = 20000 };

static unsigned random_below(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 8) % n;
}

static void agrees_with_search(void **state)
{
    (void)state;
    static vly_heap_node nodes[N_NODES];
    vly_nsec at[N_NODES] = {0}; /* 0: not in */
    vly_heap h = {NULL};
    unsigned seed = 1;

    for (int step = 0; step < N_STEPS; step++) {
        unsigned i = random_below(&seed, N_NODES);
        if (random_below(&seed, 3) == 0 && h.first != NULL)
            i = (unsigned)(h.first - nodes);
        assert_true(vly_heap_has(&nodes[i]) == (at[i] != 0));
        if (at[i] != 0) {
            vly_heap_remove(&h, &nodes[i]);
            vly_heap_remove(&h, &nodes[i]); /* not in: nothing happens */
            at[i] = 0;
        } else {
            at[i] = 1 + random_below(&seed, 50);
            vly_heap_add(&h, &nodes[i], at[i]);
        }
        vly_nsec least = 0;
        for (int k = 0; k < N_NODES; k++)
            if (at[k] != 0 && (least == 0 || at[k] < least))
                least = at[k];
        assert_int_equal(h.first != NULL ? h.first->at_ns : 0, least);
    }
}

UNIT_TESTS(cmocka_unit_test(agrees_with_search))
