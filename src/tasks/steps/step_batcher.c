/* SPDX-License-Identifier: MIT */
/*
 * Many streams through the net at once.
 *
 * Each work gets a slot and goes on until it has a frame for the net, or no more readings. When all
 * slots are taken, or no work is left, the rows run in batches; then slots go on, and those of work
 * that is done are free for the next. A stream that is alone takes many frames in one run: the net
 * is recurrent, so they are steps of time.
 *
 * Batches have a few fixed sizes, filled up with rows of zeroes, so that the plans of the net stay
 * bound. No kernel's row depends on the others: see tests/unit/tasks/test_step_stream.c.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "base/mem.h"
#include "tasks/steps/step_segment.h"

#include <string.h>

#define SLOTS_MAX  1024
#define TIME_MAX   64
#define EXPECTED   2 /* works ahead of the one at hand whose memory is asked for */
#define CACHE_LINE 64

/* t frames of n rows. No more than an instance keeps bound, and none of a single frame: products
 * with one row are summed in another order than those with more. */
typedef struct batch_shape {
    int64_t t, n;
} batch_shape;

/* Widest first, then longest first. */
static const batch_shape shapes[] = {
    {1, SLOTS_MAX}, {1, 256}, {1, 64}, {1, 16}, {1, 4}, {TIME_MAX, 1}, {8, 1},
};

#define N_WIDE   5
#define N_SHAPES (int)VLY_COUNT(shapes)

typedef enum slot_phase {
    SLOT_READS,
    SLOT_PADS,   /* the segment is over: what the look-ahead holds back comes out */
    SLOT_BREAKS, /* when the frames at hand have run */
} slot_phase;

typedef struct slot {
    const vly_step_work *work; /* NULL: free */
    size_t next;               /* reading */
    slot_phase phase;
    unsigned n_pads;
    unsigned n_left, at_left; /* points that no frame had room for: left[] of the batcher */
    unsigned n_frames;        /* that wait for the net */
} slot;

struct vly_step_batcher {
    vly_step_model *model;
    vly_instance *instance;
    size_t n_in, n_state; /* floats of a frame, and of the state of one row */
    slot *slots;          /* [SLOTS_MAX] */
    vly_imu_reading (*left)[VLY_IMU_GRID_OUT_MAX]; /* [SLOTS_MAX] */
    float *frames;                                 /* [SLOTS_MAX][n_in] */
    float *state;                                  /* [layers][SLOTS_MAX][hidden] */
};

/* ---- readings to frames ------------------------------------------------------------------- */

static void add_frame(vly_step_batcher *b, size_t i_slot)
{
    slot *s = &b->slots[i_slot];

    vly_step_segment_frame(s->work->stream, b->model,
                           b->frames + (i_slot + s->n_frames++) * b->n_in);
}

/* Takes points until want frames are there. Returns how many were taken. */
static unsigned take_points(vly_step_batcher *b, size_t i_slot, const vly_imu_reading *points,
                            unsigned n, unsigned want)
{
    slot *s = &b->slots[i_slot];
    unsigned i = 0;

    for (; i < n && s->n_frames < want; i++)
        if (vly_step_segment_take(s->work->stream, b->model, &points[i]))
            add_frame(b, i_slot);
    return i;
}

static void end_segment(vly_step_batcher *b, slot *s)
{
    s->n_pads = vly_step_segment_pads(s->work->stream, b->model);
    if (s->n_pads > 0)
        s->phase = SLOT_PADS;
    else if (s->n_frames > 0)
        s->phase = SLOT_BREAKS;
    else
        vly_step_segment_break(s->work->stream);
}

static void keep(vly_step_batcher *b, size_t i_slot, const vly_imu_reading *points, unsigned n)
{
    slot *s = &b->slots[i_slot];

    memmove(b->left[i_slot], points, n * sizeof(*points));
    s->n_left = n;
    s->at_left = 0;
}

static void read_on(vly_step_batcher *b, size_t i_slot, unsigned want)
{
    slot *s = &b->slots[i_slot];
    vly_step_stream *stream = s->work->stream;
    vly_imu_reading points[VLY_IMU_GRID_OUT_MAX];
    bool is_break;

    s->at_left +=
        take_points(b, i_slot, b->left[i_slot] + s->at_left, s->n_left - s->at_left, want);
    while (s->n_frames < want && s->next < s->work->n) {
        const vly_imu_reading *reading = &s->work->readings[s->next++];
        vly_step_totals *totals = &stream->totals;
        totals->first_us = totals->n_readings++ == 0 ? reading->t_us : totals->first_us;
        totals->last_us = reading->t_us;
        unsigned n = (unsigned)vly_imu_grid_push(&stream->grid, reading, points, &is_break);
        if (is_break)
            end_segment(b, s);
        unsigned n_taken = s->phase == SLOT_READS ? take_points(b, i_slot, points, n, want) : 0;
        if (n_taken < n)
            keep(b, i_slot, points + n_taken, n - n_taken);
        if (s->phase != SLOT_READS)
            return;
    }
}

/* Until want frames wait, or the work is done, or the segment. */
static void advance(vly_step_batcher *b, size_t i_slot, unsigned want)
{
    slot *s = &b->slots[i_slot];

    if (s->phase == SLOT_READS)
        read_on(b, i_slot, want);
    while (s->phase == SLOT_PADS && s->n_frames < want) {
        if (vly_step_segment_pad(s->work->stream, b->model))
            add_frame(b, i_slot);
        if (--s->n_pads == 0)
            s->phase = SLOT_BREAKS;
    }
}

/* ---- frames through the net --------------------------------------------------------------- */

/* Rows of streams to rows of a tensor [layers, n, hidden], and back. */
static void gather_state(const vly_step_batcher *b, size_t first, size_t n_rows, size_t n)
{
    size_t hidden = b->model->n_hidden;

    for (size_t l = 0; l < b->model->n_layers; l++) {
        float *to = b->state + l * n * hidden;
        for (size_t i = 0; i < n_rows; i++)
            memcpy(to + i * hidden, b->slots[first + i].work->stream->state + l * hidden,
                   hidden * sizeof(*to));
        memset(to + n_rows * hidden, 0, (n - n_rows) * hidden * sizeof(*to));
    }
}

static void scatter_state(const vly_step_batcher *b, size_t first, size_t n_rows, size_t n,
                          const float *state)
{
    size_t hidden = b->model->n_hidden;

    for (size_t l = 0; l < b->model->n_layers; l++)
        for (size_t i = 0; i < n_rows; i++)
            memcpy(b->slots[first + i].work->stream->state + l * hidden,
                   state + (l * n + i) * hidden, hidden * sizeof(*state));
}

static void decode(const vly_step_batcher *b, size_t first, size_t n_rows, const batch_shape *shape,
                   const vly_tensor *outputs)
{
    const float *events = outputs[0].data, *activity = outputs[1].data;
    size_t n_events = 2 * (size_t)b->model->hop;

    for (size_t t = 0; t < (size_t)shape->t; t++) {
        for (size_t i = 0; i < n_rows; i++) {
            const vly_step_work *w = b->slots[first + i].work;
            size_t row = t * (size_t)shape->n + i;
            vly_step_segment_decode(w->stream, b->model, events + row * n_events,
                                    activity + row * VLY_ACTIVITIES, w->on_events, w->arg);
        }
    }
}

/* Are they as long as the file said? */
static vly_status check_outputs(const vly_step_batcher *b, const batch_shape *shape,
                                const vly_tensor *outputs, vly_err *err)
{
    size_t n_frames = (size_t)shape->t * (size_t)shape->n;
    const size_t want[] = {n_frames * 2 * b->model->hop, n_frames * VLY_ACTIVITIES,
                           (size_t)shape->n * b->n_state};

    for (size_t i = 0; i < VLY_COUNT(want); i++)
        if (outputs[i].dtype != VLY_DTYPE_F32 || outputs[i].bytes != want[i] * sizeof(float))
            return vly_fail(err, VLY_EFORMAT, "step model: output %zu: expected %zu floats", i,
                            want[i]);
    return VLY_OK;
}

/* Slots first .. first + n_rows - 1 run shape->t frames each, from at on. */
static vly_status run_batch(vly_step_batcher *b, size_t first, size_t n_rows, size_t at,
                            const batch_shape *shape, vly_err *err)
{
    size_t n = (size_t)shape->n;
    vly_tensor outputs[3];
    float *frames = b->frames + (first + at) * b->n_in;

    VLY_ASSERT(n_rows <= n && (first + at) + (size_t)shape->t * n <= SLOTS_MAX);
    memset(frames + (size_t)shape->t * n_rows * b->n_in, 0,
           (size_t)shape->t * (n - n_rows) * b->n_in * sizeof(*frames));
    gather_state(b, first, n_rows, n);
    const vly_tensor inputs[] = {
        vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(shape->t, shape->n, (int64_t)b->n_in), frames),
        vly_tensor_borrow(VLY_DTYPE_F32,
                          &VLY_SHAPE(b->model->n_layers, shape->n, b->model->n_hidden), b->state),
    };
    vly_status st = vly_instance_run(b->instance, inputs, outputs, err);
    if (st != VLY_OK)
        return st;
    st = check_outputs(b, shape, outputs, err);
    if (st == VLY_OK) {
        scatter_state(b, first, n_rows, n, outputs[2].data);
        decode(b, first, n_rows, shape, outputs);
    }
    for (size_t i = 0; i < VLY_COUNT(outputs); i++)
        vly_tensor_release(&outputs[i]);
    return st;
}

/* The batch for the next rows: the smallest that holds all, unless most of it would be empty. */
static const batch_shape *choose_wide(size_t n_rows)
{
    for (int i = N_WIDE - 1; i > 0; i--)
        if (n_rows <= (size_t)shapes[i].n || n_rows < (size_t)shapes[i - 1].n / 2)
            return &shapes[i];
    return &shapes[0];
}

/* One frame of each of n_slots. */
static vly_status run_wide(vly_step_batcher *b, size_t n_slots, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t at = 0; at < n_slots && st == VLY_OK;) {
        const batch_shape *shape = choose_wide(n_slots - at);
        size_t n = n_slots - at < (size_t)shape->n ? n_slots - at : (size_t)shape->n;
        st = run_batch(b, at, n, 0, shape, err);
        at += n;
    }
    return st;
}

/* The longest batch that n frames of one stream fill. */
static const batch_shape *choose_long(size_t n)
{
    for (int i = N_WIDE; i < N_SHAPES; i++)
        if (n >= (size_t)shapes[i].t)
            return &shapes[i];
    return &shapes[N_WIDE - 1];
}

/* All frames of the slot 0. */
static vly_status run_long(vly_step_batcher *b, vly_err *err)
{
    size_t at = 0, n = b->slots[0].n_frames;
    vly_status st = VLY_OK;

    while (at < n && st == VLY_OK) {
        const batch_shape *shape = choose_long(n - at);
        size_t from = shape->n == 1 ? at : TIME_MAX; /* where rows of zeroes have room */
        if (from != at)
            memcpy(b->frames + from * b->n_in, b->frames + at * b->n_in,
                   b->n_in * sizeof(*b->frames));
        st = run_batch(b, 0, 1, from, shape, err);
        at += (size_t)shape->t;
    }
    return st;
}

/* ---- work ----------------------------------------------------------------------------------- */

static void begin_work(slot *s, const vly_step_work *work)
{
    *s = (slot){.work = work, .phase = SLOT_READS};
}

/* Thousands of streams lie far apart in memory, and a turn touches each of them once. */
static void expect_stream(const vly_step_stream *s)
{
    for (size_t i = 0; i < sizeof(*s); i += CACHE_LINE)
        __builtin_prefetch((const char *)s + i);
}

/* Fills slots n_slots.. with the work from *at on that has a frame. Returns how many are taken. */
static size_t fill(vly_step_batcher *b, size_t n_slots, const vly_step_work *work, size_t n,
                   size_t *at)
{
    while (n_slots < SLOTS_MAX && *at < n) {
        begin_work(&b->slots[n_slots], &work[(*at)++]);
        if (*at + EXPECTED < n)
            expect_stream(work[*at + EXPECTED].stream);
        advance(b, n_slots, 1);
        n_slots += b->slots[n_slots].n_frames > 0;
    }
    return n_slots;
}

/* After a run: each slot goes on; those without another frame are taken out. */
static size_t go_on(vly_step_batcher *b, size_t n_slots)
{
    size_t n = 0;

    for (size_t i = 0; i < n_slots; i++) {
        slot *s = &b->slots[i];
        if (s->phase == SLOT_BREAKS) {
            vly_step_segment_break(s->work->stream);
            s->phase = SLOT_READS;
        }
        if (s->at_left < s->n_left && n != i)
            memcpy(b->left[n] + s->at_left, b->left[i] + s->at_left,
                   (s->n_left - s->at_left) * sizeof(b->left[0][0]));
        b->slots[n] = *s;
        b->slots[n].n_frames = 0;
        advance(b, n, 1);
        n += b->slots[n].n_frames > 0;
    }
    return n;
}

static vly_status run_slots(vly_step_batcher *b, size_t n_slots, const vly_step_work *work,
                            size_t n, size_t *at, vly_err *err)
{
    while (n_slots > 0) {
        bool is_alone = n_slots == 1 && *at == n;
        if (is_alone)
            advance(b, 0, TIME_MAX);
        vly_status st = is_alone ? run_long(b, err) : run_wide(b, n_slots, err);
        if (st != VLY_OK)
            return st;
        n_slots = fill(b, go_on(b, n_slots), work, n, at);
    }
    return VLY_OK;
}

vly_status vly_step_batcher_run(vly_step_batcher *b, const vly_step_work *work, size_t n,
                                vly_err *err)
{
    size_t at = 0, n_slots = fill(b, 0, work, n, &at);

    return run_slots(b, n_slots, work, n, &at, err);
}

vly_status vly_step_batcher_finish(vly_step_batcher *b, const vly_step_work *work, vly_err *err)
{
    size_t at = 0;

    begin_work(&b->slots[0], &(vly_step_work){0});
    b->slots[0].work = work;
    b->slots[0].next = work->n; /* they have been run */
    end_segment(b, &b->slots[0]);
    if (b->slots[0].phase == SLOT_READS)
        return VLY_OK;
    return run_slots(b, 1, NULL, 0, &at, err);
}

/* ---- life ----------------------------------------------------------------------------------- */

/* Compiles the plan of each shape and makes its arena: later runs allocate nothing. */
static vly_status warm_up(vly_step_batcher *b, vly_err *err)
{
    vly_status st = VLY_OK;

    for (int i = 0; i < N_SHAPES && st == VLY_OK; i++)
        st = run_batch(b, 0, 0, 0, &shapes[i], err);
    return st;
}

vly_status vly_step_batcher_new(vly_step_model *m, vly_step_batcher **ret, vly_err *err)
{
    vly_step_batcher *b = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*b));

    if (b == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a batcher of steps");
    b->model = vly_step_model_ref(m);
    b->n_in = vly_step_model_width(m);
    b->n_state = (size_t)m->n_layers * m->n_hidden;
    b->slots = vly_calloc(VLY_MEM_MODEL, SLOTS_MAX, sizeof(*b->slots));
    b->left = vly_calloc(VLY_MEM_MODEL, SLOTS_MAX, sizeof(*b->left));
    b->frames = vly_alloc_aligned(VLY_MEM_MODEL, SLOTS_MAX * b->n_in * sizeof(*b->frames) + 64);
    b->state = vly_alloc_aligned(VLY_MEM_MODEL, SLOTS_MAX * b->n_state * sizeof(*b->state) + 64);
    vly_status st = VLY_ENOMEM;
    if (b->slots != NULL && b->left != NULL && b->frames != NULL && b->state != NULL)
        st = vly_instance_new(m->model, NULL, &b->instance, err);
    else
        vly_fail(err, st, "out of memory for a batcher of steps");
    if (st == VLY_OK)
        st = warm_up(b, err);
    if (st != VLY_OK) {
        vly_step_batcher_free(b);
        return st;
    }
    *ret = b;
    return VLY_OK;
}

void vly_step_batcher_free(vly_step_batcher *b)
{
    if (b == NULL)
        return;
    vly_instance_free(b->instance);
    vly_step_model_unref(b->model);
    vly_free(b->slots);
    vly_free(b->left);
    vly_free(b->frames);
    vly_free(b->state);
    vly_free(b);
}
