/* SPDX-License-Identifier: MIT */
#include "cli/serve_otlp.h"

#include "api/settings.h"
#include "sys/file.h"
#include "sys/url.h"
#include "volley/version.h"

#include <stdio.h>
#include <unistd.h>

#define RESOURCE_BYTES ((size_t)16 << 10)
#define HEADERS_BYTES  ((size_t)64 << 10)
#define RETRY_MS       1000

static void put_text(vly_buf *b, const char *key, vly_str value)
{
    vly_otlp_put_text(b, VLY_OTLP_OF_RESOURCE, key, value);
}

/* "key=value,key=value" */
static vly_status put_list(vly_buf *b, const char *list, vly_err *err)
{
    vly_str rest = vly_str_from(list);

    while (rest.len > 0) {
        vly_str value = vly_str_split(&rest, ',');
        vly_str key = vly_str_trim(vly_str_split(&value, '='));
        char text[128];
        if (value.ptr == NULL || key.len == 0 || key.len >= sizeof(text))
            return vly_fail(err, VLY_EINVAL,
                            "setting 'otlp.resource': expected key=value,key=value, got '%s'",
                            list);
        snprintf(text, sizeof(text), "%.*s", VLY_STR_ARG(key));
        put_text(b, text, vly_str_trim(value));
    }
    return VLY_OK;
}

static vly_status make_resource(const vly_config *c, uint64_t seed, vly_buf *b, vly_err *err)
{
    char host[256] = "", instance[32];

    vly_buf_init(b, VLY_MEM_CLI, RESOURCE_BYTES);
    gethostname(host, sizeof(host) - 1);
    snprintf(instance, sizeof(instance), "%016llx", (unsigned long long)seed);
    put_text(b, "service.name", vly_str_from(c->otlp_service_name));
    put_text(b, "service.version", VLY_STR(VOLLEY_VERSION));
    put_text(b, "service.instance.id", vly_str_from(instance));
    put_text(b, "host.name", vly_str_from(host));
    vly_otlp_put_int(b, VLY_OTLP_OF_RESOURCE, "process.pid", getpid());
    vly_status st = put_list(b, c->otlp_resource, err);
    if (st == VLY_OK && b->failed)
        st = vly_fail(err, VLY_ELIMIT, "setting 'otlp.resource': expected at most %zu bytes",
                      RESOURCE_BYTES);
    return st;
}

/* "Name: value" in each line; empty ones and those that begin with # count for nothing. */
static vly_status read_headers(const char *path, vly_serve_otlp *o, vly_err *err)
{
    size_t number = 0;

    vly_status st = vly_file_read(path, HEADERS_BYTES, &o->header_text, err);
    if (st != VLY_OK)
        return st;
    for (vly_str rest = vly_buf_str(&o->header_text); rest.ptr != NULL;) {
        vly_str value = vly_str_trim(vly_str_split(&rest, '\n'));
        number++;
        if (value.len == 0 || value.ptr[0] == '#')
            continue;
        vly_str name = vly_str_trim(vly_str_split(&value, ':'));
        if (value.ptr == NULL || name.len == 0)
            return vly_fail(err, VLY_EFORMAT, "%s:%zu: expected Name: value", path, number);
        if (o->n_headers == VLY_SERVE_OTLP_HEADERS)
            return vly_fail(err, VLY_ELIMIT, "%s: expected at most %d headers", path,
                            VLY_SERVE_OTLP_HEADERS);
        o->headers[o->n_headers++] = (vly_http_header){name, vly_str_trim(value)};
    }
    return VLY_OK;
}

static vly_status open_exporter(const vly_config *c, uint64_t seed, vly_serve_otlp *o, vly_err *err)
{
    const vly_otlp_export_opts opts = {
        .url = c->otlp_endpoint,
        .ca = c->otlp_ca[0] != '\0' ? c->otlp_ca : NULL,
        .headers = o->headers,
        .n_headers = o->n_headers,
        .resource = vly_buf_str(&o->resource),
        .max_queue_bytes = c->otlp_max_queue_bytes,
        .interval_ms = (unsigned)c->otlp_interval_ms,
        .timeout_ms = (unsigned)c->otlp_timeout_ms,
        .retry_ms = RETRY_MS,
        .seed = seed,
    };

    return vly_otlp_export_new(&opts, &o->tracer.exporter, err);
}

vly_status vly_serve_otlp_open(const vly_config *c, struct vly_settings *settings, uint64_t seed,
                               vly_serve_otlp *o, vly_err *err)
{
    vly_status st = VLY_OK;
    char shown[4200];

    if (c->otlp_endpoint[0] == '\0')
        return VLY_OK;
    vly_buf_init(&o->header_text, VLY_MEM_CLI, HEADERS_BYTES);
    if (c->otlp_headers_file[0] != '\0')
        st = read_headers(c->otlp_headers_file, o, err);
    if (st == VLY_OK)
        st = make_resource(c, seed, &o->resource, err);
    if (st == VLY_OK)
        st = open_exporter(c, seed, o, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "settings 'otlp.*'");
    o->tracer.settings = settings;
    vly_tracer_set_share(&o->tracer, c->otlp_sample);
    o->tracer.trusts_parents = c->otlp_trust_parent;
    vly_settings_set_traced(settings);
    printf("traces to %s\n", vly_url_public(c->otlp_endpoint, shown, sizeof(shown)));
    return VLY_OK;
}

void vly_serve_otlp_close(vly_serve_otlp *o)
{
    vly_otlp_export_free(o->tracer.exporter);
    vly_buf_release(&o->resource);
    vly_buf_release(&o->header_text);
}

vly_tracer *vly_serve_otlp_tracer(vly_serve_otlp *o)
{
    return o->tracer.exporter != NULL ? &o->tracer : NULL;
}
