/* SPDX-License-Identifier: MIT */
/*
 * Time to read a recording of motion, median of the runs.
 *
 *     bench_imu_reader RECORDING [RUNS]
 */
#include "base/buf.h"
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

static bool read_file(const char *path, vly_buf *ret)
{
    char piece[4096];
    size_t n;
    FILE *f = fopen(path, "rb");

    if (f == NULL)
        return false;
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        vly_buf_add(ret, piece, n);
    fclose(f);
    return !ret->failed;
}

static bool measure(vly_str bytes, size_t runs, vly_nsec *times)
{
    size_t n_readings = 0;
    vly_err err;

    for (size_t i = 0; i < runs; i++) {
        vly_nsec begin = vly_clock_now();
        n_readings = 0;
        if (read_once(bytes.ptr, bytes.len, &n_readings, &err) != VLY_OK) {
            fprintf(stderr, "%s\n", err.msg);
            return false;
        }
        times[i] = vly_clock_now() - begin;
    }
    qsort(times, runs, sizeof(*times), compare);
    size_t middle = runs / 2;
    double ms = (double)times[middle] / 1e6;
    printf("%zu bytes, %zu readings: %.2f ms (%.2f .. %.2f), %.0f MB/s, %.1f M readings/s\n",
           bytes.len, n_readings, ms, (double)times[0] / 1e6, (double)times[runs - 1] / 1e6,
           (double)bytes.len / ms / 1e3, (double)n_readings / ms / 1e3);
    return true;
}

int main(int argc, char **argv)
{
    static vly_nsec times[RUNS_MAX];
    uint64_t runs = 50;
    vly_buf bytes;

    vly_buf_init(&bytes, VLY_MEM_CLI, BYTES_MAX);
    if (argc < 2 || !read_file(argv[1], &bytes) ||
        (argc > 2 && !vly_str_to_u64(vly_str_from(argv[2]), &runs)) || runs < 1 ||
        runs > RUNS_MAX) {
        fprintf(stderr, "usage: bench_imu_reader RECORDING [RUNS]\n");
        return 2;
    }
    bool is_ok = measure(vly_buf_str(&bytes), runs, times);
    vly_buf_release(&bytes);
    return is_ok ? 0 : 1;
}
