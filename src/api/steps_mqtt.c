/* SPDX-License-Identifier: MIT */
#include "api/steps_mqtt.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "codec/imu_message.h"
#include "tasks/steps/step_json.h"

#include <math.h>
#include <stdatomic.h>

#define ARENA_BLOCK_BYTES  65536
#define ARENA_BUDGET_BYTES ((size_t)8 << 20)
#define EVENT_BYTES_MAX    512
#define SCAN_NS            (60 * VLY_NSEC_PER_SEC)
#define COMPLAIN_NS        (10 * VLY_NSEC_PER_SEC)
#define US_PER_S           1e6

/* One user's device. owner: the thread, but for is_lost. */
typedef struct device {
    vly_steps_mqtt *home;
    struct device *next;
    vly_imu_session *session; /* NULL: not attached */
    _Atomic bool is_lost;     /* somebody else has the session; set by any thread */
    bool has_gyro;
    uint64_t n; /* number of the next reading, by which those without times are timed */
    vly_nsec heard_ns;
    vly_nsec yield_until_ns;
    size_t name_len;
    char name[]; /* "user/device" */
} device;

struct vly_steps_mqtt {
    vly_steps_mqtt_opts opts;
    device *first;
    vly_map by_name;
    vly_nsec scan_ns;     /* when to look for silent ones */
    vly_nsec complain_ns; /* when the next line may go to the log */
    vly_arena arena;      /* of one message */
    vly_buf rows;         /* of CSV: vly_imu_reading */
    vly_steps_mqtt_stats stats;
};

/* A message's readings, in the arena or in rows. */
typedef struct batch {
    vly_imu_reading *readings;
    size_t n;
    uint64_t first; /* VLY_IMU_NEXT: they are not numbered */
    bool has_times, has_gyro;
    double rate_hz; /* without times */
} batch;

const vly_steps_mqtt_stats *vly_steps_mqtt_get_stats(const vly_steps_mqtt *s)
{
    return &s->stats;
}

/* ---- out ---- */

static void told_events(void *ctx, const vly_step_event *events, size_t n)
{
    const device *d = ctx;
    const vly_steps_mqtt_opts *o = &d->home->opts;
    vly_buf topic, text;

    vly_buf_init(&topic, VLY_MEM_NET, EVENT_BYTES_MAX);
    vly_buf_init(&text, VLY_MEM_NET, EVENT_BYTES_MAX);
    vly_buf_printf(&topic, "%s/%s", o->events, d->name);
    for (size_t i = 0; i < n; i++) {
        vly_buf_clear(&text);
        vly_step_json_event(&text, &events[i]);
        if (!topic.failed && !text.failed)
            (void)o->publish(o->ctx, vly_buf_str(&topic), vly_buf_str(&text)); /* it counts */
    }
    vly_buf_release(&topic);
    vly_buf_release(&text);
}

static void told_replaced(void *ctx)
{
    device *d = ctx;
    atomic_store(&d->is_lost, true);
}

static const vly_imu_session_events session_events = {.on_events = told_events,
                                                      .on_replaced = told_replaced};

/* ---- devices ---- */

static vly_nsec now_of(const vly_steps_mqtt *s)
{
    return s->opts.now != NULL ? s->opts.now() : vly_clock_now();
}

/* "volley/imu/ann/phone": the last two levels, "ann/phone". */
static bool name_of(vly_str topic, vly_str *ret)
{
    size_t n_slashes = 0;
    size_t at = topic.len;

    while (at > 0 && n_slashes < 2)
        n_slashes += topic.ptr[--at] == '/';
    if (n_slashes == 2)
        at++;
    *ret = (vly_str){topic.ptr + at, topic.len - at};
    return n_slashes >= 1 && ret->ptr[0] != '/' && ret->ptr[ret->len - 1] != '/';
}

static vly_status add_device(vly_steps_mqtt *s, vly_str name, device **ret, vly_err *err)
{
    if (s->by_name.n_items == s->opts.max_devices)
        return vly_fail(err, VLY_EBUSY, "more than %zu devices", s->opts.max_devices);
    device *d = vly_calloc(VLY_MEM_NET, 1, sizeof(*d) + name.len + 1);
    if (d == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    d->home = s;
    d->name_len = name.len;
    memcpy(d->name, name.ptr, name.len);
    if (!vly_map_set(&s->by_name, (vly_str){d->name, d->name_len}, d)) {
        vly_free(d);
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    }
    d->next = s->first;
    s->first = d;
    vly_gauge_add(&s->stats.devices, 1);
    *ret = d;
    return VLY_OK;
}

static vly_status attach(device *d, bool has_gyro, vly_err *err)
{
    vly_imu_session_info info;
    vly_str device_name = {d->name, d->name_len};
    vly_str user = vly_str_split(&device_name, '/');
    const vly_imu_open open = {.user = user,
                               .device = device_name,
                               .has_gyro = has_gyro,
                               .events = &session_events,
                               .ctx = d};

    atomic_store(&d->is_lost, false);
    vly_status st = vly_imu_session_open(d->home->opts.sessions, &open, &d->session, &info, err);
    if (st != VLY_OK)
        return st;
    d->has_gyro = info.has_gyro; /* of a session that goes on, what it began with */
    d->n = info.next;
    return VLY_OK;
}

static void detach(device *d)
{
    vly_imu_session_close(d->session);
    d->session = NULL;
}

static void free_device(device *d)
{
    detach(d);
    vly_gauge_add(&d->home->stats.devices, -1);
    vly_free(d);
}

/* Lets the silent ones go. The map cannot forget, so it is made anew. */
static void scan(vly_steps_mqtt *s, vly_nsec now)
{
    device *all = s->first;

    s->scan_ns = now + SCAN_NS;
    s->first = NULL;
    vly_map_release(&s->by_name);
    vly_map_init(&s->by_name, VLY_MEM_NET);
    while (all != NULL) {
        device *d = all;
        all = d->next;
        bool is_silent = now - d->heard_ns >= s->opts.idle_ns && now >= d->yield_until_ns;
        if (is_silent || !vly_map_set(&s->by_name, (vly_str){d->name, d->name_len}, d)) {
            free_device(d);
        } else {
            d->next = s->first;
            s->first = d;
        }
    }
}

/* ---- in: a payload as readings ---- */

static vly_status keep_rows(void *arg, const vly_imu_reading *readings, size_t n, vly_err *err)
{
    vly_buf *rows = arg;

    vly_buf_add(rows, readings, n * sizeof(*readings));
    return rows->failed ? vly_fail(err, VLY_ENOMEM, "out of memory") : VLY_OK;
}

static vly_status read_csv(vly_steps_mqtt *s, vly_str payload, batch *ret, vly_err *err)
{
    const vly_imu_reader_opts opts = {.rate_hz = s->opts.rate_hz,
                                      .is_piece = true,
                                      .max_readings = s->opts.max_readings,
                                      .on_readings = keep_rows,
                                      .arg = &s->rows};
    vly_imu_reader *r;
    vly_status st = vly_imu_reader_new(&opts, &r, err);

    if (st != VLY_OK)
        return st;
    vly_buf_clear(&s->rows);
    st = vly_imu_reader_feed(r, payload.ptr, payload.len, err);
    if (st == VLY_OK)
        st = vly_imu_reader_end(r, err);
    if (st == VLY_OK) {
        const vly_imu_report *p = vly_imu_reader_report(r);
        vly_counter_add(&s->stats.bad_rows, p->n_rows - p->n_readings);
        *ret = (batch){.readings = (vly_imu_reading *)(void *)s->rows.ptr,
                       .n = s->rows.len / sizeof(vly_imu_reading),
                       .first = VLY_IMU_NEXT,
                       .has_times = strcmp(p->time_unit, "none") != 0,
                       .has_gyro = strcmp(p->gyro_unit, "none") != 0,
                       .rate_hz = p->rate_hz};
    }
    vly_imu_reader_free(r);
    return st;
}

/* Of a device that is not known yet the message itself has to tell whether it has a gyroscope. */
static vly_status read_json(vly_steps_mqtt *s, const device *d, vly_str payload, batch *ret,
                            vly_err *err)
{
    bool has_gyro = d->session == NULL || d->has_gyro;
    vly_imu_message m;
    vly_status st = vly_imu_message_read(payload, has_gyro, &s->arena, &m, err);

    if (st != VLY_OK && d->session == NULL) {
        has_gyro = false;
        vly_arena_reset(&s->arena);
        st = vly_imu_message_read(payload, has_gyro, &s->arena, &m, err);
    }
    if (st != VLY_OK)
        return st;
    if (m.action != VLY_IMU_READINGS)
        return vly_fail(err, VLY_EINVAL, "expected readings, got an action");
    *ret = (batch){.readings = m.readings,
                   .n = m.n,
                   .first = m.has_first ? m.first : VLY_IMU_NEXT,
                   .has_times = m.has_times,
                   .has_gyro = has_gyro,
                   .rate_hz = s->opts.rate_hz};
    return VLY_OK;
}

static vly_status read_packet(vly_steps_mqtt *s, vly_str *bytes, batch *ret, vly_err *err)
{
    vly_imu_packet p;
    vly_status st = vly_imu_packet_open(bytes->ptr, bytes->len, &p, err);

    if (st != VLY_OK)
        return st;
    vly_imu_reading *readings = vly_arena_alloc(&s->arena, p.n * sizeof(*readings));
    if (readings == NULL)
        return vly_arena_fail(&s->arena, err);
    vly_imu_packet_read(&p, readings);
    for (size_t i = 0; st == VLY_OK && i < p.n; i++)
        st = vly_imu_reading_check(&readings[i], i, err);
    if (st != VLY_OK)
        return st;
    *bytes = (vly_str){bytes->ptr + p.n_bytes, bytes->len - p.n_bytes};
    *ret = (batch){.readings = readings,
                   .n = p.n,
                   .first = p.has_first ? p.first : VLY_IMU_NEXT,
                   .has_times = true,
                   .has_gyro = p.has_gyro};
    return VLY_OK;
}

/* ---- in: readings to the session ---- */

static vly_status push(vly_steps_mqtt *s, device *d, const batch *b, vly_err *err)
{
    vly_status st = VLY_OK;

    if (d->session == NULL)
        st = attach(d, b->has_gyro, err);
    if (st != VLY_OK)
        return st;
    if (d->has_gyro && !b->has_gyro)
        return vly_fail(err, VLY_EFORMAT, "the gyroscope of earlier readings is missing");
    uint64_t first = b->first != VLY_IMU_NEXT ? b->first : d->n;
    for (size_t i = 0; !b->has_times && i < b->n; i++)
        b->readings[i].t_us = llround((double)(first + i) * (US_PER_S / b->rate_hz));
    st = vly_imu_session_push(d->session, s->opts.loop, b->first, b->readings, b->n, err);
    if (st != VLY_OK)
        return st;
    d->n = first + b->n > d->n ? first + b->n : d->n;
    vly_counter_add(&s->stats.readings, b->n);
    return VLY_OK;
}

static vly_status take_payload(vly_steps_mqtt *s, device *d, vly_str payload, vly_err *err)
{
    vly_status st = VLY_OK;
    batch b = {.n = 0};

    if (payload.len == 0)
        return vly_fail(err, VLY_EFORMAT, "it is empty");
    if (vly_str_starts(payload, VLY_STR("VIMU"))) {
        while (st == VLY_OK && payload.len > 0) {
            st = read_packet(s, &payload, &b, err);
            if (st == VLY_OK)
                st = push(s, d, &b, err);
            vly_arena_reset(&s->arena);
        }
        return st;
    }
    st = payload.ptr[0] == '{' ? read_json(s, d, payload, &b, err) : read_csv(s, payload, &b, err);
    if (st == VLY_OK)
        st = push(s, d, &b, err);
    vly_arena_reset(&s->arena);
    return st;
}

/* A session that was lost is left alone for a while: two that take it from each other with every
 * message would help nobody. */
static bool has_to_yield(device *d, vly_nsec now)
{
    if (!atomic_load(&d->is_lost))
        return false;
    if (d->session != NULL) {
        detach(d);
        d->yield_until_ns = now + VLY_STEPS_MQTT_YIELD_NS;
    }
    return now < d->yield_until_ns;
}

static void complain(vly_steps_mqtt *s, vly_str topic, const vly_err *err, vly_nsec now)
{
    bool is_malformed = err->status == VLY_EFORMAT || err->status == VLY_EINVAL ||
                        err->status == VLY_ENOTFOUND || err->status == VLY_ELIMIT;

    vly_counter_add(is_malformed ? &s->stats.malformed : &s->stats.refused, 1);
    if (now < s->complain_ns)
        return;
    s->complain_ns = now + COMPLAIN_NS;
    vly_warn("mqtt: a message on '%.*s' is left out: %s (%llu malformed, %llu refused so far)",
             VLY_STR_ARG(topic), err->msg, (unsigned long long)vly_counter_get(&s->stats.malformed),
             (unsigned long long)vly_counter_get(&s->stats.refused));
}

static vly_status take(vly_steps_mqtt *s, vly_str topic, vly_str payload, vly_nsec now,
                       vly_err *err)
{
    vly_str name;
    vly_status st = VLY_OK;

    if (!name_of(topic, &name))
        return vly_fail(err, VLY_EFORMAT, "expected a topic that ends in user and device");
    device *d = vly_map_get(&s->by_name, name);
    if (d == NULL)
        st = add_device(s, name, &d, err);
    if (st != VLY_OK)
        return st;
    if (has_to_yield(d, now))
        return vly_fail(err, VLY_ECANCELLED, "somebody else has the session");
    st = take_payload(s, d, payload, err);
    if (d->session != NULL)
        d->heard_ns = now; /* without one the next scan forgets it */
    return st;
}

void vly_steps_mqtt_take(vly_steps_mqtt *s, vly_str topic, vly_str payload)
{
    vly_nsec now = now_of(s);
    vly_err err = VLY_ERR_INIT;

    vly_counter_add(&s->stats.messages, 1);
    vly_status st = take(s, topic, payload, now, &err);
    if (st == VLY_ECANCELLED)
        vly_counter_add(&s->stats.yielded, 1);
    else if (st != VLY_OK)
        complain(s, topic, &err, now);
}

bool vly_steps_mqtt_turn(vly_steps_mqtt *s)
{
    vly_nsec now = now_of(s);

    if (now >= s->scan_ns)
        scan(s, now);
    return vly_imu_sessions_turn(s->opts.sessions, s->opts.loop);
}

/* ---- life ---- */

vly_status vly_steps_mqtt_new(const vly_steps_mqtt_opts *opts, vly_steps_mqtt **ret, vly_err *err)
{
    vly_steps_mqtt *s = vly_calloc(VLY_MEM_NET, 1, sizeof(*s));

    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    s->opts = *opts;
    vly_map_init(&s->by_name, VLY_MEM_NET);
    vly_arena_init(&s->arena, VLY_MEM_ARENA, ARENA_BLOCK_BYTES, ARENA_BUDGET_BYTES);
    vly_buf_init(&s->rows, VLY_MEM_NET, opts->max_readings * sizeof(vly_imu_reading));
    s->scan_ns = now_of(s) + SCAN_NS;
    *ret = s;
    return VLY_OK;
}

void vly_steps_mqtt_free(vly_steps_mqtt *s)
{
    if (s == NULL)
        return;
    while (s->first != NULL) {
        device *d = s->first;
        s->first = d->next;
        free_device(d);
    }
    vly_map_release(&s->by_name);
    vly_arena_release(&s->arena);
    vly_buf_release(&s->rows);
    vly_free(s);
}
