/* SPDX-License-Identifier: MIT */
/*
 * Addresses of clients: read, compared with ranges, and found behind proxies.
 *
 * IPv4 is held as IPv6 holds it, ::ffff:a.b.c.d. Outside data: X-Forwarded-For says whatever a
 * client likes up to the first proxy that is trusted, so it is read from its end. Thread: any.
 */
#ifndef VLY_NET_ADDRESS_H
#define VLY_NET_ADDRESS_H

#include "base/status.h"
#include "base/str.h"
#include "net/http_msg.h"

#define VLY_ADDRESS_BYTES      16
#define VLY_ADDRESS_RANGES_MAX 64

typedef struct vly_address {
    unsigned char bytes[VLY_ADDRESS_BYTES];
} vly_address;

typedef struct vly_address_range {
    vly_address address;
    unsigned n_bits; /* of the 128 that must agree */
} vly_address_range;

typedef struct vly_address_ranges {
    vly_address_range items[VLY_ADDRESS_RANGES_MAX];
    size_t n;
} vly_address_ranges;

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". */
bool vly_address_parse(vly_str text, vly_address *ret);
/* "192.0.2.1", "2001:db8::1"; returns text. */
#define VLY_ADDRESS_TEXT_MAX 46
const char *vly_address_format(const vly_address *a, char text[VLY_ADDRESS_TEXT_MAX]);
bool vly_address_is_v4(const vly_address *a);
bool vly_address_is_loopback(const vly_address *a);

/* "10.0.0.0/8, ::1": EINVAL names what is none; ELIMIT. "" is none at all. */
vly_status vly_address_ranges_parse(const char *list, vly_address_ranges *ret,
                                    vly_err *err) VLY_MUST_CHECK;
bool vly_address_is_in(const vly_address *a, const vly_address_ranges *ranges);

/* Who asked: peer, or when that is trusted, the last address in X-Forwarded-For that is not. What
 * is not an address ends the search at what came behind it. */
vly_address vly_address_of_client(const vly_http_msg *msg, const vly_address *peer,
                                  const vly_address_ranges *trusted);

#endif
