/* SPDX-License-Identifier: MIT */
/*
 * imu_load --port N [--sessions N] [--rate HZ] [--packet N] [--seconds S] [--path P] READINGS
 * imu_load --ask --port N [--sessions N] [--seconds S] [--path P] READINGS
 *
 * Readings of many sensors over WebSockets, and how long their events took; prints JSON. READINGS
 * are float32, six to each: acceleration in m/s^2 and rotation in rad/s, at 80 Hz, recorded or
 * made; each session begins elsewhere in them and goes round.
 *
 * Open loop (the default): each session sends packets (codec/imu_packet.h) of --packet readings,
 * --rate readings a second, whether the server keeps up or not; sessions take turns, evenly in
 * time. An event names the reading at which it could be known ("known_ms"). Its latency is from the
 * time when the packet with that reading was due to the arrival of the event: what server, sockets
 * and a late client add to the look-ahead.
 *
 * Closed loop (--ask): one reading a message, as JSON, the next one when the answer is there: the
 * way of /ws/realtime.
 *
 * The client wants a core of its own; "client_late_us" says how late it sent. Frames are masked
 * with a key of zeroes, which costs a server as much as any other.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/imu_packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SESSIONS_MAX = 16384,
    SAMPLES_MAX = 1 << 22,
    IN_MAX = 16 << 10, /* of a session, received and not read yet */
    OUT_MAX = 32 << 10,
    PERIOD_US = 12500,
    AXES = 6,
    FRAME_MAX = 14,
};

typedef struct options {
    uint16_t port;
    size_t n_sessions, packet;
    double rate_hz, seconds;
    const char *path;
    bool is_ask;
} options;

/* READINGS as they go into a packet, twice, so that a packet never wraps. */
typedef struct signal_data {
    float *values;
    size_t n; /* readings, once */
} signal_data;

typedef struct connection {
    int fd;
    size_t begin;     /* in the signal */
    uint64_t n_sent;  /* packets, or questions */
    uint64_t sent_ns; /* of the question */
    bool is_open;
    size_t n_in, n_out, out_at;
    uint8_t in[IN_MAX], out[OUT_MAX];
} connection;

typedef struct samples {
    uint32_t *ns;
    size_t n;
} samples;

typedef struct bench {
    const options *o;
    signal_data signal;
    connection *all;
    int poll_fd;
    uint64_t start_ns, gap_ns; /* between the packets of all sessions */
    uint64_t stop_ns;          /* then sessions are left as they are */
    uint64_t n_readings, n_messages, n_events, n_failed;
    samples latency, late;
    bool is_ending; /* connections are to be closed */
    char first_error[256];
} bench;

/* A benchmark that cannot go on says why, and ends there. */
static void need(bool ok, const char *what)
{
    if (!ok)
        perror(what);
    VLY_ASSERT(ok);
}

static void *must_alloc(size_t n)
{
    void *p = vly_alloc(VLY_MEM_NET, n);

    need(p != NULL, "memory");
    return p;
}

static signal_data read_signal(const char *path)
{
    FILE *f = fopen(path, "rb");
    signal_data s = {0};

    need(f != NULL && fseek(f, 0, SEEK_END) == 0, path);
    s.n = (size_t)ftell(f) / (AXES * sizeof(float));
    VLY_ASSERT(s.n > VLY_IMU_PACKET_MAX);
    s.values = must_alloc(2 * s.n * AXES * sizeof(float));
    rewind(f);
    need(fread(s.values, AXES * sizeof(float), s.n, f) == s.n, path);
    fclose(f);
    memcpy(s.values + s.n * AXES, s.values, s.n * AXES * sizeof(float));
    return s;
}

static void add_sample(samples *s, uint64_t ns)
{
    if (s->n < SAMPLES_MAX)
        s->ns[s->n++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

/* ---- WebSocket ---------------------------------------------------------------------------- */

/* Room is checked by who fills the buffer. */
static uint8_t *put_frame_head(uint8_t *at, uint8_t opcode, size_t len)
{
    *at++ = 0x80 | opcode;
    if (len < 126) {
        *at++ = 0x80 | (uint8_t)len;
    } else if (len < 65536) {
        *at++ = 0x80 | 126;
        *at++ = (uint8_t)(len >> 8);
        *at++ = (uint8_t)len;
    } else {
        *at++ = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            *at++ = (uint8_t)((uint64_t)len >> shift);
    }
    memset(at, 0, 4); /* the mask */
    return at + 4;
}

/* Bytes of the frame at the begin of in, 0 when it has not come whole. */
static size_t frame_at(const uint8_t *in, size_t n, uint8_t *opcode, const char **payload,
                       size_t *len)
{
    size_t head = 2;

    if (n < 2)
        return 0;
    *opcode = in[0] & 15;
    *len = in[1] & 127;
    if (*len == 126) {
        head = 4;
        *len = n < head ? 0 : (size_t)in[2] << 8 | in[3];
    }
    need(*len != 127, "a frame of more than 64 KiB");
    *payload = (const char *)in + head;
    return n >= head && n - head >= *len ? head + *len : 0;
}

static void open_connection(bench *b, size_t i)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(b->o->port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    connection *c = &b->all[i];
    int on = 1;
    char text[1024];

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(c->fd >= 0 && connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0, "connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    int n = snprintf(text, sizeof(text),
                     "GET %s%d-%zu HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                     "Sec-WebSocket-Version: 13\r\n\r\n",
                     b->o->path, (int)getpid(), i);
    need(send(c->fd, text, (size_t)n, MSG_NOSIGNAL) == n, "send");
    c->begin = b->signal.n / b->o->n_sessions * i;
    c->is_open = true;
}

/* The answer to the upgrade; what follows it stays in c->in. */
static void finish_opening(connection *c)
{
    const uint8_t *end = NULL;

    while (end == NULL) {
        ssize_t n = recv(c->fd, c->in + c->n_in, IN_MAX - c->n_in, 0);
        need(n > 0, "upgrade");
        c->n_in += (size_t)n;
        end = memmem(c->in, c->n_in, "\r\n\r\n", 4);
    }
    if (memcmp(c->in, "HTTP/1.1 101", 12) != 0) {
        (void)fprintf(stderr, "%.*s\n", (int)c->n_in, (const char *)c->in);
        need(false, "upgrade refused");
    }
    c->n_in -= (size_t)(end + 4 - c->in);
    memmove(c->in, end + 4, c->n_in);
}

static void close_connection(bench *b, connection *c)
{
    b->n_failed += c->is_open && !b->is_ending;
    c->is_open = false;
    close(c->fd);
}

/* What fits goes out; the rest when there is room. */
static void send_some(bench *b, connection *c)
{
    while (c->is_open && c->out_at < c->n_out) {
        ssize_t n =
            send(c->fd, c->out + c->out_at, c->n_out - c->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            close_connection(b, c);
        else
            c->out_at += (size_t)n;
    }
    c->out_at = c->n_out = 0;
}

/* Room for a frame; a server that lets so much wait has failed. */
static uint8_t *frame_room(bench *b, connection *c, size_t n)
{
    if (c->out_at > 0) {
        memmove(c->out, c->out + c->out_at, c->n_out - c->out_at);
        c->n_out -= c->out_at;
        c->out_at = 0;
    }
    if (c->n_out + n > OUT_MAX)
        close_connection(b, c);
    return c->is_open ? c->out + c->n_out : NULL;
}

/* ---- open loop ---------------------------------------------------------------------------- */

/* Packet k of session i is due at start + (k * sessions + i) * gap. */
static uint64_t due_ns(const bench *b, size_t i, uint64_t k)
{
    return b->start_ns + (k * b->o->n_sessions + i) * b->gap_ns;
}

static void put_packet(uint8_t *at, const bench *b, const connection *c)
{
    const size_t n = b->o->packet;
    const uint64_t first = c->n_sent * n;
    const uint16_t count = (uint16_t)n;
    const int64_t t0_us = (int64_t)first * PERIOD_US;
    const uint32_t period_us = PERIOD_US;
    const size_t from = (c->begin + first) % b->signal.n;

    memset(at, 0, VLY_IMU_PACKET_HEAD);
    memcpy(at, "VIMU\1\x9", 6); /* version; flags: gyroscope, first */
    memcpy(at + 6, &count, sizeof(count));
    memcpy(at + 8, &first, sizeof(first));
    memcpy(at + 16, &t0_us, sizeof(t0_us));
    memcpy(at + 24, &period_us, sizeof(period_us));
    memcpy(at + VLY_IMU_PACKET_HEAD, b->signal.values + from * AXES, n * AXES * sizeof(float));
}

static void send_packet(bench *b, size_t i)
{
    connection *c = &b->all[i];
    const size_t len = VLY_IMU_PACKET_HEAD + b->o->packet * AXES * sizeof(float);
    uint8_t *at = frame_room(b, c, FRAME_MAX + len);

    if (at == NULL)
        return;
    uint8_t *payload = put_frame_head(at, 2, len);
    put_packet(payload, b, c);
    c->n_out += (size_t)(payload - at) + len;
    add_sample(&b->late, vly_clock_now() - due_ns(b, i, c->n_sent));
    c->n_sent++;
    b->n_messages++;
    b->n_readings += b->o->packet;
    send_some(b, c);
}

/* Microseconds of a number of milliseconds, exactly; it ends at the first byte of another kind. */
static uint64_t read_ms(const char *at, const char *end)
{
    uint64_t us = 0;
    int decimals = -1;

    for (; at < end && ((*at >= '0' && *at <= '9') || (*at == '.' && decimals < 0)); at++) {
        if (*at != '.')
            us = us * 10 + (uint64_t)(*at - '0');
        decimals += decimals >= 0 || *at == '.';
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 3; decimals++)
        us *= 10;
    return us;
}

/* Each "known_ms" of the message. */
static void take_events(bench *b, size_t i, const char *text, size_t len, uint64_t now)
{
    static const char key[] = "\"known_ms\":";
    const char *at = text, *end = text + len;

    while ((at = memmem(at, (size_t)(end - at), key, sizeof(key) - 1)) != NULL) {
        at += sizeof(key) - 1;
        uint64_t reading = (read_ms(at, end) + PERIOD_US - 1) / PERIOD_US;
        uint64_t due = due_ns(b, i, reading / b->o->packet);
        b->n_events++;
        add_sample(&b->latency, now > due ? now - due : 0);
    }
}

/* ---- closed loop -------------------------------------------------------------------------- */

static void ask(bench *b, connection *c)
{
    const float *v = b->signal.values + (c->begin + c->n_sent) % b->signal.n * AXES;
    char text[256];
    int len = snprintf(text, sizeof(text),
                       "{\"accel_x\":%.4f,\"accel_y\":%.4f,\"accel_z\":%.4f,\"gyro_x\":%.4f,"
                       "\"gyro_y\":%.4f,\"gyro_z\":%.4f}",
                       (double)v[0], (double)v[1], (double)v[2], (double)v[3], (double)v[4],
                       (double)v[5]);
    uint8_t *at = frame_room(b, c, FRAME_MAX + (size_t)len);

    if (at == NULL)
        return;
    uint8_t *payload = put_frame_head(at, 1, (size_t)len);
    memcpy(payload, text, (size_t)len);
    c->n_out += (size_t)(payload - at) + (size_t)len;
    c->n_sent++;
    c->sent_ns = vly_clock_now();
    send_some(b, c);
}

static void take_answer(bench *b, connection *c, const char *text, size_t len, uint64_t now)
{
    static const char key[] = "step_detection";

    if (memmem(text, len, key, sizeof(key) - 1) == NULL)
        return; /* the greeting */
    b->n_messages++;
    b->n_readings++;
    add_sample(&b->latency, now - c->sent_ns);
    ask(b, c);
}

/* ---- both --------------------------------------------------------------------------------- */

static void take_message(bench *b, size_t i, const char *text, size_t len)
{
    uint64_t now = vly_clock_now();

    if (b->is_ending)
        return;
    if (memmem(text, len, "\"error\":\"", 9) != NULL && b->first_error[0] == '\0')
        (void)snprintf(b->first_error, sizeof(b->first_error), "%.*s", (int)len, text);
    if (b->o->is_ask)
        take_answer(b, &b->all[i], text, len, now);
    else
        take_events(b, i, text, len, now);
}

static void take_frames(bench *b, size_t i)
{
    connection *c = &b->all[i];
    size_t at = 0, n, len;
    const char *payload;
    uint8_t opcode;

    while ((n = frame_at(c->in + at, c->n_in - at, &opcode, &payload, &len)) > 0) {
        if (opcode == 8)
            close_connection(b, c);
        else if (opcode == 1)
            take_message(b, i, payload, len);
        at += n;
    }
    c->n_in -= at;
    memmove(c->in, c->in + at, c->n_in);
    need(c->n_in < IN_MAX, "a frame of more than 16 KiB");
}

static void receive_some(bench *b, size_t i)
{
    connection *c = &b->all[i];

    while (c->is_open) {
        size_t room = IN_MAX - c->n_in;
        ssize_t n = recv(c->fd, c->in + c->n_in, room, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            close_connection(b, c);
            return;
        }
        c->n_in += (size_t)n;
        take_frames(b, i);
        if ((size_t)n < room)
            return;
    }
}

/* Until something comes, or the time has. */
static void poll_until(bench *b, uint64_t end_ns)
{
    struct epoll_event events[256];
    const uint64_t now = vly_clock_now();
    const long wait_ns = now < end_ns ? (long)(end_ns - now) : 0;
    const struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
    int n = epoll_pwait2(b->poll_fd, events, 256, &wait, NULL);

    for (int e = 0; e < n; e++) {
        size_t i = events[e].data.u64;
        if ((events[e].events & EPOLLIN) != 0)
            receive_some(b, i);
        if (b->all[i].n_out > 0)
            send_some(b, &b->all[i]);
    }
}

static void open_all(bench *b)
{
    enum { AT_ONCE = 64 }; /* fewer than wait to be accepted */

    b->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < b->o->n_sessions; i++) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = i};
        open_connection(b, i);
        need(epoll_ctl(b->poll_fd, EPOLL_CTL_ADD, b->all[i].fd, &e) == 0, "epoll_ctl");
        if (i >= AT_ONCE)
            finish_opening(&b->all[i - AT_ONCE]);
    }
    for (size_t i = b->o->n_sessions < AT_ONCE ? 0 : b->o->n_sessions - AT_ONCE;
         i < b->o->n_sessions; i++)
        finish_opening(&b->all[i]);
}

/* So that the next run finds no sessions of this one. */
static void stop_all(bench *b)
{
    static const char stop[] = "{\"action\":\"stop\"}";
    const size_t len = sizeof(stop) - 1;

    b->is_ending = true;
    for (size_t i = 0; i < b->o->n_sessions; i++) {
        connection *c = &b->all[i];
        uint8_t *at = c->is_open ? frame_room(b, c, FRAME_MAX + len) : NULL;
        if (at == NULL)
            continue;
        uint8_t *payload = put_frame_head(at, 1, len);
        memcpy(payload, stop, len);
        c->n_out += (size_t)(payload - at) + len;
        send_some(b, c);
        while (c->is_open && vly_clock_now() < b->stop_ns)
            poll_until(b, b->stop_ns);
    }
}

static void run_open(bench *b)
{
    const size_t n = b->o->n_sessions;
    double all_per_s = (double)n * b->o->rate_hz / (double)b->o->packet;

    b->gap_ns = (uint64_t)(1e9 / all_per_s);
    b->start_ns = vly_clock_now();
    const uint64_t end_ns = b->start_ns + (uint64_t)(b->o->seconds * 1e9);
    uint64_t next_ns = b->start_ns;
    for (size_t i = 0; next_ns < end_ns; i = i + 1 < n ? i + 1 : 0) {
        while (vly_clock_now() < next_ns)
            poll_until(b, next_ns);
        send_packet(b, i);
        next_ns += b->gap_ns;
    }
    for (uint64_t tail_ns = end_ns + UINT64_C(500000000); vly_clock_now() < tail_ns;)
        poll_until(b, tail_ns); /* events on their way */
    b->stop_ns = vly_clock_now() + UINT64_C(10000000000);
    stop_all(b);
}

static void run_closed(bench *b)
{
    b->start_ns = vly_clock_now();
    const uint64_t end_ns = b->start_ns + (uint64_t)(b->o->seconds * 1e9);
    for (size_t i = 0; i < b->o->n_sessions; i++)
        ask(b, &b->all[i]);
    while (vly_clock_now() < end_ns)
        poll_until(b, end_ns);
}

/* ---- report ------------------------------------------------------------------------------- */

static int compare_samples(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static size_t rank(size_t n, size_t permille)
{
    return (n - 1) * permille / 1000;
}

static void print_samples(const char *name, samples *s)
{
    static const struct {
        const char *name;
        size_t permille;
    } marks[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"max", 1000}};

    qsort(s->ns, s->n, sizeof(*s->ns), compare_samples);
    printf(",\"%s\":{\"n\":%zu", name, s->n);
    for (size_t i = 0; s->n > 0 && i < VLY_COUNT(marks); i++)
        printf(",\"%s\":%.1f", marks[i].name, s->ns[rank(s->n, marks[i].permille)] * 1e-3);
    printf("}");
}

static void report(bench *b, double seconds)
{
    printf("{\"sessions\":%zu,\"seconds\":%.3f,\"readings\":%llu,\"messages\":%llu,"
           "\"readings_per_s\":%.1f,\"events\":%llu,\"failed\":%llu",
           b->o->n_sessions, seconds, (unsigned long long)b->n_readings,
           (unsigned long long)b->n_messages, (double)b->n_readings / seconds,
           (unsigned long long)b->n_events, (unsigned long long)b->n_failed);
    print_samples("latency_us", &b->latency);
    print_samples("client_late_us", &b->late);
    printf("}\n");
    if (b->first_error[0] != '\0')
        (void)fprintf(stderr, "%s\n", b->first_error);
}

static void run(const options *o, const char *readings)
{
    bench b = {.o = o, .signal = read_signal(readings)};

    b.all = vly_calloc(VLY_MEM_NET, o->n_sessions, sizeof(*b.all));
    need(b.all != NULL, "memory");
    b.latency.ns = must_alloc(SAMPLES_MAX * sizeof(uint32_t));
    b.late.ns = must_alloc(SAMPLES_MAX * sizeof(uint32_t));
    open_all(&b);
    if (o->is_ask)
        run_closed(&b);
    else
        run_open(&b);
    report(&b, o->seconds);
    for (size_t i = 0; i < o->n_sessions; i++)
        if (b.all[i].is_open)
            close(b.all[i].fd);
    close(b.poll_fd);
    vly_free(b.all);
    vly_free(b.latency.ns);
    vly_free(b.late.ns);
    vly_free(b.signal.values);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"port", required_argument, NULL, 'p'},    {"sessions", required_argument, NULL, 'n'},
        {"rate", required_argument, NULL, 'r'},    {"packet", required_argument, NULL, 'k'},
        {"seconds", required_argument, NULL, 's'}, {"path", required_argument, NULL, 'u'},
        {"ask", no_argument, NULL, 'a'},           {NULL, 0, NULL, 0}};
    options o = {.n_sessions = 100,
                 .packet = 16,
                 .rate_hz = 80.0,
                 .seconds = 2.0,
                 .path = "/v1/stream?kind=steps&user=load&device="};
    int opt;

    while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (opt == 'p')
            o.port = (uint16_t)strtoul(optarg, NULL, 10);
        else if (opt == 'n')
            o.n_sessions = strtoul(optarg, NULL, 10);
        else if (opt == 'r')
            o.rate_hz = strtod(optarg, NULL);
        else if (opt == 'k')
            o.packet = strtoul(optarg, NULL, 10);
        else if (opt == 's')
            o.seconds = strtod(optarg, NULL);
        else if (opt == 'u')
            o.path = optarg;
        else if (opt == 'a')
            o.is_ask = true;
        else
            return 2;
    }
    if (o.n_sessions < 1 || o.n_sessions > SESSIONS_MAX || o.packet < 1 || o.packet > 1024 ||
        !(o.rate_hz > 0.0) || argc - optind != 1) {
        (void)fputs("usage: imu_load [--ask] --port N [--sessions N] [--rate HZ] [--packet N]"
                    " [--seconds S] [--path P] READINGS\n",
                    stderr);
        return 2;
    }
    run(&o, argv[optind]);
    return 0;
}
