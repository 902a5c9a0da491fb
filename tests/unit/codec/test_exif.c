/* SPDX-License-Identifier: MIT */
/* Blocks written by hand from the TIFF 6.0 layout. */
#include "codec/exif.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

/* Runs on a copy of exactly n bytes, so that AddressSanitizer sees a read past them. */
static int orientation_of(const uint8_t *bytes, size_t n)
{
    uint8_t *copy = malloc(n != 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    int orientation = vly_exif_orientation(copy, n);
    free(copy);
    return orientation;
}

static const uint8_t little[] = {
    'I',  'I',  42, 0, 8, 0, 0, 0,               /* header, directory at 8 */
    2,    0,                                     /* entries */
    0x0f, 0x01, 2,  0, 4, 0, 0, 0, 'a', 0, 0, 0, /* make, 4 bytes of ascii */
    0x12, 0x01, 3,  0, 1, 0, 0, 0, 6,   0, 0, 0, /* orientation, short: 6 */
    0,    0,    0,  0,
};
static const uint8_t big[] = {
    'M',  'M',  0, 42, 0, 0, 0, 8, 0, 1,       /* header, directory at 8, one entry */
    0x01, 0x12, 0, 4,  0, 0, 0, 1, 0, 0, 0, 8, /* orientation, long: 8 */
};

static void reads_both_byte_orders(void **state)
{
    (void)state;
    assert_int_equal(orientation_of(little, sizeof(little)), 6);
    assert_int_equal(orientation_of(big, sizeof(big)), 8);
}

static void skips_the_prefix_of_jpeg(void **state)
{
    (void)state;
    uint8_t bytes[6 + sizeof(big)] = "Exif";
    memcpy(bytes + 6, big, sizeof(big));
    assert_int_equal(orientation_of(bytes, sizeof(bytes)), 8);
}

static void is_1_when_anything_is_wrong(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
    } damages[] = {
        {0, 'X'},  /* byte order */
        {2, 43},   /* magic */
        {4, 255},  /* directory behind the end */
        {7, 255},  /* far behind the end */
        {8, 1},    /* the second entry is not counted */
        {22, 0},   /* another tag */
        {24, 5},   /* a rational */
        {30, 0},   /* orientation 0 */
        {30, 9},   /* orientation 9 */
        {31, 255}, /* orientation 65286 */
    };
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        uint8_t bytes[sizeof(little)];
        memcpy(bytes, little, sizeof(little));
        bytes[damages[i].at] = damages[i].value;
        assert_int_equal(orientation_of(bytes, sizeof(bytes)), 1);
    }
}

static void survives_every_cut_and_count(void **state)
{
    (void)state;
    for (size_t n = 0; n < 34; n++) /* the orientation's value ends at 34 */
        assert_int_equal(orientation_of(little, n), 1);
    uint8_t bytes[sizeof(little)];
    memcpy(bytes, little, sizeof(little));
    bytes[8] = bytes[9] = 255; /* 65535 entries announced, two there */
    assert_int_equal(orientation_of(bytes, sizeof(bytes)), 6);
    bytes[22] = 0;
    assert_int_equal(orientation_of(bytes, sizeof(bytes)), 1);
}

UNIT_TESTS(cmocka_unit_test(reads_both_byte_orders), cmocka_unit_test(skips_the_prefix_of_jpeg),
           cmocka_unit_test(is_1_when_anything_is_wrong),
           cmocka_unit_test(survives_every_cut_and_count))
