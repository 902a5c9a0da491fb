/* SPDX-License-Identifier: MIT */
/* What is accepted and what it means: the text format language of protobuf.dev.
 * Accepted and rejected texts were also given to Python's google.protobuf.text_format. */
#include "base/buf.h"
#include "codec/pbtxt.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One arena and buffer per test. */
typedef struct fixture {
    vly_arena arena;
    vly_buf out;
} fixture;

static void fixture_init(fixture *f)
{
    vly_arena_init(&f->arena, VLY_MEM_CODEC, 4096, 1 << 20);
    vly_buf_init(&f->out, VLY_MEM_CODEC, 1 << 20);
}

static void fixture_release(fixture *f)
{
    vly_arena_release(&f->arena);
    vly_buf_release(&f->out);
}

/* a:1 b:-x s:"..." m{...}, one blank between fields. */
static void print_tree(vly_buf *out, const vly_pbtxt *message)
{
    for (const vly_pbtxt *f = message->first; f != NULL; f = f->next) {
        if (f != message->first)
            vly_buf_putc(out, ' ');
        vly_buf_add_str(out, f->name);
        if (f->kind == VLY_PBTXT_MESSAGE) {
            vly_buf_putc(out, '{');
            print_tree(out, f);
            vly_buf_putc(out, '}');
            continue;
        }
        vly_buf_puts(out, f->is_negative ? ":-" : ":");
        if (f->kind == VLY_PBTXT_STRING)
            vly_buf_json_str(out, f->text);
        else
            vly_buf_add_str(out, f->text);
    }
}

static void check(const char *text, const char *want)
{
    fixture x;
    const vly_pbtxt *root;
    vly_err err = VLY_ERR_INIT;

    fixture_init(&x);
    vly_status st = vly_pbtxt_parse(vly_str_from(text), &x.arena, &root, &err);
    if (st != VLY_OK)
        fail_msg("'%s': %s", text, err.msg);
    print_tree(&x.out, root);
    vly_buf_putc(&x.out, '\0');
    assert_string_equal(x.out.ptr, want);
    fixture_release(&x);
}

static void reads_fields(void **state)
{
    (void)state;
    check("", "");
    check(" \n\t\r\v\f# only a comment", "");
    check("a: 1", "a:1");
    check("a:1 b:2", "a:1 b:2");
    check("a: 1, b: 2; c: 3", "a:1 b:2 c:3");
    check("a : 1 # one\nb # two\n: 2", "a:1 b:2");
    check("a:-1 b:- 1 c: -inf", "a:-1 b:-1 c:-inf");
    check("_a9: TYPE_FP32", "_a9:TYPE_FP32");
    check("\xef\xbb\xbf"
          "a: 1",
          "a:1");
    check("a: 1\r\nb: 2\r\n", "a:1 b:2");
    check("[com.foo/bar-x.ext]: 1 [a] { b: 1 }", "[com.foo/bar-x.ext]:1 [a]{b:1}");
}

static void reads_messages(void **state)
{
    (void)state;
    check("m { a: 1 }", "m{a:1}");
    check("m: { a: 1 }", "m{a:1}");
    check("m < a: 1 >", "m{a:1}");
    check("m {} n: <>", "m{} n{}");
    check("m { n < a: 1 > b: 2 }, c: 3", "m{n{a:1} b:2} c:3");
    check("m { a: 1 };n { a: 2, }", "m{a:1} n{a:2}");
}

static void reads_lists(void **state)
{
    (void)state;
    check("a: [1, 2, 3]", "a:1 a:2 a:3");
    check("a: [] b: [ ]", "");
    check("a: [x] a: 1", "a:x a:1");
    check("m: [{ a: 1 }, < a: 2 >] b: 3", "m{a:1} m{a:2} b:3");
    check("m [{ a: [1, -2] }, {}], b: 3", "m{a:1 a:-2} m{} b:3");
    check("s: ['a' 'b', \"c\"]; b: 3", "s:\"ab\" s:\"c\" b:3");
    check("a:[#x\n1#y\n,#z\n2#,\n]", "a:1 a:2");
}

static void reads_strings(void **state)
{
    (void)state;
    check("s: \"plain\"", "s:\"plain\"");
    check("s: 'with \"other\" quotes'", "s:\"with \\\"other\\\" quotes\"");
    check("s: ''", "s:\"\"");
    check("s: 'a' \"b\"\n# and\n'c'", "s:\"abc\"");
    check("s: 'first' t: 'second'", "s:\"first\" t:\"second\"");
    check("s: '# no comment'", "s:\"# no comment\"");
    check("s: '\\a\\b\\f\\n\\r\\t\\v\\?\\\\\\'\\\"'",
          "s:\"\\u0007\\u0008\\u000c\\u000a\\u000d\\u0009\\u000b?\\\\'\\\"\"");
    check("s: '\\1\\12\\123\\1234'", "s:\"\\u0001\\u000aSS4\"");
    check("s: '\\x1\\x41\\X42\\x4Aa'", "s:\"\\u0001ABJa\"");
    check("s: '\\u0041\\u00e9\\u20ac\\U0001F600'", "s:\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    check("s: '\\303\\251'", "s:\"\xc3\xa9\"");
}

static void string_may_hold_zero_and_any_byte(void **state)
{
    (void)state;
    fixture x;
    const vly_pbtxt *root;

    fixture_init(&x);
    assert_int_equal(vly_pbtxt_parse(VLY_STR("s: '\\0\\xff\\377'"), &x.arena, &root, NULL), VLY_OK);
    assert_int_equal(root->first->text.len, 3);
    assert_memory_equal(root->first->text.ptr, "\x00\xff\xff", 3);
    fixture_release(&x);
}

static void check_error(const char *text, vly_status want, const char *message)
{
    fixture x;
    const vly_pbtxt *root = NULL;
    vly_err err = VLY_ERR_INIT;

    fixture_init(&x);
    assert_int_equal(vly_pbtxt_parse(vly_str_from(text), &x.arena, &root, &err), want);
    assert_null(root);
    assert_string_equal(err.msg, message);
    fixture_release(&x);
}

static void rejects_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a", "1:2: expected ':', '{' or '<', got the end"},
        {"a 1", "1:3: expected ':', '{' or '<', got '1'"},
        {"a:", "1:3: expected a value, got the end"},
        {"a: }", "1:4: expected a value, got '}'"},
        {"a: -", "1:5: expected a value, got the end"},
        {"a: -'x'", "1:5: expected a value, got '''"},
        {"1: 2", "1:1: expected a field name, got '1'"},
        {": 2", "1:1: expected a field name, got ':'"},
        {"a: 1,, b: 2", "1:6: expected a field name, got ','"},
        {", a: 1", "1:1: expected a field name, got ','"},
        {"m {", "1:4: expected a field name, got the end"},
        {"m { a: 1\n >", "2:2: expected a field name, got '>'"},
        {"m < a: 1 }", "1:10: expected a field name, got '}'"},
        {"}", "1:1: expected a field name, got '}'"},
        {"m { } }", "1:7: expected a field name, got '}'"},
        {"a: [1", "1:6: expected ',' or ']', got the end"},
        {"a: [1 2]", "1:7: expected ',' or ']', got '2'"},
        {"a: [1,]", "1:7: expected a value, got ']'"},
        {"a: [,]", "1:5: expected a value, got ','"},
        {"a: [[1]]", "1:5: expected a value, got '['"},
        {"a [1]", "1:4: expected ':', '{' or '<', got '1'"},
        {"m [{ a: 1 ]", "1:11: expected a field name, got ']'"},
        {"m [{ a: 1 }", "1:12: expected ',' or ']', got the end"},
        {"[]: 1", "1:2: expected a name and ']', got ']'"},
        {"[a: 1", "1:3: expected a name and ']', got ':'"},
        {"s: 'abc", "1:8: expected a quote that ends the string, got the end"},
        {"s: 'a\nb'", "1:6: expected a quote that ends the string, got byte 0x0a"},
        {"s: 'a' 'b", "1:10: expected a quote that ends the string, got the end"},
        {"s: 'abc\\", "1:9: expected an escape sequence, got the end"},
        {"s: '\\q'", "1:6: expected an escape sequence, got 'q'"},
        {"s: '\\xg'", "1:7: expected an escape sequence, got 'g'"},
        {"s: '\\400'", "1:9: expected an escape sequence, got '''"},
        {"s: '\\u12'", "1:9: expected a hexadecimal digit, got '''"},
        {"s: '\\ud800'", "1:11: U+D800 is no character"},
        {"s: '\\U00110000'", "1:15: U+110000 is no character"},
        {"a: 1x", "1:4: malformed number '1x'"},
        {"a: 0x", "1:4: malformed number '0x'"},
        {"a: 0xg", "1:4: malformed number '0xg'"},
        {"a: .", "1:4: malformed number '.'"},
        {"a: 1.2.3", "1:4: malformed number '1.2.3'"},
        {"a: 1e", "1:4: malformed number '1e'"},
        {"a: 1e+", "1:4: malformed number '1e+'"},
        {"a: 1ff", "1:4: malformed number '1ff'"},
        {"a: 08", "1:4: malformed number '08'"},
        {"a: 01.5", "1:4: malformed number '01.5'"},
        {"a: 1_000", "1:4: malformed number '1_000'"},
        {"a: +1", "1:4: expected a value, got '+'"},
        {"a: 1 \x01", "1:6: expected a field name, got byte 0x01"},
        {"\xff", "1:1: expected a field name, got byte 0xff"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_error(cases[i].text, VLY_EFORMAT, cases[i].message);
}

static vly_status parse_nested(const char *open, size_t depth, size_t budget)
{
    fixture x;
    const vly_pbtxt *root;

    fixture_init(&x);
    x.arena.budget_bytes = budget;
    for (size_t i = 0; i < depth; i++)
        vly_buf_puts(&x.out, open);
    for (size_t i = 0; i < depth; i++)
        vly_buf_putc(&x.out, '}');
    vly_status st = vly_pbtxt_parse(vly_buf_str(&x.out), &x.arena, &root, NULL);
    fixture_release(&x);
    return st;
}

static void limits(void **state)
{
    (void)state;
    assert_int_equal(parse_nested("m{", VLY_PBTXT_DEPTH_MAX, 1 << 20), VLY_OK);
    assert_int_equal(parse_nested("m{", VLY_PBTXT_DEPTH_MAX + 1, 1 << 20), VLY_ELIMIT);
    assert_int_equal(parse_nested("m{", 100000, 1 << 20), VLY_ELIMIT);
    assert_int_equal(parse_nested("m{", VLY_PBTXT_DEPTH_MAX, 4200), VLY_ELIMIT);
    assert_int_equal(parse_nested("m{", 1, 64), VLY_ELIMIT);
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        vly_arena arena;
        const vly_pbtxt *root = NULL;
        vly_arena_init(&arena, VLY_MEM_CODEC, 64, 1 << 20); /* many blocks */
        vly_mem_fail_after(n);
        vly_status st =
            vly_pbtxt_parse(VLY_STR("a: 1 m { s: 'x' 'y' l: [1, 2] }"), &arena, &root, NULL);
        vly_mem_fail_after(-1);
        assert_true(st == VLY_OK ? root != NULL : root == NULL && st == VLY_ENOMEM);
        vly_arena_release(&arena);
        if (st == VLY_OK) {
            assert_true(n > 3);
            return;
        }
    }
}

static const vly_pbtxt *parse_value(fixture *x, const char *value)
{
    const vly_pbtxt *root;
    char text[128];

    snprintf(text, sizeof(text), "a: %s", value);
    assert_int_equal(vly_pbtxt_parse(vly_str_from(vly_arena_strdup(&x->arena, vly_str_from(text))),
                                     &x->arena, &root, NULL),
                     VLY_OK);
    return root->first;
}

static void values_as_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } cases[] = {
        {"0", true, 0},
        {"42", true, 42},
        {"-42", true, -42},
        {"0x1F", true, 31},
        {"-0xff", true, -255},
        {"017", true, 15},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"0x7fffffffffffffff", true, INT64_MAX},
        {"0777777777777777777777", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"0x8000000000000000", false, 0},
        {"0x10000000000000000", false, 0},
        {"02000000000000000000000", false, 0},
        {"18446744073709551616", false, 0},
        {"1.0", false, 0},
        {"1f", false, 0},
        {"true", false, 0},
        {"'1'", false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture x;
        int64_t v = 0;
        fixture_init(&x);
        assert_int_equal(vly_pbtxt_i64(parse_value(&x, cases[i].text), &v), cases[i].ok);
        assert_true(v == cases[i].want);
        fixture_release(&x);
    }
}

static void values_as_floats(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        double want;
    } cases[] = {
        {"1", true, 1},
        {"-1.5", true, -1.5},
        {".5", true, 0.5},
        {"5.", true, 5},
        {"1e3", true, 1000},
        {"1.5E-2f", true, 0.015},
        {"2F", true, 2},
        {"017", false, 0},
        {"0x10", false, 0},
        {"inf", true, (double)INFINITY},
        {"-INFINITY", true, -(double)INFINITY},
        {"1e400", false, 0},
        {"true", false, 0},
        {"'1'", false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture x;
        double v = 0;
        fixture_init(&x);
        assert_int_equal(vly_pbtxt_f64(parse_value(&x, cases[i].text), &v), cases[i].ok);
        assert_true(v == cases[i].want);
        assert_true(vly_pbtxt_f64(parse_value(&x, "nan"), &v));
        assert_true(isnan(v));
        fixture_release(&x);
    }
}

static void values_as_bools(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want; /* -1: none */
    } cases[] = {{"true", 1},  {"True", 1}, {"t", 1},      {"1", 1},     {"false", 0},
                 {"False", 0}, {"f", 0},    {"0", 0},      {"TRUE", -1}, {"2", -1},
                 {"-1", -1},   {"yes", -1}, {"'true'", -1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture x;
        bool v = false;
        fixture_init(&x);
        assert_int_equal(vly_pbtxt_bool(parse_value(&x, cases[i].text), &v), cases[i].want >= 0);
        assert_int_equal(v, cases[i].want == 1);
        fixture_release(&x);
    }
}

static void find_takes_the_last(void **state)
{
    (void)state;
    fixture x;
    const vly_pbtxt *root;
    int64_t v;

    fixture_init(&x);
    assert_int_equal(vly_pbtxt_parse(VLY_STR("a: 1\n b: 2\n  a: 3"), &x.arena, &root, NULL),
                     VLY_OK);
    const vly_pbtxt *a = vly_pbtxt_find(root, "a");
    assert_true(vly_pbtxt_i64(a, &v));
    assert_int_equal(v, 3);
    assert_int_equal(a->line, 3);
    assert_int_equal(a->column, 3);
    assert_null(vly_pbtxt_find(root, "c"));
    fixture_release(&x);
}

UNIT_TESTS(cmocka_unit_test(reads_fields), cmocka_unit_test(reads_messages),
           cmocka_unit_test(reads_lists), cmocka_unit_test(reads_strings),
           cmocka_unit_test(string_may_hold_zero_and_any_byte), cmocka_unit_test(rejects_malformed),
           cmocka_unit_test(limits), cmocka_unit_test(survives_every_failing_allocation),
           cmocka_unit_test(values_as_integers), cmocka_unit_test(values_as_floats),
           cmocka_unit_test(values_as_bools), cmocka_unit_test(find_takes_the_last))
