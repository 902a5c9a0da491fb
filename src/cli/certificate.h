/* SPDX-License-Identifier: MIT */
/*
 * The certificate of `volley serve`, by the settings tls.*.
 *
 * It is read again on SIGHUP, and when a look at the files every tls.check_ms finds other ones; a
 * certificate that cannot be used is reported, and the one before it stays.
 */
#ifndef VLY_CLI_CERTIFICATE_H
#define VLY_CLI_CERTIFICATE_H

#include "net/tls.h"
#include "sys/config.h"

/* *ret: NULL when no certificate is set. */
vly_status vly_certificate_open(const vly_config *c, vly_tls **ret, vly_err *err) VLY_MUST_CHECK;

/* Reads the files again, if they are other ones or is_forced; says on the log what came of it.
 * t may be NULL. */
void vly_certificate_check(vly_tls *t, bool is_forced);

#endif
