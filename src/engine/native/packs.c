/* SPDX-License-Identifier: MIT */
#include "engine/native/packs.h"

#include <string.h>

/* Compared byte by byte: made of zeroed memory. */
typedef struct pack_key {
    const vly_conv_kernel *kernel;
    const void *weights;
    int32_t in, c_in, c_out, group, kernel_h, kernel_w, is_transposed;
} pack_key;

struct vly_pack {
    struct vly_pack *next;
    pack_key key;
    void *bytes;
};

void vly_packs_init(vly_packs *p)
{
    *p = (vly_packs){0};
    vly_arena_init(&p->arena, VLY_MEM_MODEL, 1 << 14, SIZE_MAX / 2);
    vly_map_init(&p->map, VLY_MEM_MODEL);
}

void vly_packs_release(vly_packs *p)
{
    for (vly_pack *pack = p->first; pack != NULL; pack = pack->next)
        vly_free(pack->bytes);
    vly_map_release(&p->map);
    vly_arena_release(&p->arena);
}

static void set_key(pack_key *key, const vly_conv_kernel *kernel, const vly_conv_desc *d,
                    const void *weights, bool is_transposed)
{
    memset(key, 0, sizeof(*key));
    key->kernel = kernel;
    key->weights = weights;
    key->is_transposed = is_transposed;
    key->in = (int32_t)d->in;
    key->c_in = d->c_in;
    key->c_out = d->c_out;
    key->group = d->group;
    key->kernel_h = d->kernel_h;
    key->kernel_w = d->kernel_w;
}

static vly_str text_of(const pack_key *key)
{
    return (vly_str){(const char *)key, sizeof(*key)};
}

void *vly_packs_get(const vly_packs *p, const vly_conv_kernel *kernel, const vly_conv_desc *d,
                    const void *weights, bool is_transposed)
{
    pack_key key;

    set_key(&key, kernel, d, weights, is_transposed);
    vly_pack *pack = vly_map_get(&p->map, text_of(&key));
    return pack != NULL ? pack->bytes : NULL;
}

void *vly_packs_add(vly_packs *p, const vly_conv_kernel *kernel, const vly_conv_desc *d,
                    const void *weights, bool is_transposed, size_t bytes)
{
    vly_pack *pack = vly_arena_calloc(&p->arena, 1, sizeof(*pack));
    void *memory = pack != NULL ? vly_alloc_aligned(VLY_MEM_MODEL, bytes) : NULL;

    if (memory == NULL)
        return NULL;
    set_key(&pack->key, kernel, d, weights, is_transposed);
    pack->bytes = memory;
    if (!vly_map_set(&p->map, text_of(&pack->key), pack)) {
        vly_free(memory);
        return NULL;
    }
    pack->next = p->first;
    p->first = pack;
    return memory;
}
