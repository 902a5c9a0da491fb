/* SPDX-License-Identifier: MIT */
#include "base/assert.h"
#include "net/http_msg.h"
#include "unit.h"

static const vly_http_limits limits = {
    .max_header_bytes = 1024, .max_headers = 8, .max_body_bytes = 1024, .max_scratch_bytes = 8192};

static void unescape(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
        bool plus_is_blank;
    } cases[] = {
        {"", "", false},           {"/a/b", "/a/b", false}, {"%41%7a%7A", "Azz", false},
        {"a+b", "a+b", false},     {"a+b", "a b", true},    {"%2B", "+", true},
        {"%", NULL, false},        {"%4", NULL, false},     {"a%4", NULL, false},
        {"%g1", NULL, false},      {"%1g", NULL, false},    {"%00", NULL, false},
        {"%25", "%", false},       {"%2525", "%25", false}, {"%C3%A9", "\xc3\xa9", false},
        {"%2e%2E/", "../", false},
    };
    vly_arena arena;

    (void)state;
    vly_arena_init(&arena, VLY_MEM_NET, 1024, 8192);
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        vly_str out = VLY_STR("untouched");
        vly_status st =
            vly_http_unescape(&arena, vly_str_from(cases[i].in), cases[i].plus_is_blank, &out);
        assert_int_equal(st, cases[i].out != NULL ? VLY_OK : VLY_EFORMAT);
        assert_true(vly_str_is(out, cases[i].out != NULL ? cases[i].out : "untouched"));
    }
    vly_str huge = {cases[0].in, 100000};
    vly_str out;
    assert_int_equal(vly_http_unescape(&arena, huge, false, &out), VLY_ELIMIT);
    vly_arena_release(&arena);
}

static void query(void **state)
{
    vly_http_msg m;
    vly_str v = {0};

    (void)state;
    assert_int_equal(vly_http_msg_init(&m, &limits, NULL), VLY_OK);
    m.query = VLY_STR("a=1&b=x+%79&&flag&a=2&e=&%63=3=4&bad=%zz");
    assert_int_equal(vly_http_msg_query(&m, "a", &v), VLY_OK);
    assert_true(vly_str_is(v, "1")); /* the first */
    assert_int_equal(vly_http_msg_query(&m, "b", &v), VLY_OK);
    assert_true(vly_str_is(v, "x y"));
    assert_int_equal(vly_http_msg_query(&m, "flag", &v), VLY_OK);
    assert_true(vly_str_is(v, ""));
    assert_int_equal(vly_http_msg_query(&m, "e", &v), VLY_OK);
    assert_true(vly_str_is(v, ""));
    assert_int_equal(vly_http_msg_query(&m, "c", &v), VLY_OK);
    assert_true(vly_str_is(v, "3=4"));
    assert_int_equal(vly_http_msg_query(&m, "bad", &v), VLY_EFORMAT);
    assert_int_equal(vly_http_msg_query(&m, "none", &v), VLY_ENOTFOUND);
    m.query = (vly_str){0};
    assert_int_equal(vly_http_msg_query(&m, "a", &v), VLY_ENOTFOUND);
    vly_http_msg_release(&m);
}

static void header_lookup(void **state)
{
    vly_http_msg m;

    (void)state;
    assert_int_equal(vly_http_msg_init(&m, &limits, NULL), VLY_OK);
    m.headers[0] = (vly_http_header){VLY_STR("Content-TYPE"), VLY_STR("a/b")};
    m.headers[1] = (vly_http_header){VLY_STR("content-type"), VLY_STR("c/d")};
    m.n_headers = 2;
    assert_true(vly_str_is(vly_http_msg_header(&m, "content-type"), "a/b"));
    assert_null(vly_http_msg_header(&m, "content").ptr);
    vly_http_msg_clear(&m);
    assert_null(vly_http_msg_header(&m, "content-type").ptr);
    vly_http_msg_release(&m);
}

static void init_without_memory(void **state)
{
    (void)state;
    for (int n = 0; n < 2; n++) {
        vly_http_msg m;
        vly_err err;
        vly_mem_fail_after(n);
        vly_status st = vly_http_msg_init(&m, &limits, &err);
        vly_mem_fail_after(-1);
        assert_int_equal(st, VLY_ENOMEM);
    }
}

static size_t behind_json(const vly_http_msg *m)
{
    (void)m;
    return 153;
}

/* A large body stays where it was read, its tensors aligned, and takes no more than a megabyte on
 * the word of a length alone. */
static void large_body(void **state)
{
    enum { BYTES = 3 << 20, MEGABYTE = 1 << 20 };
    vly_http_budget budget = {.max_bytes = BYTES};
    const vly_http_limits large = {.max_header_bytes = 1024,
                                   .max_headers = 8,
                                   .max_body_bytes = BYTES,
                                   .max_scratch_bytes = 8192,
                                   .body_budget = &budget,
                                   .body_aligned_at = behind_json};
    const char *why;
    char *to = NULL, piece[1000];
    vly_http_msg m;

    (void)state;
    assert_int_equal(vly_http_msg_init(&m, &large, NULL), VLY_OK);
    assert_int_equal(vly_http__msg_expect_body(&m, BYTES, &why), 0);
    assert_in_range(m.body.cap, MEGABYTE, MEGABYTE + 4096);
    for (size_t i = 0; m.body.len < BYTES; i++) {
        size_t n = vly_http__msg_body_room(&m, &to);
        if (i % 3 == 0 || n == 0) {
            to = piece;
            n = VLY_COUNT(piece);
        } else {
            assert_ptr_equal(to, m.body.ptr + m.body.len);
        }
        n = n < BYTES - m.body.len ? n : BYTES - m.body.len;
        memset(to, (int)(i + 1), n);
        size_t begin = m.body.len;
        assert_int_equal(vly_http__msg_add_body(&m, to, n, &why), 0);
        assert_int_equal(m.body.len, begin + n);
        assert_int_equal(m.body.ptr[begin], i + 1);
        assert_int_equal(m.body.ptr[begin + n - 1], i + 1);
        assert_int_equal(m.body.ptr[m.body.len], 0);
        assert_int_equal((uintptr_t)(m.body.ptr + 153) % 64, 0);
        assert_true(m.body.cap - m.body.len >= 64);
    }
    assert_int_equal(m.body.ptr[0], 1);
    assert_int_equal(vly_http__msg_body_room(&m, &to), 0);
    assert_int_equal(vly_http__msg_add_body(&m, piece, 1, &why), 413);
    vly_http_msg_clear(&m);
    assert_int_equal(atomic_load(&budget.used_bytes), 0);
    assert_int_equal(vly_http__msg_expect_body(&m, 100, &why), 0);
    assert_int_equal(vly_http__msg_body_room(&m, &to), 0); /* a small one comes by the buffer */
    vly_http_msg_release(&m);
}

static void what_is_held_counts(void **state)
{
    (void)state;
    vly_http_budget budget = {.max_bytes = 100};
    vly_http_limits own = limits;
    vly_http_msg m;
    vly_err err;

    own.body_budget = &budget;
    assert_int_equal(vly_http_msg_init(&m, &own, NULL), VLY_OK);
    assert_int_equal(vly_http_msg_hold(&m, 60, &err), VLY_OK);
    assert_int_equal(vly_http_msg_hold(&m, 41, &err), VLY_EUNAVAILABLE);
    assert_int_equal(vly_http_msg_hold(&m, 40, &err), VLY_OK);
    assert_int_equal(atomic_load(&budget.used_bytes), 100);
    vly_http_msg_clear(&m);
    assert_int_equal(atomic_load(&budget.used_bytes), 0);
    vly_http_msg_release(&m);
}

UNIT_TESTS(cmocka_unit_test(what_is_held_counts), cmocka_unit_test(unescape),
           cmocka_unit_test(query), cmocka_unit_test(header_lookup),
           cmocka_unit_test(init_without_memory), cmocka_unit_test(large_body))
