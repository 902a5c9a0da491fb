/* SPDX-License-Identifier: MIT */
/*
 * Two tables of chains. An id is random, so its first bits choose the bucket, and the buckets in
 * their order, each chain sorted, give the sessions in the order of their ids. Buckets are as many
 * as sessions may be: memory that is not touched costs nothing, and no table ever grows.
 */
#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"
#include "sched/imu_internal.h"

static int compare_ids(const vly_imu_id *a, const vly_imu_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool vly_imu__index_init(vly_imu_index *t, size_t max)
{
    unsigned n_bits = 4;

    while (n_bits < 30 && ((size_t)1 << n_bits) < max)
        n_bits++;
    *t = (vly_imu_index){.n_bits = n_bits};
    t->by_id = vly_calloc(VLY_MEM_SCHED, (size_t)1 << n_bits, sizeof(*t->by_id));
    t->by_name = vly_calloc(VLY_MEM_SCHED, (size_t)1 << n_bits, sizeof(*t->by_name));
    return t->by_id != NULL && t->by_name != NULL;
}

void vly_imu__index_release(vly_imu_index *t)
{
    VLY_ASSERT(t->n == 0);
    vly_free(t->by_id);
    vly_free(t->by_name);
}

size_t vly_imu__index_bucket(const vly_imu_index *t, const vly_imu_id *id)
{
    const uint8_t *b = id->bytes;
    uint32_t first =
        (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
    return first >> (32 - t->n_bits);
}

static size_t name_bucket(const vly_imu_index *t, vly_str owner, vly_str user, vly_str device)
{
    uint64_t h = (vly_map_hash(owner) * 31 + vly_map_hash(user)) * 31 + vly_map_hash(device);
    return (size_t)(h & (((uint64_t)1 << t->n_bits) - 1));
}

/* The link to the first of the bucket that is not before id. */
static vly_imu_entry **find_id(const vly_imu_index *t, const vly_imu_id *id)
{
    vly_imu_entry **at = &t->by_id[vly_imu__index_bucket(t, id)];

    while (*at != NULL && compare_ids(&(*at)->id, id) < 0)
        at = &(*at)->next_by_id;
    return at;
}

static vly_imu_entry **find_name(const vly_imu_index *t, vly_str owner, vly_str user,
                                 vly_str device)
{
    vly_imu_entry **at = &t->by_name[name_bucket(t, owner, user, device)];

    while (*at != NULL && (!vly_str_eq((*at)->owner, owner) || !vly_str_eq((*at)->user, user) ||
                           !vly_str_eq((*at)->device, device)))
        at = &(*at)->next_by_name;
    return at;
}

void vly_imu__index_add(vly_imu_index *t, vly_imu_entry *e)
{
    vly_imu_entry **at = find_id(t, &e->id);

    e->next_by_id = *at;
    *at = e;
    e->is_listed = true;
    t->n++;
    if (e->user.len == 0)
        return;
    at = &t->by_name[name_bucket(t, e->owner, e->user, e->device)];
    e->next_by_name = *at;
    *at = e;
}

void vly_imu__index_remove(vly_imu_index *t, vly_imu_entry *e)
{
    vly_imu_entry **at = find_id(t, &e->id);

    VLY_ASSERT(*at == e);
    *at = e->next_by_id;
    e->is_listed = false;
    t->n--;
    if (e->user.len == 0)
        return;
    at = find_name(t, e->owner, e->user, e->device);
    VLY_ASSERT(*at == e);
    *at = e->next_by_name;
}

vly_imu_entry *vly_imu__index_find(const vly_imu_index *t, const vly_imu_id *id)
{
    vly_imu_entry *e = *find_id(t, id);
    return e != NULL && compare_ids(&e->id, id) == 0 ? e : NULL;
}

vly_imu_entry *vly_imu__index_find_name(const vly_imu_index *t, vly_str owner, vly_str user,
                                        vly_str device)
{
    return *find_name(t, owner, user, device);
}

vly_imu_entry *vly_imu__index_next(const vly_imu_index *t, const vly_imu_id *after, size_t *bucket,
                                   size_t n_buckets)
{
    size_t end = (size_t)1 << t->n_bits;

    end = end - *bucket > n_buckets ? *bucket + n_buckets : end;
    for (; *bucket < end; ++*bucket) {
        vly_imu_entry *e = t->by_id[*bucket];
        while (e != NULL && after != NULL && compare_ids(&e->id, after) <= 0)
            e = e->next_by_id;
        if (e != NULL)
            return e;
    }
    return NULL;
}

/* ---- ids and names ---- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool vly_imu__id_parse(vly_str text, vly_imu_id *ret)
{
    vly_imu_id id;

    if (text.len != VLY_IMU_ID_LEN)
        return false;
    for (size_t i = 0; i < VLY_IMU_ID_BYTES; i++) {
        int high = digit_of(text.ptr[2 * i]), low = digit_of(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret = id;
    return true;
}

void vly_imu__id_format(const vly_imu_id *id, char text[VLY_IMU_ID_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < VLY_IMU_ID_BYTES; i++) {
        text[2 * i] = digits[id->bytes[i] >> 4];
        text[2 * i + 1] = digits[id->bytes[i] & 15];
    }
    text[VLY_IMU_ID_LEN] = '\0';
}

/* No control characters: neither C0 and DEL, nor C1, which in UTF-8 are C2 80 .. C2 9F. */
static bool is_printable(vly_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return false;
        if (c == 0xc2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xa0)
            return false;
    }
    return true;
}

vly_status vly_imu__check_name(const char *what, vly_str name, vly_err *err)
{
    if (name.len > VLY_IMU_NAME_MAX)
        return vly_fail(err, VLY_EINVAL, "%s: expected at most %d bytes, got %zu", what,
                        VLY_IMU_NAME_MAX, name.len);
    if (!vly_str_is_utf8(name) || !is_printable(name))
        return vly_fail(err, VLY_EINVAL, "%s: expected printable UTF-8", what);
    return VLY_OK;
}
