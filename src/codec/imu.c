/* SPDX-License-Identifier: MIT */
/*
 * The first bytes tell the form:  "VIMU" packets,  { or [ JSON,  anything else CSV.
 *
 *     feed -> HEAD (4 bytes are there) -> CSV: vly_csv -> table
 *                                      -> JSON: gathered, at the end -> table
 *                                      -> PACKETS: one gathered at a time -> sink
 */
#include "codec/imu.h"

#include "base/assert.h"
#include "codec/csv.h"
#include "codec/imu_packet.h"
#include "codec/imu_table.h"

#include <math.h>

static const char *const fault_names[VLY_IMU_FAULTS] = {
    [VLY_IMU_NOT_A_NUMBER] = "not_a_number",
    [VLY_IMU_NOT_FINITE] = "not_finite",
    [VLY_IMU_OUT_OF_RANGE] = "out_of_range",
};

const char *vly_imu_fault_name(vly_imu_fault fault)
{
    VLY_ASSERT(fault < VLY_IMU_FAULTS);
    return fault_names[fault];
}

double vly_imu_length(const float v[3])
{
    double x = (double)v[0], y = (double)v[1], z = (double)v[2];
    return sqrt(x * x + y * y + z * z);
}

vly_imu_fault vly_imu_reading_fault(const vly_imu_reading *r)
{
    bool is_finite = true;
    bool is_in_range = r->t_us >= -VLY_IMU_TIME_MAX && r->t_us <= VLY_IMU_TIME_MAX;

    for (int i = 0; i < 3; i++) {
        is_finite = is_finite && isfinite(r->acc[i]) && isfinite(r->gyro[i]);
        is_in_range = is_in_range && fabsf(r->acc[i]) <= VLY_IMU_ACC_MAX &&
                      fabsf(r->gyro[i]) <= VLY_IMU_GYRO_MAX;
    }
    return !is_finite ? VLY_IMU_NOT_FINITE : is_in_range ? VLY_IMU_FAULTS : VLY_IMU_OUT_OF_RANGE;
}

#define JSON_BYTES_DEFAULT ((size_t)256 << 20)
#define JSON_DEPTH_DEFAULT 32
#define HEAD_BYTES         4 /* behind the blanks */
#define BLANKS_MAX         4096
#define PACKET_BYTES_MAX   ((size_t)1 << 17)
#define RATE_MIN           1
#define RATE_MAX           10000
#define STEPS_MAX          64 /* of packets, for the rate */

typedef enum form {
    FORM_HEAD, /* not known yet */
    FORM_CSV,
    FORM_JSON,
    FORM_PACKETS,
} form;

struct vly_imu_reader {
    vly_imu_reader_opts opts;
    form form;
    bool is_in_preamble; /* of CSV: lines that begin with #, % or / */
    bool is_in_remark;   /* in the middle of one */
    vly_csv *csv;
    size_t n_blanks; /* that the head begins with */
    vly_buf bytes;   /* the head, all of the JSON, or a packet as far as it has come */
    double steps_us[STEPS_MAX];
    size_t n_steps;
    int64_t t_before_us;
    vly_imu_reading *packet; /* [VLY_IMU_PACKET_MAX] */
    vly_imu_report report;
    vly_imu_sink sink;
    vly_imu_table table;
};

/* ---- packets ---- */

static void learn_rate(vly_imu_reader *r, int64_t t_us)
{
    if (r->report.n_rows > 0 && r->n_steps < STEPS_MAX && t_us > r->t_before_us)
        r->steps_us[r->n_steps++] = (double)(t_us - r->t_before_us);
    r->t_before_us = t_us;
}

static void tell_rate(vly_imu_reader *r)
{
    if (r->n_steps > 0)
        r->report.rate_hz = 1e6 / vly_imu__median(r->steps_us, r->n_steps);
}

static vly_status take_packet(vly_imu_reader *r, const vly_imu_packet *p, vly_err *err)
{
    vly_status st = VLY_OK;

    if (p->has_gyro)
        r->report.gyro_unit = "rad/s";
    vly_imu_packet_read(p, r->packet);
    for (size_t i = 0; i < p->n && st == VLY_OK; i++) {
        vly_imu_fault fault = vly_imu_reading_fault(&r->packet[i]);
        learn_rate(r, r->packet[i].t_us);
        r->report.n_rows++;
        if (fault == VLY_IMU_FAULTS)
            st = vly_imu__put(&r->sink, &r->packet[i], NAN, err);
        else
            vly_imu__count_fault(&r->sink, fault, r->report.n_rows);
    }
    return st;
}

/* Gathers up to `want` bytes. *ret_is_there: they are there. */
static vly_status gather(vly_imu_reader *r, vly_str *bytes, size_t want, bool *ret_is_there,
                         vly_err *err)
{
    size_t missing = want > r->bytes.len ? want - r->bytes.len : 0;
    size_t n = bytes->len < missing ? bytes->len : missing;

    vly_buf_add(&r->bytes, bytes->ptr, n);
    *bytes = (vly_str){bytes->ptr + n, bytes->len - n};
    *ret_is_there = n == missing;
    return r->bytes.failed ? vly_fail(err, VLY_ENOMEM, "out of memory") : VLY_OK;
}

/* One packet, as far as its bytes have come. */
static vly_status feed_packet(vly_imu_reader *r, vly_str *bytes, vly_err *err)
{
    bool is_there;
    size_t size = 0;
    vly_imu_packet p;
    vly_status st = gather(r, bytes, VLY_IMU_PACKET_HEAD, &is_there, err);

    if (st == VLY_OK && is_there)
        st = vly_imu_packet_size(r->bytes.ptr, &size, err);
    if (st == VLY_OK && is_there)
        st = gather(r, bytes, size, &is_there, err);
    if (st != VLY_OK || !is_there)
        return st;
    st = vly_imu_packet_open(r->bytes.ptr, r->bytes.len, &p, err);
    if (st == VLY_OK)
        st = take_packet(r, &p, err);
    vly_buf_clear(&r->bytes);
    return st;
}

static vly_status feed_packets(vly_imu_reader *r, vly_str bytes, vly_err *err)
{
    vly_status st = VLY_OK;

    while (st == VLY_OK && bytes.len > 0)
        st = feed_packet(r, &bytes, err);
    if (st == VLY_EFORMAT)
        st = vly_fail_in(err, st, "behind reading %llu", (unsigned long long)r->report.n_rows);
    return st;
}

static vly_status begin_packets(vly_imu_reader *r, vly_err *err)
{
    if (r->opts.columns.len > 0 || r->opts.label != NULL)
        return vly_fail(err, VLY_EINVAL, "imu packets have no columns to name");
    r->packet = vly_calloc(VLY_MEM_CODEC, VLY_IMU_PACKET_MAX, sizeof(*r->packet));
    if (r->packet == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    r->report.format = "packets";
    r->report.acc_unit = "m/s2";
    r->report.gyro_unit = "none";
    r->report.time_unit = "us";
    r->report.columns = "";
    return VLY_OK;
}

/* ---- CSV ---- */

static vly_status take_record(void *arg, const vly_csv_row *row, vly_err *err)
{
    vly_imu_reader *r = arg;

    r->table.is_comma_ok = vly_csv_delimiter(r->csv) != ',';
    vly_status st = row->is_header
                        ? vly_imu__table_names(&r->table, row->cells, row->n_cells, err)
                        : vly_imu__table_row(&r->table, row->cells, row->n_cells, row->line, err);
    if (st == VLY_EFORMAT && row->is_header)
        st = vly_fail_in(err, st, "line %llu", (unsigned long long)row->line);
    return st;
}

/* Lines before the header that are remarks become blank ones, which count, but are no records. */
static vly_status feed_preamble(vly_imu_reader *r, vly_str *bytes, vly_err *err)
{
    vly_status st = VLY_OK;

    while (st == VLY_OK && bytes->len > 0 && r->is_in_preamble) {
        char c = bytes->ptr[0];
        bool is_line_end = c == '\n' || c == '\r';
        if (!r->is_in_remark && !is_line_end && c != '#' && c != '%' && c != '/') {
            r->is_in_preamble = false;
            break;
        }
        r->is_in_remark = !is_line_end;
        if (is_line_end)
            st = vly_csv_feed(r->csv, &c, 1, err);
        *bytes = (vly_str){bytes->ptr + 1, bytes->len - 1};
    }
    return st;
}

static vly_status feed_csv(vly_imu_reader *r, vly_str bytes, vly_err *err)
{
    vly_status st = feed_preamble(r, &bytes, err);

    return st == VLY_OK && bytes.len > 0 ? vly_csv_feed(r->csv, bytes.ptr, bytes.len, err) : st;
}

static vly_status begin_csv(vly_imu_reader *r, vly_err *err)
{
    const vly_csv_opts opts = {.delimiter = r->opts.delimiter,
                               .max_cells = VLY_IMU_COLUMNS_MAX,
                               .on_row = take_record,
                               .arg = r};

    r->report.format = "csv";
    r->is_in_preamble = true;
    r->csv = vly_csv_new(&opts);
    return r->csv != NULL ? VLY_OK : vly_fail(err, VLY_ENOMEM, "out of memory");
}

/* ---- JSON ---- */

static vly_status feed_json(vly_imu_reader *r, vly_str bytes, vly_err *err)
{
    size_t most = r->bytes.max_bytes - VLY_IMU_JSON_PADDING;

    if (bytes.len > most - r->bytes.len)
        return vly_fail(err, VLY_ELIMIT, VLY_IMU_JSON_TOO_LARGE, most);
    vly_buf_add_str(&r->bytes, bytes);
    return r->bytes.failed ? vly_fail(err, VLY_ENOMEM, "out of memory") : VLY_OK;
}

static vly_status end_json(vly_imu_reader *r, vly_err *err)
{
    static const char padding[VLY_IMU_JSON_PADDING];
    size_t n = r->bytes.len;

    vly_buf_add(&r->bytes, padding, sizeof(padding));
    if (r->bytes.failed)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    return vly_imu__read_json(r->bytes.ptr, n, &r->table, err);
}

/* ---- the reader ---- */

static vly_status check_opts(const vly_imu_reader_opts *o, vly_err *err)
{
    if (o->rate_hz != 0 && !(o->rate_hz >= RATE_MIN && o->rate_hz <= RATE_MAX))
        return vly_fail(err, VLY_EINVAL, "rate: expected %d to %d Hz, got %g", RATE_MIN, RATE_MAX,
                        o->rate_hz);
    if (o->is_rate_forced && o->rate_hz == 0)
        return vly_fail(err, VLY_EINVAL, "rate: expected one that overrides the times, got none");
    if (o->delimiter == '"' || o->delimiter == '\n' || o->delimiter == '\r')
        return vly_fail(err, VLY_EINVAL, "delimiter: expected neither a quote nor a line end");
    return VLY_OK;
}

vly_status vly_imu_reader_new(const vly_imu_reader_opts *opts, vly_imu_reader **ret, vly_err *err)
{
    VLY_ASSERT(opts->on_readings != NULL);
    vly_status st = check_opts(opts, err);
    if (st != VLY_OK)
        return st;
    vly_imu_reader *r = vly_calloc(VLY_MEM_CODEC, 1, sizeof(*r));
    if (r == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    r->opts = *opts;
    if (r->opts.max_json_bytes == 0)
        r->opts.max_json_bytes = JSON_BYTES_DEFAULT;
    if (r->opts.max_json_depth == 0)
        r->opts.max_json_depth = JSON_DEPTH_DEFAULT;
    r->sink.opts = &r->opts;
    r->sink.report = &r->report;
    vly_buf_init(&r->bytes, VLY_MEM_CODEC, PACKET_BYTES_MAX);
    st = vly_imu__table_init(&r->table, &r->opts, &r->sink, err);
    if (st != VLY_OK) {
        vly_imu_reader_free(r);
        return st;
    }
    *ret = r;
    return VLY_OK;
}

void vly_imu_reader_free(vly_imu_reader *r)
{
    if (r == NULL)
        return;
    vly_csv_free(r->csv);
    vly_imu__table_release(&r->table);
    vly_buf_release(&r->bytes);
    vly_free(r->packet);
    vly_free(r);
}

static vly_status feed_form(vly_imu_reader *r, vly_str bytes, vly_err *err)
{
    return r->form == FORM_CSV    ? feed_csv(r, bytes, err)
           : r->form == FORM_JSON ? feed_json(r, bytes, err)
                                  : feed_packets(r, bytes, err);
}

/* Decides by the bytes gathered so far, and sends them on, with the blanks: they count as lines,
 * and a tab may be an empty cell. */
static vly_status begin_form(vly_imu_reader *r, vly_err *err)
{
    vly_buf head = r->bytes; /* its memory is released here */
    vly_str text = vly_buf_str(&head);
    vly_status st = VLY_OK;

    if (vly_str_starts(text, VLY_STR("\xef\xbb\xbf")))
        text = (vly_str){text.ptr + 3, text.len - 3};
    char c = text.len > r->n_blanks ? text.ptr[r->n_blanks] : '\0';
    vly_buf_init(&r->bytes, VLY_MEM_CODEC, PACKET_BYTES_MAX);
    if (vly_str_is(text, "VIMU")) {
        r->form = FORM_PACKETS;
        st = begin_packets(r, err);
    } else if (c == '{' || c == '[') {
        r->form = FORM_JSON;
        r->report.format = "json";
        vly_buf_init(&r->bytes, VLY_MEM_CODEC, r->opts.max_json_bytes + VLY_IMU_JSON_PADDING);
    } else {
        r->form = FORM_CSV;
        st = begin_csv(r, err);
    }
    if (st == VLY_OK)
        st = feed_form(r, text, err);
    vly_buf_release(&head);
    return st;
}

/* Blanks and blank lines do not tell the form; those of a blank line are dropped. *ret_is_there:
 * what tells is there. */
static vly_status gather_head(vly_imu_reader *r, vly_str *bytes, bool *ret_is_there, vly_err *err)
{
    vly_buf *head = &r->bytes;

    while (bytes->len > 0 && head->len < r->n_blanks + HEAD_BYTES && r->n_blanks < BLANKS_MAX) {
        char c = bytes->ptr[0];
        bool is_line_end = c == '\n' || c == '\r';
        bool is_blank = head->len == r->n_blanks && (is_line_end || c == ' ' || c == '\t');
        while (is_blank && is_line_end && head->len > 0 &&
               (head->ptr[head->len - 1] == ' ' || head->ptr[head->len - 1] == '\t'))
            head->len = --r->n_blanks;
        r->n_blanks += is_blank;
        vly_buf_putc(head, c);
        *bytes = (vly_str){bytes->ptr + 1, bytes->len - 1};
    }
    *ret_is_there = head->len == r->n_blanks + HEAD_BYTES || r->n_blanks == BLANKS_MAX;
    return head->failed ? vly_fail(err, VLY_ENOMEM, "out of memory") : VLY_OK;
}

vly_status vly_imu_reader_feed(vly_imu_reader *r, const void *bytes, size_t n, vly_err *err)
{
    vly_str left = {bytes, n};

    if (r->form == FORM_HEAD) {
        bool is_there;
        vly_status st = gather_head(r, &left, &is_there, err);
        if (st == VLY_OK && is_there)
            st = begin_form(r, err);
        if (st != VLY_OK || !is_there)
            return st;
    }
    return left.len > 0 ? feed_form(r, left, err) : VLY_OK;
}

static vly_status no_reading(const vly_imu_reader *r, vly_err *err)
{
    const vly_imu_report *p = &r->report;

    for (size_t i = 0; i < VLY_IMU_FAULTS; i++)
        if (p->n_faults[i] > 0)
            return vly_fail(
                err, VLY_EFORMAT, "no reading in %llu rows; line %llu is the first that is %s",
                (unsigned long long)p->n_rows, (unsigned long long)p->first_fault_line[i],
                i == VLY_IMU_NOT_A_NUMBER ? "without a number where one belongs"
                : i == VLY_IMU_NOT_FINITE ? "not finite"
                                          : "out of range");
    return vly_fail(err, VLY_EFORMAT, "no reading in it");
}

vly_status vly_imu_reader_end(vly_imu_reader *r, vly_err *err)
{
    vly_status st = VLY_OK;

    if (r->form == FORM_HEAD && r->bytes.len == 0)
        return vly_fail(err, VLY_EFORMAT, "it is empty");
    if (r->form == FORM_HEAD)
        st = begin_form(r, err);
    if (st == VLY_OK && r->form == FORM_CSV)
        st = vly_csv_end(r->csv, err);
    if (st == VLY_OK && r->form == FORM_JSON)
        st = end_json(r, err);
    if (st == VLY_OK && r->form == FORM_PACKETS && r->bytes.len > 0)
        st = vly_fail(err, VLY_EFORMAT, "cut short in the packet behind reading %llu",
                      (unsigned long long)r->report.n_rows);
    if (st == VLY_OK && r->form != FORM_PACKETS)
        st = vly_imu__table_end(&r->table, err);
    if (st == VLY_OK)
        st = vly_imu__flush(&r->sink, err);
    if (st == VLY_OK && r->report.n_readings == 0)
        st = no_reading(r, err);
    if (st == VLY_OK && r->form == FORM_PACKETS)
        tell_rate(r);
    return st;
}

const vly_imu_report *vly_imu_reader_report(const vly_imu_reader *r)
{
    return &r->report;
}
