/* SPDX-License-Identifier: MIT */
/*
 * Time to read a recording of motion, median of the runs.
 *
 *     bench_imu_reader RECORDING [RUNS]
 */
#include "base/clock.h"
#include "codec/imu.h"

#include <stdio.h>
#include <stdlib.h>

#define BYTES_MAX ((size_t)256 << 20)
#define RUNS_MAX  1000

static vly_status count(void *arg, const vly_imu_reading *readings, size_t n, vly_err *err)
{
    (void)readings;
    (void)err;
    *(size_t *)arg += n;
    return VLY_OK;
}

static int compare(const void *a, const void *b)
{
    vly_nsec x = *(const vly_nsec *)a, y = *(const vly_nsec *)b;
    return (x > y) - (x < y);
}

static vly_status read_once(const char *bytes, size_t n, size_t *n_readings, vly_err *err)
{
    const vly_imu_reader_opts opts = {
        .max_json_bytes = BYTES_MAX, .on_readings = count, .arg = n_readings};
    vly_imu_reader *r;
    vly_status st = vly_imu_reader_new(&opts, &r, err);

    if (st != VLY_OK)
        return st;
    st = vly_imu_reader_feed(r, bytes, n, err);
    if (st == VLY_OK)
        st = vly_imu_reader_end(r, err);
    vly_imu_reader_free(r);
    return st;
}

int main(int argc, char **argv)
{
    static vly_nsec times[RUNS_MAX];
    int runs = argc > 2 ? atoi(argv[2]) : 50;
    char *bytes = malloc(BYTES_MAX);
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
    size_t n_readings = 0;
    vly_err err;

    if (f == NULL || bytes == NULL || runs < 1 || runs > RUNS_MAX) {
        fprintf(stderr, "usage: bench_imu_reader RECORDING [RUNS]\n");
        return 2;
    }
    size_t n = fread(bytes, 1, BYTES_MAX, f);
    fclose(f);
    for (int i = 0; i < runs; i++) {
        vly_nsec begin = vly_clock_now();
        n_readings = 0;
        if (read_once(bytes, n, &n_readings, &err) != VLY_OK) {
            fprintf(stderr, "%s: %s\n", argv[1], err.msg);
            return 1;
        }
        times[i] = vly_clock_now() - begin;
    }
    qsort(times, (size_t)runs, sizeof(*times), compare);
    double ms = (double)times[runs / 2] / 1e6;
    printf("%zu bytes, %zu readings: %.2f ms (%.2f .. %.2f), %.0f MB/s, %.1f M readings/s\n", n,
           n_readings, ms, (double)times[0] / 1e6, (double)times[runs - 1] / 1e6,
           (double)n / ms / 1e3, (double)n_readings / ms / 1e3);
    free(bytes);
    return 0;
}
