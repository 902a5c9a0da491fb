/* SPDX-License-Identifier: MIT */
/* Python literals and JSON in model metadata; expected values by Python's ast.literal_eval. */
#include "tasks/metadata.h"
#include "unit.h"

#include <string.h>

static vly_arena arena;

static int set_up(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_BASE, 4096, (size_t)4 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_arena_release(&arena);
    return 0;
}

static void expect_names(const char *text, size_t n, const char *const *expected)
{
    const vly_str *names = NULL;
    size_t count = 0;

    assert_int_equal(vly_metadata_names(vly_str_from(text), &arena, &names, &count, NULL), VLY_OK);
    assert_int_equal(count, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(names[i].len, strlen(expected[i]));
        assert_memory_equal(names[i].ptr, expected[i], names[i].len);
    }
}

static void expect_failure(const char *text, vly_status expected)
{
    const vly_str *names = NULL;
    size_t count = 77;

    vly_err err = VLY_ERR_INIT;
    assert_int_equal(vly_metadata_names(vly_str_from(text), &arena, &names, &count, &err),
                     expected);
    assert_int_equal(err.status, expected);
    assert_null(names);
    assert_int_equal(count, 77);
}

static void reads_dictionaries(void **state)
{
    (void)state;
    expect_names("{0: 'person', 1: 'bicycle'}", 2, (const char *const[]){"person", "bicycle"});
    expect_names(" { 0 : \"it's\" ,\n1:'say \"x\"' , } ", 2,
                 (const char *const[]){"it's", "say \"x\""});
    expect_names("{\"0\": \"a\", \"1\": \"b\"}", 2, (const char *const[]){"a", "b"});
    expect_names("{2: 'c', 0: 'a'}", 3, (const char *const[]){"a", "", "c"});
    expect_names("{0: 'old', 0: 'new'}", 1, (const char *const[]){"new"});
    expect_names("{}", 0, NULL);
}

static void reads_lists(void **state)
{
    (void)state;
    expect_names("['a', \"b\"]", 2, (const char *const[]){"a", "b"});
    expect_names("['a',]", 1, (const char *const[]){"a"});
    expect_names("[]", 0, NULL);
}

static void reads_escapes(void **state)
{
    (void)state;
    expect_names("['a\\'b', '\\\\n\\n\\t\\/', '\\x41\\xe9']", 3,
                 (const char *const[]){"a'b", "\\n\n\t/", "A\xc3\xa9"});
    expect_names(
        "[\"\\u00e9\\u4f60\", \"\\ud83d\\ude00\", '\\U0001F600']", 3,
        (const char *const[]){"\xc3\xa9\xe4\xbd\xa0", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"});
    /* half a pair, and beyond Unicode: U+FFFD */
    expect_names("[\"\\ud83dx\", \"\\ud83d\\u0041\", '\\UFFFFFFFF']", 3,
                 (const char *const[]){"\xef\xbf\xbdx",
                                       "\xef\xbf\xbd"
                                       "A",
                                       "\xef\xbf\xbd"});
    expect_names("['\xe4\xbd\xa0']", 1, (const char *const[]){"\xe4\xbd\xa0"});
}

static void refuses_the_rest(void **state)
{
    static const char *const texts[] = {
        "",           "{",          "[",         "person",  "{0}",        "{0:}",     "{0: 1}",
        "{0: 'a'",    "{0: 'a'}x",  "['a' 'b']", "['a",     "['\\q']",    "['\\x4']", "['\\u00']",
        "{'a': 'b'}", "{0: ['a']}", "[['a']]",   "[,]",     "['a',,'b']", "{0 'a'}",  "{\"0: 'a'}",
        "{0x1: 'a'}", "{1.5: 'a'}", "['a'}",     "{0:'a']", "[None]",     "['a'],",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect_failure(texts[i], VLY_EFORMAT);
    expect_failure("{65536: 'a'}", VLY_ELIMIT);
    expect_failure("{-1: 'a'}", VLY_ELIMIT);
    expect_failure("{99999999999999999999: 'a'}", VLY_EFORMAT);
}

static void says_where_it_stopped(void **state)
{
    const vly_str *names;
    size_t count;
    vly_err err;

    (void)state;
    assert_int_equal(vly_metadata_names(VLY_STR("{0: 'a', 1; 'b'}"), &arena, &names, &count, &err),
                     VLY_EFORMAT);
    assert_string_equal(err.msg, "metadata: expected ':' at offset 10");
}

static void stops_at_a_nul(void **state)
{
    const vly_str *names;
    size_t count;

    (void)state;
    assert_int_equal(vly_metadata_names(VLY_STR("['a\0b']"), &arena, &names, &count, NULL),
                     VLY_EFORMAT);
    assert_int_equal(vly_metadata_names(VLY_STR("['a']\0"), &arena, &names, &count, NULL),
                     VLY_EFORMAT);
}

static void takes_no_more_memory_than_it_may(void **state)
{
    const vly_str *names;
    size_t count;
    vly_arena tiny;

    (void)state;
    vly_arena_init(&tiny, VLY_MEM_BASE, 64, 200);
    assert_int_equal(vly_metadata_names(VLY_STR("{1000: 'a'}"), &tiny, &names, &count, NULL),
                     VLY_ENOMEM);
    vly_arena_release(&tiny);
}

static void reads_integers(void **state)
{
    int64_t v[3];
    size_t n;

    (void)state;
    assert_int_equal(vly_metadata_ints(VLY_STR("[640, 480]"), v, 3, &n, NULL), VLY_OK);
    assert_true(n == 2 && v[0] == 640 && v[1] == 480);
    assert_int_equal(vly_metadata_ints(VLY_STR(" (17,\t-3,) "), v, 3, &n, NULL), VLY_OK);
    assert_true(n == 2 && v[0] == 17 && v[1] == -3);
    assert_int_equal(vly_metadata_ints(VLY_STR("32"), v, 3, &n, NULL), VLY_OK);
    assert_true(n == 1 && v[0] == 32);
    assert_int_equal(vly_metadata_ints(VLY_STR("[]"), v, 3, &n, NULL), VLY_OK);
    assert_int_equal(n, 0);
    static const char *const bad[] = {"",      "[1, 2, 3, 4]", "[1", "1 2",
                                      "[1 2]", "(1]",          "a",  "[1.5]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(vly_metadata_ints(vly_str_from(bad[i]), v, 3, &n, NULL), VLY_EFORMAT);
    assert_int_equal(vly_metadata_ints(VLY_STR("1"), v, 0, &n, NULL), VLY_EFORMAT);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
UNIT_TESTS(TEST(reads_dictionaries), TEST(reads_lists), TEST(reads_escapes), TEST(refuses_the_rest),
           TEST(says_where_it_stopped), TEST(stops_at_a_nul),
           TEST(takes_no_more_memory_than_it_may), TEST(reads_integers))
