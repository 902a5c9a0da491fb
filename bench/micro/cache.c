/* SPDX-License-Identifier: MIT */
/*
 * What a known answer costs: its key, by the size of the picture, and its lookup; and what keeping
 * one costs, memory full.
 *
 *     bench_cache [ROUNDS]
 *
 * Medians of the rounds, CPU time of one thread.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "cache/result_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 15, ROUNDS_MAX = 1000, LOOKUPS = 100000, VALUE_BYTES = 600 };

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_size);
    return v[n / 2];
}

static vly_cache_key key_of(vly_str picture)
{
    vly_cache_hash h;

    vly_cache_hash_begin(&h, 7, "observations", "yolov8n", "1", 9);
    vly_cache_hash_str(&h, picture);
    return vly_cache_hash_end(&h);
}

static void hash_pictures(size_t n_rounds)
{
    static const size_t sizes[] = {1 << 10, 32 << 10, 137419, 487438, 1 << 20};
    double times[ROUNDS_MAX];
    char *bytes = vly_calloc(VLY_MEM_CACHE, 1, 1 << 20);
    uint64_t sum = 0;

    VLY_ASSERT(bytes != NULL);
    for (size_t i = 0; i < VLY_COUNT(sizes); i++) {
        size_t n_calls = ((size_t)8 << 20) / sizes[i];
        for (size_t round = 0; round < n_rounds; round++) {
            double begin = cpu_s();
            for (size_t k = 0; k < n_calls; k++)
                sum += key_of((vly_str){bytes, sizes[i]}).lo;
            times[round] = (cpu_s() - begin) / (double)n_calls;
        }
        double s = median(times, n_rounds);
        printf("key of %7zu bytes %9.2f us %7.1f GB/s\n", sizes[i], s * 1e6,
               (double)sizes[i] / s / 1e9);
    }
    printf("(%llx)\n", (unsigned long long)sum);
    vly_free(bytes);
}

/* n keys asked for, one after the other; what is not there is kept. Nanoseconds each. */
static double ask(vly_cache *c, vly_cache_stats *stats, uint64_t first, size_t n)
{
    static const char value[VALUE_BYTES];
    double begin = cpu_s();

    for (uint64_t i = 0; i < n; i++) {
        vly_cache_get g = {.key = {(first + i) * UINT64_C(0x9e3779b97f4a7c15),
                                   (first + i) * UINT64_C(0xc2b2ae3d27d4eb4f)},
                           .stats = stats};
        if (vly_cache_lookup(c, &g) == VLY_CACHE_HIT)
            vly_cache_value_unref(g.value);
        else
            vly_cache_complete(c, &g, (vly_str){value, sizeof(value)});
    }
    return (cpu_s() - begin) * 1e9 / (double)n;
}

static void look_up(size_t n_rounds)
{
    const vly_cache_opts opts = {
        .memory_bytes = 64 << 20, .ttl_ns = {3600 * VLY_NSEC_PER_SEC}, .pack_min_bytes = SIZE_MAX};
    double hits[ROUNDS_MAX], misses[ROUNDS_MAX];
    vly_cache_stats *stats = vly_calloc(VLY_MEM_CACHE, 1, sizeof(*stats));
    vly_cache *c;

    VLY_ASSERT(stats != NULL && vly_cache_new(&opts, &c, NULL) == VLY_OK);
    ask(c, stats, 0, LOOKUPS);
    for (size_t round = 0; round < n_rounds; round++) {
        ask(c, stats, 0, 1000);
        hits[round] = ask(c, stats, 0, 1000);
        misses[round] = ask(c, stats, (round + 1) * LOOKUPS, LOOKUPS);
    }
    printf("lookup of what is there     %9.1f ns\n", median(hits, n_rounds));
    printf("lookup and keeping, full    %9.1f ns\n", median(misses, n_rounds));
    vly_cache_free(c);
    vly_free(stats);
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : ROUNDS;

    if (n < 1 || n > ROUNDS_MAX) {
        fprintf(stderr, "bench_cache [ROUNDS], 1 to %d\n", ROUNDS_MAX);
        return 1;
    }
    hash_pictures((size_t)n);
    look_up((size_t)n);
    return 0;
}
