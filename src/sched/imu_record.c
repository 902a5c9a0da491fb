/* SPDX-License-Identifier: MIT */
/*
 * A session as bytes: a head of fixed size, the names, and the stream as it lies in memory. The
 * stream belongs to one version of this program's structures and to one model, and says so; the
 * head says how long it is and what its bytes add up to. All else is refused.
 */
#include "base/mem.h"
#include "sched/imu_internal.h"

#include <zlib.h>

#define MAGIC 0x31534956U /* "VIS1" */

typedef struct record_head {
    uint32_t magic;
    uint32_t sum; /* CRC-32 of all that follows this field */
    uint64_t next;
    int64_t begun_ms, heard_ms;
    uint32_t stream_len;
    uint8_t user_len, device_len, has_gyro;
    uint8_t owner_len; /* 0 in states of before there were owners: nobody's */
} record_head;

_Static_assert(sizeof(record_head) == 40, "no padding: its bytes are stored");
_Static_assert(sizeof(record_head) <= 128, "VLY_IMU_RECORD_MAX has room for it");

size_t vly_imu__record_write(const vly_imu_entry *e, char *bytes)
{
    const record_head head = {.magic = MAGIC,
                              .next = e->next,
                              .begun_ms = e->begun_ms,
                              .heard_ms = e->heard_ms,
                              .stream_len = sizeof(e->stream),
                              .user_len = (uint8_t)e->user.len,
                              .device_len = (uint8_t)e->device.len,
                              .has_gyro = e->has_gyro,
                              .owner_len = (uint8_t)e->owner.len};
    char *at = bytes;

    memcpy(at, &head, sizeof(head));
    at += sizeof(head);
    memcpy(at, e->user.ptr, e->user.len);
    at += e->user.len;
    memcpy(at, e->device.ptr, e->device.len);
    at += e->device.len;
    memcpy(at, e->owner.ptr, e->owner.len);
    at += e->owner.len;
    memcpy(at, &e->stream, sizeof(e->stream));
    at += sizeof(e->stream);
    return (size_t)(at - bytes);
}

static uint32_t sum_of(const char *bytes, size_t len)
{
    const size_t from = offsetof(record_head, next);
    return (uint32_t)crc32_z(0, (const unsigned char *)bytes + from, len - from);
}

void vly_imu__record_seal(char *bytes, size_t len)
{
    uint32_t sum = sum_of(bytes, len);
    memcpy(bytes + offsetof(record_head, sum), &sum, sizeof(sum));
}

static bool is_whole(const record_head *head, vly_str bytes)
{
    size_t want = sizeof(*head) + head->user_len + (size_t)head->device_len + head->owner_len +
                  head->stream_len;
    return bytes.len == want && head->user_len <= VLY_IMU_NAME_MAX &&
           head->device_len <= VLY_IMU_NAME_MAX && head->owner_len <= VLY_IMU_NAME_MAX &&
           head->sum == sum_of(bytes.ptr, bytes.len);
}

vly_status vly_imu__record_read(vly_str key, vly_str bytes, const vly_step_model *m,
                                vly_imu_entry **ret, vly_err *err)
{
    record_head head;
    vly_step_stream stream;
    vly_imu_id id;

    if (!vly_imu__id_parse(key, &id) || bytes.len < sizeof(head))
        return vly_fail(err, VLY_EFORMAT, "session '%.*s': no state of a session",
                        VLY_STR_ARG(key));
    memcpy(&head, bytes.ptr, sizeof(head));
    if (head.magic != MAGIC)
        return vly_fail(err, VLY_EUNSUPPORTED, "session '%.*s': of another version",
                        VLY_STR_ARG(key));
    if (!is_whole(&head, bytes))
        return vly_fail(err, VLY_EFORMAT, "session '%.*s': the state is damaged", VLY_STR_ARG(key));
    vly_str user = {bytes.ptr + sizeof(head), head.user_len};
    vly_str device = {user.ptr + user.len, head.device_len};
    vly_str owner = {device.ptr + device.len, head.owner_len};
    if (head.stream_len == sizeof(stream))
        memcpy(&stream, owner.ptr + owner.len, sizeof(stream));
    if (head.stream_len != sizeof(stream) || !vly_step_stream_valid(&stream, sizeof(stream), m))
        return vly_fail(err, VLY_EUNSUPPORTED, "session '%.*s': of another model or version",
                        VLY_STR_ARG(key));
    vly_status st = vly_imu__check_name("user", user, err);
    if (st == VLY_OK)
        st = vly_imu__check_name("device", device, err);
    if (st == VLY_OK)
        st = vly_imu__check_name("owner", owner, err);
    if (st != VLY_OK)
        return st;
    vly_imu_entry *e = vly_imu__entry_new(&id, owner, user, device);
    if (e == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a session");
    e->stream = stream;
    e->next = e->durable = head.next;
    e->has_gyro = head.has_gyro != 0;
    e->begun_ms = head.begun_ms;
    e->heard_ms = head.heard_ms;
    vly_imu__publish_locked(e);
    *ret = e;
    return VLY_OK;
}
