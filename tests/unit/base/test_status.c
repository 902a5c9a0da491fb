/* SPDX-License-Identifier: MIT */
#include "base/status.h"

#include "base/assert.h"
#include "unit.h"

#include <string.h>

static const vly_status all[] = {
#define ROW(name, value, text, http, grpc) VLY_##name,
    VLY_STATUS_MAP(ROW)
#undef ROW
};

static void table_is_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < VLY_COUNT(all); i++) {
        assert_true(strlen(vly_status_name(all[i])) > 0);
        assert_true(strlen(vly_status_text(all[i])) > 0);
        assert_in_range(vly_status_http(all[i]), 200, 599);
        assert_in_range(vly_status_grpc(all[i]), 0, 16);
        assert_true((all[i] == VLY_OK) == (vly_status_http(all[i]) == 200));
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(all[i], all[j]);
            assert_string_not_equal(vly_status_name(all[i]), vly_status_name(all[j]));
        }
    }
}

/* A few rows against the HTTP and gRPC specifications, by hand. */
static void table_rows(void **state)
{
    (void)state;
    assert_int_equal(VLY_OK, 0);
    assert_string_equal(vly_status_name(VLY_ENOTFOUND), "ENOTFOUND");
    assert_int_equal(vly_status_http(VLY_ENOTFOUND), 404);
    assert_int_equal(vly_status_grpc(VLY_ENOTFOUND), 5); /* NOT_FOUND */
    assert_int_equal(vly_status_http(VLY_EBUSY), 429);
    assert_int_equal(vly_status_grpc(VLY_EBUSY), 14); /* UNAVAILABLE */
    assert_int_equal(vly_status_http(VLY_EDEADLINE), 504);
    assert_int_equal(vly_status_grpc(VLY_EDEADLINE), 4); /* DEADLINE_EXCEEDED */
    assert_int_equal(vly_status_http((vly_status)-999), 500);
}

static void fail_fills_the_error(void **state)
{
    (void)state;
    vly_err err = VLY_ERR_INIT;
    assert_int_equal(vly_fail(&err, VLY_EFORMAT, "file '%s': %d", "a", 7), VLY_EFORMAT);
    assert_int_equal(err.status, VLY_EFORMAT);
    assert_string_equal(err.msg, "file 'a': 7");
    assert_int_equal(vly_fail(NULL, VLY_EIO, "x"), VLY_EIO);
}

static void fail_in_adds_context(void **state)
{
    (void)state;
    vly_err err = VLY_ERR_INIT;
    vly_status st = vly_fail(&err, VLY_ELIMIT, "too long");
    assert_int_equal(vly_fail_in(&err, st, "node '%s'", "conv1"), VLY_ELIMIT);
    assert_string_equal(err.msg, "node 'conv1': too long");
    assert_int_equal(vly_fail_in(NULL, VLY_EIO, "x"), VLY_EIO);
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    vly_err err = VLY_ERR_INIT;
    char text[2 * VLY_ERR_MSG_MAX];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(vly_fail(&err, VLY_EIO, "%s", text), VLY_EIO);
    assert_int_equal(strlen(err.msg), VLY_ERR_MSG_MAX - 1);
    assert_int_equal(vly_fail_in(&err, VLY_EIO, "%s", text), VLY_EIO);
    assert_int_equal(strlen(err.msg), VLY_ERR_MSG_MAX - 1);
}

UNIT_TESTS(cmocka_unit_test(table_is_consistent), cmocka_unit_test(table_rows),
           cmocka_unit_test(fail_fills_the_error), cmocka_unit_test(fail_in_adds_context),
           cmocka_unit_test(long_messages_are_cut))
