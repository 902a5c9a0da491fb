/* SPDX-License-Identifier: MIT */
/* One request to a running server, for the commands that operate it. */
#ifndef VLY_CLI_ASK_SERVER_H
#define VLY_CLI_ASK_SERVER_H

#include "net/http_client.h"

/* What is asked for; every part is borrowed. */
typedef struct vly_ask {
    const char *server; /* URL without a path */
    const char *key;    /* NULL: VOLLEY_API_KEY of the environment, when it is set */
    const char *ca;     /* PEM file; NULL: those of the system */
    unsigned timeout_ms;
    const char *method, *path;
    vly_http_header condition; /* empty: none */
    vly_str body;              /* JSON, or empty */
} vly_ask;

/* OK: there is an answer, whatever its status. answer: initialised. */
vly_status vly_ask_server(const vly_ask *ask, int *ret_status, vly_buf *answer,
                          vly_err *err) VLY_MUST_CHECK;
/* What an answer that is none of success says. */
vly_status vly_ask_refused(int status, const vly_buf *answer, vly_err *err);

#endif
