/* SPDX-License-Identifier: MIT */
#include "base/assert.h"
#include "base/buf.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static void appends(void **state)
{
    (void)state;
    vly_buf b;
    vly_buf_init(&b, VLY_MEM_BASE, 1 << 20);
    vly_buf_puts(&b, "ab");
    vly_buf_putc(&b, 'c');
    vly_buf_add(&b, "d\0e", 3);
    vly_buf_add_str(&b, VLY_STR("f"));
    vly_buf_add(&b, NULL, 0);
    vly_buf_printf(&b, "%03d", 7);
    assert_false(b.failed);
    assert_int_equal(b.len, 10);
    assert_memory_equal(b.ptr, "abcd\0ef007", 11); /* with the NUL */
    vly_buf_clear(&b);
    assert_int_equal(b.len, 0);
    vly_buf_release(&b);
}

static void grows_by_doubling(void **state)
{
    (void)state;
    vly_buf b;
    vly_buf_init(&b, VLY_MEM_BASE, 1 << 20);
    uint64_t before = vly_mem_count_all();
    for (int i = 0; i < 1 << 20; i++)
        vly_buf_putc(&b, (char)i);
    assert_false(b.failed);
    for (int i = 0; i < 1 << 20; i++)
        assert_int_equal(b.ptr[i], (char)i);
    assert_true(vly_mem_count_all() - before <= 16); /* 256 B .. 2 MB */
    vly_buf_release(&b);
}

static void limit_is_exact_and_sticky(void **state)
{
    (void)state;
    vly_buf b;
    vly_buf_init(&b, VLY_MEM_BASE, 1000);
    char bytes[1000];
    memset(bytes, 'x', sizeof(bytes));
    vly_buf_add(&b, bytes, 1000);
    assert_false(b.failed);
    vly_buf_putc(&b, 'y');
    assert_true(b.failed);
    assert_int_equal(b.len, 1000);
    vly_buf_add(&b, NULL, 0); /* once failed, nothing is appended before clear */
    assert_true(b.failed);
    vly_buf_clear(&b);
    vly_buf_putc(&b, 'z');
    assert_false(b.failed);
    assert_string_equal(b.ptr, "z");
    assert_false(vly_buf_reserve(&b, SIZE_MAX));
    vly_buf_clear(&b);
    vly_buf_printf(&b, "%2000d", 1);
    assert_true(b.failed);
    assert_int_equal(b.len, 0);
    vly_buf_release(&b);
}

static void allocation_failure_sets_failed(void **state)
{
    (void)state;
    vly_buf b;
    vly_buf_init(&b, VLY_MEM_BASE, 1 << 20);
    vly_mem_fail_after(0);
    vly_buf_puts(&b, "x");
    vly_mem_fail_after(-1);
    assert_true(b.failed);
    assert_int_equal(b.len, 0);
    vly_buf_release(&b);
}

static void check_json(const char *bytes, size_t n, const char *want)
{
    vly_buf b;
    vly_buf_init(&b, VLY_MEM_BASE, 4096);
    vly_buf_json_str(&b, (vly_str){bytes, n});
    assert_false(b.failed);
    assert_string_equal(b.ptr, want);
    vly_buf_release(&b);
}

#define JSON(bytes, want) check_json(bytes, sizeof(bytes) - 1, want)
#define BAD               "\xef\xbf\xbd" /* U+FFFD */

static void json_escapes(void **state)
{
    (void)state;
    check_json(NULL, 0, "\"\"");
    JSON("plain", "\"plain\"");
    JSON("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
    JSON("\n\t\r\0\x1f\x7f", "\"\\u000a\\u0009\\u000d\\u0000\\u001f\x7f\"");
}

/* The table of RFC 3629, section 4, at its edges. */
static void json_keeps_utf8_and_replaces_the_rest(void **state)
{
    (void)state;
    static const char *const good[] = {
        "\xc2\x80",     "\xdf\xbf",         "\xe0\xa0\x80",     "\xec\xbf\xbf",     "\xed\x9f\xbf",
        "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf3\xbf\xbf\xbf", "\xf4\x8f\xbf\xbf",
    };
    for (size_t i = 0; i < VLY_COUNT(good); i++) {
        char want[8];
        snprintf(want, sizeof(want), "\"%s\"", good[i]);
        check_json(good[i], strlen(good[i]), want);
        check_json(good[i], 1, "\"" BAD "\""); /* cut short */
    }
    JSON("\x80", "\"" BAD "\"");
    JSON("\xc1\xbf", "\"" BAD BAD "\"");                 /* overlong */
    JSON("\xe0\x9f\xbf", "\"" BAD BAD BAD "\"");         /* overlong */
    JSON("\xed\xa0\x80", "\"" BAD BAD BAD "\"");         /* surrogate */
    JSON("\xf4\x90\x80\x80", "\"" BAD BAD BAD BAD "\""); /* past U+10FFFF */
    JSON("\xff", "\"" BAD "\"");
    JSON("\xe2\x82", "\"" BAD BAD "\""); /* the euro sign, cut */
    JSON("a\xe2\x82z", "\"a" BAD BAD "z\"");
}

static void count(void *ctx)
{
    ++*(int *)ctx;
}

static void lent_memory_goes_back_once(void **state)
{
    (void)state;
    char own[8] = "abc";
    int n_back = 0;
    vly_buf b, moved;

    vly_buf_init(&b, VLY_MEM_BASE, 100);
    vly_buf_lend(&b, own, 3, sizeof(own), count, &n_back);
    vly_buf_puts(&b, "def"); /* fits with its NUL */
    assert_ptr_equal(b.ptr, own);
    assert_string_equal(own, "abcdef");
    assert_int_equal(n_back, 0);
    moved = b; /* as an answer moves its parts */
    vly_buf_puts(&moved, "gh");
    assert_ptr_not_equal(moved.ptr, own);
    assert_string_equal(moved.ptr, "abcdefgh");
    assert_string_equal(own, "abcdef");
    assert_int_equal(n_back, 1);
    vly_buf_release(&moved);
    assert_int_equal(n_back, 1);

    vly_buf_init(&b, VLY_MEM_BASE, 100);
    vly_buf_lend(&b, own, 6, 0, count, &n_back); /* to be read only */
    vly_mem_fail_after(0);
    vly_buf_putc(&b, '!');
    vly_mem_fail_after(-1);
    assert_true(b.failed);
    assert_ptr_equal(b.ptr, own);
    vly_buf_release(&b);
    assert_int_equal(n_back, 2);
    assert_null(b.ptr);
}

UNIT_TESTS(cmocka_unit_test(lent_memory_goes_back_once), cmocka_unit_test(appends),
           cmocka_unit_test(grows_by_doubling), cmocka_unit_test(limit_is_exact_and_sticky),
           cmocka_unit_test(allocation_failure_sets_failed), cmocka_unit_test(json_escapes),
           cmocka_unit_test(json_keeps_utf8_and_replaces_the_rest))
