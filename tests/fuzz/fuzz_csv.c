/* SPDX-License-Identifier: MIT */
/*
 * CSV: the first byte chooses limits and the size of the pieces, the rest is the file. In pieces or
 * in one, the same records, or the same refusal, must come out.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "codec/csv.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

typedef struct outcome {
    vly_status status;
    uint64_t n_rows;
    uint64_t digest;
    const vly_csv_opts *opts;
} outcome;

static void mix(outcome *o, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        o->digest = (o->digest ^ p[i]) * UINT64_C(0x100000001b3);
    o->digest = (o->digest ^ n) * UINT64_C(0x100000001b3);
}

static vly_status take_row(void *arg, const vly_csv_row *row, vly_err *err)
{
    outcome *o = arg;
    size_t n_bytes = 0;
    double v;

    (void)err;
    VLY_ASSERT(row->n_cells >= 1 && row->n_cells <= o->opts->max_cells && row->line >= 1);
    VLY_ASSERT(!row->is_header || o->n_rows == 0);
    for (size_t i = 0; i < row->n_cells; i++) {
        mix(o, row->cells[i].ptr, row->cells[i].len);
        n_bytes += row->cells[i].len;
        if (vly_csv_number(row->cells[i], ';', &v))
            mix(o, &v, sizeof(v));
    }
    VLY_ASSERT(n_bytes <= o->opts->max_record_bytes);
    mix(o, &row->line, sizeof(row->line));
    o->n_rows++;
    return VLY_OK;
}

static outcome read_all(const unsigned char *bytes, size_t n, size_t step, vly_csv_opts opts)
{
    outcome o = {.status = VLY_OK, .opts = &opts};

    opts.arg = &o;
    vly_csv *csv = vly_csv_new(&opts);
    VLY_ASSERT(csv != NULL);
    for (size_t i = 0; i < n && o.status == VLY_OK; i += step)
        o.status = vly_csv_feed(csv, bytes + i, n - i < step ? n - i : step, NULL);
    if (o.status == VLY_OK)
        o.status = vly_csv_end(csv, NULL);
    vly_csv_free(csv);
    o.opts = NULL;
    return o;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    if (n == 0)
        return 0;
    vly_csv_opts opts = {
        .delimiter = (bytes[0] & 1) != 0 ? ',' : '\0',
        .max_record_bytes = (bytes[0] & 2) != 0 ? 16 : 4096,
        .max_cells = (bytes[0] & 4) != 0 ? 3 : 64,
        .on_row = take_row,
    };
    size_t step = 1 + (bytes[0] >> 3) % 8;
    outcome whole = read_all(bytes + 1, n - 1, n, opts);
    outcome pieces = read_all(bytes + 1, n - 1, step, opts);
    VLY_ASSERT(whole.status == pieces.status);
    VLY_ASSERT(whole.n_rows == pieces.n_rows && whole.digest == pieces.digest);
    return 0;
}
