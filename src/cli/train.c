/* SPDX-License-Identifier: MIT */
/* `volley train steps`: the step model from recordings, and how good it is with strangers. */
#include "base/clock.h"
#include "base/fnv1a.h"
#include "cli/command.h"
#include "cli/step_figures.h"
#include "sys/core_count.h"
#include "sys/file.h"
#include "sys/worker_pool.h"
#include "tasks/steps/step_model.h"
#include "train/net_onnx.h"
#include "train/steps/step_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE          64
#define EPOCHS_MAX     10000
#define FILE_MAX       ((size_t)64 << 20)
#define CHECKPOINT_MAX ((size_t)256 << 20)
#define MEASURED_EVERY 5   /* epochs */
#define LOOK_AHEAD_MS  200 /* unless told */
#define LOOK_AHEAD_MAX 1000
#define TEXT_MAX       ((size_t)1 << 20) /* of a command, names */

typedef struct train_opts {
    const char *data, *out, *checkpoint, *hold_out, *from, *credit;
    int64_t seed, epochs, threads, look_ahead_ms;
    bool resume, leave_one_out, keep_zeros, json;
} train_opts;

static const train_opts defaults = {.seed = 1, .epochs = 60, .look_ahead_ms = -1};

static const vly_opt options[] = {
    VLY_OPT(train_opts, data, 0, TEXT, "data", "DIR", "folder with PERSON/NAME.csv (required)"),
    VLY_OPT(train_opts, out, 'o', TEXT, "out", "DIR",
            "folder for steps.onnx, card.md and curves.svg"),
    VLY_OPT(train_opts, credit, 0, TEXT, "credit", "TEXT",
            "whose the recordings are and their licence, for card and model"),
    VLY_OPT(train_opts, seed, 0, INT, "seed", "N", "of everything that is random (default 1)"),
    VLY_OPT(train_opts, epochs, 0, INT, "epochs", "N", "times through the data (default 60)"),
    VLY_OPT(train_opts, look_ahead_ms, 0, INT, "look-ahead-ms", "N",
            "readings behind an event that net and decoder wait for; to be known it takes up to a "
            "frame more (default 200; with --from as there)"),
    VLY_OPT(train_opts, hold_out, 0, TEXT, "hold-out", "PERSON",
            "learn from all others, and measure on this person"),
    VLY_OPT(train_opts, leave_one_out, 0, FLAG, "leave-one-out", NULL,
            "only measure: hold out one person after the other, nothing is kept"),
    VLY_OPT(train_opts, checkpoint, 0, TEXT, "checkpoint", "FILE",
            "keep the training in FILE after each epoch"),
    VLY_OPT(train_opts, resume, 0, FLAG, "resume", NULL, "go on from that file when it is there"),
    VLY_OPT(train_opts, from, 0, TEXT, "from", "FILE",
            "begin with this model, at a quarter of the learning rate: to tune it"),
    VLY_OPT(train_opts, keep_zeros, 0, FLAG, "keep-zeros", NULL,
            "parameters of --from that are 0 stay 0: after model prune"),
    VLY_OPT(train_opts, threads, 't', INT, "threads", "N", "cores to use (default: all)"),
    VLY_OPT(train_opts, json, 0, FLAG, "json", NULL, "print the figures as JSON"),
    VLY_OPT_END,
};

typedef struct training {
    const train_opts *opts;
    vly_step_fit_opts fit_opts;
    vly_step_tracks tracks;
    vly_worker_pool *pool;
    uint64_t everybody, held_out; /* bits */
    vly_train_history history;
    uint64_t purpose; /* of the checkpoint */
    vly_buf from;     /* the model that it begins with; empty: none */
    vly_step_guess *guesses;
    bool wants_cross, has_cross;
    vly_step_cross cross;
    vly_step_score held_score;
    vly_nsec began;
    vly_buf command, title, persons; /* texts; the first two end with 0 */
} training;

static double seconds(const training *t)
{
    return vly_clock_ms(vly_clock_now() - t->began) / 1000;
}

/* ---- opening ------------------------------------------------------------------------------- */

static vly_status check_opts(const train_opts *o, vly_err *err)
{
    if (o->epochs < 1 || o->epochs > EPOCHS_MAX)
        return vly_fail(err, VLY_EINVAL, "option --epochs: expected 1 to %d", EPOCHS_MAX);
    if (o->threads < 0 || o->threads > 1024)
        return vly_fail(err, VLY_EINVAL, "option --threads: expected 1 to 1024");
    if (o->hold_out != NULL && o->leave_one_out)
        return vly_fail(err, VLY_EINVAL,
                        "options --hold-out and --leave-one-out exclude each "
                        "other");
    if (o->keep_zeros && o->from == NULL)
        return vly_fail(err, VLY_EINVAL, "option --keep-zeros: needs --from");
    if (o->from != NULL && o->leave_one_out)
        return vly_fail(err, VLY_EINVAL,
                        "options --from and --leave-one-out exclude each other: it has seen them");
    if (o->from != NULL && o->look_ahead_ms >= 0)
        return vly_fail(err, VLY_EINVAL,
                        "options --from and --look-ahead-ms exclude each other: the model has one");
    if (o->resume && o->checkpoint == NULL)
        return vly_fail(err, VLY_EINVAL, "option --resume: needs --checkpoint");
    if (o->checkpoint != NULL && o->leave_one_out)
        return vly_fail(err, VLY_EINVAL,
                        "options --checkpoint and --leave-one-out exclude each other: its nets "
                        "are not kept");
    return VLY_OK;
}

/* A folder that cannot be written to is told now, not after all epochs. */
static vly_status try_out(const train_opts *o, vly_err *err)
{
    char *path = NULL;

    if (o->out == NULL || o->leave_one_out)
        return VLY_OK;
    if (!vly_dir_exists(o->out) && mkdir(o->out, 0777) != 0)
        return vly_fail(err, VLY_EIO, "'%s': cannot make this folder", o->out);
    vly_status st = vly_path_join(o->out, VLY_STR("steps.onnx.try"), &path, err);
    if (st == VLY_OK)
        st = vly_file_write(path, "", 0, err);
    if (st == VLY_OK)
        unlink(path);
    vly_free(path);
    return st;
}

/* The readings from an event to the latest one that it is decided by: of the net and of the
 * decoder, and one, since an end is told by the start after it. */
static vly_status set_look_ahead(training *t, vly_err *err)
{
    vly_step_fit_opts *f = &t->fit_opts;
    int64_t ms = t->opts->look_ahead_ms >= 0 ? t->opts->look_ahead_ms : LOOK_AHEAD_MS;
    int64_t least = f->rule.smooth + f->rule.confirm + 1;
    int64_t least_ms =
        (least * 1000 + VLY_IMU_FEATURES_RATE_HZ - 1) / VLY_IMU_FEATURES_RATE_HZ; /* upwards */

    if (ms < least_ms || ms > LOOK_AHEAD_MAX)
        return vly_fail(err, VLY_EINVAL, "option --look-ahead-ms: expected %d to %d", (int)least_ms,
                        LOOK_AHEAD_MAX);
    f->shape.delay = (int32_t)(ms * VLY_IMU_FEATURES_RATE_HZ / 1000 - least);
    return VLY_OK;
}

static vly_status find_person(training *t, vly_err *err)
{
    const vly_step_dataset *set = &t->tracks.set;
    size_t at = 0;

    if (set->n_persons > VLY_STEP_PERSONS_MAX)
        return vly_fail(err, VLY_ELIMIT, "'%s': more than %d persons", t->opts->data,
                        VLY_STEP_PERSONS_MAX);
    t->everybody = UINT64_MAX >> (64 - set->n_persons);
    if (t->opts->hold_out == NULL)
        return VLY_OK;
    while (at < set->n_persons && strcmp(set->persons[at], t->opts->hold_out) != 0)
        at++;
    if (at == set->n_persons)
        return vly_fail(err, VLY_ENOTFOUND, "'%s': no person '%s' in it; the first of %zu is '%s'",
                        t->opts->data, t->opts->hold_out, set->n_persons, set->persons[0]);
    t->held_out = (uint64_t)1 << at;
    return VLY_OK;
}

/* Whether one person after the other is left out; with too few it is told, not refused, unless it
 * is all that was asked for. */
static vly_status plan_cross(training *t, vly_err *err)
{
    size_t n = t->tracks.set.n_persons;

    if (t->opts->hold_out != NULL || t->opts->from != NULL)
        return VLY_OK;
    t->wants_cross = n >= VLY_STEP_CROSS_PERSONS_MIN && n <= VLY_STEP_CROSS_PERSONS_MAX;
    if (t->wants_cross)
        return VLY_OK;
    if (t->opts->leave_one_out)
        return vly_fail(err, VLY_EINVAL,
                        "'%s': to leave one out expected %d to %d persons, got %zu", t->opts->data,
                        VLY_STEP_CROSS_PERSONS_MIN, VLY_STEP_CROSS_PERSONS_MAX, n);
    fprintf(stderr, "not measured on strangers: that takes %d to %d persons, these are %zu\n",
            VLY_STEP_CROSS_PERSONS_MIN, VLY_STEP_CROSS_PERSONS_MAX, n);
    return VLY_OK;
}

static void name_command(training *t)
{
    const train_opts *o = t->opts;
    vly_buf *out = &t->command;

    vly_buf_puts(out, "volley train steps --data DIR --out DIR");
    if (o->credit != NULL)
        vly_buf_puts(out, " --credit TEXT");
    vly_buf_printf(out, " --seed %" PRId64 " --epochs %" PRId64, o->seed, o->epochs);
    if (o->from == NULL)
        vly_buf_printf(out, " --look-ahead-ms %" PRId64,
                       o->look_ahead_ms >= 0 ? o->look_ahead_ms : LOOK_AHEAD_MS);
    if (o->hold_out != NULL)
        vly_buf_printf(out, " --hold-out %s", o->hold_out);
    if (o->from != NULL)
        vly_buf_printf(out, " --from FILE%s", o->keep_zeros ? " --keep-zeros" : "");
    vly_buf_putc(out, '\0');
}

/* Whose recordings the F1 of the curves and of the terminal are of. */
static const char *judged(const training *t)
{
    return t->opts->hold_out != NULL ? t->opts->hold_out : "the persons it learns from";
}

static vly_status name_training(training *t, vly_err *err)
{
    vly_buf *persons = &t->persons;

    vly_buf_init(&t->command, VLY_MEM_CLI, TEXT_MAX);
    vly_buf_init(&t->title, VLY_MEM_CLI, TEXT_MAX);
    vly_buf_init(persons, VLY_MEM_CLI, TEXT_MAX);
    name_command(t);
    for (size_t p = 0; p < t->tracks.set.n_persons; p++)
        if ((t->held_out >> p & 1) == 0)
            vly_buf_printf(persons, "%s%s", persons->len > 0 ? "," : "", t->tracks.set.persons[p]);
    vly_buf_printf(&t->title, "F1, mean of starts and ends: %s", judged(t));
    vly_buf_putc(&t->title, '\0');
    return t->command.failed || persons->failed || t->title.failed
               ? vly_fail(err, VLY_ELIMIT, "options: names longer than %zu bytes", TEXT_MAX)
               : VLY_OK;
}

/* Tuning goes on with the rule of the file, at a rate that does not undo what it knows. */
static vly_status open_from(training *t, vly_err *err)
{
    vly_step_model *m = NULL;

    if (t->opts->from == NULL)
        return VLY_OK;
    vly_buf_init(&t->from, VLY_MEM_CLI, FILE_MAX);
    vly_status st = vly_file_read(t->opts->from, FILE_MAX - 1, &t->from, err);
    if (st == VLY_OK)
        st = vly_step_model_load_bytes(t->from.ptr, t->from.len, -1, &m, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "'%s'", t->opts->from);
    t->fit_opts.rule = m->rule;
    t->fit_opts.shape.delay = (int32_t)m->delay;
    t->fit_opts.rate /= 4;
    t->fit_opts.keep_zeros = t->opts->keep_zeros;
    vly_step_model_unref(m);
    return VLY_OK;
}

static vly_status begin_from(const training *t, vly_step_fit *f, vly_err *err)
{
    vly_trainer_state *s = vly_trainer_state_of(f->trainer);

    if (t->opts->from == NULL)
        return VLY_OK;
    vly_status st = vly_train_net_read(f->net, t->from.ptr, t->from.len, s->params, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "'%s'", t->opts->from);
    vly_trainer_begin_from(f->trainer, s->params, s->running);
    return VLY_OK;
}

static vly_status open_all(training *t, vly_err *err)
{
    const train_opts *o = t->opts;
    unsigned n = o->threads > 0 ? (unsigned)o->threads : vly_core_count();
    vly_status st = vly_step_tracks_load(&t->tracks, o->data, err);

    t->fit_opts = vly_step_fit_defaults;
    t->fit_opts.seed = (uint64_t)o->seed;
    t->fit_opts.n_epochs = (uint32_t)o->epochs;
    if (st == VLY_OK)
        st = set_look_ahead(t, err);
    if (st == VLY_OK)
        st = open_from(t, err);
    if (st == VLY_OK)
        st = find_person(t, err);
    if (st == VLY_OK)
        st = plan_cross(t, err);
    if (st == VLY_OK)
        st = name_training(t, err);
    if (st == VLY_OK && n > 1) /* this thread takes part */
        st = vly_worker_pool_new(n - 1, QUEUE, &t->pool, err);
    if (st != VLY_OK)
        return st;
    t->history.cap = (size_t)o->epochs;
    t->history.rows = vly_calloc(VLY_MEM_CLI, t->history.cap, sizeof(t->history.rows[0]));
    t->guesses = vly_calloc(VLY_MEM_CLI, t->tracks.set.n_recordings, sizeof(vly_step_guess));
    if (t->history.rows == NULL || t->guesses == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    return VLY_OK;
}

static void close_all(training *t)
{
    vly_worker_pool_free(t->pool);
    vly_buf_release(&t->from);
    vly_buf_release(&t->command);
    vly_buf_release(&t->title);
    vly_buf_release(&t->persons);
    vly_free(t->history.rows);
    vly_free(t->guesses);
    vly_step_tracks_release(&t->tracks);
}

/* ---- checkpoints --------------------------------------------------------------------------- */

/* What the checkpoint belongs to. */
static uint64_t purpose_of(const training *t, const vly_step_fit *f)
{
    return vly_fnv1a(vly_step_fit_fingerprint(f), t->from.ptr, t->from.len);
}

static vly_status save(const training *t, vly_step_fit *f, vly_err *err)
{
    vly_buf bytes;

    vly_buf_init(&bytes, VLY_MEM_CLI, CHECKPOINT_MAX);
    vly_status st = vly_checkpoint_write(vly_trainer_state_of(f->trainer), t->purpose, &t->history,
                                         &bytes, err);
    if (st == VLY_OK)
        st = vly_file_write(t->opts->checkpoint, bytes.ptr, bytes.len, err);
    vly_buf_release(&bytes);
    return st;
}

static vly_status resume(training *t, vly_step_fit *f, vly_err *err)
{
    const vly_trainer_state *s = vly_trainer_state_of(f->trainer);
    vly_buf bytes;

    if (!t->opts->resume || !vly_file_exists(t->opts->checkpoint))
        return VLY_OK;
    vly_buf_init(&bytes, VLY_MEM_CLI, CHECKPOINT_MAX);
    vly_status st = vly_file_read(t->opts->checkpoint, CHECKPOINT_MAX, &bytes, err);
    if (st == VLY_OK)
        st = vly_checkpoint_read(vly_buf_str(&bytes), t->purpose, vly_trainer_state_of(f->trainer),
                                 &t->history, err);
    vly_buf_release(&bytes);
    if (st == VLY_OK && s->step != t->history.n * vly_step_windows_steps(f->windows))
        st = vly_fail(err, VLY_EFORMAT, "checkpoint: %" PRIu64 " steps are not %zu epochs", s->step,
                      t->history.n);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "'%s'", t->opts->checkpoint);
    f->epoch = (uint32_t)t->history.n;
    return VLY_OK;
}

/* ---- training ------------------------------------------------------------------------------ */

/* Who was held out, or else everybody, under the rule at hand. */
static vly_status measure(training *t, vly_step_fit *f, vly_step_score *ret, vly_err *err)
{
    uint64_t who = t->held_out != 0 ? t->held_out : t->everybody;
    size_t n = 0;
    vly_status st = vly_step_fit_guess(f, who, t->guesses, &n, err);

    *ret = (vly_step_score){0};
    for (size_t i = 0; i < n; i++) {
        if (st == VLY_OK)
            st = vly_step_guess_score(&t->guesses[i], &t->fit_opts.shape, &t->fit_opts.rule, ret,
                                      err);
        vly_step_guess_release(&t->guesses[i]);
    }
    return st;
}

static double mean_f1(const vly_step_score *s, int tolerance)
{
    return (vly_match_f1(&s->match[0][tolerance]) + vly_match_f1(&s->match[1][tolerance])) / 2;
}

static vly_status epoch(training *t, vly_step_fit *f, vly_err *err)
{
    float *row = t->history.rows[t->history.n];
    vly_step_epoch told;
    vly_status st = vly_step_fit_epoch(f, &told, err);

    if (st != VLY_OK)
        return st;
    for (int i = 0; i < VLY_TRAIN_FIGURES; i++)
        row[i] = NAN;
    row[VLY_STEP_CURVE_EVENTS] = (float)told.loss_events;
    row[VLY_STEP_CURVE_ACTIVITY] = (float)told.loss_activity;
    row[VLY_STEP_CURVE_RATE] = (float)told.rate;
    fprintf(stderr, "epoch %u of %u: loss %.4f (events %.4f, activity %.4f)", f->epoch,
            f->opts.n_epochs, told.loss, told.loss_events, told.loss_activity);
    if (f->epoch % MEASURED_EVERY == 0 || f->epoch == f->opts.n_epochs) {
        st = measure(t, f, &t->held_score, err);
        row[VLY_STEP_CURVE_F1_50] = (float)mean_f1(&t->held_score, 0);
        row[VLY_STEP_CURVE_F1_100] = (float)mean_f1(&t->held_score, 1);
        fprintf(stderr, ", F1 of %s %.3f at 50 ms, %.3f at 100 ms", judged(t),
                mean_f1(&t->held_score, 0), mean_f1(&t->held_score, 1));
    }
    fprintf(stderr, ", %.0f s\n", seconds(t));
    t->history.n++;
    return st;
}

static vly_status train(training *t, vly_step_fit *f, vly_err *err)
{
    vly_status st = VLY_OK;

    if (t->opts->checkpoint != NULL)
        t->purpose = purpose_of(t, f);
    st = resume(t, f, err);

    while (st == VLY_OK && f->epoch < f->opts.n_epochs) {
        st = epoch(t, f, err);
        if (st == VLY_OK && t->opts->checkpoint != NULL)
            st = save(t, f, err);
    }
    return st == VLY_OK && !t->wants_cross ? measure(t, f, &t->held_score, err) : st;
}

static void tell_trial(void *arg, size_t done, size_t total, uint64_t left_out, double loss)
{
    const training *t = arg;
    vly_buf line;

    vly_buf_init(&line, VLY_MEM_CLI, 4096);
    for (size_t p = 0; p < t->tracks.set.n_persons; p++)
        if ((left_out >> p & 1) != 0)
            vly_buf_printf(&line, " %s", t->tracks.set.persons[p]);
    fprintf(stderr, "net %zu of %zu, without%.*s: loss %.4f, %.0f s\n", done, total,
            VLY_STR_ARG(vly_buf_str(&line)), loss, seconds(t));
    vly_buf_release(&line);
}

static vly_status cross_validate(training *t, vly_err *err)
{
    vly_status st =
        vly_step_cross_run(&t->tracks, &t->fit_opts, t->pool, tell_trial, t, &t->cross, err);

    t->has_cross = st == VLY_OK;
    return st;
}

/* ---- results ------------------------------------------------------------------------------- */

static vly_status write_to(const training *t, const char *name, const vly_buf *bytes, vly_err *err)
{
    char *path = NULL;
    vly_status st = vly_path_join(t->opts->out, vly_str_from(name), &path, err);

    if (st == VLY_OK && bytes->failed)
        st = vly_fail(err, VLY_ELIMIT, "'%s': too long", path);
    if (st == VLY_OK)
        st = vly_file_write(path, bytes->ptr, bytes->len, err);
    if (st == VLY_OK)
        fprintf(stderr, "wrote %s\n", path);
    vly_free(path);
    return st;
}

static vly_step_origin origin_of(const training *t)
{
    return (vly_step_origin){
        .command = t->command.ptr, .persons = vly_buf_str(&t->persons), .credit = t->opts->credit};
}

static vly_status write_model(const training *t, vly_step_fit *f, vly_buf *out, vly_err *err)
{
    const vly_trainer_state *s = vly_trainer_state_of(f->trainer);
    const vly_step_decoder_rule *rule = t->has_cross ? &t->cross.rule : &t->fit_opts.rule;
    const vly_step_origin origin = origin_of(t);
    vly_status st = vly_step_net_write(f->net, s->average, s->average_running, &t->fit_opts.shape,
                                       rule, &origin, out, err);

    return st == VLY_OK ? write_to(t, "steps.onnx", out, err) : st;
}

static vly_status write_all(const training *t, vly_step_fit *f, vly_err *err)
{
    const vly_step_origin origin = origin_of(t);
    vly_step_report report = {.origin = &origin,
                              .tracks = &t->tracks,
                              .persons = t->everybody & ~t->held_out,
                              .opts = &t->fit_opts,
                              .n_params = f->net->n_params,
                              .cross = t->has_cross ? &t->cross : NULL,
                              .history = &t->history,
                              .judged = t->title.ptr};
    vly_buf out;

    if (t->opts->out == NULL)
        return VLY_OK;
    vly_buf_init(&out, VLY_MEM_CLI, FILE_MAX);
    vly_status st = write_model(t, f, &out, err);
    if (st == VLY_OK) {
        vly_buf_clear(&out);
        vly_step_report_card(&report, &out);
        st = write_to(t, "card.md", &out, err);
    }
    if (st == VLY_OK) {
        vly_buf_clear(&out);
        st = vly_step_report_curves(&report, &out, err);
    }
    if (st == VLY_OK)
        st = write_to(t, "curves.svg", &out, err);
    vly_buf_release(&out);
    return st;
}

static void add_json(const char *name, const vly_step_score *s, vly_buf *out)
{
    vly_step_figures f = vly_step_figures_of(s, 0);

    vly_buf_json_str(out, vly_str_from(name));
    vly_buf_puts(out, ":{");
    vly_step_figures_json(out, &f);
    vly_buf_putc(out, '}');
}

static void add_results(const training *t, vly_buf *out)
{
    bool json = t->opts->json;

    if (t->has_cross && !json)
        vly_step_report_table(&t->tracks, &t->cross, out);
    else if (t->held_out != 0 && !json)
        vly_step_report_row(t->opts->hold_out, &t->held_score, out);
    if (!json)
        return;
    vly_buf_puts(out, "{\"persons\":{");
    for (size_t p = 0; t->has_cross && p < t->cross.n_persons; p++) {
        vly_buf_puts(out, p > 0 ? "," : "");
        add_json(t->tracks.set.persons[p], &t->cross.scores[p], out);
    }
    if (t->held_out != 0)
        add_json(t->opts->hold_out, &t->held_score, out);
    vly_buf_puts(out, "},\"measured_on\":");
    vly_buf_json_str(out, vly_str_from(t->has_cross ? "persons left out" : judged(t)));
    vly_buf_puts(out, ",");
    add_json("pooled", t->has_cross ? &t->cross.pooled : &t->held_score, out);
    vly_buf_printf(out, ",\"seconds\":%.1f}\n", seconds(t));
}

static vly_status run_all(training *t, vly_err *err)
{
    const train_opts *o = t->opts;
    vly_step_fit fit = {0};
    vly_status st = open_all(t, err);

    if (st == VLY_OK && !o->leave_one_out)
        st = vly_step_fit_open(&fit, &t->tracks, &t->fit_opts, t->everybody & ~t->held_out, t->pool,
                               err);
    if (st == VLY_OK && !o->leave_one_out)
        st = begin_from(t, &fit, err);
    if (st == VLY_OK && !o->leave_one_out)
        st = train(t, &fit, err);
    if (st == VLY_OK && t->wants_cross)
        st = cross_validate(t, err);
    if (st == VLY_OK && !o->leave_one_out)
        st = write_all(t, &fit, err);
    vly_step_fit_close(&fit);
    return st;
}

static int run(const void *opts_, int n_args, char *const *args)
{
    const train_opts *opts = opts_;
    vly_err err;
    vly_buf out;

    (void)n_args, (void)args;
    if (opts->data == NULL || (opts->out == NULL && !opts->leave_one_out)) {
        fprintf(stderr, "volley train steps: options --data and --out are required; see --help\n");
        return VLY_EXIT_USAGE;
    }
    training *t = vly_calloc(VLY_MEM_CLI, 1, sizeof(*t)); /* scores are large for a stack */
    if (t == NULL) {
        fprintf(stderr, "volley train steps: out of memory\n");
        return VLY_EXIT_FAILURE;
    }
    t->opts = opts;
    t->began = vly_clock_now();
    vly_status st = check_opts(opts, &err);
    if (st == VLY_OK)
        st = try_out(opts, &err);
    if (st == VLY_OK)
        st = run_all(t, &err);
    vly_buf_init(&out, VLY_MEM_CLI, FILE_MAX);
    if (st == VLY_OK) {
        add_results(t, &out);
        fwrite(out.ptr, 1, out.len, stdout);
    } else {
        vly_command_fail(&err);
    }
    vly_buf_release(&out);
    close_all(t);
    vly_free(t);
    return st == VLY_OK ? VLY_EXIT_OK : VLY_EXIT_FAILURE;
}

const vly_command vly_command_train_steps = {
    .name = "train steps",
    .args = "",
    .summary = "train the step model on labelled recordings, and measure it on strangers",
    .details =
        "Learns a recurrent net from recordings of hand-held sensors (DIR/PERSON/NAME.csv with "
        "the\n"
        "truth beside it, see volley eval steps), then holds out one person after the other to\n"
        "measure how good such a net is with somebody whom it has not seen, and to choose the\n"
        "thresholds that go into the file. Writes OUT/steps.onnx, a model card with the figures\n"
        "and learning curves. The same command, seed and kind of CPU give the same file, with\n"
        "any number of threads, and also when the training was stopped and resumed. Files are\n"
        "written at the end; --checkpoint keeps the net that they are made of, but not those that\n"
        "leave somebody out: these begin again. With two persons nobody is left out.\n",
    .examples =
        "  volley train steps --data data/steps --out models/steps --credit 'mine, CC0'\n"
        "  volley train steps --data data/steps --leave-one-out --json\n"
        "  volley train steps --data data/steps --out /tmp/steps --hold-out person_2\n"
        "  volley train steps --data data/steps --out /tmp/steps --checkpoint c.bin --resume\n"
        "  volley train steps --data data/steps --out /tmp/steps --from pruned.onnx --keep-zeros "
        "--epochs 10\n",
    .opts = options,
    .opts_bytes = sizeof(train_opts),
    .defaults = &defaults,
    .run = run,
};
