/* SPDX-License-Identifier: MIT */
#include "store/key_ring.h"

#include "base/mem.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>

#define NONE UINT32_MAX

/* Open addressing, at most half full. Immutable once it is the ring's. */
typedef struct table {
    vly_key_set set;
    size_t n_slots; /* a power of two */
    uint32_t slots[];
} table;

struct vly_key_ring {
    pthread_rwlock_t lock;
    table *now; /* guarded by lock; NULL: no keys */
};

static size_t slot_of(const table *t, const unsigned char hash[VLY_KEY_HASH_BYTES])
{
    uint64_t head;

    memcpy(&head, hash, sizeof(head));
    return (size_t)head & (t->n_slots - 1);
}

static void free_table(table *t)
{
    if (t != NULL)
        vly_key_set_release(&t->set);
    vly_free(t);
}

static table *make_table(vly_key_set *s)
{
    size_t n_slots = 2;

    while (n_slots < 2 * s->n)
        n_slots *= 2;
    table *t = vly_calloc(VLY_MEM_STORE, 1, sizeof(*t) + n_slots * sizeof(t->slots[0]));
    if (t == NULL)
        return NULL;
    t->n_slots = n_slots;
    t->set = *s;
    *s = (vly_key_set){NULL, 0};
    for (size_t i = 0; i < n_slots; i++)
        t->slots[i] = NONE;
    for (size_t i = 0; i < t->set.n; i++) {
        size_t at = slot_of(t, t->set.keys[i].hash);
        while (t->slots[at] != NONE)
            at = (at + 1) & (n_slots - 1);
        t->slots[at] = (uint32_t)i;
    }
    return t;
}

vly_status vly_key_ring_new(vly_key_ring **ret, vly_err *err)
{
    vly_key_ring *r = vly_calloc(VLY_MEM_STORE, 1, sizeof(*r));

    if (r == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for keys");
    pthread_rwlock_init(&r->lock, NULL);
    *ret = r;
    return VLY_OK;
}

void vly_key_ring_free(vly_key_ring *r)
{
    if (r == NULL)
        return;
    free_table(r->now);
    pthread_rwlock_destroy(&r->lock);
    vly_free(r);
}

vly_status vly_key_ring_load(vly_key_ring *r, vly_key_set *s, vly_err *err)
{
    table *t = make_table(s);

    if (t == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for %zu keys", s->n);
    pthread_rwlock_wrlock(&r->lock);
    table *old = r->now;
    r->now = t;
    pthread_rwlock_unlock(&r->lock);
    free_table(old);
    return VLY_OK;
}

static const vly_key *find(const table *t, const unsigned char hash[VLY_KEY_HASH_BYTES])
{
    size_t at = slot_of(t, hash);

    for (; t->slots[at] != NONE; at = (at + 1) & (t->n_slots - 1)) {
        const vly_key *k = &t->set.keys[t->slots[at]];
        if (CRYPTO_memcmp(k->hash, hash, VLY_KEY_HASH_BYTES) == 0)
            return k;
    }
    return NULL;
}

bool vly_key_ring_find(vly_key_ring *r, const unsigned char hash[VLY_KEY_HASH_BYTES],
                       uint64_t now_ms, vly_key *ret)
{
    pthread_rwlock_rdlock(&r->lock);
    const vly_key *k = r->now != NULL ? find(r->now, hash) : NULL;
    bool is_live = k != NULL && vly_key_is_live(k, now_ms);
    if (is_live)
        *ret = *k;
    pthread_rwlock_unlock(&r->lock);
    return is_live;
}
