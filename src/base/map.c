/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include <pthread.h>
#include <sys/random.h>

struct vly_map_slot {
    vly_str key;
    uint64_t hash;
    void *value; /* NULL: empty slot */
};

static uint64_t hash_seed;

static void make_seed(void)
{
    if (getrandom(&hash_seed, sizeof(hash_seed), GRND_NONBLOCK) != (ssize_t)sizeof(hash_seed))
        hash_seed = (uintptr_t)&hash_seed;
}

/* Multiply-and-fold over 8-byte words with a secret start: cheap, not guessable from outside. */
uint64_t vly_map_hash(vly_str key)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_seed);

    uint64_t h = hash_seed ^ (key.len * UINT64_C(0x9e3779b97f4a7c15));
    for (size_t i = 0; i < key.len; i += 8) {
        uint64_t w = 0;
        memcpy(&w, key.ptr + i, key.len - i < 8 ? key.len - i : 8);
        __uint128_t product = (__uint128_t)(h ^ w) * UINT64_C(0xa0761d6478bd642f);
        h = (uint64_t)product ^ (uint64_t)(product >> 64) ^ hash_seed;
    }
    return h;
}

void vly_map_init(vly_map *m, vly_mem_kind kind)
{
    *m = (vly_map){.kind = kind};
}

void vly_map_release(vly_map *m)
{
    vly_free(m->slots);
    m->slots = NULL;
    m->n_slots = m->n_items = 0;
}

/* The slot that holds key, or the empty one where it belongs. The table is never full. */
static vly_map_slot *find_slot(vly_map_slot *slots, size_t n_slots, vly_str key, uint64_t hash)
{
    size_t i = hash & (n_slots - 1);
    while (slots[i].value != NULL && !(slots[i].hash == hash && vly_str_eq(slots[i].key, key)))
        i = (i + 1) & (n_slots - 1);
    return &slots[i];
}

static bool grow(vly_map *m)
{
    size_t n_slots = m->n_slots != 0 ? m->n_slots * 2 : 16;
    vly_map_slot *slots = vly_calloc(m->kind, n_slots, sizeof(*slots));

    if (slots == NULL)
        return false;
    for (size_t i = 0; i < m->n_slots; i++)
        if (m->slots[i].value != NULL)
            *find_slot(slots, n_slots, m->slots[i].key, m->slots[i].hash) = m->slots[i];
    vly_free(m->slots);
    m->slots = slots;
    m->n_slots = n_slots;
    return true;
}

bool vly_map_set(vly_map *m, vly_str key, void *value)
{
    if ((m->n_items + 1) * 4 > m->n_slots * 3 && !grow(m))
        return false;
    uint64_t hash = vly_map_hash(key);
    vly_map_slot *slot = find_slot(m->slots, m->n_slots, key, hash);
    if (slot->value == NULL)
        m->n_items++;
    *slot = (vly_map_slot){.key = key, .hash = hash, .value = value};
    return true;
}

void *vly_map_get(const vly_map *m, vly_str key)
{
    if (m->n_slots == 0)
        return NULL;
    return find_slot(m->slots, m->n_slots, key, vly_map_hash(key))->value;
}
