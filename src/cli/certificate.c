/* SPDX-License-Identifier: MIT */
#include "cli/certificate.h"

#include "base/log.h"

vly_status vly_certificate_open(const vly_config *c, vly_tls **ret, vly_err *err)
{
    vly_tls_opts opts = {.certificate = c->tls_certificate,
                         .key = c->tls_key[0] != '\0' ? c->tls_key : c->tls_certificate,
                         .has_http2 = c->http2_max_streams > 0};

    if (c->tls_certificate[0] == '\0' && c->tls_key[0] != '\0')
        return vly_fail(err, VLY_EINVAL, "setting 'tls.key' is there without 'tls.certificate'");
    vly_status st = vly_tls_version_parse(vly_str_from(c->tls_min_version), &opts.min_version, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "setting 'tls.min_version'");
    if (c->tls_certificate[0] == '\0') {
        *ret = NULL;
        return VLY_OK;
    }
    return vly_tls_new(&opts, ret, err);
}

void vly_certificate_check(vly_tls *t, bool is_forced)
{
    vly_err err;

    if (t == NULL || !(is_forced || vly_tls_is_stale(t)))
        return;
    if (vly_tls_reload(t, &err) == VLY_OK)
        vly_info("TLS: the certificate was read again; new connections get it");
    else
        vly_warn("%s; the certificate before it stays", err.msg);
}
