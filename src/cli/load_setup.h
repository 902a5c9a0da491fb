/* SPDX-License-Identifier: MIT */
/*
 * From the options of `volley load` to what is run: target, transport, plan, bodies, objectives.
 */
#ifndef VLY_CLI_LOAD_SETUP_H
#define VLY_CLI_LOAD_SETUP_H

#include "cli/command.h"
#include "load/load_model.h"
#include "load/load_run.h"

#define VLY_LOAD_HEADERS_MAX (VLY_OPT_LIST_MAX + 4)

typedef struct vly_load_opts {
    /* the load */
    double rate;
    const char *ramp, *spike, *step, *duration, *warmup;
    bool closed, poisson, soak;
    int64_t seed;
    vly_opt_list slos;
    /* the requests */
    const char *method, *type, *data, *model, *form, *key;
    vly_opt_list pictures, bodies, json_bodies, input_data, headers;
    int64_t rows;
    bool unique;
    /* the way */
    const char *protocol, *timeout, *connect_timeout, *ca, *answer_has, *check, *first;
    vly_opt_list also;
    int64_t connections, in_flight, threads, greetings, max_outstanding;
    bool stream, insecure, one_way, no_check, spin;
    /* the report */
    const char *report;
    bool json, quiet;
} vly_load_opts;

typedef struct vly_load_setup {
    vly_arena arena; /* of all below */
    vly_load_target target, others[VLY_OPT_LIST_MAX];
    vly_str headers[VLY_LOAD_HEADERS_MAX];
    vly_load_plan plan;
    vly_load_body bodies[VLY_LOAD_BODIES_MAX];
    vly_load_slo slos[VLY_LOAD_SLOS_MAX];
    vly_load_run_opts run;
    const char *transport;      /* its name */
    const char *load, *content; /* in words */
} vly_load_setup;

/* s is zeroed; release it whatever comes of it. Reads files; with --model asks the server. */
vly_status vly_load_setup_init(vly_load_setup *s, const vly_load_opts *o, const char *url,
                               vly_err *err) VLY_MUST_CHECK;
void vly_load_setup_release(vly_load_setup *s);

/* The bodies alone, when all else is set up: in load_bodies.c. */
vly_status vly_load_setup_bodies(vly_load_setup *s, const vly_load_opts *o,
                                 vly_err *err) VLY_MUST_CHECK;
vly_status vly_load_setup_read(vly_load_setup *s, const char *path, vly_str *ret,
                               vly_err *err) VLY_MUST_CHECK; /* a whole file */
vly_status vly_load_setup_header(vly_load_setup *s, vly_str header, vly_err *err) VLY_MUST_CHECK;

#endif
