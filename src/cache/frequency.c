/* SPDX-License-Identifier: MIT */
#include "cache/frequency.h"

#include "base/mem.h"

#define ROWS          4
#define WIDTH_MIN     64
#define SEEN_BITS     4 /* of the doorkeeper for each counter of a row */
#define SEEN_PROBES   2
#define SAMPLE_FACTOR 8 /* sights for each counter of a row, then all are halved */

static size_t width_of(size_t n_keys)
{
    size_t width = WIDTH_MIN;

    while (width < n_keys && width < SIZE_MAX / 4)
        width *= 2;
    return width;
}

size_t vly_frequency_bytes(size_t n_keys)
{
    size_t width = width_of(n_keys);

    return ROWS * width + width * SEEN_BITS / 8;
}

bool vly_frequency_init(vly_frequency *f, size_t n_keys)
{
    size_t width = width_of(n_keys);

    *f = (vly_frequency){.width = width};
    f->counts = vly_calloc(VLY_MEM_CACHE, ROWS, width);
    f->seen = vly_calloc(VLY_MEM_CACHE, width * SEEN_BITS / 64, sizeof(*f->seen));
    if (f->counts != NULL && f->seen != NULL)
        return true;
    vly_frequency_release(f);
    return false;
}

void vly_frequency_release(vly_frequency *f)
{
    vly_free(f->counts);
    vly_free(f->seen);
    *f = (vly_frequency){.width = 0};
}

/* Independent enough for a sketch: Kirsch, Mitzenmacher 2006. */
static size_t probe(uint64_t hash, unsigned i, size_t n)
{
    return (size_t)(hash + i * ((hash >> 32) | 1)) & (n - 1);
}

static bool was_seen(const vly_frequency *f, uint64_t hash)
{
    bool all = true;

    for (unsigned i = 0; i < SEEN_PROBES; i++) {
        size_t bit = probe(hash, ROWS + i, f->width * SEEN_BITS);
        all = all && (f->seen[bit / 64] >> (bit % 64) & 1) != 0;
    }
    return all;
}

static void set_seen(vly_frequency *f, uint64_t hash)
{
    for (unsigned i = 0; i < SEEN_PROBES; i++) {
        size_t bit = probe(hash, ROWS + i, f->width * SEEN_BITS);
        f->seen[bit / 64] |= UINT64_C(1) << (bit % 64);
    }
}

static unsigned least(const vly_frequency *f, uint64_t hash)
{
    unsigned min = VLY_FREQUENCY_MAX - 1;

    for (unsigned row = 0; row < ROWS; row++) {
        unsigned n = f->counts[row * f->width + probe(hash, row, f->width)];
        min = n < min ? n : min;
    }
    return min;
}

/* Only the counters that say the least grow: the others count somebody else, too. */
static void count(vly_frequency *f, uint64_t hash)
{
    unsigned min = least(f, hash);

    if (min == VLY_FREQUENCY_MAX - 1)
        return;
    for (unsigned row = 0; row < ROWS; row++) {
        uint8_t *n = &f->counts[row * f->width + probe(hash, row, f->width)];
        *n = (uint8_t)(*n + (*n == min));
    }
}

static void halve(vly_frequency *f)
{
    for (size_t i = 0; i < ROWS * f->width; i++)
        f->counts[i] /= 2;
    for (size_t i = 0; i < f->width * SEEN_BITS / 64; i++)
        f->seen[i] = 0;
    f->n_added = 0;
}

void vly_frequency_add(vly_frequency *f, uint64_t hash)
{
    if (was_seen(f, hash))
        count(f, hash);
    else
        set_seen(f, hash);
    if (++f->n_added >= SAMPLE_FACTOR * f->width)
        halve(f);
}

unsigned vly_frequency_of(const vly_frequency *f, uint64_t hash)
{
    return least(f, hash) + was_seen(f, hash);
}
