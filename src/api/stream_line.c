/* SPDX-License-Identifier: MIT */
#include "api/stream_line.h"

#include "base/assert.h"

void vly_line_init(vly_line *line, const vly_line_ops *ops, vly_worker_pool *pool, size_t max_items,
                   size_t max_started)
{
    VLY_ASSERT(max_items > 0 && max_started > 0);
    *line = (vly_line){
        .ops = ops, .pool = pool, .max_items = max_items, .max_started = max_started, .n_refs = 1};
    line->tail = &line->head;
    pthread_mutex_init(&line->lock, NULL);
}

static void ref(vly_line *line)
{
    atomic_fetch_add(&line->n_refs, 1);
}

void vly_line_unref(vly_line *line)
{
    if (atomic_fetch_sub(&line->n_refs, 1) != 1)
        return;
    VLY_ASSERT(line->head == NULL);
    pthread_mutex_destroy(&line->lock);
    line->ops->gone(line);
}

/* The head leaves. */
static vly_line_item *pop(vly_line *line)
{
    vly_line_item *it = line->head;

    line->head = it->next;
    if (line->head == NULL)
        line->tail = &line->head;
    if (line->first_waiting == it)
        line->first_waiting = it->next;
    if (it->state != VLY_LINE_WAITING)
        line->n_started--;
    line->n_items--;
    return it;
}

static bool can_leave(const vly_line *line)
{
    const vly_line_item *it = line->head;

    return it != NULL &&
           (it->state == VLY_LINE_READY || (line->is_ended && it->state == VLY_LINE_WAITING));
}

/* The lock is held, but for what this calls. */
static void send_ready(vly_line *line)
{
    while (can_leave(line)) {
        vly_line_item *it = line->head;
        bool is_wanted = !line->is_ended;
        pthread_mutex_unlock(&line->lock);
        bool is_gone = !is_wanted || line->ops->send(it);
        pthread_mutex_lock(&line->lock);
        if (!is_gone && !line->is_ended)
            return;
        pop(line);
        pthread_mutex_unlock(&line->lock);
        line->ops->free(it);
        vly_line_unref(line); /* not the last: who goes on has one */
        pthread_mutex_lock(&line->lock);
    }
}

static bool can_start(const vly_line *line)
{
    return line->first_waiting != NULL && !line->is_ended && line->n_started < line->max_started;
}

static vly_line_item *start_next(vly_line *line)
{
    vly_line_item *it = line->first_waiting;

    line->first_waiting = it->next;
    it->state = VLY_LINE_RUNNING;
    line->n_started++;
    return it;
}

static void run_on_worker(vly_work *work);

/* True: the rest is done there. */
static bool move_to_worker(vly_line *line)
{
    line->work = (vly_work){.run = run_on_worker};
    return vly_worker_pool_submit(line->pool, &line->work) == VLY_OK;
}

/* One round, under the lock but for what it calls. False: it goes on elsewhere. */
static bool run_once(vly_line *line, bool on_worker)
{
    while (can_start(line)) {
        /* With no room on a worker it is started here all the same: late beats lost. */
        if (!on_worker && !line->ops->is_light(line->first_waiting) && move_to_worker(line))
            return false;
        vly_line_item *it = start_next(line);
        pthread_mutex_unlock(&line->lock);
        line->ops->start(it);
        pthread_mutex_lock(&line->lock);
    }
    send_ready(line);
    return true;
}

/* is_going is set, with a reference. */
static void run(vly_line *line, bool on_worker)
{
    uint64_t seen;

    pthread_mutex_lock(&line->lock);
    do {
        seen = line->n_wanted;
        if (!run_once(line, on_worker)) {
            pthread_mutex_unlock(&line->lock);
            return;
        }
    } while (seen != line->n_wanted || can_start(line)); /* what was sent made room to start */
    line->is_going = false;
    bool is_drained = line->is_closed && line->head == NULL && !line->is_ended;
    line->is_ended = line->is_ended || is_drained;
    pthread_mutex_unlock(&line->lock);
    if (is_drained && line->ops->drained != NULL)
        line->ops->drained(line);
    vly_line_unref(line);
}

static void run_on_worker(vly_work *work)
{
    run((vly_line *)(void *)((char *)work - offsetof(vly_line, work)), true);
}

void vly_line_go_on(vly_line *line)
{
    pthread_mutex_lock(&line->lock);
    line->n_wanted++;
    bool is_mine = !line->is_going;
    line->is_going = true;
    pthread_mutex_unlock(&line->lock);
    if (!is_mine)
        return;
    ref(line);
    run(line, false);
}

bool vly_line_push(vly_line *line, vly_line_item *it)
{
    pthread_mutex_lock(&line->lock);
    bool has_room = line->n_items < line->max_items && !line->is_ended;
    if (has_room) {
        *it = (vly_line_item){.line = line};
        *line->tail = it;
        line->tail = &it->next;
        if (line->first_waiting == NULL)
            line->first_waiting = it;
        line->n_items++;
        ref(line);
    }
    pthread_mutex_unlock(&line->lock);
    if (has_room)
        vly_line_go_on(line);
    return has_room;
}

/* Whoever goes on may send and free the item as soon as its state is set. */
void vly_line_ready(vly_line_item *it)
{
    vly_line *line = it->line;

    ref(line);
    pthread_mutex_lock(&line->lock);
    VLY_ASSERT(it->state == VLY_LINE_RUNNING);
    it->state = VLY_LINE_READY;
    pthread_mutex_unlock(&line->lock);
    vly_line_go_on(line);
    vly_line_unref(line);
}

void vly_line_close(vly_line *line)
{
    pthread_mutex_lock(&line->lock);
    line->is_closed = true;
    pthread_mutex_unlock(&line->lock);
    vly_line_go_on(line);
}

void vly_line_end(vly_line *line)
{
    pthread_mutex_lock(&line->lock);
    line->is_ended = true;
    pthread_mutex_unlock(&line->lock);
    vly_line_go_on(line);
}
