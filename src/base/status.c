/* SPDX-License-Identifier: MIT */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

vly_status(vly_fail)(vly_err *err, vly_status st, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        err->status = st;
        vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
        va_end(ap);
    }
    return st;
}

vly_status(vly_fail_in)(vly_err *err, vly_status st, const char *fmt, ...)
{
    char inner[VLY_ERR_MSG_MAX];
    size_t len;
    va_list ap;

    if (err == NULL)
        return st;
    memcpy(inner, err->msg, sizeof(inner));
    inner[sizeof(inner) - 1] = '\0';
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    len = strlen(err->msg);
    snprintf(err->msg + len, sizeof(err->msg) - len, ": %s", inner);
    err->status = st;
    return st;
}

typedef struct status_row {
    vly_status status;
    const char *name;
    const char *text;
    int http;
    int grpc;
} status_row;

static const status_row rows[] = {
#define STATUS_ROW(name, value, text, http, grpc) {VLY_##name, #name, text, http, grpc},
    VLY_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

static const status_row *find_row(vly_status st)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].status == st)
            return &rows[i];
    return find_row(VLY_EINTERNAL); /* an unknown code is a bug on our side */
}

const char *vly_status_name(vly_status st)
{
    return find_row(st)->name;
}

const char *vly_status_text(vly_status st)
{
    return find_row(st)->text;
}

int vly_status_http(vly_status st)
{
    return find_row(st)->http;
}

int vly_status_grpc(vly_status st)
{
    return find_row(st)->grpc;
}
