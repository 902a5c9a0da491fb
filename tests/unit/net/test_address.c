/* SPDX-License-Identifier: MIT */
/* Addresses, ranges and X-Forwarded-For; expected values by hand. */
#include "net/address.h"

#include "base/assert.h"
#include "unit.h"

static vly_err err;

static vly_address parsed(const char *text)
{
    vly_address a;

    if (!vly_address_parse(vly_str_from(text), &a))
        fail_msg("'%s' is no address", text);
    return a;
}

static void assert_same(const char *a, const char *b)
{
    const vly_address x = parsed(a), y = parsed(b);
    if (memcmp(&x, &y, sizeof(x)) != 0)
        fail_msg("%s is not %s", a, b);
}

static void reads_addresses(void **state)
{
    static const char *const bad[] = {
        "",          "1.2.3",     "1.2.3.4:", "1.2.3.4:x",   "1.2.3.4:65536",
        "256.1.1.1", "[1.2.3.4]", "[::1",     "[::1]80",     "::1]",
        "unknown",   "[::1]:",    "1.2.3.4 ", "1.2.3.4:1:2", "fe80::1%lo"};
    static const unsigned char v4[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1};
    vly_address a = parsed("192.0.2.1");

    (void)state;
    assert_memory_equal(a.bytes, v4, sizeof(v4));
    assert_true(vly_address_is_v4(&a) && !vly_address_is_loopback(&a));
    assert_same("192.0.2.1:80", "192.0.2.1");
    assert_same("::ffff:192.0.2.1", "192.0.2.1");
    assert_same("[2001:db8::1]:65535", "2001:db8::1");
    assert_same("[2001:db8::1]", "2001:db8:0:0::1");
    for (size_t i = 0; i < VLY_COUNT(bad); i++)
        if (vly_address_parse(vly_str_from(bad[i]), &a))
            fail_msg("'%s' was taken", bad[i]);
    a = parsed("127.9.9.9");
    assert_true(vly_address_is_loopback(&a));
    a = parsed("::1");
    assert_true(vly_address_is_loopback(&a) && !vly_address_is_v4(&a));
    a = parsed("::2");
    assert_false(vly_address_is_loopback(&a));
}

static bool is_in(const char *address, const char *list)
{
    vly_address_ranges r;
    const vly_address a = parsed(address);

    assert_int_equal(vly_address_ranges_parse(list, &r, &err), VLY_OK);
    return vly_address_is_in(&a, &r);
}

static void knows_ranges(void **state)
{
    static const char *const bad[] = {"10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8,,",
                                      "10.0.0.0/-1", "x",      ",",         "10.0.0.1:80"};
    vly_address_ranges r;

    (void)state;
    assert_true(is_in("10.255.0.1", "10.0.0.0/8"));
    assert_false(is_in("11.0.0.1", "10.0.0.0/8"));
    assert_true(is_in("10.0.0.5", " 192.0.2.1 , 10.0.0.4/31 "));
    assert_false(is_in("10.0.0.6", "192.0.2.1, 10.0.0.4/31"));
    assert_true(is_in("2001:db8::ff", "2001:db8::/32"));
    assert_true(is_in("1.2.3.4", "0.0.0.0/0"));
    assert_false(is_in("2001:db8::ff", "0.0.0.0/0")); /* IPv4 alone */
    assert_true(is_in("2001:db8::ff", "::/0"));
    assert_false(is_in("1.2.3.4", ""));
    for (size_t i = 0; i < VLY_COUNT(bad); i++)
        assert_int_equal(vly_address_ranges_parse(bad[i], &r, &err), VLY_EINVAL);
}

/* Of a request from peer with these values of X-Forwarded-For, the first of two headers NULL: none.
 */
static void assert_client(const char *peer, const char *first, const char *second, const char *want)
{
    vly_http_header headers[] = {{VLY_STR("Host"), VLY_STR("h")},
                                 {VLY_STR("x-forwarded-for"), vly_str_from(first)},
                                 {VLY_STR("X-Forwarded-For"), vly_str_from(second)}};
    vly_http_msg msg = {.headers = headers, .n_headers = 3};
    vly_address_ranges trusted;
    const vly_address p = parsed(peer), w = parsed(want);

    if (first == NULL)
        headers[1].name = VLY_STR("X-Other");
    assert_int_equal(vly_address_ranges_parse("10.0.0.0/8, ::1", &trusted, &err), VLY_OK);
    const vly_address got = vly_address_of_client(&msg, &p, &trusted);
    if (memcmp(&got, &w, sizeof(got)) != 0)
        fail_msg("%s, %s: not %s", first, second, want);
}

static void believes_only_trusted_proxies(void **state)
{
    (void)state;
    assert_client("192.0.2.9", NULL, "198.51.100.1", "192.0.2.9"); /* said by a stranger */
    assert_client("10.0.0.1", NULL, "198.51.100.1", "198.51.100.1");
    assert_client("::1", NULL, "198.51.100.1:4000", "198.51.100.1");
    assert_client("10.0.0.1", NULL, "6.6.6.6, 198.51.100.1", "198.51.100.1"); /* made up before */
    assert_client("10.0.0.1", NULL, "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1");
    assert_client("10.0.0.1", "6.6.6.6", "198.51.100.1",
                  "198.51.100.1"); /* in a header of its own */
    assert_client("10.0.0.1", "198.51.100.1", "10.0.0.2", "198.51.100.1");
    assert_client("10.0.0.1", NULL, "unknown", "10.0.0.1");
    assert_client("10.0.0.1", "6.6.6.6", "unknown, 10.0.0.2", "10.0.0.2");
    assert_client("10.0.0.1", NULL, "", "10.0.0.1");
    assert_client("10.0.0.1", NULL, "10.0.0.3, 10.0.0.2", "10.0.0.3");
}

static void writes_addresses(void **state)
{
    static const char *const cases[][2] = {{"192.0.2.1:80", "192.0.2.1"},
                                           {"::ffff:192.0.2.1", "192.0.2.1"},
                                           {"[2001:DB8:0:0::1]:80", "2001:db8::1"},
                                           {"::", "::"}};
    char text[VLY_ADDRESS_TEXT_MAX];
    vly_address a;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(vly_address_parse(vly_str_from(cases[i][0]), &a));
        assert_string_equal(vly_address_format(&a, text), cases[i][1]);
    }
}

UNIT_TESTS(cmocka_unit_test(reads_addresses), cmocka_unit_test(writes_addresses),
           cmocka_unit_test(knows_ranges), cmocka_unit_test(believes_only_trusted_proxies))
