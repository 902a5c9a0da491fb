/* SPDX-License-Identifier: MIT */
/*
 * The thread waits for its socket and for `wake` in one poll, and lets libmosquitto read and write
 * when it may. libmosquitto is never entered by two threads: free only sets a flag and wakes.
 *
 *     OFF -- retry is due --> connecting -- CONNACK --> ON
 *      ^                          |                     |
 *      +---- refused, lost, 10 s over, broker gone -----+
 */
#include "net/mqtt.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define KEEPALIVE_S   30
#define CONNECT_NS    (10 * VLY_NSEC_PER_SEC)
#define RETRY_MIN_NS  (1 * VLY_NSEC_PER_SEC)
#define RETRY_MAX_NS  (60 * VLY_NSEC_PER_SEC)
#define TURN_MS       1000
#define TURN_MESSAGES 256 /* that are read before the others of a turn get their share */
#define TOPIC_MAX     1024
#define PASSWORD_MAX  1024
#define WHY_MAX       256
#define CA_DIR        "/etc/ssl/certs"

struct vly_mqtt {
    vly_mqtt_opts opts;
    char host[256];
    int port;
    bool is_tls;
    char password[PASSWORD_MAX + 1];
    pthread_t thread;
    bool has_thread;
    int wake; /* eventfd; -1: none */
    _Atomic bool is_stopping;
    /* owner of the rest: the thread */
    struct mosquitto *client; /* one for each connection; NULL: OFF */
    bool is_on;
    char why[WHY_MAX];    /* the broker refuses; empty: it does not */
    vly_nsec deadline_ns; /* of CONNACK */
    vly_nsec retry_ns;    /* when to connect again */
    vly_nsec wait_ns;     /* before the retry after that */
    size_t n_unsent;      /* published since the socket last took everything */
    vly_mqtt_stats stats;
};

const vly_mqtt_stats *vly_mqtt_get_stats(const vly_mqtt *m)
{
    return &m->stats;
}

static const char *reason(int rc)
{
    return rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc);
}

/* ---- what libmosquitto tells, within its read ---- */

static void on_connect(struct mosquitto *client, void *ctx, int code)
{
    vly_mqtt *m = ctx;
    int qos = m->opts.client_id != NULL ? 1 : 0;
    int rc = MOSQ_ERR_SUCCESS;

    if (code == 0)
        rc = mosquitto_subscribe(client, NULL, m->opts.topic, qos);
    if (code != 0 || rc != MOSQ_ERR_SUCCESS)
        snprintf(m->why, sizeof(m->why), "%s",
                 code != 0 ? mosquitto_connack_string(code) : mosquitto_strerror(rc));
}

static void on_subscribe(struct mosquitto *client, void *ctx, int id, int n, const int *granted)
{
    vly_mqtt *m = ctx;

    (void)client;
    (void)id;
    if (n != 1 || granted[0] > 2) { /* 0x80: refused */
        snprintf(m->why, sizeof(m->why), "it refuses the subscription to '%s'", m->opts.topic);
        return;
    }
    m->is_on = true;
    m->wait_ns = RETRY_MIN_NS;
    vly_counter_add(&m->stats.connects, 1);
    vly_gauge_add(&m->stats.connected, 1);
    m->opts.on_state(m->opts.ctx, true, "");
}

static void on_message(struct mosquitto *client, void *ctx, const struct mosquitto_message *message)
{
    vly_mqtt *m = ctx;
    size_t n = message->payloadlen > 0 ? (size_t)message->payloadlen : 0;

    (void)client;
    vly_counter_add(&m->stats.messages, 1);
    vly_counter_add(&m->stats.bytes, n);
    if (n > m->opts.max_payload_bytes) {
        vly_counter_add(&m->stats.too_large, 1);
        return;
    }
    m->opts.on_message(m->opts.ctx, vly_str_from(message->topic), (vly_str){message->payload, n});
}

/* ---- connections ---- */

static int set_tls(const vly_mqtt *m, struct mosquitto *client)
{
    const char *ca = m->opts.ca;
    int rc = mosquitto_tls_set(client, ca, ca == NULL ? CA_DIR : NULL, NULL, NULL, NULL);

    return rc != MOSQ_ERR_SUCCESS ? rc : mosquitto_tls_opts_set(client, 1, "tlsv1.2", NULL);
}

static vly_status new_client(vly_mqtt *m, vly_err *err)
{
    const char *id = m->opts.client_id;
    int rc = MOSQ_ERR_SUCCESS;

    m->client = mosquitto_new(id, id == NULL, m);
    if (m->client == NULL)
        return vly_fail(err, errno == ENOMEM ? VLY_ENOMEM : VLY_EINVAL, "client id '%s': %s",
                        id != NULL ? id : "", strerror(errno));
    if (m->opts.user != NULL)
        rc = mosquitto_username_pw_set(m->client, m->opts.user, m->password);
    if (rc == MOSQ_ERR_SUCCESS && m->is_tls)
        rc = set_tls(m, m->client);
    mosquitto_connect_callback_set(m->client, on_connect);
    mosquitto_subscribe_callback_set(m->client, on_subscribe);
    mosquitto_message_callback_set(m->client, on_message);
    return rc == MOSQ_ERR_SUCCESS ? VLY_OK : vly_fail(err, VLY_EINVAL, "%s", reason(rc));
}

static void drop_client(vly_mqtt *m)
{
    if (m->is_on)
        vly_gauge_add(&m->stats.connected, -1);
    m->is_on = false;
    m->n_unsent = 0;
    m->why[0] = '\0';
    mosquitto_destroy(m->client);
    m->client = NULL;
}

/* The connection is no more: the next one after a while, a longer one each time. */
static void go_off(vly_mqtt *m, const char *why)
{
    vly_counter_add(&m->stats.failures, 1);
    if (m->is_on || m->wait_ns == RETRY_MIN_NS)
        m->opts.on_state(m->opts.ctx, false, why);
    drop_client(m);
    m->retry_ns = vly_clock_now() + m->wait_ns;
    m->wait_ns = m->wait_ns * 2 < RETRY_MAX_NS ? m->wait_ns * 2 : RETRY_MAX_NS;
}

static void begin(vly_mqtt *m)
{
    vly_err err;

    m->deadline_ns = vly_clock_now() + CONNECT_NS;
    if (new_client(m, &err) != VLY_OK) {
        go_off(m, err.msg);
        return;
    }
    int rc = mosquitto_connect_async(m->client, m->host, m->port, KEEPALIVE_S);
    if (rc != MOSQ_ERR_SUCCESS)
        go_off(m, reason(rc));
}

/* ---- the thread ---- */

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

/* Reads what there is, one packet at a time. */
static int read_packets(vly_mqtt *m)
{
    int rc = MOSQ_ERR_SUCCESS;

    for (int i = 0; i < TURN_MESSAGES && rc == MOSQ_ERR_SUCCESS; i++) {
        rc = mosquitto_loop_read(m->client, 1);
        int fd = mosquitto_socket(m->client);
        if (fd < 0 || !is_readable(fd))
            break;
    }
    return rc;
}

static void serve_socket(vly_mqtt *m, short events)
{
    int rc = MOSQ_ERR_SUCCESS;

    if ((events & (POLLIN | POLLERR | POLLHUP)) != 0)
        rc = read_packets(m);
    if (rc == MOSQ_ERR_SUCCESS && mosquitto_want_write(m->client))
        rc = mosquitto_loop_write(m->client, 1);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_loop_misc(m->client);
    if (!mosquitto_want_write(m->client))
        m->n_unsent = 0;
    if (m->why[0] != '\0')
        go_off(m, m->why);
    else if (rc != MOSQ_ERR_SUCCESS)
        go_off(m, reason(rc));
    else if (mosquitto_socket(m->client) < 0)
        go_off(m, "the connection has ended");
    else if (!m->is_on && vly_clock_now() > m->deadline_ns)
        go_off(m, "no answer");
}

static int wait_ms(const vly_mqtt *m, bool is_busy)
{
    vly_nsec now = vly_clock_now();

    if (is_busy)
        return 0;
    if (m->client != NULL || m->retry_ns > now + TURN_MS * VLY_NSEC_PER_MS)
        return TURN_MS;
    return m->retry_ns > now ? (int)((m->retry_ns - now) / VLY_NSEC_PER_MS) + 1 : 0;
}

static void wait_and_serve(vly_mqtt *m, bool is_busy)
{
    int fd = m->client != NULL ? mosquitto_socket(m->client) : -1;
    bool wants_write = m->client != NULL && mosquitto_want_write(m->client);
    struct pollfd fds[] = {{.fd = m->wake, .events = POLLIN},
                           {.fd = fd, .events = wants_write ? POLLIN | POLLOUT : POLLIN}};

    if (poll(fds, VLY_COUNT(fds), wait_ms(m, is_busy)) < 0)
        return; /* a signal */
    if (m->client != NULL)
        serve_socket(m, fds[1].revents);
    else if (vly_clock_now() >= m->retry_ns)
        begin(m);
}

static void *run(void *arg)
{
    vly_mqtt *m = arg;
    bool is_busy = false;

    while (!atomic_load(&m->is_stopping)) {
        wait_and_serve(m, is_busy);
        is_busy = m->opts.on_turn(m->opts.ctx);
    }
    if (m->is_on)
        mosquitto_disconnect(m->client);
    drop_client(m);
    return NULL;
}

bool vly_mqtt_publish(vly_mqtt *m, vly_str topic, vly_str payload)
{
    char name[TOPIC_MAX];
    int rc = MOSQ_ERR_NO_CONN;

    if (m->is_on && m->n_unsent < VLY_MQTT_UNSENT_MAX && topic.len < sizeof(name) &&
        payload.len <= MQTT_MAX_PAYLOAD) {
        memcpy(name, topic.ptr, topic.len);
        name[topic.len] = '\0';
        rc = mosquitto_publish(m->client, NULL, name, (int)payload.len, payload.ptr, 0, false);
        m->n_unsent += mosquitto_want_write(m->client);
    }
    vly_counter_add(rc == MOSQ_ERR_SUCCESS ? &m->stats.published : &m->stats.dropped, 1);
    return rc == MOSQ_ERR_SUCCESS;
}

/* ---- start ---- */

static const char *or_none(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static vly_status read_password(vly_mqtt *m, vly_err *err)
{
    vly_buf text;
    vly_str rest;

    if (m->opts.password_file == NULL)
        return VLY_OK;
    vly_buf_init(&text, VLY_MEM_NET, PASSWORD_MAX);
    if (!vly_buf_reserve(&text, PASSWORD_MAX)) /* at once: growing would leave copies behind */
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    vly_status st = vly_file_read(m->opts.password_file, PASSWORD_MAX, &text, err);
    rest = vly_buf_str(&text);
    if (st == VLY_OK) {
        vly_str line = vly_str_split(&rest, '\n');
        if (vly_str_ends(line, VLY_STR("\r")))
            line.len--;
        snprintf(m->password, sizeof(m->password), "%.*s", VLY_STR_ARG(line));
    }
    explicit_bzero(text.ptr, text.cap);
    vly_buf_release(&text);
    return st;
}

static vly_status check_opts(vly_mqtt *m, vly_err *err)
{
    vly_mqtt_opts *o = &m->opts;
    vly_status st = vly_mqtt_parse_url(vly_str_from(o->url), m->host, &m->port, &m->is_tls, err);

    o->client_id = or_none(o->client_id);
    o->user = or_none(o->user);
    o->password_file = or_none(o->password_file);
    o->ca = or_none(o->ca);
    if (st != VLY_OK)
        return st;
    if (mosquitto_sub_topic_check(o->topic) != MOSQ_ERR_SUCCESS)
        return vly_fail(err, VLY_EINVAL, "'%s' is no topic filter", o->topic);
    if (o->password_file != NULL && o->user == NULL)
        return vly_fail(err, VLY_EINVAL, "a password file, and no user");
    st = read_password(m, err);
    if (st == VLY_OK)
        st = new_client(m, err); /* only to see that it works */
    drop_client(m);
    return st;
}

vly_status vly_mqtt_new(const vly_mqtt_opts *opts, vly_mqtt **ret, vly_err *err)
{
    vly_mqtt *m = vly_calloc(VLY_MEM_NET, 1, sizeof(*m));

    if (m == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    m->opts = *opts;
    m->wait_ns = RETRY_MIN_NS;
    mosquitto_lib_init(); /* counts its calls */
    m->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    vly_status st =
        m->wake >= 0 ? check_opts(m, err) : vly_fail(err, VLY_EIO, "eventfd: %s", strerror(errno));
    if (st != VLY_OK) {
        vly_mqtt_free(m);
        return st;
    }
    *ret = m;
    return VLY_OK;
}

vly_status vly_mqtt_start(vly_mqtt *m, vly_err *err)
{
    int code = pthread_create(&m->thread, NULL, run, m);

    if (code != 0)
        return vly_fail(err, VLY_EIO, "cannot start a thread: %s", strerror(code));
    m->has_thread = true;
    return VLY_OK;
}

void vly_mqtt_free(vly_mqtt *m)
{
    if (m == NULL)
        return;
    atomic_store(&m->is_stopping, true);
    if (m->has_thread) {
        eventfd_write(m->wake, 1);
        pthread_join(m->thread, NULL);
    }
    if (m->wake >= 0)
        close(m->wake);
    mosquitto_lib_cleanup();
    explicit_bzero(m->password, sizeof(m->password));
    vly_free(m);
}
