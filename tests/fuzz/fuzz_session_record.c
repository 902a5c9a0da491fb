/* SPDX-License-Identifier: MIT */
/*
 * Stored sessions: what does not say of itself that it is whole is refused; what does, whatever is
 * in it, can go on.
 *
 * First byte even: the rest is the record. Odd: the rest are changes of a good one, three bytes
 * each (where, twice, and what), which is then sealed again.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "sched/imu_internal.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

#define KEY VLY_STR("00112233445566778899aabbccddeeff")

enum { READINGS = 64, MOST_EVENTS = 4 * 1064 }; /* some from what was in the stream */

static vly_step_model *model;
static vly_step_batcher *batcher;

static void load(void)
{
    if (model != NULL)
        return;
    VLY_ASSERT(vly_step_model_load(NULL, -1, &model, NULL) == VLY_OK);
    VLY_ASSERT(vly_step_batcher_new(model, &batcher, NULL) == VLY_OK);
}

static void count(void *arg, const vly_step_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        VLY_ASSERT(events[i].activity < VLY_ACTIVITIES);
        ++*(size_t *)arg;
    }
}

static void go_on(vly_imu_entry *e)
{
    vly_imu_reading readings[READINGS];
    vly_imu_session_info info;
    size_t n_events = 0;
    const vly_step_work work = {&e->stream, readings, READINGS, count, &n_events};
    int64_t t_us = e->stream.totals.last_us;

    t_us = t_us > INT64_MAX / 2 || t_us < INT64_MIN / 2 ? 0 : t_us;
    for (size_t i = 0; i < READINGS; i++)
        readings[i] = (vly_imu_reading){.t_us = t_us + (int64_t)i * 12500, .acc = {0, 1, 9.81F}};
    VLY_ASSERT(vly_step_batcher_run(batcher, &work, 1, NULL) == VLY_OK);
    VLY_ASSERT(vly_step_batcher_finish(batcher, &work, NULL) == VLY_OK);
    VLY_ASSERT(n_events <= MOST_EVENTS);
    vly_imu__publish_locked(e);
    vly_imu__info_locked(e, &info);
}

static void read_record(const char *bytes, size_t n)
{
    vly_imu_entry *e = NULL;
    vly_err err;
    vly_status st = vly_imu__record_read(KEY, (vly_str){bytes, n}, model, &e, &err);

    if (st == VLY_OK) {
        go_on(e);
        vly_imu__entry_unref_locked(e);
    } else {
        VLY_ASSERT(e == NULL && err.status == st);
    }
}

static size_t write_good(char *bytes)
{
    vly_imu_id id;

    VLY_ASSERT(vly_imu__id_parse(KEY, &id));
    vly_imu_entry *e = vly_imu__entry_new(&id, VLY_STR("key"), VLY_STR("user"), VLY_STR("device"));
    VLY_ASSERT(e != NULL);
    vly_step_stream_init(&e->stream, model, true);
    go_on(e);
    size_t len = vly_imu__record_write(e, bytes);
    vly_imu__entry_unref_locked(e);
    return len;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    char record[VLY_IMU_RECORD_MAX];

    load();
    if (n == 0)
        return 0;
    if (bytes[0] % 2 == 0) {
        read_record((const char *)bytes + 1, n - 1);
        return 0;
    }
    size_t len = write_good(record);
    for (size_t i = 1; i + 2 < n; i += 3)
        record[((size_t)bytes[i] << 8 | bytes[i + 1]) % len] ^= (char)bytes[i + 2];
    vly_imu__record_seal(record, len);
    read_record(record, len);
    return 0;
}
