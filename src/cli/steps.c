/* SPDX-License-Identifier: MIT */
/* `volley steps`: recordings of a motion sensor in, steps out, as a summary, JSON or a table. */
#include "cli/command.h"
#include "sys/file.h"
#include "tasks/steps/step_json.h"
#include "tasks/steps/step_plot.h"
#include "tasks/steps/step_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_MAX     ((size_t)1 << 30)
#define READINGS_MAX   ((size_t)1 << 31) /* bytes that are kept for a plot */
#define PATH_BYTES_MAX ((size_t)64 << 10)
#define PIECE_BYTES    ((size_t)64 << 10)

typedef struct steps_opts {
    const char *model, *columns, *acc_unit, *gyro_unit, *time_unit, *plot;
    double rate_hz;
    int64_t look_ahead_ms;
    bool json, csv, events;
} steps_opts;

static const steps_opts defaults = {.look_ahead_ms = -1};

static const vly_opt options[] = {
    VLY_OPT(steps_opts, events, 'e', FLAG, "events", NULL, "list each start and end as well"),
    VLY_OPT(steps_opts, json, 0, FLAG, "json", NULL, "print JSON, the body of the HTTP answer"),
    VLY_OPT(steps_opts, csv, 0, FLAG, "csv", NULL, "print the events as CSV"),
    VLY_OPT(steps_opts, plot, 0, TEXT, "plot", "FILE",
            "draw the recording and its steps as SVG; a directory for several recordings"),
    VLY_OPT(steps_opts, rate_hz, 'r', FLOAT, "rate", "HZ",
            "readings a second, whatever the times say (default: from the times, else 80)"),
    VLY_OPT(steps_opts, columns, 0, TEXT, "columns", "LIST",
            "what the columns are, as time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z; - for any other "
            "(default: by the header, else by place)"),
    VLY_OPT(steps_opts, acc_unit, 0, TEXT, "acc-unit", "U", "m/s2 or g (default: by the values)"),
    VLY_OPT(steps_opts, gyro_unit, 0, TEXT, "gyro-unit", "U",
            "rad/s or deg/s (default: by the values)"),
    VLY_OPT(steps_opts, time_unit, 0, TEXT, "time-unit", "U",
            "s, ms, us or ns (default: by the values)"),
    VLY_OPT(steps_opts, model, 'm', TEXT, "model", "FILE",
            "the step model (default: the one that is built in)"),
    VLY_OPT(
        steps_opts, look_ahead_ms, 0, INT, "look-ahead-ms", "N",
        "latest that an event may be known, after it: by the net, the rest of its frame and the "
        "decoder (default: the model's own, which --json tells)"),
    VLY_OPT_END,
};

typedef struct session {
    const steps_opts *opts;
    vly_step_model *model;
    vly_step_batcher *batcher;
    vly_buf out;      /* what is printed at the end */
    vly_buf readings; /* of the recording at hand, for its plot */
} session;

/* ---- reading -------------------------------------------------------------------------------- */

static vly_status keep_readings(void *arg, const vly_imu_reading *readings, size_t n, vly_err *err)
{
    vly_buf *b = arg;

    vly_buf_add(b, readings, n * sizeof(*readings));
    return b->failed ? vly_fail(err, VLY_ELIMIT, "too long a recording to be drawn") : VLY_OK;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static vly_status feed_all(vly_step_scan *scan, int fd, vly_err *err)
{
    char piece[PIECE_BYTES];

    for (;;) {
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n == 0)
            return VLY_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vly_fail(err, VLY_EIO, "%s", strerror(errno));
        vly_status st = vly_step_scan_feed(scan, piece, (size_t)n, err);
        if (st != VLY_OK)
            return st;
    }
}

/* Not mapped: it may be a pipe, or still be written to. */
static vly_status feed_file(vly_step_scan *scan, const char *path, vly_err *err)
{
    if (strcmp(path, "-") == 0)
        return feed_all(scan, STDIN_FILENO, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return vly_fail(err, errno == ENOENT ? VLY_ENOTFOUND : VLY_EIO, "%s", strerror(errno));
    vly_status st = feed_all(scan, fd, err);
    close(fd);
    return st;
}

/* ---- printing ------------------------------------------------------------------------------- */

static void put_time(vly_buf *b, double s)
{
    int64_t whole = (int64_t)(s + 0.5);

    if (whole < 60)
        vly_buf_printf(b, "%.1f s", s);
    else if (whole < 3600)
        vly_buf_printf(b, "%" PRId64 ":%02d min", whole / 60, (int)(whole % 60));
    else
        vly_buf_printf(b, "%" PRId64 ":%02d:%02d h", whole / 3600, (int)(whole / 60 % 60),
                       (int)(whole % 60));
}

static const char *guessed(bool is_guessed)
{
    return is_guessed ? " (guessed)" : "";
}

static void put_input(vly_buf *b, const vly_imu_report *r)
{
    bool has_gyro = strcmp(r->gyro_unit, "none") != 0,
         has_times = strcmp(r->time_unit, "none") != 0;

    vly_buf_printf(b, "  %-12s %s, %" PRIu64 " readings at %.4g Hz%s\n", "input", r->format,
                   r->n_readings, r->rate_hz,
                   r->is_rate_assumed   ? " (assumed: nothing tells it)"
                   : r->is_rate_guessed ? " (by the times)"
                                        : "");
    if (r->columns[0] != '\0')
        vly_buf_printf(b, "  %-12s %s\n", "columns", r->columns);
    vly_buf_printf(b, "  %-12s acceleration %s%s", "units", r->acc_unit,
                   guessed(r->is_acc_unit_guessed));
    if (has_gyro)
        vly_buf_printf(b, ", gyroscope %s%s", r->gyro_unit, guessed(r->is_gyro_unit_guessed));
    if (has_times)
        vly_buf_printf(b, ", time %s%s", r->time_unit, guessed(r->is_time_unit_guessed));
    vly_buf_putc(b, '\n');
}

static void put_count(vly_buf *b, const char **sep, uint64_t n, const char *what)
{
    if (n == 0)
        return;
    vly_buf_printf(b, "%s%" PRIu64 " %s", *sep, n, what);
    *sep = ", ";
}

/* What is wrong with the recording, when anything is. */
static void put_faults(vly_buf *b, const vly_step_summary *s)
{
    static const char *const texts[VLY_IMU_FAULTS] = {"without a number", "not finite",
                                                      "out of range"};
    const char *none = "  left out     ", *sep = none;

    for (int i = 0; i < VLY_IMU_FAULTS; i++) {
        put_count(b, &sep, s->input->n_faults[i], texts[i]);
        if (s->input->n_faults[i] > 0)
            vly_buf_printf(b, " (first: line %" PRIu64 ")", s->input->first_fault_line[i]);
    }
    put_count(b, &sep, s->counts->n_duplicates, "at the time of the one before");
    put_count(b, &sep, s->counts->n_out_of_order, "out of order");
    if (sep != none)
        vly_buf_putc(b, '\n');
    none = sep = "  gaps         ";
    put_count(b, &sep, s->counts->n_gaps, "that part the recording");
    put_count(b, &sep, s->counts->n_bridged, "bridged");
    if (sep != none)
        vly_buf_putc(b, '\n');
    for (int i = 0; i < VLY_STEP_WARNINGS; i++)
        if (s->has_warning[i])
            vly_buf_printf(b, "  %-12s %s\n", "warning",
                           vly_step_warning_text((vly_step_warning)i));
}

static void put_activity(vly_buf *b, const vly_step_summary *s)
{
    const char *sep = "";

    vly_buf_printf(b, "  %-12s ", "activity");
    for (int i = 0; i < VLY_ACTIVITIES; i++) {
        if (s->totals->n_activity[i] == 0)
            continue;
        vly_str name = vly_str_from(vly_activity_name((vly_activity)i));
        vly_str first = vly_str_split(&name, '_');
        vly_buf_printf(b, "%s%.*s%s%.*s ", sep, VLY_STR_ARG(first), name.len > 0 ? " " : "",
                       VLY_STR_ARG(name));
        put_time(b, (double)s->totals->n_activity[i] / s->model->rate_hz);
        sep = ", ";
    }
    vly_buf_putc(b, '\n');
}

static void put_events(vly_buf *b, const vly_step_summary *s)
{
    if (s->n_events > 0)
        vly_buf_printf(b, "  %10s  %-10s %6s  %10s  %s\n", "time ms", "event", "step", "confidence",
                       "activity");
    for (size_t i = 0; i < s->n_events; i++) {
        const vly_step_event *e = &s->events[i];
        vly_buf_printf(b, "  %10.1f  %-10s %6" PRIu64 "  %10.2f  %s\n", (double)e->t_us / 1e3,
                       vly_step_event_name(e->type), e->step, (double)e->confidence,
                       vly_activity_name(e->activity));
    }
}

static void put_summary(vly_buf *b, const char *path, const vly_step_summary *s, bool with_events)
{
    vly_buf_printf(b, "%s: %" PRIu64 " step%s in ", path, s->totals->n_steps,
                   s->totals->n_steps == 1 ? "" : "s");
    put_time(b, s->duration_s);
    if (s->cadence > 0)
        vly_buf_printf(b, ", %.0f a minute while walking", s->cadence);
    vly_buf_putc(b, '\n');
    put_activity(b, s);
    put_input(b, s->input);
    put_faults(b, s);
    if (with_events)
        put_events(b, s);
}

static void put_csv_text(vly_buf *b, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        vly_buf_puts(b, text);
        return;
    }
    vly_buf_putc(b, '"');
    for (; *text != '\0'; text++)
        vly_buf_printf(b, "%s%c", *text == '"' ? "\"" : "", *text);
    vly_buf_putc(b, '"');
}

/* file: a column of its own, for several recordings; NULL: there is one. */
static void put_csv(vly_buf *b, const char *file, const vly_step_summary *s)
{
    for (size_t i = 0; i < s->n_events; i++) {
        if (file != NULL) {
            put_csv_text(b, file);
            vly_buf_putc(b, ',');
        }
        vly_step_csv_event(b, &s->events[i]);
    }
}

/* ---- drawing -------------------------------------------------------------------------------- */

/* plot: a file, or the directory in which the recording keeps its name. */
static vly_status draw(session *s, const char *source, const vly_step_summary *sum, vly_err *err)
{
    const char *plot = s->opts->plot, *base = base_of(source);
    vly_buf svg, path;

    vly_buf_init(&path, VLY_MEM_CLI, PATH_BYTES_MAX);
    if (vly_dir_exists(plot))
        vly_buf_printf(&path, "%s/%s.svg", plot, base);
    else
        vly_buf_puts(&path, plot);
    vly_buf_init(&svg, VLY_MEM_CLI, VLY_STEP_PLOT_BYTES_MAX);
    vly_step_plot what = {.title = base,
                          .readings = (const vly_imu_reading *)(const void *)s->readings.ptr,
                          .n_readings = s->readings.len / sizeof(vly_imu_reading),
                          .events = sum->events,
                          .n_events = sum->n_events};
    vly_status st = path.failed ? vly_fail(err, VLY_ELIMIT, "the path of the plot is too long")
                                : vly_step_plot_svg(&what, &svg, err);
    if (st == VLY_OK)
        st = vly_file_write(path.ptr, svg.ptr, svg.len, err);
    if (st == VLY_OK)
        fprintf(stderr, "wrote %s\n", path.ptr);
    vly_buf_release(&svg);
    vly_buf_release(&path);
    return st;
}

/* ---- command -------------------------------------------------------------------------------- */

static vly_step_scan_opts scan_opts(session *s)
{
    const steps_opts *o = s->opts;
    return (vly_step_scan_opts){.model = s->model,
                                .batcher = s->batcher,
                                .reader = {.rate_hz = o->rate_hz,
                                           .is_rate_forced = o->rate_hz > 0,
                                           .columns = vly_str_from(o->columns),
                                           .acc_unit = vly_str_from(o->acc_unit),
                                           .gyro_unit = vly_str_from(o->gyro_unit),
                                           .time_unit = vly_str_from(o->time_unit)},
                                .on_readings = o->plot != NULL ? keep_readings : NULL,
                                .arg = &s->readings};
}

static vly_status steps_of(session *s, const char *path, bool is_one, vly_err *err)
{
    vly_step_scan_opts opts = scan_opts(s);
    vly_step_scan *scan = NULL;
    vly_step_summary sum;
    vly_status st = vly_step_scan_new(&opts, &scan, err);

    if (st != VLY_OK)
        return st; /* an option is wrong, not the file */
    vly_buf_clear(&s->readings);
    st = feed_file(scan, path, err);
    if (st == VLY_OK)
        st = vly_step_scan_end(scan, &sum, err);
    if (st != VLY_OK)
        vly_fail_in(err, st, "'%s'", path);
    else if (s->opts->json)
        vly_step_json_summary(&s->out, &sum);
    else if (s->opts->csv)
        put_csv(&s->out, is_one ? NULL : path, &sum);
    else
        put_summary(&s->out, path, &sum, s->opts->events);
    if (st == VLY_OK && s->opts->plot != NULL)
        st = draw(s, path, &sum, err);
    vly_step_scan_free(scan);
    return st;
}

/* Every recording is tried; one that fails is told and makes the command fail at the end. */
static int steps_all(session *s, int n_args, char *const *args)
{
    bool is_list = s->opts->json && n_args > 1;
    int status = VLY_EXIT_OK;
    vly_err err;

    if (s->opts->csv)
        vly_buf_printf(&s->out, "%s" VLY_STEP_CSV_HEAD, n_args > 1 ? "file," : "");
    if (is_list)
        vly_buf_puts(&s->out, "{\"results\":[");
    for (int i = 0; i < n_args; i++) {
        if (is_list && i > 0)
            vly_buf_putc(&s->out, ',');
        if (steps_of(s, args[i], n_args == 1, &err) == VLY_OK)
            continue;
        status = vly_command_fail(&err);
        if (!is_list)
            continue;
        vly_buf_puts(&s->out, "{\"error\":");
        vly_buf_json_str(&s->out, vly_str_from(err.msg));
        vly_buf_putc(&s->out, '}');
    }
    if (is_list)
        vly_buf_puts(&s->out, "]}");
    if (s->opts->json && s->out.len > 0)
        vly_buf_putc(&s->out, '\n');
    if (s->out.failed) {
        vly_fail(&err, VLY_ELIMIT, "more than %zu bytes to print", OUTPUT_MAX);
        return vly_command_fail(&err);
    }
    fwrite(s->out.ptr, 1, s->out.len, stdout);
    return status;
}

static bool has_equal_names(int n_args, char *const *args)
{
    for (int i = 1; i < n_args; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(base_of(args[i]), base_of(args[k])) == 0)
                return true;
    return false;
}

static const char *wrong_use(const steps_opts *o, int n_args, char *const *args)
{
    if (o->json && o->csv)
        return "--json and --csv exclude each other";
    if (o->rate_hz < 0)
        return "--rate must be positive";
    if (o->plot != NULL && n_args > 1 && !vly_dir_exists(o->plot))
        return "--plot must name a directory for several recordings";
    if (o->plot != NULL && has_equal_names(n_args, args))
        return "--plot: recordings of one name would be drawn into one file";
    return NULL;
}

static int run(const void *opts_, int n_args, char *const *args)
{
    session s = {.opts = opts_};
    const char *wrong = wrong_use(s.opts, n_args, args);
    vly_err err;

    if (wrong != NULL) {
        fprintf(stderr, "volley steps: %s; see --help\n", wrong);
        return VLY_EXIT_USAGE;
    }
    vly_buf_init(&s.out, VLY_MEM_CLI, OUTPUT_MAX);
    vly_buf_init(&s.readings, VLY_MEM_CLI, READINGS_MAX);
    vly_status st = vly_step_model_load(s.opts->model, s.opts->look_ahead_ms, &s.model, &err);
    if (st == VLY_OK)
        st = vly_step_batcher_new(s.model, &s.batcher, &err);
    int status = st == VLY_OK ? steps_all(&s, n_args, args) : vly_command_fail(&err);
    vly_step_batcher_free(s.batcher);
    vly_step_model_unref(s.model);
    vly_buf_release(&s.out);
    vly_buf_release(&s.readings);
    return st == VLY_EUNSUPPORTED ? VLY_EXIT_UNSUPPORTED : status;
}

const vly_command vly_command_steps = {
    .name = "steps",
    .args = "FILE...",
    .summary = "count steps in recordings of a motion sensor",
    .details =
        "Reads recordings of a hand-held motion sensor and finds where steps begin and end, and\n"
        "whether the person stands, walks or takes stairs. A recording is CSV or TSV with or\n"
        "without a header, JSON, or packets; - reads standard input. What the file does not tell\n"
        "(columns, units, rate) is guessed, and the guess is printed. Rows that hold no reading\n"
        "are left out, counted and named; a gap in the times parts the recording.\n"
        "\n"
        "Any rate of 20 to 500 Hz will do; without a gyroscope fewer steps are found. The model "
        "is\n"
        "trained on walking and stairs with the sensor in the hand, at 80 Hz; other uses of it "
        "are\n"
        "not measured.\n",
    .examples = "  volley steps walk.csv\n"
                "  volley steps walk.csv --rate 100 --columns acc_x,acc_y,acc_z --acc-unit g\n"
                "  volley steps walk.csv --json | jq '.steps, .events[0]'\n"
                "  volley steps walk.csv --plot walk.svg\n",
    .opts = options,
    .opts_bytes = sizeof(steps_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = VLY_ARGS_ANY,
    .run = run,
};
