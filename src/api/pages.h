/* SPDX-License-Identifier: MIT */
/* The files of web/, and openapi.json, built into the program: the table that tools/embed_pages.py
 * makes. */
#ifndef VLY_API_PAGES_H
#define VLY_API_PAGES_H

#include <stddef.h>

typedef struct vly_page {
    const char *name; /* of the file */
    const char *content_type;
    const char *etag; /* weak, with its quotes: a page goes out plain or compressed */
    size_t len;
    const char *bytes;
    size_t gzip_len;
    const char *gzip; /* the same as a gzip member */
} vly_page;

extern const vly_page vly_pages[];
extern const size_t vly_n_pages;

#endif
