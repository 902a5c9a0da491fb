/* SPDX-License-Identifier: MIT */
/*
 * CSV, as it comes: bytes are fed in any pieces, each record is handed on as soon as it is
 * complete.
 *
 * RFC 4180 with the liberties that real sensor files take: LF, CRLF or CR end a line, blank lines
 * are skipped, a UTF-8 byte order mark is skipped, a quote inside an unquoted cell is an ordinary
 * character, records may differ in length (the receiver decides). Cells are not trimmed.
 * Rejects text behind a closing quote, a quote that is never closed, and NUL bytes (EFORMAT);
 * records beyond the limits (ELIMIT). Every error begins with "line N: ".
 *
 * Delimiter, when not given: the first of tab, ';', ',' that the first line has outside quotes.
 * This order keeps decimal commas whole. Header, when not said: the first record is one when none
 * of its cells is a number.
 *
 * Memory: one record, within the limits. Owner: one thread at a time.
 */
#ifndef VLY_CODEC_CSV_H
#define VLY_CODEC_CSV_H

#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vly_csv vly_csv;

typedef struct vly_csv_row {
    const vly_str *cells; /* unquoted; borrowed until the callback returns */
    size_t n_cells;
    uint64_t line; /* of the file, from 1, where the record ends */
    bool is_header;
} vly_csv_row;

/* A status other than VLY_OK ends the reading and is what vly_csv_feed returns. */
typedef vly_status (*vly_csv_row_fn)(void *arg, const vly_csv_row *row, vly_err *err);

typedef enum vly_csv_header {
    VLY_CSV_HEADER_AUTO,
    VLY_CSV_HEADER_YES,
    VLY_CSV_HEADER_NO,
} vly_csv_header;

typedef struct vly_csv_opts {
    char delimiter; /* 0: guess */
    vly_csv_header header;
    size_t max_record_bytes; /* 0: 64 KiB */
    size_t max_cells;        /* of a record; 0: 1024 */
    vly_csv_row_fn on_row;
    void *arg;
} vly_csv_opts;

vly_csv *vly_csv_new(const vly_csv_opts *opts)
    __attribute__((warn_unused_result)); /* NULL: ENOMEM */
void vly_csv_free(vly_csv *csv);         /* accepts NULL */

/* After an error of either only vly_csv_free is allowed. */
vly_status vly_csv_feed(vly_csv *csv, const void *bytes, size_t n, vly_err *err) VLY_MUST_CHECK;
/* No more bytes follow: the last record may lack its line end. */
vly_status vly_csv_end(vly_csv *csv, vly_err *err) VLY_MUST_CHECK;

/* The delimiter in use; 0: not known before the first line is complete. */
char vly_csv_delimiter(const vly_csv *csv);

/* A cell as a number, blanks around it allowed; with a delimiter other than ',' the decimal point
 * may be a comma. */
bool vly_csv_number(vly_str cell, char delimiter, double *ret);

#endif
