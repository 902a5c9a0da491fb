/* SPDX-License-Identifier: MIT */
/*
 * Recordings: the first byte chooses options and the size of the pieces, the rest is the file. In
 * pieces or in one the same readings, faults or the same refusal come out, and readings are sane.
 */
#include "base/assert.h"
#include "codec/imu.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

typedef struct outcome {
    vly_status status;
    uint64_t digest, n, n_labels;
    uint64_t n_rows, n_faults[VLY_IMU_FAULTS];
} outcome;

static void mix(outcome *o, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        o->digest = (o->digest ^ p[i]) * UINT64_C(0x100000001b3);
}

static vly_status take(void *arg, const vly_imu_reading *readings, size_t n, vly_err *err)
{
    outcome *o = arg;

    (void)err;
    for (size_t i = 0; i < n; i++)
        VLY_ASSERT(vly_imu_reading_fault(&readings[i]) == VLY_IMU_FAULTS);
    mix(o, readings, n * sizeof(*readings));
    o->n += n;
    return VLY_OK;
}

static vly_status take_labels(void *arg, const float *labels, size_t n, vly_err *err)
{
    outcome *o = arg;

    (void)err;
    mix(o, labels, n * sizeof(*labels));
    o->n_labels += n;
    VLY_ASSERT(o->n_labels == o->n);
    return VLY_OK;
}

static void check_report(const vly_imu_report *p, outcome *o)
{
    uint64_t n_faults = 0;

    for (int i = 0; i < VLY_IMU_FAULTS; i++) {
        o->n_faults[i] = p->n_faults[i];
        n_faults += p->n_faults[i];
        VLY_ASSERT((p->n_faults[i] == 0) == (p->first_fault_line[i] == 0));
    }
    o->n_rows = p->n_rows;
    if (o->status != VLY_OK)
        return;
    VLY_ASSERT(p->n_readings == o->n && o->n > 0 && p->n_rows == o->n + n_faults);
    VLY_ASSERT(p->format != NULL && p->acc_unit != NULL && p->gyro_unit != NULL);
    VLY_ASSERT(p->time_unit != NULL && p->columns != NULL && p->rate_hz >= 0);
}

static outcome read_all(const unsigned char *bytes, size_t n, size_t step, vly_imu_reader_opts opts)
{
    outcome o = {.status = VLY_OK};
    vly_imu_reader *r;

    opts.arg = &o;
    VLY_ASSERT(vly_imu_reader_new(&opts, &r, NULL) == VLY_OK);
    for (size_t i = 0; i < n && o.status == VLY_OK; i += step)
        o.status = vly_imu_reader_feed(r, bytes + i, n - i < step ? n - i : step, NULL);
    if (o.status == VLY_OK)
        o.status = vly_imu_reader_end(r, NULL);
    VLY_ASSERT(o.status == VLY_OK || o.status == VLY_EFORMAT || o.status == VLY_ELIMIT ||
               o.status == VLY_EINVAL);
    check_report(vly_imu_reader_report(r), &o);
    vly_imu_reader_free(r);
    return o;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    if (n == 0)
        return 0;
    vly_imu_reader_opts opts = {
        .rate_hz = (bytes[0] & 1) != 0 ? 50 : 0,
        .is_rate_forced = (bytes[0] & 1) != 0,
        .columns = (bytes[0] & 2) != 0 ? VLY_STR("time,acc_x,acc_y,acc_z,kind") : VLY_STR(""),
        .label = (bytes[0] & 4) != 0 ? "kind" : NULL,
        .acc_unit = (bytes[0] & 8) != 0 ? VLY_STR("g") : VLY_STR(""),
        .max_json_bytes = 1 << 16,
        .max_readings = 10000,
        .on_readings = take,
        .on_labels = take_labels,
    };
    size_t step = 1 + (bytes[0] >> 4);
    if ((bytes[0] & 6) == 2)
        opts.columns = VLY_STR("time,acc_x,acc_y,acc_z");
    outcome whole = read_all(bytes + 1, n - 1, n, opts);
    outcome pieces = read_all(bytes + 1, n - 1, step, opts);
    VLY_ASSERT(whole.status == pieces.status && whole.n_rows == pieces.n_rows);
    VLY_ASSERT(whole.n == pieces.n && whole.digest == pieces.digest);
    for (int i = 0; i < VLY_IMU_FAULTS; i++)
        VLY_ASSERT(whole.n_faults[i] == pieces.n_faults[i]);
    return 0;
}
