/* SPDX-License-Identifier: MIT */
#include "sys/shared_memory.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct region {
    vly_shared_region info; /* first: a pointer to it is a pointer to the region */
    char *name, *key;       /* owned, as the rest */
    int fd;
    void *map;
    size_t map_bytes;
    size_t skip; /* bytes of the map before the region */
    _Atomic uint32_t n_refs;
} region;

struct vly_shared_memory {
    pthread_mutex_t lock;
    region **regions; /* [max], guarded by lock, as is n */
    size_t n;
    size_t max; /* immutable */
};

/* ---- one region ---- */

static void region_free(region *r)
{
    if (r->map != NULL)
        munmap(r->map, r->map_bytes);
    if (r->fd >= 0)
        close(r->fd);
    vly_free(r->name);
    vly_free(r->key);
    vly_free(r);
}

void vly_shared_region_unref(vly_shared_region *s)
{
    region *r = (region *)s;

    /* acq_rel: the last owner unmaps what the others have written */
    if (r != NULL && atomic_fetch_sub_explicit(&r->n_refs, 1, memory_order_acq_rel) == 1)
        region_free(r);
}

static region *region_ref(region *r)
{
    atomic_fetch_add_explicit(&r->n_refs, 1, memory_order_relaxed); /* the caller sees one */
    return r;
}

static vly_status invalid(const region *r, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL, "failed to register shared memory region '%s': invalid args",
                    r->name);
}

static bool is_within_object(const region *r)
{
    struct stat st;

    return fstat(r->fd, &st) == 0 && st.st_size >= 0 && r->info.offset <= (uint64_t)st.st_size &&
           r->info.bytes <= (uint64_t)st.st_size - r->info.offset;
}

/* A map begins at a page. A page of nothing lies behind it. */
static vly_status map(region *r, vly_err *err)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    r->skip = (size_t)(r->info.offset % page);
    size_t used = (size_t)r->info.bytes + r->skip;
    size_t all = (size_t)((used + page - 1) / page * page + page);
    char *at = mmap(NULL, all, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED) {
        r->map = at;
        r->map_bytes = all;
        at = mmap(at, used, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->fd,
                  (off_t)(r->info.offset - r->skip));
    }
    if (at == MAP_FAILED)
        return vly_fail(err, VLY_ENOMEM, "failed to register shared memory region '%s': %s",
                        r->name, strerror(errno));
    return VLY_OK;
}

static vly_status open_object(region *r, vly_err *err)
{
    r->fd = shm_open(r->key, O_RDWR | O_CLOEXEC, 0);
    if (r->fd < 0)
        return vly_fail(err, VLY_ENOTFOUND, "Unable to open shared memory region: '%s'", r->key);
    if (r->info.bytes == 0 || !is_within_object(r))
        return invalid(r, err);
    return map(r, err);
}

static vly_status region_new(vly_str name, vly_str key, uint64_t offset, uint64_t bytes,
                             region **ret, vly_err *err)
{
    region *r = vly_calloc(VLY_MEM_BASE, 1, sizeof(*r));

    if (r == NULL)
        return vly_fail(err, VLY_ENOMEM, "shared memory: out of memory");
    atomic_init(&r->n_refs, 1);
    r->fd = -1;
    r->name = vly_strndup(VLY_MEM_BASE, name.ptr, name.len);
    r->key = vly_strndup(VLY_MEM_BASE, key.ptr, key.len);
    r->info = (vly_shared_region){.name = r->name, .key = r->key, .offset = offset, .bytes = bytes};
    vly_status st = r->name == NULL || r->key == NULL
                        ? vly_fail(err, VLY_ENOMEM, "shared memory: out of memory")
                        : open_object(r, err);
    if (st == VLY_OK)
        *ret = r;
    else
        region_free(r);
    return st;
}

/* ---- the registry ---- */

vly_status vly_shared_memory_new(size_t max_regions, vly_shared_memory **ret, vly_err *err)
{
    vly_shared_memory *m = vly_calloc(VLY_MEM_BASE, 1, sizeof(*m));
    region **regions = vly_calloc(VLY_MEM_BASE, max_regions, sizeof(region *));

    if (m == NULL || regions == NULL) {
        vly_free(m);
        vly_free(regions);
        return vly_fail(err, VLY_ENOMEM, "shared memory: out of memory");
    }
    pthread_mutex_init(&m->lock, NULL);
    m->regions = regions;
    m->max = max_regions;
    *ret = m;
    return VLY_OK;
}

void vly_shared_memory_free(vly_shared_memory *m)
{
    if (m == NULL)
        return;
    vly_shared_memory_unregister(m, VLY_STR(""));
    pthread_mutex_destroy(&m->lock);
    vly_free(m->regions);
    vly_free(m);
}

/* Index of the region of this name; n when there is none. Under the lock. */
static size_t find(const vly_shared_memory *m, vly_str name)
{
    size_t i = 0;

    while (i < m->n && !vly_str_is(name, m->regions[i]->name))
        i++;
    return i;
}

static vly_status insert(vly_shared_memory *m, region *r, vly_err *err)
{
    vly_status st = VLY_OK;

    pthread_mutex_lock(&m->lock);
    if (find(m, vly_str_from(r->name)) < m->n)
        st = vly_fail(err, VLY_EEXIST, "shared memory region '%s' already in manager", r->name);
    else if (m->n == m->max)
        st = vly_fail(err, VLY_ELIMIT,
                      "failed to register shared memory region '%s': expected at most %zu regions",
                      r->name, m->max);
    else
        m->regions[m->n++] = r;
    pthread_mutex_unlock(&m->lock);
    return st;
}

/* What shm_open takes: a file name, with or without a slash before it. */
static bool is_key(vly_str key)
{
    if (key.len > 0 && key.ptr[0] == '/')
        key = (vly_str){key.ptr + 1, key.len - 1};
    return key.len > 0 && key.len < VLY_SHM_NAME_MAX && memchr(key.ptr, '/', key.len) == NULL &&
           memchr(key.ptr, '\0', key.len) == NULL && !vly_str_is(key, ".") &&
           !vly_str_is(key, "..");
}

vly_status vly_shared_memory_register(vly_shared_memory *m, vly_str name, vly_str key,
                                      uint64_t offset, uint64_t bytes, vly_err *err)
{
    region *r;

    if (name.len == 0 || name.len > VLY_SHM_NAME_MAX || memchr(name.ptr, '\0', name.len) != NULL)
        return vly_fail(err, VLY_EINVAL, "shared memory: expected a name of 1 to %d bytes",
                        VLY_SHM_NAME_MAX);
    if (!is_key(key))
        return vly_fail(err, VLY_EINVAL,
                        "failed to register shared memory region '%.*s': '%.*s' is not a key of "
                        "shared memory",
                        VLY_STR_ARG(name), VLY_STR_ARG(key));
    if (offset > INT64_MAX || bytes > INT64_MAX - offset)
        return vly_fail(err, VLY_EINVAL,
                        "failed to register shared memory region '%.*s': invalid args",
                        VLY_STR_ARG(name));
    vly_status st = region_new(name, key, offset, bytes, &r, err);
    if (st != VLY_OK)
        return st;
    st = insert(m, r, err);
    if (st != VLY_OK)
        region_free(r);
    return st;
}

void vly_shared_memory_unregister(vly_shared_memory *m, vly_str name)
{
    region *gone;

    do {
        gone = NULL;
        pthread_mutex_lock(&m->lock);
        size_t at = name.len > 0 ? find(m, name) : 0;
        if (at < m->n) {
            gone = m->regions[at];
            m->n--;
            memmove(&m->regions[at], &m->regions[at + 1], (m->n - at) * sizeof(m->regions[0]));
        }
        pthread_mutex_unlock(&m->lock);
        if (gone != NULL)
            vly_shared_region_unref(&gone->info);
    } while (gone != NULL);
}

static region *get(vly_shared_memory *m, vly_str name)
{
    pthread_mutex_lock(&m->lock);
    size_t at = find(m, name);
    region *r = at < m->n ? region_ref(m->regions[at]) : NULL;
    pthread_mutex_unlock(&m->lock);
    return r;
}

static vly_status check_view(const region *r, uint64_t offset, uint64_t bytes, vly_err *err)
{
    if (offset >= r->info.bytes)
        return vly_fail(err, VLY_EINVAL, "Invalid offset for shared memory region: '%s'", r->name);
    if (bytes > r->info.bytes - offset)
        return vly_fail(err, VLY_EINVAL,
                        "Invalid offset + byte size for shared memory region: '%s'", r->name);
    if (!is_within_object(r))
        return vly_fail(err, VLY_EINVAL, "Invalid shared memory region: '%s'", r->key);
    return VLY_OK;
}

vly_status vly_shared_memory_view(vly_shared_memory *m, vly_str name, uint64_t offset,
                                  uint64_t bytes, vly_shared_region **ret, void **ret_ptr,
                                  vly_err *err)
{
    region *r = get(m, name);

    if (r == NULL)
        return vly_fail(err, VLY_ENOTFOUND, "Unable to find shared memory region: '%.*s'",
                        VLY_STR_ARG(name));
    vly_status st = check_view(r, offset, bytes, err);
    if (st != VLY_OK) {
        vly_shared_region_unref(&r->info);
        return st;
    }
    *ret = &r->info;
    *ret_ptr = (char *)r->map + r->skip + offset;
    return VLY_OK;
}

vly_status vly_shared_memory_list(vly_shared_memory *m, vly_str name, vly_shared_list *ret,
                                  vly_err *err)
{
    vly_shared_list l = {.regions = vly_calloc(VLY_MEM_BASE, m->max + 1, sizeof(*l.regions))};

    if (l.regions == NULL)
        return vly_fail(err, VLY_ENOMEM, "shared memory: out of memory");
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n; i++)
        if (name.len == 0 || vly_str_is(name, m->regions[i]->name))
            l.regions[l.n++] = &region_ref(m->regions[i])->info;
    pthread_mutex_unlock(&m->lock);
    if (name.len > 0 && l.n == 0) {
        vly_shared_list_free(&l);
        return vly_fail(err, VLY_ENOTFOUND, "Unable to find system shared memory region: '%.*s'",
                        VLY_STR_ARG(name));
    }
    *ret = l;
    return VLY_OK;
}

void vly_shared_list_free(vly_shared_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        vly_shared_region_unref(l->regions[i]);
    vly_free(l->regions);
    *l = (vly_shared_list){.n = 0};
}
