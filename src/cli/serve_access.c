/* SPDX-License-Identifier: MIT */
#include "cli/serve_access.h"

#include "api/api.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* One loop: what is asked for here costs little, or goes to the workers. */
#define ADMIN_LOOPS       1
#define ADMIN_CONNECTIONS 64

static vly_status read_keys(vly_serve_access *a, vly_err *err)
{
    vly_file_info info;
    vly_key_set set = {NULL, 0};
    vly_status st = vly_file_stat(a->path, &info, err); /* first: what changes later is seen */

    if (st == VLY_OK)
        st = vly_key_file_read(a->path, &set, err);
    if (st == VLY_OK)
        st = vly_key_ring_load(a->keys, &set, err);
    vly_key_set_release(&set);
    if (st == VLY_OK)
        a->seen = info;
    return st;
}

static vly_client_rule rule_of(int64_t requests, int64_t burst, int64_t concurrency, int64_t s)
{
    return (vly_client_rule){.rate = (double)requests / (double)s,
                             .burst = burst > 0 ? (double)burst : (double)requests,
                             .concurrency = (unsigned)concurrency};
}

static vly_client_rule address_rule(const vly_config *c)
{
    return rule_of(c->limits_address_requests, c->limits_address_burst,
                   c->limits_address_concurrency, c->limits_window_s);
}

static vly_client_rule key_rule(const vly_config *c)
{
    return rule_of(c->limits_key_requests, c->limits_key_burst, c->limits_key_concurrency,
                   c->limits_window_s);
}

bool vly_serve_access_has_limits(const vly_config *c)
{
    return c->limits_address_requests > 0 || c->limits_address_concurrency > 0;
}

void vly_serve_access_set(vly_access *a, const vly_config *c)
{
    const vly_client_rule address = address_rule(c), key = key_rule(c);

    vly_access_set_rules(a, &address, &key);
}

vly_status vly_serve_access_open(const vly_config *c, uint64_t seed, vly_serve_access *a,
                                 vly_err *err)
{
    vly_access_opts o = {.address = address_rule(c),
                         .key = key_rule(c),
                         .max_clients = (size_t)c->limits_max_clients,
                         .trusted_proxies = c->access_trusted_proxies,
                         .seed = seed};
    bool has_limits = vly_serve_access_has_limits(c);
    vly_status st = VLY_OK;

    a->path = c->access_keys;
    if (a->path[0] != '\0') {
        st = vly_key_ring_new(&a->keys, err);
        if (st == VLY_OK)
            st = read_keys(a, err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "setting 'access.keys'");
    }
    o.keys = a->keys;
    if (a->keys == NULL && !has_limits && c->access_trusted_proxies[0] == '\0')
        return VLY_OK;
    st = vly_access_new(&o, &a->access, err);
    return st == VLY_EINVAL ? vly_fail_in(err, st, "setting 'access.trusted_proxies'") : st;
}

vly_status vly_serve_access_listen(const vly_config *c, const vly_http_opts *opts,
                                   vly_serve_access *a, vly_err *err)
{
    vly_http_opts o = *opts;

    if (c->admin_port < 0)
        return VLY_OK;
    o.address = c->admin_address;
    o.port = (uint16_t)c->admin_port;
    o.n_loops = ADMIN_LOOPS;
    o.max_connections = ADMIN_CONNECTIONS;
    o.on_request = vly_api_handle_admin;
    o.on_turn = NULL; /* no models run here */
    vly_status st = vly_http_server_start(&o, &a->admin, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "admin listener");
    printf("admin listener on %s port %u\n", c->admin_address, vly_http_server_port(a->admin));
    return VLY_OK;
}

static bool is_same(const vly_file_info *a, const vly_file_info *b)
{
    return a->mtime_ns == b->mtime_ns && a->inode == b->inode && a->bytes == b->bytes;
}

void vly_serve_access_check(vly_serve_access *a, bool is_forced)
{
    vly_file_info info = {.bytes = 0}; /* stays so of no file */
    vly_err err = VLY_ERR_INIT;

    if (a->keys == NULL)
        return;
    vly_status st = vly_file_stat(a->path, &info, &err);
    if (st == VLY_OK && is_same(&info, &a->seen) && !is_forced) {
        a->is_refused = false;
        return;
    }
    if (st == VLY_OK)
        st = read_keys(a, &err);
    if (st == VLY_OK)
        vly_info("keys: '%s' was read again", a->path);
    else if (is_forced || !a->is_refused || !is_same(&info, &a->refused))
        vly_warn("%s; the keys before it stay", err.msg);
    a->is_refused = st != VLY_OK;
    a->refused = info;
}

void vly_serve_access_stop_admin(vly_serve_access *a)
{
    vly_http_server_free(a->admin);
    a->admin = NULL;
}

void vly_serve_access_close(vly_serve_access *a)
{
    vly_access_free(a->access);
    vly_key_ring_free(a->keys);
    *a = (vly_serve_access){.path = NULL};
}
