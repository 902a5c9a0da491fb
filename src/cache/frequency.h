/* SPDX-License-Identifier: MIT */
/*
 * How often keys have been asked for lately, in bounded memory: a count-min sketch (Cormode,
 * Muthukrishnan 2005) of small counters behind a doorkeeper, a Bloom filter that takes the first
 * sight of a key, so that keys seen once cost no counter. When as many sights have been added as
 * make a sample, everything is halved and the doorkeeper forgets: what was popular long ago fades
 * (TinyLFU, Einziger et al. 2017).
 *
 * Owner: one thread at a time.
 */
#ifndef VLY_CACHE_FREQUENCY_H
#define VLY_CACHE_FREQUENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_FREQUENCY_MAX 16 /* of an estimate */

typedef struct vly_frequency {
    uint8_t *counts; /* [ROWS][width] */
    uint64_t *seen;  /* the doorkeeper, 4 bits for each counter of a row */
    size_t width;    /* a power of two */
    size_t n_added;  /* since the last halving */
} vly_frequency;

/* n_keys: about how many keys are to be told apart. False: no memory. */
bool vly_frequency_init(vly_frequency *f, size_t n_keys) __attribute__((warn_unused_result));
void vly_frequency_release(vly_frequency *f); /* accepts a zeroed one */
size_t vly_frequency_bytes(size_t n_keys);    /* that init allocates */

/* hash: of a key, all 64 bits good. */
void vly_frequency_add(vly_frequency *f, uint64_t hash);
/* Never below how often the key was added since the last halving, up to VLY_FREQUENCY_MAX. */
unsigned vly_frequency_of(const vly_frequency *f, uint64_t hash);

#endif
