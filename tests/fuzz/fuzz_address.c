/* SPDX-License-Identifier: MIT */
/* Ranges of trusted proxies in the first line, X-Forwarded-For in the others: who asked is the peer
 * or an address that was said, and past the peer only when the peer is trusted. */
#include "base/assert.h"
#include "net/address.h"

enum { HEADERS_MAX = 8, LIST_MAX = 4096 };

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_str rest = {(const char *)bytes, n};
    vly_str list = vly_str_split(&rest, '\n');
    vly_http_header headers[HEADERS_MAX];
    vly_http_msg msg = {.headers = headers};
    vly_address_ranges trusted = {.n = 0};
    vly_address peer = {{0}}, one;
    char text[LIST_MAX];
    vly_err err;

    if (list.len >= sizeof(text))
        return 0;
    memcpy(text, bytes, list.len);
    text[list.len] = '\0';
    if (vly_address_ranges_parse(text, &trusted, &err) != VLY_OK)
        VLY_ASSERT(trusted.n == 0);
    while (rest.ptr != NULL && msg.n_headers < HEADERS_MAX)
        headers[msg.n_headers++] =
            (vly_http_header){VLY_STR("X-Forwarded-For"), vly_str_split(&rest, '\n')};
    for (size_t i = 0; i < msg.n_headers; i++)
        (void)vly_address_parse(headers[i].value, &one);
    memcpy(peer.bytes, bytes, n < sizeof(peer.bytes) ? n : sizeof(peer.bytes));
    const vly_address client = vly_address_of_client(&msg, &peer, &trusted);
    if (!vly_address_is_in(&peer, &trusted) || msg.n_headers == 0)
        VLY_ASSERT(memcmp(&client, &peer, sizeof(peer)) == 0);
    return 0;
}
