/* SPDX-License-Identifier: MIT */
/* Expected records by RFC 4180 and by hand. */
#include "base/buf.h"
#include "base/mem.h"
#include "codec/csv.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* Records as text: "h[a|b] [c|d]", h before a header. */
static vly_status print_row(void *arg, const vly_csv_row *row, vly_err *err)
{
    vly_buf *out = arg;

    (void)err;
    vly_buf_puts(out, row->is_header ? "h[" : "[");
    for (size_t i = 0; i < row->n_cells; i++) {
        if (i > 0)
            vly_buf_putc(out, '|');
        vly_buf_add_str(out, row->cells[i]);
    }
    vly_buf_putc(out, ']');
    return VLY_OK;
}

/* Feeds text in pieces of `step` bytes, each in a block of its own size. */
static vly_status feed(vly_csv *csv, vly_str text, size_t step, vly_err *err)
{
    for (size_t i = 0; i < text.len; i += step) {
        size_t n = text.len - i < step ? text.len - i : step;
        char *piece = vly_strndup(VLY_MEM_CODEC, text.ptr + i, n);
        assert_non_null(piece);
        vly_status st = vly_csv_feed(csv, piece, n, err);
        vly_free(piece);
        if (st != VLY_OK)
            return st;
    }
    return vly_csv_end(csv, err);
}

static vly_status read_text(vly_str text, size_t step, vly_csv_opts opts, vly_buf *out,
                            vly_err *err)
{
    opts.on_row = print_row;
    opts.arg = out;
    vly_csv *csv = vly_csv_new(&opts);
    assert_non_null(csv);
    vly_status st = feed(csv, text, step, err);
    vly_csv_free(csv);
    return st;
}

/* The result must not depend on how the bytes arrive. */
static void check_with(const char *text, vly_csv_opts opts, const char *want)
{
    const size_t steps[] = {1, 2, 3, 7, 4096};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        vly_buf out;
        vly_err err = VLY_ERR_INIT;
        vly_buf_init(&out, VLY_MEM_CODEC, 1 << 20);
        if (read_text(vly_str_from(text), steps[i], opts, &out, &err) != VLY_OK)
            fail_msg("'%s': %s", text, err.msg);
        assert_string_equal(out.len > 0 ? out.ptr : "", want);
        vly_buf_release(&out);
    }
}

static void check(const char *text, const char *want)
{
    check_with(text, (vly_csv_opts){.header = VLY_CSV_HEADER_NO}, want);
}

static void reads_records(void **state)
{
    (void)state;
    check("", "");
    check("a", "[a]");
    check("a,b\nc,d\n", "[a|b][c|d]");
    check("a,b\r\nc,d\r\n", "[a|b][c|d]");
    check("a,b\rc,d\r", "[a|b][c|d]");
    check("a,b\nc,d", "[a|b][c|d]");
    check(",\n,,", "[|][||]");
    check("a,\n,b", "[a|][|b]");
    check(" a , b ", "[ a | b ]");
    check("a,b,c\nd", "[a|b|c][d]");
}

static void skips_blank_lines_and_mark(void **state)
{
    (void)state;
    check("\n\r\n\ra,b\n\n\r\n\rc,d\n\n", "[a|b][c|d]");
    check("\n\n", "");
    check("\xef\xbb\xbf"
          "a,b\n",
          "[a|b]");
    check("\xef\xbb\xbf", "");
    check("a\n\"\"\nb", "[a][][b]"); /* a quoted empty cell is a record */
}

static void reads_quotes(void **state)
{
    (void)state;
    check("\"a\",\"b\"\n", "[a|b]");
    check("\"a,b\",c", "[a,b|c]");
    check("x,\"say \"\"hi\"\"\"\n", "[x|say \"hi\"]");
    check("\"\"\"\"", "[\"]");
    check("\"\",\"\"", "[|]");
    check("x\n\"two\nlines\",y\n", "[x][two\nlines|y]");
    check("x\n\"two\r\nlines\",y\r\n", "[x][two\r\nlines|y]");
    check("5\" pipe,a\"b\"\n", "[5\" pipe|a\"b\"]");
    check("\"two\nlines\",y\n", "[two\nlines|y]");
}

static void guesses_delimiter(void **state)
{
    (void)state;
    check("a;b\n1,5;2,5\n", "[a|b][1,5|2,5]");
    check("1,5;2,5\n", "[1,5|2,5]");
    check("a\tb;c,d\n", "[a|b;c,d]");
    check("\"a;b\",c\n", "[a;b|c]");
    check("a\n1,2\n", "[a][1|2]"); /* one column on the first line: a comma */
    check_with("a,b;c\n", (vly_csv_opts){.delimiter = ',', .header = VLY_CSV_HEADER_NO}, "[a|b;c]");
    check_with("a|b\n", (vly_csv_opts){.delimiter = '|', .header = VLY_CSV_HEADER_NO}, "[a|b]");
}

static void finds_header(void **state)
{
    (void)state;
    const vly_csv_opts automatic = {0};

    check_with("t,x\n1,2\n", automatic, "h[t|x][1|2]");
    check_with("1,2\n3,4\n", automatic, "[1|2][3|4]");
    check_with("2023-01-01,0.5\n", automatic, "[2023-01-01|0.5]");
    check_with("t;x\n1,5;2\n", automatic, "h[t|x][1,5|2]");
    check_with("1,5;x\n", automatic, "[1,5|x]");
    check_with(",\na,b\n", automatic, "[|][a|b]");
    check_with("1,2\n", (vly_csv_opts){.header = VLY_CSV_HEADER_YES}, "h[1|2]");
    check_with("a,b\nc,d\n", (vly_csv_opts){.header = VLY_CSV_HEADER_NO}, "[a|b][c|d]");
}

static void check_error(vly_str text, vly_csv_opts opts, vly_status want, const char *message)
{
    for (size_t step = 1; step < 40; step += 19) {
        vly_buf out;
        vly_err err = VLY_ERR_INIT;
        vly_buf_init(&out, VLY_MEM_CODEC, 1 << 20);
        assert_int_equal(read_text(text, step, opts, &out, &err), want);
        assert_string_equal(err.msg, message);
        vly_buf_release(&out);
    }
}

static void rejects_malformed(void **state)
{
    (void)state;
    const vly_csv_opts opts = {0};

    check_error(VLY_STR("a,b\n\"c\"d,e\n"), opts, VLY_EFORMAT,
                "line 2: text behind a closing quote");
    check_error(VLY_STR("a\r\n\"b\r\nc\r\nd"), opts, VLY_EFORMAT, "line 2: quote is never closed");
    check_error(VLY_STR("a\n\"b\r\nc\"\nx\0y"), opts, VLY_EFORMAT,
                "line 4: NUL byte: not a text file");
    check_error(VLY_STR("\xff\xfe"
                        "a\0"),
                opts, VLY_EFORMAT, "line 1: NUL byte: not a text file");
}

static void keeps_limits(void **state)
{
    (void)state;
    const vly_csv_opts opts = {.max_record_bytes = 8, .max_cells = 3};

    check_with("1234,678\na,b,c\n", opts, "[1234|678][a|b|c]");
    check_error(VLY_STR("123456789"), opts, VLY_ELIMIT, "line 1: record is longer than 8 bytes");
    check_error(VLY_STR("a\n1234,56789\n"), opts, VLY_ELIMIT,
                "line 2: record is longer than 8 bytes");
    check_error(VLY_STR("a\n\"1\n2\n3\n4\n5\"\n"), opts, VLY_ELIMIT,
                "line 6: record is longer than 8 bytes");
    check_error(VLY_STR("a,b,c,d\n"), opts, VLY_ELIMIT, "line 1: more than 3 cells");
    check_error(VLY_STR("a\n,,,\n"), opts, VLY_ELIMIT, "line 2: more than 3 cells");
}

static vly_status count_lines(void *arg, const vly_csv_row *row, vly_err *err)
{
    uint64_t *lines = arg;

    lines[lines[0]++] = row->line;
    return row->n_cells == 3 ? vly_fail(err, VLY_ECANCELLED, "enough") : VLY_OK;
}

static void tells_lines_and_stops(void **state)
{
    (void)state;
    uint64_t lines[8] = {1};
    vly_csv_opts opts = {.on_row = count_lines, .arg = lines};
    vly_csv *csv = vly_csv_new(&opts);
    vly_err err = VLY_ERR_INIT;

    assert_int_equal(vly_csv_delimiter(csv), 0);
    assert_int_equal(feed(csv, VLY_STR("a;b\r\n\r\n\"c\r\nd\"\r\ne;f;g\r\nh\r\n"), 3, &err),
                     VLY_ECANCELLED);
    assert_string_equal(err.msg, "enough");
    assert_int_equal(vly_csv_delimiter(csv), ';');
    assert_int_equal(lines[0], 4);
    assert_int_equal(lines[1], 1);
    assert_int_equal(lines[2], 4);
    assert_int_equal(lines[3], 5);
    vly_csv_free(csv);
}

static void reads_numbers(void **state)
{
    (void)state;
    double v = 0;

    assert_true(vly_csv_number(VLY_STR(" -2.5e-3 "), ',', &v));
    assert_true(v == -0.0025);
    assert_true(vly_csv_number(VLY_STR("1,25"), ';', &v));
    assert_true(v == 1.25);
    assert_false(vly_csv_number(VLY_STR("1,25"), ',', &v));
    assert_false(vly_csv_number(VLY_STR("1,2,3"), ';', &v));
    assert_false(vly_csv_number(VLY_STR("1.000,5"), ';', &v));
    assert_false(vly_csv_number(VLY_STR(""), ';', &v));
    assert_false(vly_csv_number(VLY_STR("  "), ';', &v));
    assert_false(vly_csv_number(VLY_STR("x"), ';', &v));
    char digits[100];
    memset(digits, '1', sizeof(digits));
    assert_false(vly_csv_number((vly_str){digits, sizeof(digits)}, ',', &v));
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        uint64_t lines[8] = {1};
        vly_csv_opts opts = {.on_row = count_lines, .arg = lines};
        vly_status st = VLY_ENOMEM;
        vly_mem_fail_after(n);
        vly_csv *csv = vly_csv_new(&opts);
        if (csv != NULL)
            st = vly_csv_feed(csv, "a,b\nc,d\n", 8, NULL);
        if (st == VLY_OK)
            st = vly_csv_end(csv, NULL);
        vly_mem_fail_after(-1);
        vly_csv_free(csv);
        if (st == VLY_OK) {
            assert_true(n >= 5);
            assert_int_equal(lines[0], 3);
            return;
        }
        assert_int_equal(st, VLY_ENOMEM);
    }
}

typedef struct totals {
    size_t n_rows, n_cells;
    double sum;
} totals;

static vly_status add_numbers(void *arg, const vly_csv_row *row, vly_err *err)
{
    totals *t = arg;
    double v;

    (void)err;
    t->n_rows++;
    t->n_cells += row->n_cells;
    for (size_t i = 0; i < row->n_cells; i++)
        if (vly_csv_number(row->cells[i], ',', &v))
            t->sum += v;
    return VLY_OK;
}

/* Counts and sum by Python's csv module. */
static void reads_a_recording(void **state)
{
    (void)state;
    totals t = {0};
    vly_csv_opts opts = {.on_row = add_numbers, .arg = &t};
    FILE *f = fopen(unit_shared("data/imu/phyphox-hku/test1-84step.csv"), "rb");
    vly_csv *csv = vly_csv_new(&opts);
    char piece[1000];
    size_t n;

    assert_non_null(f);
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        assert_int_equal(vly_csv_feed(csv, piece, n, NULL), VLY_OK);
    assert_int_equal(vly_csv_end(csv, NULL), VLY_OK);
    fclose(f);
    vly_csv_free(csv);
    assert_int_equal(t.n_rows, 6101);
    assert_int_equal(t.n_cells, 5 * 6101);
    assert_true(t.sum > 215677.7838 && t.sum < 215677.7839);
}

UNIT_TESTS(cmocka_unit_test(reads_records), cmocka_unit_test(skips_blank_lines_and_mark),
           cmocka_unit_test(reads_quotes), cmocka_unit_test(guesses_delimiter),
           cmocka_unit_test(finds_header), cmocka_unit_test(rejects_malformed),
           cmocka_unit_test(keeps_limits), cmocka_unit_test(tells_lines_and_stops),
           cmocka_unit_test(reads_numbers), cmocka_unit_test(survives_every_failing_allocation),
           cmocka_unit_test(reads_a_recording))
