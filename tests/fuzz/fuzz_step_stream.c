/* SPDX-License-Identifier: MIT */
/*
 * A stream as a store gives it back, and readings as a client sends them: bytes that are a valid
 * stream must be safe to go on with, and readings in pieces and beside another stream give what
 * they give in one.
 *
 * First byte: 1: the bytes begin with a stream; else a fresh one. Second: size of the pieces. Then
 * readings of 8 bytes: time since the one before (16 bits, signed, in units of 100 us), then six
 * values.
 */
#include "base/assert.h"
#include "tasks/steps/step_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

enum { READINGS_MAX = 4096, READING_BYTES = 8 };

typedef struct outcome {
    vly_step_stream stream;
    uint64_t n_events, hash;
    int64_t before_us;
} outcome;

static vly_step_model *model;
static vly_step_batcher *batcher;

static void set_up(void)
{
    vly_err err;

    if (vly_step_model_load(NULL, -1, &model, &err) == VLY_OK &&
        vly_step_batcher_new(model, &batcher, &err) == VLY_OK)
        return;
    fprintf(stderr, "%s\n", err.msg);
    abort();
}

static void take(void *arg, const vly_step_event *events, size_t n)
{
    outcome *o = arg;

    for (size_t i = 0; i < n; i++) {
        uint32_t confidence;
        memcpy(&confidence, &events[i].confidence, sizeof(confidence));
        VLY_ASSERT(events[i].confidence >= 0 && events[i].confidence <= 1);
        o->hash = (o->hash ^ (uint64_t)events[i].t_us ^ confidence ^ events[i].step) *
                  UINT64_C(0x100000001b3);
        o->n_events++;
    }
}

static size_t read_readings(const unsigned char *bytes, size_t n, vly_imu_reading *ret)
{
    int64_t t_us = 0;
    size_t count = n / READING_BYTES < READINGS_MAX ? n / READING_BYTES : READINGS_MAX;

    for (size_t i = 0; i < count; i++, bytes += READING_BYTES) {
        int16_t dt;
        memcpy(&dt, bytes, sizeof(dt));
        t_us += (int64_t)dt * 100;
        ret[i].t_us = t_us;
        for (int k = 0; k < 3; k++) {
            ret[i].acc[k] = ((float)bytes[2 + k] - 128) * (VLY_IMU_ACC_MAX / 128);
            ret[i].gyro[k] = ((float)bytes[5 + k] - 128) * (VLY_IMU_GYRO_MAX / 128);
        }
    }
    return count;
}

static void run_pieces(outcome *o, const vly_imu_reading *readings, size_t n, size_t piece)
{
    vly_imu_reading still[3] = {{.acc = {0, 0, 9.81F}}, {.t_us = 12500}, {.t_us = 25000}};
    vly_step_stream other;
    vly_err err;

    vly_step_stream_init(&other, model, false);
    for (size_t at = 0; at < n; at += piece) {
        size_t some = n - at < piece ? n - at : piece;
        vly_step_work work[] = {{&other, still, 3, NULL, NULL},
                                {&o->stream, readings + at, some, take, o}};
        VLY_ASSERT(vly_step_batcher_run(batcher, work, 2, &err) == VLY_OK);
        for (int i = 0; i < 3; i++)
            still[i].t_us += 37500;
    }
    VLY_ASSERT(vly_step_batcher_finish(batcher, &(vly_step_work){&o->stream, NULL, 0, take, o},
                                       &err) == VLY_OK);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    static vly_imu_reading readings[READINGS_MAX];
    outcome whole = {.hash = 1}, parts;

    if (model == NULL)
        set_up();
    if (n < 2)
        return 0;
    bool is_stored = bytes[0] == 1;
    size_t piece = 1 + (size_t)bytes[1];
    bytes += 2;
    n -= 2;
    vly_step_stream_init(&whole.stream, model, true);
    if (is_stored) {
        if (n < sizeof(whole.stream))
            return 0;
        memcpy(&whole.stream, bytes, sizeof(whole.stream));
        whole.stream.model = model->tag; /* that no mutation would guess */
        if (!vly_step_stream_valid(&whole.stream, sizeof(whole.stream), model))
            return 0;
        bytes += sizeof(whole.stream);
        n -= sizeof(whole.stream);
    }
    size_t count = read_readings(bytes, n, readings);
    parts = whole;
    run_pieces(&whole, readings, count, READINGS_MAX);
    run_pieces(&parts, readings, count, piece);
    VLY_ASSERT(whole.n_events == parts.n_events && whole.hash == parts.hash);
    for (size_t i = 0; i < VLY_STEP_HIDDEN_MAX; i++)
        VLY_ASSERT(whole.stream.state[i] == parts.stream.state[i]);
    return 0;
}
