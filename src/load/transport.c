/* SPDX-License-Identifier: MIT */
/*
 * Calls. Each stands in `all`, in the order of intended times, which is that of their time-outs:
 * one timer is enough. And in one queue: `waiting` for any connection or for its own, then `flying`
 * on a connection, then `done`.
 */
#include "load/transport.h"

#include "base/assert.h"
#include "load/load_internal.h"
#include "load/transport_list.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>

enum { CONNECTIONS_MAX = 65536 };

static const vly_load_kind *const kinds[] = {
#define VLY_LOAD_KIND(name) &vly_load__##name,
    VLY_LOAD_KINDS(VLY_LOAD_KIND)
#undef VLY_LOAD_KIND
};

const vly_load_kind *vly_load_kind_find(vly_str name)
{
    for (size_t i = 0; i < VLY_COUNT(kinds); i++)
        if (vly_str_is(name, kinds[i]->name))
            return kinds[i];
    return NULL;
}

/* ---- lists ---- */

static void push(vly_load_list *l, vly_load_call *call)
{
    call->queue.prev = l->last;
    call->queue.next = NULL;
    *(l->last != NULL ? &l->last->queue.next : &l->first) = call;
    l->last = call;
    l->n++;
}

static void pull(vly_load_list *l, vly_load_call *call)
{
    struct vly_load_links *q = &call->queue;

    *(q->prev != NULL ? &q->prev->queue.next : &l->first) = q->next;
    *(q->next != NULL ? &q->next->queue.prev : &l->last) = q->prev;
    q->prev = q->next = NULL;
    l->n--;
}

static void push_first(vly_load_list *l, vly_load_call *call)
{
    call->queue.prev = NULL;
    call->queue.next = l->first;
    *(l->first != NULL ? &l->first->queue.prev : &l->last) = call;
    l->first = call;
    l->n++;
}

static void push_all(vly_load_transport *t, vly_load_call *call)
{
    call->all.prev = t->all_last;
    call->all.next = NULL;
    *(t->all_last != NULL ? &t->all_last->all.next : &t->all_first) = call;
    t->all_last = call;
    t->n_all++;
}

static void pull_all(vly_load_transport *t, vly_load_call *call)
{
    struct vly_load_links *q = &call->all;

    *(q->prev != NULL ? &q->prev->all.next : &t->all_first) = q->next;
    *(q->next != NULL ? &q->next->all.prev : &t->all_last) = q->prev;
    t->n_all--;
}

/* ---- connections with room ---- */

vly_load_conn *vly_load__conn(const vly_load_transport *t, uint32_t number)
{
    return (vly_load_conn *)(void *)(t->conns + number * t->kind->conn_bytes);
}

void vly_load__hide(vly_load_conn *c)
{
    vly_load_transport *t = c->t;

    if (!c->has_room)
        return;
    *(c->prev != NULL ? &c->prev->next : &t->roomy_first) = c->next;
    *(c->next != NULL ? &c->next->prev : &t->roomy_last) = c->prev;
    c->prev = c->next = NULL;
    c->has_room = false;
}

/* Last, so that they take turns. */
static void show(vly_load_conn *c)
{
    vly_load_transport *t = c->t;

    vly_load__hide(c);
    c->prev = t->roomy_last;
    *(t->roomy_last != NULL ? &t->roomy_last->next : &t->roomy_first) = c;
    t->roomy_last = c;
    c->has_room = true;
}

static bool can_take(const vly_load_conn *c)
{
    return c->state == VLY_LOAD_OPEN && !c->is_broken && !c->is_draining &&
           c->flying.n + c->n_ghosts < c->max_flying;
}

static void fly(vly_load_conn *c, vly_load_call *call)
{
    push(&c->flying, call);
    call->slot = c;
    if (c->unsent == NULL)
        c->unsent = call;
    if (can_take(c))
        show(c);
    else
        vly_load__hide(c);
    vly_load__conn_touch(c);
}

void vly_load__offer(vly_load_conn *c)
{
    while (can_take(c)) {
        vly_load_list *from = c->waiting.n > 0 ? &c->waiting : &c->t->waiting;
        vly_load_call *call = from->first;
        if (call == NULL)
            break;
        pull(from, call);
        fly(c, call);
    }
    if (!can_take(c))
        vly_load__hide(c);
    else if (!c->has_room)
        show(c);
}

static void begin_call(vly_load_call *call)
{
    call->sent_ns = call->done_ns = 0;
    call->status = 0;
    call->is_cached = false;
    call->why = (vly_str){NULL, 0};
    call->bytes_in = call->bytes_out = call->n_matched = 0;
    call->slot = call->stream = NULL;
    call->end = 0;
}

static vly_load_list *queue_of(vly_load_transport *t, const vly_load_call *call)
{
    return call->connection == VLY_LOAD_ANY ? &t->waiting
                                            : &vly_load__conn(t, call->connection)->waiting;
}

void vly_load__take_back_one(vly_load_call *call)
{
    vly_load_conn *c = call->slot;

    if (c->unsent == call)
        c->unsent = call->queue.next;
    pull(&c->flying, call);
    begin_call(call);
    push_first(queue_of(c->t, call), call);
}

void vly_load__take_back(vly_load_conn *c, bool is_cut)
{
    for (vly_load_call *call = c->flying.last, *prev; call != NULL; call = prev) {
        prev = call->queue.prev;
        if (call->sent_ns == 0 && (is_cut || call->stream == NULL))
            vly_load__take_back_one(call);
    }
}

void vly_load__hand_out(vly_load_transport *t)
{
    while (t->waiting.first != NULL && t->roomy_first != NULL) {
        vly_load_call *call = t->waiting.first;
        pull(&t->waiting, call);
        fly(t->roomy_first, call);
    }
}

/* ---- bodies ---- */

void vly_load__add_body(vly_load_conn *c, const vly_load_call *call)
{
    const size_t tail = call->mark_at + call->mark.len;

    if (call->mark.len == 0) {
        (void)vly_load__add(c, call->body.ptr, call->body.len);
        return;
    }
    (void)vly_load__add(c, call->body.ptr, call->mark_at);
    (void)vly_load__add(c, call->mark.ptr, call->mark.len);
    (void)vly_load__add(c, call->body.ptr + tail, call->body.len - tail);
}

void vly_load__copy_body(const vly_load_call *call, size_t from, size_t n, char *to)
{
    const size_t tail = call->mark_at + call->mark.len;
    const size_t begin = from > call->mark_at ? from : call->mark_at;
    const size_t end = from + n < tail ? from + n : tail;

    memcpy(to, call->body.ptr + from, n);
    if (begin < end)
        memcpy(to + (begin - from), call->mark.ptr + (begin - call->mark_at), end - begin);
}

/* ---- done ---- */

static vly_str keep_why(vly_load_transport *t, vly_load_outcome outcome, vly_str why)
{
    if (outcome == VLY_LOAD_OK)
        return (vly_str){NULL, 0};
    size_t n = why.len < VLY_LOAD_WHY_MAX ? why.len : VLY_LOAD_WHY_MAX;
    vly_str last = t->done.last != NULL ? t->done.last->why : (vly_str){NULL, 0};
    if (n > 0 && vly_str_eq(last, (vly_str){why.ptr, n}))
        return last; /* all calls of a connection that broke */
    if (t->n_whys == VLY_LOAD_WHYS || n == 0)
        return outcome == VLY_LOAD_STATUS ? VLY_STR("a status that is no success")
                                          : VLY_STR("not answered");
    char *text = t->whys[t->n_whys++];
    memcpy(text, why.ptr, n);
    return (vly_str){text, n};
}

static void complete(vly_load_transport *t, vly_load_call *call, vly_load_outcome outcome,
                     vly_str why)
{
    pull_all(t, call);
    call->slot = NULL;
    call->done_ns = t->now_ns;
    call->outcome = outcome;
    call->why = keep_why(t, outcome, why);
    push(&t->done, call);
}

void vly_load__finish(vly_load_call *call, vly_load_outcome outcome, vly_str why)
{
    vly_load_conn *c = call->slot;
    char room[VLY_LOAD_CHECK_MAX + 32];

    VLY_ASSERT(c != NULL); /* it flies */
    const vly_str check = c->t->opts.check;
    if (outcome == VLY_LOAD_OK && call->n_matched < check.len) {
        int n = snprintf(room, sizeof(room), "the answer lacks '%.*s'", VLY_STR_ARG(check));
        outcome = VLY_LOAD_FAILED;
        why = (vly_str){room, (size_t)n};
    }
    if (c->unsent == call)
        c->unsent = call->queue.next;
    c->is_useful = c->is_useful || outcome == VLY_LOAD_OK || outcome == VLY_LOAD_STATUS;
    pull(&c->flying, call);
    complete(c->t, call, outcome, why);
}

static void make_fallback(vly_load_transport *t)
{
    const vly_str text = t->opts.check;

    for (size_t i = 1, n = 0; i < text.len; i++) {
        while (n > 0 && text.ptr[i] != text.ptr[n])
            n = t->fallback[n];
        n += text.ptr[i] == text.ptr[n];
        t->fallback[i + 1] = (unsigned char)n;
    }
}

/* Bodies come in pieces, which may cut the text. */
static void match(const vly_load_transport *t, vly_load_call *call, vly_str bytes)
{
    const vly_str text = t->opts.check;
    size_t n = call->n_matched;

    for (size_t i = 0; i < bytes.len && n < text.len; i++) {
        while (n > 0 && bytes.ptr[i] != text.ptr[n])
            n = t->fallback[n];
        n += bytes.ptr[i] == text.ptr[n];
    }
    call->n_matched = n;
}

void vly_load__body(vly_load_call *call, vly_str bytes)
{
    const vly_load_conn *c = call->slot;
    vly_buf *to = call->answer;

    call->bytes_in += bytes.len;
    if (c->t->opts.check.len > 0)
        match(c->t, call, bytes);
    if (to == NULL)
        return;
    size_t room = to->max_bytes > to->len ? to->max_bytes - to->len : 0;
    vly_buf_add(to, bytes.ptr, bytes.len < room ? bytes.len : room);
}

static bool has_text(vly_str message, vly_str text)
{
    return memmem(message.ptr, message.len, text.ptr, text.len) != NULL;
}

static void pass_on(vly_load_conn *c, vly_str message)
{
    c->t->counts.messages++;
    if (c->t->opts.on_message != NULL)
        c->t->opts.on_message(c->t->opts.ctx, c->number, message);
}

void vly_load__message(vly_load_conn *c, vly_str message, bool says_no)
{
    const vly_load_transport_opts *o = &c->t->opts;
    vly_load_call *call = c->flying.first;

    says_no = says_no || (o->error_has.len > 0 && has_text(message, o->error_has));
    if (c->n_greetings > 0) {
        c->n_greetings--;
        pass_on(c, message);
    } else if (o->is_one_way ||
               (!says_no && o->answer_has.len > 0 && !has_text(message, o->answer_has))) {
        pass_on(c, message);
    } else if (c->n_ghosts > 0) {
        c->n_ghosts--;
    } else if (call == NULL || call == c->unsent) {
        vly_load__break(c, "a message came that nobody had asked for");
    } else if (!vly_load__has_gone(c, call)) {
        vly_load__break(c, "a message came before what it answers had gone");
    } else {
        vly_load__body(call, message);
        vly_load__finish(call, says_no ? VLY_LOAD_STATUS : VLY_LOAD_OK, message);
    }
}

void vly_load__sent(vly_load_conn *c)
{
    if (!c->t->opts.is_one_way || c->flying.first == c->unsent)
        return;
    c->t->now_ns = vly_load_loop_now(c->t->loop);
    while (c->flying.first != c->unsent)
        vly_load__finish(c->flying.first, VLY_LOAD_OK, (vly_str){NULL, 0});
}

void vly_load__deliver(vly_load_transport *t)
{
    if (t->is_busy)
        return;
    t->is_busy = true;
    while (t->done.first != NULL) {
        vly_load_call *call = t->done.first;
        pull(&t->done, call);
        t->opts.on_done(t->opts.ctx, call);
    }
    t->is_busy = false;
    t->n_whys = 0;
}

static void fail_list(vly_load_transport *t, vly_load_list *l, vly_str why)
{
    while (l->first != NULL) {
        vly_load_call *call = l->first;
        pull(l, call);
        complete(t, call, VLY_LOAD_FAILED, why);
    }
}

void vly_load__strand(vly_load_conn *c, vly_str why)
{
    vly_load_transport *t = c->t;

    (void)snprintf(t->trouble, sizeof(t->trouble), "%.*s", VLY_STR_ARG(why));
    fail_list(t, &c->waiting, why);
    if (t->counts.n_open == 0 && t->n_trying == 0)
        fail_list(t, &t->waiting, why);
}

/* ---- time-outs ---- */

static void give_up(vly_load_transport *t, vly_load_call *call, vly_str flying, vly_str waiting)
{
    vly_load_conn *c = call->slot;

    if (c == NULL) {
        pull(queue_of(t, call), call);
        complete(t, call, VLY_LOAD_TIMEOUT, waiting);
        return;
    }
    t->kind->drop(c, call);
    vly_load__finish(call, VLY_LOAD_TIMEOUT, flying);
    vly_load__conn_touch(c);
}

static vly_nsec deadline(const vly_load_transport *t)
{
    return t->all_first->intended_ns + t->opts.timeout_ms * VLY_NSEC_PER_MS;
}

static void on_timeout(vly_load_timer *timer)
{
    vly_load_transport *t =
        (vly_load_transport *)(void *)((char *)timer - offsetof(vly_load_transport, timer));

    t->now_ns = vly_load_loop_now(t->loop);
    while (t->all_first != NULL && deadline(t) <= t->now_ns)
        give_up(t, t->all_first, VLY_STR("no answer in time"),
                VLY_STR("no connection was free in time"));
    if (t->all_first != NULL)
        vly_load_timer_set(t->loop, &t->timer, deadline(t));
    vly_load__deliver(t);
}

void vly_load_transport_give_up(vly_load_transport *t)
{
    t->now_ns = vly_load_loop_now(t->loop);
    while (t->all_first != NULL)
        give_up(t, t->all_first, VLY_STR("no answer yet"), VLY_STR("not sent yet"));
    vly_load__deliver(t);
}

void vly_load_transport_send(vly_load_transport *t, vly_load_call *call)
{
    VLY_ASSERT(call->connection == VLY_LOAD_ANY || call->connection < t->opts.n_connections);
    begin_call(call);
    push_all(t, call);
    if (t->opts.timeout_ms > 0 && !vly_heap_has(&t->timer.node))
        vly_load_timer_set(t->loop, &t->timer, deadline(t));
    vly_load_conn *own =
        call->connection == VLY_LOAD_ANY ? NULL : vly_load__conn(t, call->connection);
    vly_load_conn *c = own != NULL && !own->has_room ? NULL : own != NULL ? own : t->roomy_first;
    if (c != NULL)
        fly(c, call);
    else
        push(queue_of(t, call), call);
}

size_t vly_load_transport_in_flight(const vly_load_transport *t)
{
    return t->n_all;
}

vly_load_counts vly_load_transport_counts(const vly_load_transport *t)
{
    return t->counts;
}

const char *vly_load_transport_trouble(const vly_load_transport *t)
{
    return t->trouble;
}

/* ---- life ---- */

/* Adds at most max addresses of it. */
static vly_status resolve_one(vly_load_transport *t, const vly_load_target *target, unsigned max,
                              vly_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list;
    const unsigned end = t->n_addresses + max;
    const unsigned begin = t->n_addresses;
    char host[sizeof(t->host)], port[8];

    (void)snprintf(host, sizeof(host), "%.*s", VLY_STR_ARG(target->host));
    (void)snprintf(port, sizeof(port), "%u", target->port);
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc != 0)
        return vly_fail(err, VLY_ENOTFOUND, "host '%s': %s", host, gai_strerror(rc));
    for (struct addrinfo *a = list; a != NULL && t->n_addresses < end; a = a->ai_next)
        if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
            memcpy(&t->addresses[t->n_addresses++], a->ai_addr, a->ai_addrlen);
    freeaddrinfo(list);
    return t->n_addresses > begin ? VLY_OK
                                  : vly_fail(err, VLY_ENOTFOUND, "host '%s': has no address", host);
}

/* All addresses of one server; of several, one of each. */
static vly_status resolve(vly_load_transport *t, vly_err *err)
{
    const vly_load_transport_opts *o = &t->opts;
    const unsigned max = o->n_others > 0 ? 1 : VLY_LOAD_ADDRESSES_MAX;
    vly_status st = resolve_one(t, o->target, max, err);

    for (unsigned i = 0; i < o->n_others && st == VLY_OK; i++)
        st = resolve_one(t, &o->others[i], 1, err);
    return st;
}

static vly_status prepare_tls(vly_load_transport *t, vly_err *err)
{
    vly_tls_client_opts opts = {
        .ca = t->opts.ca, .is_unverified = t->opts.is_unverified, .alpn = t->kind->alpn};

    return t->opts.target->is_tls ? vly_tls_client_new(&opts, &t->tls, err) : VLY_OK;
}

static vly_status make_conns(vly_load_transport *t, vly_err *err)
{
    t->conns = vly_calloc(VLY_MEM_NET, t->opts.n_connections, t->kind->conn_bytes);
    t->in = vly_alloc(VLY_MEM_NET, VLY_LOAD_IN_BYTES);
    if (t->conns == NULL || t->in == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for %u connections", t->opts.n_connections);
    for (uint32_t i = 0; i < t->opts.n_connections; i++)
        vly_load__conn_init(vly_load__conn(t, i), t, i);
    for (uint32_t i = 0; i < t->opts.n_connections; i++) {
        vly_status st = t->kind->init(vly_load__conn(t, i), err);
        if (st != VLY_OK)
            return st;
    }
    return VLY_OK;
}

static vly_status check_opts(const vly_load_kind *kind, const vly_load_transport_opts *o,
                             vly_err *err)
{
    if (o->n_connections < 1 || o->n_connections > CONNECTIONS_MAX)
        return vly_fail(err, VLY_EINVAL, "connections: expected 1 to %d, got %u", CONNECTIONS_MAX,
                        o->n_connections);
    if (kind->is_single && o->max_in_flight > 1)
        return vly_fail(err, VLY_EINVAL,
                        "HTTP/1.1 takes one request at a time on a connection: use more of them");
    if (o->n_others >= VLY_LOAD_ADDRESSES_MAX)
        return vly_fail(err, VLY_ELIMIT, "expected at most %d servers", VLY_LOAD_ADDRESSES_MAX);
    if (o->check.len > VLY_LOAD_CHECK_MAX)
        return vly_fail(err, VLY_ELIMIT, "expected a text of at most %d bytes to look for",
                        VLY_LOAD_CHECK_MAX);
    if (o->target->host.len >= sizeof(((vly_load_transport *)NULL)->host))
        return vly_fail(err, VLY_EINVAL, "host: %zu bytes are too long", o->target->host.len);
    return VLY_OK;
}

vly_status vly_load_transport_open(const vly_load_kind *kind, const vly_load_transport_opts *opts,
                                   vly_load_transport **ret, vly_err *err)
{
    vly_status st = check_opts(kind, opts, err);

    if (st != VLY_OK)
        return st;
    vly_load_transport *t = vly_calloc(VLY_MEM_NET, 1, sizeof(*t));
    if (t == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a transport");
    t->kind = kind;
    t->opts = *opts;
    t->loop = opts->loop;
    t->timer.on_due = on_timeout;
    make_fallback(t);
    vly_buf_init(&t->plain, VLY_MEM_NET, VLY_LOAD_IN_BYTES + 2 * VLY_TLS_RECORD_BYTES);
    memcpy(t->host, opts->target->host.ptr, opts->target->host.len);
    st = resolve(t, err);
    if (st == VLY_OK)
        st = prepare_tls(t, err);
    if (st == VLY_OK)
        st = make_conns(t, err);
    if (st != VLY_OK) {
        vly_load_transport_close(t);
        return st;
    }
    *ret = t;
    return VLY_OK;
}

void vly_load_transport_close(vly_load_transport *t)
{
    if (t == NULL)
        return;
    VLY_ASSERT(!t->is_busy);
    vly_load_timer_clear(t->loop, &t->timer);
    for (uint32_t i = 0; t->conns != NULL && i < t->opts.n_connections; i++) {
        vly_load_conn *c = vly_load__conn(t, i);
        if (c->t != NULL)
            vly_load__conn_release(c);
    }
    vly_tls_client_free(t->tls);
    vly_buf_release(&t->plain);
    vly_free(t->conns);
    vly_free(t->in);
    vly_free(t);
}
