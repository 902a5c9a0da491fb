/* SPDX-License-Identifier: MIT */
#include "cli/samples.h"

#include "base/mem.h"
#include "cli/model_io.h"
#include "codec/csv.h"
#include "codec/picture.h"
#include "sys/core_count.h"
#include "sys/file.h"

#include <stdio.h>
#include <string.h>

#define ENTRIES_MAX 1000000
#define CSV_MAX     ((size_t)1 << 30)

static const vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;

bool vly_cli_samples_are_pictures(const vly_cli_samples *s)
{
    return s->decoder->kind != VLY_TASK_TENSOR && s->decoder->input_channels == 3;
}

static bool ends_with_any(vly_str name, const char *const *endings)
{
    for (size_t i = 0; endings[i] != NULL; i++) {
        vly_str end = vly_str_from(endings[i]);
        if (name.len > end.len &&
            vly_str_eq_nocase((vly_str){name.ptr + name.len - end.len, end.len}, end))
            return true;
    }
    return false;
}

/* Every k-th so that at most limit stay. */
static size_t thinned(size_t i, size_t n, size_t limit)
{
    return limit > 0 && n > limit ? i * n / limit : i;
}

/* ---- pictures ----------------------------------------------------------------------------- */

static vly_status get_picture(void *arg, size_t i, vly_tensor *inputs, vly_err *err)
{
    vly_cli_samples *s = arg;
    const vly_decoder *d = s->decoder;
    vly_shape shape = VLY_SHAPE(1, d->input_channels, d->input_height, d->input_width);
    vly_picture picture = {0};

    vly_buf_clear(&s->file);
    vly_status st = vly_file_read(s->paths[i], limits.max_bytes, &s->file, err);
    if (st != VLY_OK)
        return st;
    st = vly_picture_decode(s->file.ptr, s->file.len, &limits, &picture, err);
    if (st == VLY_OK)
        st = vly_tensor_new(VLY_DTYPE_F32, &shape, &inputs[0], err);
    if (st == VLY_OK)
        st = vly_letterbox_run(&s->letterbox, &picture, &d->prep, d->input_width, d->input_height,
                               inputs[0].data, &s->map, err);
    if (st == VLY_OK && s->truth.n_images > 0)
        vly_truth_image_scale(&s->truth.images[i], picture.width, picture.height);
    vly_picture_release(&picture);
    return st == VLY_OK ? st : vly_fail_in(err, st, "'%s'", s->paths[i]);
}

/* The labelled pictures, thinned. */
static vly_status take_labelled(vly_cli_samples *s, size_t limit, vly_err *err)
{
    size_t n = s->truth.n_images, kept = limit > 0 && n > limit ? limit : n;

    s->paths = vly_arena_calloc(&s->arena, kept, sizeof(*s->paths));
    if (s->paths == NULL)
        return vly_arena_fail(&s->arena, err);
    for (size_t i = 0; i < kept; i++) {
        s->truth.images[i] = s->truth.images[thinned(i, n, limit)];
        s->paths[i] = s->truth.images[i].path;
    }
    s->base.n = s->truth.n_images = kept;
    return VLY_OK;
}

static vly_status list_pictures(vly_cli_samples *s, const char *dir, size_t limit, vly_err *err)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png", ".webp", NULL};
    const char *sub = vly_arena_printf(&s->arena, "%s/images", dir);
    vly_dir list = {0};
    size_t n = 0;

    if (sub == NULL)
        return vly_arena_fail(&s->arena, err);
    if (vly_dir_exists(sub))
        dir = sub;
    vly_status st = vly_dir_list(dir, ENTRIES_MAX, &list, err);
    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i < list.n_entries; i++)
        if (!list.entries[i].is_dir && ends_with_any(vly_str_from(list.entries[i].name), endings))
            list.entries[n++] = list.entries[i]; /* the names move down; all are freed below */
        else
            vly_free(list.entries[i].name);
    list.n_entries = n;
    s->base.n = limit > 0 && n > limit ? limit : n;
    s->paths = vly_arena_calloc(&s->arena, s->base.n, sizeof(*s->paths));
    for (size_t i = 0; i < s->base.n && s->paths != NULL; i++) {
        s->paths[i] =
            vly_arena_printf(&s->arena, "%s/%s", dir, list.entries[thinned(i, n, limit)].name);
        if (s->paths[i] == NULL)
            s->paths = NULL;
    }
    vly_dir_release(&list);
    return s->paths != NULL ? VLY_OK : vly_arena_fail(&s->arena, err);
}

static vly_status open_pictures(vly_cli_samples *s, const char *dir, size_t limit, vly_err *err)
{
    vly_err no_labels;

    s->base.get = get_picture;
    if (vly_truth_set_load(dir, &s->arena, &s->truth, &no_labels) == VLY_OK &&
        s->truth.n_images > 0)
        return take_labelled(s, limit, err);
    s->truth = (vly_truth_set){0};
    return list_pictures(s, dir, limit, err);
}

/* ---- windows ------------------------------------------------------------------------------ */

static vly_status get_window(void *arg, size_t i, vly_tensor *inputs, vly_err *err)
{
    vly_cli_samples *s = arg;

    (void)err;
    inputs[0] = vly_tensor_ref(&s->windows[i]);
    return VLY_OK;
}

/* The model's input with 1 where it leaves the choice. */
static vly_shape window_shape(const vly_cli_samples *s)
{
    vly_shape shape = s->info->inputs[0].shape;

    for (int i = 0; i < shape.rank; i++)
        if (shape.dim[i] == VLY_DIM_UNKNOWN)
            shape.dim[i] = 1;
    return shape;
}

static vly_status add_window(vly_cli_samples *s, const void *data, vly_err *err)
{
    vly_shape shape = window_shape(s);
    vly_tensor view = vly_tensor_borrow(VLY_DTYPE_F32, &shape, data);

    if (s->n_windows == s->windows_cap) {
        size_t cap = s->windows_cap * 2 + 64;
        vly_tensor *more = vly_realloc(VLY_MEM_CLI, s->windows, cap * sizeof(*more));
        if (more == NULL)
            return vly_fail(err, VLY_ENOMEM, "out of memory for %zu windows", cap);
        s->windows = more;
        s->windows_cap = cap;
    }
    vly_status st = vly_tensor_copy(&view, &s->windows[s->n_windows], err);
    s->n_windows += st == VLY_OK;
    return st;
}

static vly_status add_npy(vly_cli_samples *s, const char *path, vly_err *err)
{
    vly_shape shape = window_shape(s);
    size_t each = (size_t)vly_shape_span(&shape, 0, shape.rank);
    vly_tensor t = {0};
    vly_status st = vly_cli_tensor_read(path, &t, err);

    if (st != VLY_OK)
        return st;
    size_t n = (size_t)vly_tensor_count(&t);
    if (t.dtype != VLY_DTYPE_F32 || each == 0 || n == 0 || n % each != 0)
        st = vly_fail(err, VLY_EINVAL, "'%s': expected float32 windows of %zu values each", path,
                      each);
    for (size_t i = 0; i + each <= n && st == VLY_OK; i += each)
        st = add_window(s, (const float *)t.data + i, err);
    vly_tensor_release(&t);
    return st;
}

typedef struct csv_reader {
    vly_cli_samples *s;
    vly_csv *csv;
    float *window;
    size_t channels, steps, step; /* rows of the window at hand */
    bool is_channel_first;
} csv_reader;

static vly_status add_row(void *arg, const vly_csv_row *row, vly_err *err)
{
    csv_reader *r = arg;
    double x;

    if (row->is_header)
        return VLY_OK;
    if (row->n_cells != r->channels)
        return vly_fail(err, VLY_EINVAL, "line %llu: expected %zu columns, got %zu",
                        (unsigned long long)row->line, r->channels, row->n_cells);
    for (size_t c = 0; c < r->channels; c++) {
        if (!vly_csv_number(row->cells[c], vly_csv_delimiter(r->csv), &x))
            return vly_fail(err, VLY_EFORMAT, "line %llu: '%.*s' is not a number",
                            (unsigned long long)row->line, VLY_STR_ARG(row->cells[c]));
        r->window[r->is_channel_first ? c * r->steps + r->step : r->step * r->channels + c] =
            (float)x;
    }
    if (++r->step < r->steps)
        return VLY_OK;
    r->step = 0;
    return add_window(r->s, r->window, err);
}

/* [1, channels], [1, steps, channels] or [1, channels, steps]: of the latter two the smaller
 * dimension is the channels. */
static vly_status window_layout(const vly_cli_samples *s, csv_reader *r, vly_err *err)
{
    vly_shape shape = window_shape(s);

    if ((shape.rank != 2 && shape.rank != 3) || shape.dim[0] != 1)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "input '%s' is no window of sensor data: give .npy files",
                        s->info->inputs[0].name);
    size_t a = (size_t)shape.dim[1], b = shape.rank == 3 ? (size_t)shape.dim[2] : 1;
    r->is_channel_first = shape.rank == 2 || a < b;
    r->channels = r->is_channel_first ? a : b;
    r->steps = r->is_channel_first ? b : a;
    return VLY_OK;
}

static vly_status add_csv(vly_cli_samples *s, const char *path, vly_err *err)
{
    csv_reader r = {.s = s};
    vly_status st = window_layout(s, &r, err);

    if (st != VLY_OK)
        return st;
    vly_csv_opts opts = {.on_row = add_row, .arg = &r};
    vly_buf_clear(&s->file);
    r.window = vly_calloc(VLY_MEM_CLI, r.channels * r.steps, sizeof(*r.window));
    r.csv = vly_csv_new(&opts);
    if (r.window == NULL || r.csv == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory for '%s'", path);
    if (st == VLY_OK)
        st = vly_file_read(path, CSV_MAX, &s->file, err);
    if (st == VLY_OK) {
        st = vly_csv_feed(r.csv, s->file.ptr, s->file.len, err);
        if (st == VLY_OK)
            st = vly_csv_end(r.csv, err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "'%s'", path);
    }
    vly_csv_free(r.csv);
    vly_free(r.window);
    return st;
}

static void thin_windows(vly_cli_samples *s, size_t limit)
{
    size_t n = s->n_windows, kept = limit > 0 && n > limit ? limit : n;

    for (size_t i = 0, next = 0; i < n; i++) {
        if (next < kept && thinned(next, n, limit) == i) {
            vly_tensor t = s->windows[i];
            s->windows[i] = (vly_tensor){0};
            s->windows[next++] = t;
        } else {
            vly_tensor_release(&s->windows[i]);
        }
    }
    s->base.n = s->n_windows = kept;
}

static vly_status open_windows(vly_cli_samples *s, const char *dir, size_t limit, vly_err *err)
{
    static const char *const npy[] = {".npy", NULL}, *const csv[] = {".csv", NULL};
    vly_dir list = {0};

    s->base.get = get_window;
    if (s->info->n_inputs != 1 || s->info->inputs[0].dtype != VLY_DTYPE_F32 ||
        !s->info->inputs[0].has_shape)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "the model takes no pictures, and not one float32 window either");
    vly_status st = vly_dir_list(dir, ENTRIES_MAX, &list, err);
    for (size_t i = 0; i < list.n_entries && st == VLY_OK; i++) {
        vly_str name = vly_str_from(list.entries[i].name);
        char *path = NULL;
        if (list.entries[i].is_dir || (!ends_with_any(name, npy) && !ends_with_any(name, csv)))
            continue;
        st = vly_path_join(dir, name, &path, err);
        if (st == VLY_OK)
            st = ends_with_any(name, npy) ? add_npy(s, path, err) : add_csv(s, path, err);
        vly_free(path);
    }
    vly_dir_release(&list);
    thin_windows(s, limit);
    return st;
}

/* ---- both --------------------------------------------------------------------------------- */

static void show_progress(void *arg, const char *what, size_t done, size_t total)
{
    vly_cli_samples *s = arg;

    if (done == 1)
        vly_progress_begin(&s->progress, what, total);
    vly_progress_step(&s->progress);
    if (done == total)
        vly_progress_end(&s->progress);
}

vly_status vly_cli_samples_open(vly_cli_samples *s, const char *dir, const vly_model_info *info,
                                const vly_decoder *decoder, int64_t limit, int64_t threads,
                                vly_err *err)
{
    unsigned cores = threads > 0 ? (unsigned)threads : vly_core_count();
    vly_status st = VLY_OK;

    *s = (vly_cli_samples){.info = info, .decoder = decoder};
    vly_arena_init(&s->arena, VLY_MEM_CLI, 1 << 16, (size_t)4 << 30);
    vly_buf_init(&s->file, VLY_MEM_CLI, CSV_MAX);
    vly_letterbox_init(&s->letterbox);
    s->base.progress = show_progress;
    s->base.arg = s;
    if (limit < 0 || threads < 0 || cores > 1024)
        return vly_fail(err, VLY_EINVAL, "expected --samples of 0 or more, --threads of 0 to 1024");
    if (cores > 1)
        st = vly_worker_pool_new(cores - 1, 1, &s->pool, err);
    s->base.pool = s->pool;
    if (st == VLY_OK)
        st = vly_cli_samples_are_pictures(s) ? open_pictures(s, dir, (size_t)limit, err)
                                             : open_windows(s, dir, (size_t)limit, err);
    if (st == VLY_OK && s->base.n == 0)
        st = vly_fail(err, VLY_ENOTFOUND, "'%s': no %s", dir,
                      vly_cli_samples_are_pictures(s)
                          ? "pictures (.jpg, .jpeg, .png, .webp, here or in images/)"
                          : "windows (.npy, .csv)");
    return st;
}

void vly_cli_samples_close(vly_cli_samples *s)
{
    for (size_t i = 0; i < s->n_windows; i++)
        vly_tensor_release(&s->windows[i]);
    vly_free(s->windows);
    vly_worker_pool_free(s->pool);
    vly_letterbox_release(&s->letterbox);
    vly_buf_release(&s->file);
    vly_arena_release(&s->arena);
    *s = (vly_cli_samples){0};
}
