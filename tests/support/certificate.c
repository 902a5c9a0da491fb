/* SPDX-License-Identifier: MIT */
#include "support/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool is_added = e != NULL && X509_add_ext(cert, e, -1) == 1;

    X509_EXTENSION_free(e);
    return is_added;
}

static bool fill(X509 *cert, EVP_PKEY *key, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(cert);

    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 24L * 60 * 60);
    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(cert, subject) == 1 && X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, NID_basic_constraints, "critical,CA:TRUE") &&
           add_extension(cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

/* By another name first, so that a reader never sees half a file. */
static FILE *open_beside(const char *path, char beside[CERTIFICATE_PATH_MAX + 8])
{
    snprintf(beside, CERTIFICATE_PATH_MAX + 8, "%s.new", path);
    return fopen(beside, "w");
}

static bool write_files(const certificate *c, X509 *cert, EVP_PKEY *key)
{
    char new_cert[CERTIFICATE_PATH_MAX + 8], new_key[CERTIFICATE_PATH_MAX + 8];
    FILE *cert_file = open_beside(c->certificate, new_cert);
    FILE *key_file = open_beside(c->key, new_key);
    bool is_written = cert_file != NULL && key_file != NULL &&
                      PEM_write_X509(cert_file, cert) == 1 &&
                      PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) == 1;

    if (cert_file != NULL)
        is_written = fclose(cert_file) == 0 && is_written;
    if (key_file != NULL)
        is_written = fclose(key_file) == 0 && is_written;
    return is_written && rename(new_cert, c->certificate) == 0 && rename(new_key, c->key) == 0;
}

bool certificate_make(const char *dir, const char *name, certificate *ret)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();

    snprintf(ret->certificate, sizeof(ret->certificate), "%s/%s.pem", dir, name);
    snprintf(ret->key, sizeof(ret->key), "%s/%s.key", dir, name);
    bool is_made =
        key != NULL && cert != NULL && fill(cert, key, name) && write_files(ret, cert, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    return is_made;
}
