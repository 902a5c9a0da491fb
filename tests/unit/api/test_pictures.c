/* SPDX-License-Identifier: MIT */
/* Encoded pictures in place of an image tensor. The model's answer is the mean of each channel, and
 * its preparation divides by 255: so 255 and 0 become 1 and 0. */
#include "base/bits.h"
#include "service.h"

#include <stdio.h>
#include <string.h>

#define INPUT(n, more)                                                                             \
    "{\"inputs\":[{\"name\":\"images\",\"datatype\":\"BYTES\",\"shape\":[" #n "]" more "}]}"

static vly_buf png;

static int begin(void **state)
{
    png = picture_of(8, 8, 255, 255, 0);
    return service_start(state);
}

static int end(void **state)
{
    vly_buf_release(&png);
    return service_stop(state);
}

static void put_element(vly_buf *b, vly_str bytes)
{
    uint32_t len = (uint32_t)bytes.len;

    vly_buf_add(b, &len, sizeof(len));
    vly_buf_add_str(b, bytes);
}

/* Posts json with binary behind it. */
static reply send_picture(const char *model, const char *json, vly_str binary)
{
    char target[64], headers[64];
    vly_buf body;

    vly_buf_init(&body, VLY_MEM_NET, 1 << 20);
    vly_buf_puts(&body, json);
    vly_buf_add_str(&body, binary);
    snprintf(target, sizeof(target), "/v2/models/%s/infer", model);
    snprintf(headers, sizeof(headers), "Inference-Header-Content-Length: %zu\r\n", strlen(json));
    reply r = ask("POST", target, headers, body.ptr, body.len);
    vly_buf_release(&body);
    return r;
}

static void one_behind_its_length(void **state)
{
    (void)state;
    char json[256];
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, 1 << 20);
    put_element(&b, vly_buf_str(&png));
    snprintf(json, sizeof(json), INPUT(1, ",\"parameters\":{\"binary_data_size\":%zu}"), b.len);
    assert_reply(send_picture("colour", json, vly_buf_str(&b)), 200,
                 "{\"model_name\":\"colour\",\"model_version\":\"1\",\"outputs\":[{\"name\":"
                 "\"scores\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,1,0]}]}");
    vly_buf_release(&b);
}

static void the_rest_of_the_body(void **state)
{
    (void)state;
    assert_says(send_picture("colour", INPUT(1, ""), vly_buf_str(&png)), 200, "\"data\":[1,1,0]");
}

static void a_body_that_is_a_picture(void **state)
{
    (void)state;
    const float want[3] = {1, 1, 0};
    reply r = send_picture("colour", "", vly_buf_str(&png));

    assert_int_equal(r.status, 200);
    assert_memory_equal(r.body + r.body_len - sizeof(want), want, sizeof(want));
}

static void several_make_a_batch(void **state)
{
    (void)state;
    vly_buf other = picture_of(30, 20, 0, 255, 255), b; /* of another size */

    vly_buf_init(&b, VLY_MEM_NET, 1 << 20);
    put_element(&b, vly_buf_str(&png));
    put_element(&b, vly_buf_str(&other));
    assert_says(send_picture("colours", INPUT(2, ""), vly_buf_str(&b)), 200,
                "\"shape\":[2,3],\"data\":[1,1,0,0,1,1]");
    assert_says(send_picture("colour", INPUT(2, ""), vly_buf_str(&b)), 400,
                "input 'images' for model 'colour': expected 1 pictures, got 2");
    assert_says(send_picture("colours", INPUT(1, ""), vly_buf_str(&b)), 400,
                "unexpected number of string elements");
    assert_says(send_picture("colours", INPUT(3, ""), vly_buf_str(&b)), 400,
                "expecting 3 string elements, got 2");
    assert_says(send_picture("colours", INPUT(1000000000000, ""), vly_buf_str(&b)), 400,
                "expected 1 to 4 pictures");
    vly_buf_release(&b);
    vly_buf_release(&other);
}

static void damaged_ones_are_named(void **state)
{
    (void)state;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, 1 << 20);
    put_element(&b, vly_buf_str(&png));
    put_element(&b, (vly_str){png.ptr, png.len / 2});
    assert_says(send_picture("colours", INPUT(2, ""), vly_buf_str(&b)), 400, "picture 1");
    vly_buf_release(&b);
    assert_says(send_picture("colour", INPUT(1, ""), VLY_STR("\x03\0\0\0abc")), 415, "picture 0");
    assert_says(post("/v2/models/colour/infer", INPUT(1, ",\"data\":[\"abc\"]")), 400,
                "pictures are sent as binary data");
    assert_says(
        send_picture("id_BYTES",
                     "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"BYTES\",\"shape\":[1,1]}]}",
                     VLY_STR("\x03\0\0\0abc")),
        200, "\"data\":[\"abc\"]");
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(one_behind_its_length, begin, end),
           cmocka_unit_test_setup_teardown(the_rest_of_the_body, begin, end),
           cmocka_unit_test_setup_teardown(a_body_that_is_a_picture, begin, end),
           cmocka_unit_test_setup_teardown(several_make_a_batch, begin, end),
           cmocka_unit_test_setup_teardown(damaged_ones_are_named, begin, end))
