/* SPDX-License-Identifier: MIT */
/*
 * Pictures in, observations out. The models are such that the answer is known: `colour` says which
 * channel is bright, `boxes` sees the same two boxes in every picture of its own size.
 */
#include "base/assert.h"
#include "codec/picture.h"
#include "service.h"

#include <stdio.h>
#include <string.h>

#define DETECT "/v1/images:detect"

#define CAT "{\"class_id\":0,\"class_name\":\"cat\",\"confidence\":0.9,\"bbox\":[2,4,12,16]}"
#define DOG "{\"class_id\":1,\"class_name\":\"dog\",\"confidence\":0.6,\"bbox\":[20,8,30,28]}"
#define TAIL                                                                                       \
    "\"image\":{\"width\":32,\"height\":32},\"model\":{\"name\":\"boxes\",\"version\":\"1\"}}"

static reply detect(const char *query, const char *headers, const vly_buf *picture)
{
    char target[256];

    snprintf(target, sizeof(target), DETECT "%s", query);
    return ask("POST", target, headers, picture->ptr, picture->len);
}

static void sees_boxes(void **state)
{
    (void)state;
    static const char *const types[] = {"Content-Type: image/png\r\n",
                                        "Content-Type: image/jpeg\r\n",
                                        "Content-Type: application/octet-stream\r\n",
                                        "Content-Type: application/x-www-form-urlencoded\r\n", ""};
    vly_buf picture = picture_of(32, 32, 1, 2, 3);

    for (size_t i = 0; i < VLY_COUNT(types); i++) {
        reply r = detect("?model=boxes", types[i], &picture);
        assert_reply(r, 200, "{\"detections\":[" CAT "," DOG "]," TAIL);
        assert_string_equal(header(&r, "Content-Type"), "application/json");
    }
    vly_buf_release(&picture);
}

static void boxes_are_of_the_picture(void **state)
{
    (void)state;
    vly_buf picture = picture_of(64, 64, 1, 2, 3); /* twice the model's size */

    assert_says(detect("?model=boxes&max=1", "", &picture), 200,
                "\"bbox\":[4,8,24,32]}],\"image\":"
                "{\"width\":64,\"height\":64}");
    vly_buf_release(&picture);
}

static void options_choose(void **state)
{
    (void)state;
    vly_buf picture = picture_of(32, 32, 1, 2, 3);

    assert_reply(detect("?model=boxes&confidence=0.7", "", &picture), 200,
                 "{\"detections\":[" CAT "]," TAIL);
    assert_reply(detect("?model=boxes&classes=dog", "", &picture), 200,
                 "{\"detections\":[" DOG "]," TAIL);
    assert_reply(detect("?classes=1,%20CAT&model=boxes", "", &picture), 200,
                 "{\"detections\":[" CAT "," DOG "]," TAIL);
    assert_reply(detect("?model=boxes&max=1&iou=0.5", "", &picture), 200,
                 "{\"detections\":[" CAT "]," TAIL);
    assert_reply(detect("?model=boxes&confidence=1", "", &picture), 200,
                 "{\"detections\":[]," TAIL);
    vly_buf_release(&picture);
}

static void classifies(void **state)
{
    (void)state;
    vly_buf picture = picture_of(20, 20, 0, 255, 0);

    assert_says(
        detect("?model=colour", "", &picture), 200,
        "{\"classifications\":[{\"class_id\":1,\"class_name\":\"green\",\"confidence\":1},");
    vly_buf_release(&picture);
}

static void draws_when_asked(void **state)
{
    (void)state;
    const vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;
    vly_buf picture = picture_of(640, 320, 0, 0, 0);
    vly_picture drawn;

    reply r = detect("?model=boxes", "Accept: text/html, image/jpeg;q=0.9, */*\r\n", &picture);
    assert_int_equal(r.status, 200);
    assert_string_equal(header(&r, "Content-Type"), "image/jpeg");
    assert_int_equal(vly_picture_decode(r.body, r.body_len, &limits, &drawn, NULL), VLY_OK);
    assert_int_equal(drawn.width, 640);
    assert_int_equal(drawn.height, 320);
    unsigned brightest = 0;
    for (uint32_t y = 0; y < drawn.height; y++)
        for (uint32_t x = 0; x < 3 * drawn.width; x++)
            if (drawn.pixels[y * drawn.stride + x] > brightest)
                brightest = drawn.pixels[y * drawn.stride + x];
    assert_true(brightest > 150); /* it was black */
    vly_picture_release(&drawn);
    r = detect("?model=boxes", "Accept: application/json, image/jpeg\r\n", &picture);
    assert_string_equal(header(&r, "Content-Type"), "application/json");
    vly_buf_release(&picture);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *query, *headers, *message;
        int status;
    } rows[] = {
        {"?model=boxes", "Content-Type: application/json\r\n", "got 'application/json'", 415},
        {"?model=nobody", "", "model 'nobody' is not served", 404},
        {"?model=broken", "", "model 'broken' is not available: ", 503},
        {"?model=simple", "", "model 'simple' takes no pictures", 400},
        {"", "", "several models take pictures ('boxes', 'colour', ...)", 400},
        {"?model=%zz", "", "'model': a bad escape in the query", 400},
        {"?model=boxes&confidence=1.1", "",
         "'confidence': expected a number from 0 to 1, got '1.1'", 400},
        {"?model=boxes&confidence=nan", "", "'confidence': expected", 400},
        {"?model=boxes&iou=x", "", "'iou': expected a number from 0 to 1, got 'x'", 400},
        {"?model=boxes&max=0", "", "'max': expected a number from 1 to 30000, got '0'", 400},
        {"?model=boxes&classes=cow", "", "'classes': the model has no class 'cow'", 400},
        {"?model=boxes&classes=", "", "'classes': the model has no class ''", 400},
    };
    vly_buf picture = picture_of(32, 32, 1, 2, 3);

    for (size_t i = 0; i < VLY_COUNT(rows); i++)
        assert_says(detect(rows[i].query, rows[i].headers, &picture), rows[i].status,
                    rows[i].message);
    picture.len /= 2;
    assert_int_equal(detect("?model=boxes", "", &picture).status, 400); /* cut short */
    vly_buf_release(&picture);
    assert_says(ask("POST", DETECT "?model=boxes", "", NULL, 0), 400, "expected a picture");
    assert_int_equal(ask("POST", DETECT "?model=boxes", "", "hello", 5).status, 415);
}

#define FORM "Content-Type: multipart/form-data; boundary=XX\r\n"

static void put_file(vly_buf *b, const char *name, const void *bytes, size_t len)
{
    vly_buf_printf(b,
                   "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n"
                   "Content-Type: application/octet-stream\r\n\r\n",
                   name);
    vly_buf_add(b, bytes, len);
    vly_buf_puts(b, "\r\n");
}

static void put_field(vly_buf *b, const char *name, const char *value)
{
    vly_buf_printf(b, "--XX\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", name,
                   value);
}

static reply send_form(vly_buf *form, const char *query, const char *headers)
{
    vly_buf_puts(form, "--XX--\r\n");
    reply r = detect(query, headers, form);
    vly_buf_clear(form);
    return r;
}

static void takes_forms(void **state)
{
    (void)state;
    vly_buf picture = picture_of(32, 32, 1, 2, 3);
    vly_buf form;

    vly_buf_init(&form, VLY_MEM_NET, 1 << 20);
    put_field(&form, "model", "boxes");
    put_field(&form, "confidence", "0.7");
    put_file(&form, "a.png", picture.ptr, picture.len);
    assert_reply(send_form(&form, "", FORM), 200, "{\"detections\":[" CAT "]," TAIL);
    /* The query wins. */
    put_field(&form, "model", "nobody");
    put_file(&form, "a.png", picture.ptr, picture.len);
    assert_reply(send_form(&form, "?model=boxes", FORM), 200,
                 "{\"detections\":[" CAT "," DOG "]," TAIL);
    put_file(&form, "a.png", picture.ptr, picture.len);
    reply r = send_form(&form, "?model=boxes", FORM "Accept: image/jpeg\r\n");
    assert_string_equal(header(&r, "Content-Type"), "image/jpeg");
    vly_buf_release(&picture);
    vly_buf_release(&form);
}

static void answers_files_in_order(void **state)
{
    (void)state;
    vly_buf red = picture_of(8, 8, 255, 0, 0);
    vly_buf blue = picture_of(8, 8, 0, 0, 255);
    vly_buf form;

    vly_buf_init(&form, VLY_MEM_NET, 1 << 20);
    put_file(&form, "red.png", red.ptr, red.len);
    put_file(&form, "not \\\"a\\\" picture.txt", "hello", 5);
    put_file(&form, "blue.png", blue.ptr, blue.len);
    reply r = send_form(&form, "?model=colour", FORM);
    assert_says(r, 200,
                "{\"results\":[{\"classifications\":[{\"class_id\":0,\"class_name\":\"red\",");
    const char *error = strstr(r.body, "{\"error\":\"'not ");
    const char *last =
        strstr(r.body, "{\"classifications\":[{\"class_id\":2,\"class_name\":\"blue\",");
    assert_true(error != NULL && last != NULL && error < last);

    put_file(&form, "a.txt", "hello", 5);
    put_file(&form, "b.txt", "hello", 5);
    r = send_form(&form, "?model=colour", FORM);
    assert_says(r, 415, "{\"results\":[{\"error\":\"'a.txt': ");
    vly_buf_release(&red);
    vly_buf_release(&blue);
    vly_buf_release(&form);
}

static void refuses_bad_forms(void **state)
{
    (void)state;
    vly_buf form;

    vly_buf_init(&form, VLY_MEM_NET, 1 << 20);
    assert_says(send_form(&form, "?model=boxes", FORM), 400, "expected at least one file");
    put_field(&form, "model", "boxes");
    assert_says(send_form(&form, "", FORM), 400, "expected at least one file");
    for (int i = 0; i < 5; i++)
        put_file(&form, "a", "b", 1);
    assert_says(send_form(&form, "?model=boxes", FORM), 413, "more than 4 parts");
    put_file(&form, "a", "b", 1);
    put_file(&form, "a", "b", 1);
    assert_says(send_form(&form, "?model=boxes", FORM "Accept: image/jpeg\r\n"), 400,
                "'Accept: image/jpeg' answers with one picture, got 2 files");
    assert_says(send_form(&form, "", "Content-Type: multipart/form-data\r\n"), 400, "no boundary");
    assert_says(ask("POST", DETECT, FORM, "--XX\r\n", 6), 400, "body ends");
    vly_buf_release(&form);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, service_start, service_stop)

UNIT_TESTS(SERVED(sees_boxes), SERVED(boxes_are_of_the_picture), SERVED(options_choose),
           SERVED(classifies), SERVED(draws_when_asked), SERVED(refuses), SERVED(takes_forms),
           SERVED(answers_files_in_order), SERVED(refuses_bad_forms))
