/* SPDX-License-Identifier: MIT */
/*
 * The first line is held back until it is complete, for the byte order mark and the delimiter; from
 * then on a state machine takes the bytes as they come.
 *
 *            +--- delimiter, line end ---+
 *            v                           |
 *   BEGIN ------ other ----> PLAIN ------+
 *     |                                  |
 *     +--- " --> QUOTED <--- " ---> QUOTE
 */
#include "codec/csv.h"

#include "base/assert.h"
#include "base/buf.h"

#include <string.h>

#define RECORD_BYTES_DEFAULT 65536
#define CELLS_DEFAULT        1024
#define NUMBER_BYTES_MAX     63

typedef enum csv_state {
    STATE_FIRST_LINE,
    STATE_BEGIN, /* of a cell */
    STATE_PLAIN,
    STATE_QUOTED,
    STATE_QUOTE, /* behind a quote within quotes: the end, or half of "" */
} csv_state;

struct vly_csv {
    vly_csv_opts opts;
    csv_state state;
    char delimiter;
    bool is_first;     /* no record has been handed on yet */
    bool has_quotes;   /* in the current record */
    bool is_behind_cr; /* a LF that comes next ends the same line */
    uint64_t line;
    uint64_t quote_line; /* where the open quote stands */
    vly_buf text;        /* the first line; then the unquoted cells of the current record, joined */
    size_t n_cells;      /* complete ones */
    size_t *ends;        /* [max_cells] where each ends in text */
    vly_str *cells;      /* [max_cells] */
};

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

vly_csv *vly_csv_new(const vly_csv_opts *opts)
{
    VLY_ASSERT(opts->on_row != NULL);
    VLY_ASSERT(opts->delimiter != '"' && !is_line_end(opts->delimiter));
    vly_csv *csv = vly_calloc(VLY_MEM_CODEC, 1, sizeof(*csv));
    if (csv == NULL)
        return NULL;
    csv->opts = *opts;
    if (csv->opts.max_record_bytes == 0)
        csv->opts.max_record_bytes = RECORD_BYTES_DEFAULT;
    if (csv->opts.max_cells == 0)
        csv->opts.max_cells = CELLS_DEFAULT;
    csv->line = 1;
    csv->is_first = true;
    vly_buf_init(&csv->text, VLY_MEM_CODEC, csv->opts.max_record_bytes);
    csv->ends = vly_calloc(VLY_MEM_CODEC, csv->opts.max_cells, sizeof(*csv->ends));
    csv->cells = vly_calloc(VLY_MEM_CODEC, csv->opts.max_cells, sizeof(*csv->cells));
    if (csv->ends != NULL && csv->cells != NULL)
        return csv;
    vly_csv_free(csv);
    return NULL;
}

void vly_csv_free(vly_csv *csv)
{
    if (csv == NULL)
        return;
    vly_buf_release(&csv->text);
    vly_free(csv->ends);
    vly_free(csv->cells);
    vly_free(csv);
}

char vly_csv_delimiter(const vly_csv *csv)
{
    return csv->delimiter;
}

bool vly_csv_number(vly_str cell, char delimiter, double *ret)
{
    char text[NUMBER_BYTES_MAX];
    vly_str s = vly_str_trim(cell);

    if (s.len == 0 || s.len > sizeof(text))
        return false;
    memcpy(text, s.ptr, s.len);
    char *comma = delimiter != ',' ? memchr(text, ',', s.len) : NULL;
    if (comma != NULL)
        *comma = '.'; /* a second comma, or a point besides, is no number to vly_str_to_f64 */
    return vly_str_to_f64((vly_str){text, s.len}, ret);
}

/* ---- records ---- */

static bool looks_like_header(const vly_csv *csv)
{
    bool has_text = false;
    double v;

    for (size_t i = 0; i < csv->n_cells; i++) {
        if (vly_csv_number(csv->cells[i], csv->delimiter, &v))
            return false;
        has_text = has_text || vly_str_trim(csv->cells[i]).len > 0;
    }
    return has_text;
}

/* Appends to the text of the current record. */
static vly_status add(vly_csv *csv, const char *p, size_t n, vly_err *err)
{
    if (n > csv->opts.max_record_bytes - csv->text.len)
        return vly_fail(err, VLY_ELIMIT, "line %llu: record is longer than %zu bytes",
                        (unsigned long long)csv->line, csv->opts.max_record_bytes);
    vly_buf_add(&csv->text, p, n);
    if (csv->text.failed)
        return vly_fail(err, VLY_ENOMEM, "line %llu: out of memory", (unsigned long long)csv->line);
    return VLY_OK;
}

static vly_status end_cell(vly_csv *csv, vly_err *err)
{
    if (csv->n_cells == csv->opts.max_cells)
        return vly_fail(err, VLY_ELIMIT, "line %llu: more than %zu cells",
                        (unsigned long long)csv->line, csv->opts.max_cells);
    csv->ends[csv->n_cells++] = csv->text.len;
    csv->state = STATE_BEGIN;
    return VLY_OK;
}

static vly_status end_record(vly_csv *csv, vly_err *err)
{
    bool is_blank = csv->n_cells == 0 && csv->text.len == 0 && !csv->has_quotes;
    vly_status st = VLY_OK;

    if (!is_blank) {
        st = end_cell(csv, err);
        if (st != VLY_OK)
            return st;
        size_t begin = 0;
        for (size_t i = 0; i < csv->n_cells; i++) {
            const char *text = csv->text.ptr != NULL ? csv->text.ptr : "";
            csv->cells[i] = (vly_str){text + begin, csv->ends[i] - begin};
            begin = csv->ends[i];
        }
        vly_csv_row row = {.cells = csv->cells, .n_cells = csv->n_cells, .line = csv->line};
        if (csv->is_first)
            row.is_header = csv->opts.header == VLY_CSV_HEADER_YES ||
                            (csv->opts.header == VLY_CSV_HEADER_AUTO && looks_like_header(csv));
        csv->is_first = false;
        st = csv->opts.on_row(csv->opts.arg, &row, err);
    }
    vly_buf_clear(&csv->text);
    csv->n_cells = 0;
    csv->has_quotes = false;
    csv->state = STATE_BEGIN;
    return st;
}

/* ---- bytes ---- */

/* How many of the bytes belong to the cell as they are. */
static size_t span(const vly_csv *csv, const char *p, size_t n)
{
    char stop = csv->state == STATE_QUOTED ? '"' : csv->delimiter;
    size_t i = 0;

    while (i < n && p[i] != stop && !is_line_end(p[i]) && p[i] != '\0')
        i++;
    return i;
}

static void count_line(vly_csv *csv, char c)
{
    bool is_second_half = c == '\n' && csv->is_behind_cr;

    if (!is_second_half)
        csv->line++;
    csv->is_behind_cr = c == '\r';
}

static vly_status take_quoted(vly_csv *csv, char c, vly_err *err)
{
    if (c == '"') {
        csv->state = STATE_QUOTE;
        return VLY_OK;
    }
    count_line(csv, c); /* a line end within quotes */
    return add(csv, &c, 1, err);
}

/* The byte behind a span, or any byte of the states without. */
static vly_status take_byte(vly_csv *csv, char c, vly_err *err)
{
    if (c == '\0')
        return vly_fail(err, VLY_EFORMAT, "line %llu: NUL byte: not a text file",
                        (unsigned long long)csv->line);
    if (csv->state == STATE_QUOTED)
        return take_quoted(csv, c, err);
    if (c == csv->delimiter)
        return end_cell(csv, err);
    if (is_line_end(c)) {
        bool is_second_half = c == '\n' && csv->is_behind_cr;
        vly_status st = is_second_half ? VLY_OK : end_record(csv, err);
        count_line(csv, c);
        return st;
    }
    if (csv->state == STATE_QUOTE && c != '"')
        return vly_fail(err, VLY_EFORMAT, "line %llu: text behind a closing quote",
                        (unsigned long long)csv->line);
    if (csv->state == STATE_QUOTE) {
        csv->state = STATE_QUOTED;
        return add(csv, &c, 1, err);
    }
    VLY_ASSERT(csv->state == STATE_BEGIN && c == '"');
    csv->state = STATE_QUOTED;
    csv->has_quotes = true;
    csv->quote_line = csv->line;
    return VLY_OK;
}

static vly_status take_bytes(vly_csv *csv, const char *p, size_t n, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < n && st == VLY_OK;) {
        bool is_special =
            p[i] == '"' || p[i] == csv->delimiter || is_line_end(p[i]) || p[i] == '\0';
        if (csv->state == STATE_BEGIN && !is_special)
            csv->state = STATE_PLAIN;
        csv->is_behind_cr = csv->is_behind_cr && p[i] == '\n';
        size_t n_span = 0;
        if (csv->state == STATE_PLAIN || csv->state == STATE_QUOTED)
            n_span = span(csv, p + i, n - i);
        if (n_span > 0)
            st = add(csv, p + i, n_span, err);
        else
            st = take_byte(csv, p[i], err);
        i += n_span > 0 ? n_span : 1;
    }
    return st;
}

/* ---- the first line ---- */

static char guess_delimiter(vly_str line)
{
    static const char candidates[] = {'\t', ';', ','};
    bool is_quoted = false;
    bool seen[VLY_COUNT(candidates)] = {false};

    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] == '"')
            is_quoted = !is_quoted;
        for (size_t k = 0; k < VLY_COUNT(candidates) && !is_quoted; k++)
            seen[k] = seen[k] || line.ptr[i] == candidates[k];
    }
    for (size_t k = 0; k < VLY_COUNT(candidates); k++)
        if (seen[k])
            return candidates[k];
    return ',';
}

/* The first line is complete, or the end has come: sends it through the machine. */
static vly_status begin(vly_csv *csv, vly_err *err)
{
    vly_buf first = csv->text; /* its memory is released here */

    vly_buf_init(&csv->text, VLY_MEM_CODEC, csv->opts.max_record_bytes);
    vly_str line = vly_buf_str(&first);
    if (vly_str_starts(line, VLY_STR("\xef\xbb\xbf")))
        line = (vly_str){line.ptr + 3, line.len - 3};
    csv->delimiter = csv->opts.delimiter != 0 ? csv->opts.delimiter : guess_delimiter(line);
    csv->state = STATE_BEGIN;
    vly_status st = take_bytes(csv, line.ptr, line.len, err);
    vly_buf_release(&first);
    return st;
}

/* Gathers bytes up to the first line end; *ret_n: how many were taken, less than n when it is
 * there. Blank lines before it have no delimiter to show, and pass. */
static vly_status gather_first_line(vly_csv *csv, const char *p, size_t n, size_t *ret_n,
                                    vly_err *err)
{
    size_t i = 0;

    for (; i < n && csv->text.len == 0 && is_line_end(p[i]); i++)
        count_line(csv, p[i]);
    size_t start = i;
    while (i < n && !is_line_end(p[i]))
        i++;
    *ret_n = i;
    return i > start ? add(csv, p + start, i - start, err) : VLY_OK;
}

vly_status vly_csv_feed(vly_csv *csv, const void *bytes, size_t n, vly_err *err)
{
    const char *p = bytes;
    size_t taken = 0;

    if (csv->state == STATE_FIRST_LINE) {
        vly_status st = gather_first_line(csv, p, n, &taken, err);
        if (st == VLY_OK && taken < n)
            st = begin(csv, err);
        if (st != VLY_OK || taken == n)
            return st;
    }
    return take_bytes(csv, p + taken, n - taken, err);
}

vly_status vly_csv_end(vly_csv *csv, vly_err *err)
{
    if (csv->state == STATE_FIRST_LINE) {
        vly_status st = begin(csv, err);
        if (st != VLY_OK)
            return st;
    }
    if (csv->state == STATE_QUOTED)
        return vly_fail(err, VLY_EFORMAT, "line %llu: quote is never closed",
                        (unsigned long long)csv->quote_line);
    return end_record(csv, err);
}
