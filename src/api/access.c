/* SPDX-License-Identifier: MIT */
#include "api/access.h"

#include "api/call.h"
#include "api/grpc.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/rng.h"
#include "net/websocket.h"

#include <math.h>
#include <pthread.h>

#define KEY_PROTOCOL   "volley.key."
#define KEY_IS_INVALID "the API key is unknown, expired or revoked"

/* What is in force. */
typedef struct rules {
    vly_client_rule address, key;
} rules;

struct vly_access {
    vly_access_opts opts; /* immutable, as the next two */
    vly_address_ranges trusted;
    vly_client_limits *limits[VLY_ACCESS_N_BOUNDS]; /* by vly_access_bound; NULL: none */
    pthread_mutex_t lock;
    rules rules; /* guarded by lock */
};

/* One of the two bounds of a request. */
typedef struct part {
    vly_client_rule rule; /* zeroed: no bound */
    vly_client_state state;
    uint64_t client;
    bool is_seen; /* state says something */
    bool is_held; /* to be given back */
} part;

/* What a request was granted. Lives in its arena. */
struct vly_grant {
    vly_api *api;
    part parts[VLY_ACCESS_N_BOUNDS]; /* by vly_access_bound */
    unsigned char hash[VLY_KEY_HASH_BYTES];
    vly_key_scope scope;                 /* of what was asked for */
    char key_name[VLY_KEY_NAME_MAX + 1]; /* "": none */
    bool is_admin;                       /* the key's scope */
    vly_nsec wait_ns;
};

typedef struct vly_grant vly_grant;

const char *vly_access_denial_name(vly_access_denial d)
{
    static const char *const names[] = {
#define NAME(id, name) name,
        VLY_ACCESS_DENIAL_MAP(NAME)
#undef NAME
    };
    return names[d];
}

const char *vly_access_bound_name(vly_access_bound b)
{
    static const char *const names[] = {
#define NAME(id, name) name,
        VLY_ACCESS_BOUND_MAP(NAME)
#undef NAME
    };
    return names[b];
}

static vly_grant *grant_of(const vly_http_request *req)
{
    const vly_call *call = vly_call_of(req);
    return call != NULL ? call->grant : NULL;
}

/* ---- life ---- */

static bool is_bound(const vly_client_rule *r)
{
    return r->rate > 0 || r->concurrency > 0;
}

void vly_access_set_rules(vly_access *a, const vly_client_rule *address, const vly_client_rule *key)
{
    pthread_mutex_lock(&a->lock);
    a->rules = (rules){.address = *address, .key = *key};
    pthread_mutex_unlock(&a->lock);
}

static rules rules_of(vly_access *a)
{
    pthread_mutex_lock(&a->lock);
    const rules in_force = a->rules;
    pthread_mutex_unlock(&a->lock);
    return in_force;
}

vly_status vly_access_new(const vly_access_opts *opts, vly_access **ret, vly_err *err)
{
    vly_access *a = vly_calloc(VLY_MEM_NET, 1, sizeof(*a));
    vly_status st = VLY_OK;

    if (a == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for keys and limits");
    pthread_mutex_init(&a->lock, NULL);
    a->opts = *opts;
    a->rules = (rules){.address = opts->address, .key = opts->key};
    if (opts->trusted_proxies != NULL)
        st = vly_address_ranges_parse(opts->trusted_proxies, &a->trusted, err);
    if (st == VLY_OK && is_bound(&opts->address))
        st = vly_client_limits_new(opts->max_clients, &a->limits[VLY_ACCESS_BY_ADDRESS], err);
    if (st == VLY_OK && opts->keys != NULL) /* a key may bring bounds of its own at any time */
        st = vly_client_limits_new(VLY_KEYS_MAX, &a->limits[VLY_ACCESS_BY_KEY], err);
    if (st == VLY_OK)
        *ret = a;
    else
        vly_access_free(a);
    return st;
}

void vly_access_free(vly_access *a)
{
    if (a == NULL)
        return;
    vly_client_limits_free(a->limits[VLY_ACCESS_BY_ADDRESS]);
    vly_client_limits_free(a->limits[VLY_ACCESS_BY_KEY]);
    pthread_mutex_destroy(&a->lock);
    vly_free(a);
}

/* ---- the key ---- */

static vly_str bearer_of(const vly_http_msg *msg)
{
    vly_str value = vly_http_msg_header(msg, "Authorization");
    vly_str rest = value;
    vly_str scheme = vly_str_split(&rest, ' ');

    return vly_str_eq_nocase(scheme, VLY_STR("Bearer")) ? vly_str_trim(rest) : (vly_str){NULL, 0};
}

static vly_str protocol_key_of(const vly_http_msg *msg)
{
    vly_str rest = vly_http_msg_header(msg, "Sec-WebSocket-Protocol");

    while (rest.ptr != NULL) {
        vly_str one = vly_str_trim(vly_str_split(&rest, ','));
        if (vly_str_starts(one, VLY_STR(KEY_PROTOCOL)))
            return (vly_str){one.ptr + sizeof(KEY_PROTOCOL) - 1,
                             one.len - (sizeof(KEY_PROTOCOL) - 1)};
    }
    return (vly_str){NULL, 0};
}

/* ptr NULL: none. */
static vly_str key_text_of(const vly_http_request *req)
{
    vly_str text = bearer_of(&req->msg);

    if (text.ptr == NULL)
        text = vly_http_msg_header(&req->msg, "X-Api-Key");
    if (text.ptr == NULL && req->stream_kind == VLY_STREAM_WEBSOCKET)
        text = protocol_key_of(&req->msg);
    return text;
}

static vly_status refuse_missing(vly_api *api, vly_err *err)
{
    vly_counter_add(&api->access_stats.denied[VLY_ACCESS_MISSING], 1);
    return vly_fail(err, VLY_EUNAUTHENTICATED,
                    "an API key is needed: Authorization: Bearer KEY, or X-Api-Key: KEY");
}

static vly_status refuse_invalid(vly_api *api, vly_err *err)
{
    vly_counter_add(&api->access_stats.denied[VLY_ACCESS_INVALID], 1);
    return vly_fail(err, VLY_EUNAUTHENTICATED, KEY_IS_INVALID);
}

static vly_client_rule rule_of(vly_access *a, const vly_key *k)
{
    vly_client_rule r = rules_of(a).key;

    if (k->rate > 0) {
        r.rate = k->rate;
        r.burst = k->rate;
    }
    if (k->burst > 0)
        r.burst = k->burst;
    if (r.burst < 1)
        r.burst = 1;
    if (k->concurrency > 0)
        r.concurrency = k->concurrency;
    return r;
}

static uint64_t client_of_key(const unsigned char hash[VLY_KEY_HASH_BYTES])
{
    uint64_t client;

    memcpy(&client, hash, sizeof(client));
    return client;
}

static vly_status check_key(vly_grant *g, const vly_http_request *req, vly_key_scope scope,
                            vly_err *err)
{
    vly_access *a = g->api->access;
    vly_str text = key_text_of(req);
    part *p = &g->parts[VLY_ACCESS_BY_KEY];
    vly_key k;

    if (text.ptr == NULL)
        return refuse_missing(g->api, err);
    if (!vly_key_hash(text, g->hash) ||
        !vly_key_ring_find(a->opts.keys, g->hash, vly_clock_unix_ms(), &k))
        return refuse_invalid(g->api, err);
    memcpy(g->key_name, k.name, sizeof(g->key_name));
    g->is_admin = k.scope == VLY_SCOPE_ADMIN;
    g->scope = scope;
    if (k.scope < scope) {
        vly_counter_add(&g->api->access_stats.denied[VLY_ACCESS_SCOPE], 1);
        return vly_fail(err, VLY_EDENIED, "API key '%s' has scope %s, expected %s", k.name,
                        vly_key_scope_name(k.scope), vly_key_scope_name(scope));
    }
    p->rule = rule_of(a, &k);
    p->client = client_of_key(g->hash);
    return VLY_OK;
}

/* ---- bounds ---- */

/* Who asks, behind the proxies that are trusted. False: the peer has no address. */
static bool address_of(const vly_access *a, const vly_http_request *req, vly_address *ret)
{
    if (!vly_address_parse(vly_str_from(req->peer), ret))
        return false;
    *ret = vly_address_of_client(&req->msg, ret, &a->trusted);
    return true;
}

/* Of IPv6 the network that one customer gets, all of whose addresses are theirs to use. */
static uint64_t client_of(const vly_access *a, const vly_http_request *req)
{
    vly_address client = {{0}};
    uint64_t high, low = 0;

    if (!address_of(a, req, &client))
        return a->opts.seed;
    memcpy(&high, client.bytes, sizeof(high));
    if (vly_address_is_v4(&client))
        memcpy(&low, client.bytes + sizeof(high), sizeof(low));
    return vly_rng_mix(vly_rng_mix(a->opts.seed, high), low);
}

static vly_status refuse(vly_grant *g, vly_access_bound by, const vly_err *why, vly_err *err)
{
    vly_counter_add(&g->api->access_stats.limited[by], 1);
    g->wait_ns = g->parts[by].state.wait_ns;
    return vly_fail(err, VLY_EEXHAUSTED, "too many requests of this %s: %.400s",
                    by == VLY_ACCESS_BY_KEY ? "API key" : "address", why->msg);
}

static vly_status take(vly_grant *g, vly_access_bound by, vly_nsec now, vly_err *err)
{
    part *p = &g->parts[by];
    vly_err why;

    if (!is_bound(&p->rule))
        return VLY_OK;
    p->is_seen = true;
    if (vly_client_limits_take(g->api->access->limits[by], p->client, &p->rule, now, &p->state,
                               &why) != VLY_OK)
        return refuse(g, by, &why, err);
    p->is_held = true;
    return VLY_OK;
}

static bool would_take(const vly_access *a, vly_access_bound by, uint64_t client,
                       const vly_client_rule *rule)
{
    return a->limits[by] == NULL || !is_bound(rule) ||
           vly_client_limits_would_take(a->limits[by], client, rule, vly_clock_now());
}

static bool would_take_key(vly_access *a, const vly_http_request *req)
{
    vly_str text = key_text_of(req);
    unsigned char hash[VLY_KEY_HASH_BYTES];
    vly_key k;

    if (text.ptr == NULL || !vly_key_hash(text, hash) ||
        !vly_key_ring_find(a->opts.keys, hash, vly_clock_unix_ms(), &k))
        return false;
    const vly_client_rule rule = rule_of(a, &k);
    return would_take(a, VLY_ACCESS_BY_KEY, client_of_key(hash), &rule);
}

size_t vly_access_max_body(void *ctx, const vly_http_request *req)
{
    const vly_api *api = ctx;
    vly_access *a = api->access;

    if (a == NULL)
        return SIZE_MAX;
    const vly_client_rule address = rules_of(a).address;
    if (!would_take(a, VLY_ACCESS_BY_ADDRESS, client_of(a, req), &address) ||
        (a->opts.keys != NULL && !would_take_key(a, req)))
        return VLY_ACCESS_STRANGER_BODY;
    return SIZE_MAX;
}

/* The grant of req, once it has counted against its address. */
static vly_status grant(vly_api *api, vly_http_request *req, vly_nsec now, vly_grant **ret,
                        vly_err *err)
{
    vly_access *a = api->access;
    vly_call *call = vly_call_of(req);
    vly_grant *g = call != NULL ? vly_arena_calloc(&req->msg.arena, 1, sizeof(*g)) : NULL;

    if (g == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the request");
    *ret = g;
    g->api = api;
    call->grant = g;
    const vly_client_rule rule = rules_of(a).address;
    if (a->limits[VLY_ACCESS_BY_ADDRESS] == NULL || !is_bound(&rule))
        return VLY_OK;
    g->parts[VLY_ACCESS_BY_ADDRESS].rule = rule;
    g->parts[VLY_ACCESS_BY_ADDRESS].client = client_of(a, req);
    return take(g, VLY_ACCESS_BY_ADDRESS, now, err);
}

/* With an admin listener, what needs its scope is there and nowhere else, and what runs models is
 * not. */
static vly_status check_listener(vly_api *api, const vly_http_request *req, vly_key_scope scope,
                                 vly_err *err)
{
    const vly_call *call = vly_call_of(req);
    bool is_admin = call != NULL && call->is_admin;

    if (!is_admin && scope == VLY_SCOPE_ADMIN)
        vly_fail(err, VLY_EDENIED, "this is offered by the admin listener only: see admin.port");
    else if (is_admin && scope == VLY_SCOPE_INFER)
        vly_fail(err, VLY_EDENIED, "the admin listener does not run models: see http.port");
    else
        return VLY_OK;
    vly_counter_add(&api->access_stats.denied[VLY_ACCESS_LISTENER], 1);
    return VLY_EDENIED;
}

static vly_status admit(vly_api *api, vly_http_request *req, vly_key_scope scope, vly_err *err)
{
    vly_nsec now = vly_clock_now();
    vly_status st = VLY_OK;
    vly_grant *g = NULL;

    if (api->access != NULL)
        st = grant(api, req, now, &g, err);
    if (st == VLY_OK && api->has_admin_listener)
        st = check_listener(api, req, scope, err);
    if (st == VLY_OK && api->access != NULL && api->access->opts.keys != NULL)
        st = check_key(g, req, scope, err);
    if (st == VLY_OK && api->access != NULL)
        st = take(g, VLY_ACCESS_BY_KEY, now, err);
    if (st == VLY_OK && req->is_cut) /* it would not have been taken a moment ago */
        st = vly_fail(err, VLY_EUNAVAILABLE, "the request body was not taken: come again");
    return st;
}

vly_status vly_access_admit(vly_api *api, vly_http_request *req, vly_key_scope scope, vly_err *err)
{
    vly_call *call = vly_call_of(req);
    bool is_for_all = scope == VLY_SCOPE_NONE;
    vly_status st = is_for_all ? VLY_OK : admit(api, req, scope, err);

    if (call != NULL)
        call->is_known = st == VLY_OK && !(is_for_all && api->needs_keys);
    return st;
}

vly_status vly_access_count(vly_api *api, vly_http_request *req, vly_err *err)
{
    vly_grant *g;

    return api->access != NULL ? grant(api, req, vly_clock_now(), &g, err) : VLY_OK;
}

void vly_access_finished(const vly_api *api, const vly_http_request *req)
{
    vly_grant *g = api->access != NULL ? grant_of(req) : NULL;

    for (size_t by = 0; g != NULL && by < VLY_COUNT(g->parts); by++) {
        part *p = &g->parts[by];
        if (p->is_held)
            vly_client_limits_give(g->api->access->limits[by], p->client);
        p->is_held = false;
    }
}

/* ---- streams ---- */

static bool is_key_live(const vly_grant *g)
{
    vly_key k;

    return g->key_name[0] == '\0' ||
           (vly_key_ring_find(g->api->access->opts.keys, g->hash, vly_clock_unix_ms(), &k) &&
            k.scope >= g->scope);
}

bool vly_access_may_go_on(void *ctx, const vly_http_request *req, vly_stream_end_info *ret)
{
    const vly_api *api = ctx;
    const vly_grant *g = api->access != NULL ? grant_of(req) : NULL;

    if (g == NULL || is_key_live(g))
        return true;
    vly_counter_add(&g->api->access_stats.denied[VLY_ACCESS_INVALID], 1);
    *ret = (vly_stream_end_info){.code = req->stream_kind == VLY_STREAM_GRPC
                                             ? (unsigned)vly_grpc_code(VLY_EUNAUTHENTICATED)
                                             : VLY_WEBSOCKET_POLICY,
                                 .message = KEY_IS_INVALID};
    return false;
}

vly_status vly_access_message(const vly_http_request *req, vly_err *err)
{
    vly_grant *g = grant_of(req);
    vly_nsec now = vly_clock_now();
    vly_err why;

    if (g == NULL)
        return VLY_OK;
    if (!is_key_live(g))
        return refuse_invalid(g->api, err);
    for (size_t by = 0; by < VLY_COUNT(g->parts); by++) {
        part *p = &g->parts[by];
        if (p->is_held && vly_client_limits_spend(g->api->access->limits[by], p->client, &p->rule,
                                                  now, &p->state, &why) != VLY_OK)
            return refuse(g, (vly_access_bound)by, &why, err);
    }
    return VLY_OK;
}

/* ---- what is said of it ---- */

bool vly_access_find_client(const vly_http_request *req, char text[VLY_ADDRESS_TEXT_MAX])
{
    const vly_call *call = vly_call_of(req);
    const vly_access *a = call != NULL ? call->api->access : NULL;
    vly_address peer, client;

    if (a == NULL || a->trusted.n == 0 || !vly_address_parse(vly_str_from(req->peer), &peer) ||
        !address_of(a, req, &client) || memcmp(&peer, &client, sizeof(peer)) == 0)
        return false;
    vly_address_format(&client, text);
    return true;
}

vly_str vly_access_key_name(const vly_http_request *req)
{
    const vly_grant *g = grant_of(req);
    return g != NULL ? vly_str_from(g->key_name) : VLY_STR("");
}

vly_imu_who vly_access_who(const vly_api *api, const vly_http_request *req)
{
    const vly_grant *g = api->needs_keys ? grant_of(req) : NULL;

    _Static_assert(VLY_KEY_NAME_MAX <= VLY_IMU_NAME_MAX, "a key's name is an owner");
    return (vly_imu_who){
        .owner = g != NULL ? vly_str_from(g->key_name) : VLY_STR(""),
        .sees_all = !api->needs_keys || (g != NULL && g->is_admin),
    };
}

bool vly_access_has_key(const vly_http_request *req)
{
    return grant_of(req) != NULL && key_text_of(req).ptr != NULL;
}

static uint64_t seconds_of(vly_nsec ns)
{
    return ns / VLY_NSEC_PER_SEC + (ns % VLY_NSEC_PER_SEC != 0);
}

uint64_t vly_access_retry_s(const vly_http_request *req)
{
    const vly_grant *g = grant_of(req);
    return g != NULL && g->wait_ns > 0 ? seconds_of(g->wait_ns) : 1;
}

/* A bucket of q that fills in w seconds. */
static void put_item(const part *p, const char *name, vly_buf *state, vly_buf *policy)
{
    const char *comma = state->len > 0 ? ", " : "";

    vly_buf_printf(policy, "%s\"%s\";q=%.0f;w=%.0f", comma, name, p->rule.burst,
                   ceil(p->rule.burst / p->rule.rate));
    vly_buf_printf(state, "%s\"%s\";r=%.0f;t=%llu", comma, name, floor(p->state.left),
                   (unsigned long long)seconds_of(p->state.full_ns));
}

size_t vly_access_put_headers(vly_http_request *req, vly_http_header to[VLY_ACCESS_HEADERS_MAX])
{
    const vly_grant *g = grant_of(req);
    vly_arena *arena = &req->msg.arena;
    vly_buf state, policy;
    char memory[2][160];

    if (g == NULL)
        return 0;
    vly_buf_init(&state, VLY_MEM_NET, sizeof(memory[0]));
    vly_buf_init(&policy, VLY_MEM_NET, sizeof(memory[1]));
    vly_buf_lend(&state, memory[0], 0, sizeof(memory[0]), NULL, NULL);
    vly_buf_lend(&policy, memory[1], 0, sizeof(memory[1]), NULL, NULL);
    for (size_t by = 0; by < VLY_COUNT(g->parts); by++)
        if (g->parts[by].is_seen && g->parts[by].rule.rate > 0)
            put_item(&g->parts[by], vly_access_bound_name((vly_access_bound)by), &state, &policy);
    if (state.len == 0)
        return 0;
    to[0] = (vly_http_header){VLY_STR("RateLimit-Policy"),
                              vly_str_from(vly_arena_strdup(arena, vly_buf_str(&policy)))};
    to[1] = (vly_http_header){VLY_STR("RateLimit"),
                              vly_str_from(vly_arena_strdup(arena, vly_buf_str(&state)))};
    return to[0].value.ptr != NULL && to[1].value.ptr != NULL ? 2 : 0;
}
