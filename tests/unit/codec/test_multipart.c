/* SPDX-License-Identifier: MIT */
/* Bodies written by hand from RFC 2046 5.1.1 and RFC 7578, and as curl and browsers send them. */
#include "codec/multipart.h"

#include "unit.h"

#define PARTS_MAX 8

static vly_multipart_part parts[PARTS_MAX];
static size_t n_parts;
static vly_err err;

static vly_status parse(vly_str body, size_t max)
{
    n_parts = 0;
    return vly_multipart_parse(body, VLY_STR("XX"), parts, max, &n_parts, &err);
}

static void assert_view(vly_str got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.ptr, want, got.len);
}

static void finds_the_boundary(void **state)
{
    (void)state;
    static const struct {
        const char *type, *boundary;
        vly_status st;
    } cases[] = {
        {"multipart/form-data; boundary=abc", "abc", VLY_OK},
        {"Multipart/Form-Data;charset=utf-8 ;  BOUNDARY=\"a b;c\"", "a b;c", VLY_OK},
        {"multipart/form-data; boundary=abc; charset=utf-8", "abc", VLY_OK},
        {"multipart/form-data", NULL, VLY_EFORMAT},
        {"multipart/form-data; boundary=", NULL, VLY_EFORMAT},
        {"multipart/form-data; boundary=\"abc", NULL, VLY_EFORMAT},
        {"multipart/form-data; x=boundary", NULL, VLY_EFORMAT},
        {"multipart/mixed; boundary=abc", NULL, VLY_EMEDIA},
        {"", NULL, VLY_EMEDIA},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vly_str boundary = {NULL, 0};
        assert_int_equal(vly_multipart_boundary(vly_str_from(cases[i].type), &boundary, &err),
                         cases[i].st);
        if (cases[i].st == VLY_OK)
            assert_view(boundary, cases[i].boundary);
    }
}

static void boundary_has_at_most_70_bytes(void **state)
{
    (void)state;
    char type[128] = "multipart/form-data; boundary=";
    size_t len = strlen(type);
    vly_str boundary;

    memset(type + len, 'x', 70);
    assert_int_equal(vly_multipart_boundary(vly_str_from(type), &boundary, &err), VLY_OK);
    assert_int_equal(boundary.len, 70);
    type[len + 70] = 'x';
    assert_int_equal(vly_multipart_boundary(vly_str_from(type), &boundary, &err), VLY_EFORMAT);
}

static void reads_a_form(void **state)
{
    (void)state;
    const vly_str body =
        VLY_STR("--XX\r\n"
                "Content-Disposition: form-data; name=\"model\"\r\n\r\n"
                "yolo\r\n"
                "--XX \t\r\n"
                "content-type:  image/jpeg \r\n"
                "X-Other: yes\r\n"
                "CONTENT-DISPOSITION: form-data; filename=\"a\\\".jpg\"; name=f\r\n"
                "\r\n"
                "\xff\xd8\r\n--X\r\n\0end\r\n"
                "--XX\r\n\r\n\r\n"
                "--XX--\r\nepilogue");

    assert_int_equal(parse(body, PARTS_MAX), VLY_OK);
    assert_int_equal(n_parts, 3);
    assert_view(parts[0].name, "model");
    assert_null(parts[0].filename.ptr);
    assert_int_equal(parts[0].content_type.len, 0);
    assert_view(parts[0].data, "yolo");
    assert_view(parts[1].name, "f");
    assert_view(parts[1].filename, "a\\\".jpg");
    assert_view(parts[1].content_type, "image/jpeg");
    assert_int_equal(parts[1].data.len, 13);
    assert_memory_equal(parts[1].data.ptr, "\xff\xd8\r\n--X\r\n\0end", 13);
    assert_int_equal(parts[2].name.len, 0);
    assert_int_equal(parts[2].data.len, 0);
}

static void accepts_preamble_and_no_parts(void **state)
{
    (void)state;
    assert_int_equal(parse(VLY_STR("for old readers\r\n--XX\r\n\r\na\r\n--XX--"), PARTS_MAX),
                     VLY_OK);
    assert_int_equal(n_parts, 1);
    assert_view(parts[0].data, "a");
    assert_int_equal(parse(VLY_STR("--XX--"), PARTS_MAX), VLY_OK);
    assert_int_equal(n_parts, 0);
    /* What does not begin a line is no boundary, so all this is preamble. */
    assert_int_equal(parse(VLY_STR("x--XX\r\n\r\ndata\r\n--XX--"), PARTS_MAX), VLY_OK);
    assert_int_equal(n_parts, 0);
}

static void rejects_what_is_malformed(void **state)
{
    (void)state;
    const vly_str cases[] = {
        VLY_STR(""),
        VLY_STR("no boundary at all"),
        VLY_STR("--XX"),
        VLY_STR("--XX\r\n"),
        VLY_STR("--XXY\r\n\r\na\r\n--XX--"),    /* longer boundary */
        VLY_STR("--XX\n\na\n--XX--"),           /* bare line feeds */
        VLY_STR("--XX\r\nContent-Type: a\r\n"), /* ends in the headers */
        VLY_STR("--XX\r\n\r\ndata"),            /* ends in the data */
        VLY_STR("--XX\r\n\r\ndata\r\n--XX"),    /* ends behind a boundary */
        VLY_STR("--XX\r\n\r\ndata--XX--"),      /* the boundary does not begin a line */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(parse(cases[i], PARTS_MAX), VLY_EFORMAT);
        assert_int_equal(n_parts, 0);
    }
    assert_int_equal(
        vly_multipart_parse((vly_str){NULL, 0}, VLY_STR("XX"), parts, 1, &n_parts, &err),
        VLY_EFORMAT);
    assert_int_equal(vly_multipart_parse(VLY_STR("--\r\n"), VLY_STR(""), parts, 1, &n_parts, &err),
                     VLY_EFORMAT);
}

static void bounds_parts_and_headers(void **state)
{
    (void)state;
    const vly_str two = VLY_STR("--XX\r\n\r\na\r\n--XX\r\n\r\nb\r\n--XX--");
    char body[VLY_MULTIPART_HEADER_MAX + 64];
    const char *open = "--XX\r\n", *tail = "\r\n\r\na\r\n--XX--";

    assert_int_equal(parse(two, 2), VLY_OK);
    assert_int_equal(parse(two, 1), VLY_ELIMIT);
    /* The headers of one part, with their empty line, in exactly the limit, and one byte more. */
    for (size_t over = 0; over < 2; over++) {
        size_t fill = VLY_MULTIPART_HEADER_MAX - 4 + over;
        memcpy(body, open, strlen(open));
        memset(body + strlen(open), 'h', fill);
        memcpy(body + strlen(open) + fill, tail, strlen(tail));
        vly_str text = {body, strlen(open) + fill + strlen(tail)};
        assert_int_equal(parse(text, 1), over == 0 ? VLY_OK : VLY_ELIMIT);
    }
}

UNIT_TESTS(cmocka_unit_test(finds_the_boundary), cmocka_unit_test(boundary_has_at_most_70_bytes),
           cmocka_unit_test(reads_a_form), cmocka_unit_test(accepts_preamble_and_no_parts),
           cmocka_unit_test(rejects_what_is_malformed), cmocka_unit_test(bounds_parts_and_headers))
