/* SPDX-License-Identifier: MIT */
/* Self-made certificates, in PEM files. */
#ifndef VLY_TESTS_CERTIFICATE_H
#define VLY_TESTS_CERTIFICATE_H

#include <stdbool.h>

#define CERTIFICATE_PATH_MAX 128

typedef struct certificate {
    char certificate[CERTIFICATE_PATH_MAX]; /* paths */
    char key[CERTIFICATE_PATH_MAX];
} certificate;

/* Writes DIR/NAME.pem and DIR/NAME.key, which replace older ones: an EC key of its own, common name
 * NAME, valid for localhost and 127.0.0.1, for a day. */
bool certificate_make(const char *dir, const char *name, certificate *ret);

#endif
