/* SPDX-License-Identifier: MIT */
/* Requests of volley.v1.Steps as bytes: what Python's protobuf makes of them. */
#include "codec/grpc_steps.h"

#include "codec/pbwire.h"

#include "unit.h"

#define BYTES(literal) ((vly_str){literal, sizeof(literal) - 1})

static const char open[] = "\n\021\n\001u\022\001d!\0\0\0\0\0\0I@(\001";

static const char readings[] =
    "\022V\010\254\002\022\005\000\001\250\303\001\032$\000\000\300?\000\000\000@\000\000@@"
    "\000\000\200@\000\000\240@\000\000\300@\000\000\340@\000\000\000A\000\000\020A\"$"
    "\000\000\000?\000\000\000?\000\000\000?\000\000\000?\000\000\000?\000\000\000?"
    "\000\000\000?\000\000\000?\000\000\000?";

static const char no_times[] = "\022\016\032\014\000\000\200?\000\000\000@\000\000@@";

/* The same not packed, which other writers may send. */
static const char one_by_one[] = "\022\021\020\016\035\000\000\200?\035\000\000\000@\035\000\000@@";

static const char uneven[] = "\022\030\032\020\000\000\200?\000\000\000@\000\000@@\000\000\200@\""
                             "\004\000\000\200?";

static const char detect[] = "\n\0061,2,3\n\021\000\000\000\000\000\000T@\032\005acc_x8\372\001@"
                             "\001";

static vly_arena arena;

static int setup(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, (size_t)1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_arena_release(&arena);
    return 0;
}

static vly_grpc_steps_request parse(vly_str message, bool has_gyro)
{
    vly_grpc_steps_request r;
    vly_err err;

    if (vly_grpc_steps_request_parse(message, has_gyro, &arena, &r, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return r;
}

static void reads_requests_of_streams(void **state)
{
    (void)state;
    vly_grpc_steps_request r = parse(BYTES(open), true);
    assert_int_equal(r.what, VLY_GRPC_STEPS_OPEN);
    assert_true(vly_str_is(r.open.user, "u") && vly_str_is(r.open.device, "d"));
    assert_true(r.open.session.len == 0 && r.open.rate_hz == 50 && r.open.is_without_gyro);
    r = parse(BYTES("\032\005VIMU\001"), true);
    assert_int_equal(r.what, VLY_GRPC_STEPS_PACKETS);
    assert_true(vly_str_is(r.packets, "VIMU\1"));
    r = parse(BYTES(" \002"), true);
    assert_int_equal(r.what, VLY_GRPC_STEPS_MESSAGE);
    assert_int_equal(r.message.action, VLY_IMU_STATS);
    assert_int_equal(parse(BYTES(" \001"), true).message.action, VLY_IMU_RESET);
    assert_int_equal(parse(BYTES(""), true).what, VLY_GRPC_STEPS_NOTHING);
    assert_int_equal(parse(BYTES("x\001"), true).what, VLY_GRPC_STEPS_NOTHING);
    assert_int_equal(parse(BYTES("\032\001V \002"), true).what, VLY_GRPC_STEPS_MESSAGE);
}

static void reads_readings(void **state)
{
    (void)state;
    vly_grpc_steps_request r = parse(BYTES(readings), true);
    const vly_imu_message *m = &r.message;
    assert_int_equal(r.what, VLY_GRPC_STEPS_MESSAGE);
    assert_int_equal(m->action, VLY_IMU_READINGS);
    assert_true(m->n == 3 && m->has_times && m->has_first && m->first == 300);
    assert_true(m->readings[0].t_us == 0 && m->readings[1].t_us == -1);
    assert_true(m->readings[2].t_us == 12500);
    assert_memory_equal(m->readings[0].acc, ((float[]){1.5F, 2, 3}), 12);
    assert_memory_equal(m->readings[2].acc, ((float[]){7, 8, 9}), 12);
    assert_memory_equal(m->readings[1].gyro, ((float[]){0.5F, 0.5F, 0.5F}), 12);
    r = parse(BYTES(no_times), false);
    assert_true(r.message.n == 1 && !r.message.has_times && !r.message.has_first);
    assert_memory_equal(r.message.readings[0].acc, ((float[]){1, 2, 3}), 12);
    r = parse(BYTES(one_by_one), false);
    assert_true(r.message.n == 1 && r.message.has_times && r.message.readings[0].t_us == 7);
    assert_memory_equal(r.message.readings[0].acc, ((float[]){1, 2, 3}), 12);
}

static void refuses_readings(void **state)
{
    static const struct {
        vly_str bytes;
        bool has_gyro;
        vly_status status;
        const char *says;
    } rows[] = {
        {{uneven, sizeof(uneven) - 1}, true, VLY_EINVAL, "x, y, z of each in 'acc', got 4"},
        {{no_times, sizeof(no_times) - 1}, true, VLY_EINVAL, "3 numbers in 'gyro', got 0"},
        {{readings, sizeof(readings) - 1}, false, VLY_EINVAL, "0 numbers in 'gyro', got 9"},
        {{readings, sizeof(readings) - 2}, true, VLY_EFORMAT, "malformed"},
        {{"\022\000", 2}, true, VLY_EINVAL, "got 0"},
        {{"\022\005\032\003\0\0\0", 7}, true, VLY_EFORMAT, "malformed"},
        {{"\022\021\022\001\200\032\014\0\0\200?\0\0\0@\0\0@@", 19},
         false,
         VLY_EFORMAT,
         "malformed"},
        {{"\022\022\022\002\2\2\032\014\0\0\200?\0\0\0@\0\0@@", 20},
         false,
         VLY_EINVAL,
         "a time for each of 1, got 2"},
        {{"\022\016\032\014\0\0\200?\0\0\300\177\0\0@@", 16}, false, VLY_EINVAL, "accel_y"},
        {{" \003", 2}, true, VLY_EINVAL, "'action'"},
        {{" \000", 2}, true, VLY_EINVAL, "'action'"},
        {{"\n\003\n\001\377", 5}, true, VLY_EFORMAT, "malformed"},
    };
    vly_grpc_steps_request r = {.packets = VLY_STR("untouched")};
    vly_err err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        vly_status st =
            vly_grpc_steps_request_parse(rows[i].bytes, rows[i].has_gyro, &arena, &r, &err);
        if (st != rows[i].status || strstr(err.msg, rows[i].says) == NULL)
            fail_msg("row %zu: got %d '%s'", i, st, err.msg);
        assert_true(vly_str_is(r.packets, "untouched"));
    }
}

static void keeps_its_limits(void **state)
{
    vly_grpc_steps_request r;
    vly_buf b;
    vly_err err;

    (void)state;
    vly_buf_init(&b, VLY_MEM_CODEC, 1 << 20);
    size_t message = vly_pb_open(&b, 2);
    size_t acc = vly_pb_open(&b, 3);
    for (size_t i = 0; i < (size_t)3 * (VLY_IMU_PACKET_MAX + 1); i++)
        vly_buf_add(&b, "\0\0\0", 4);
    vly_pb_close(&b, acc);
    vly_pb_close(&b, message);
    assert_int_equal(vly_grpc_steps_request_parse(vly_buf_str(&b), false, &arena, &r, &err),
                     VLY_ELIMIT);
    assert_non_null(strstr(err.msg, "expected at most 4096 in a message, got 4097"));
    vly_buf_release(&b);
}

static void reads_other_requests(void **state)
{
    vly_grpc_sessions_request sessions;
    vly_grpc_detect_request r;
    vly_err err;

    (void)state;
    assert_int_equal(vly_grpc_detect_request_parse(BYTES(detect), &r, &err), VLY_OK);
    assert_true(vly_str_is(r.recording, "1,2,3\n") && vly_str_is(r.columns, "acc_x"));
    assert_true(r.rate_hz == 80 && r.look_ahead_ms == 250 && r.is_without_events);
    assert_int_equal(r.gyro_unit.len, 0);
    assert_int_equal(vly_grpc_detect_request_parse(BYTES(""), &r, &err), VLY_OK);
    assert_true(r.rate_hz == 0 && r.look_ahead_ms == -1 && !r.is_without_events);
    assert_int_equal(vly_grpc_detect_request_parse(BYTES("\032\001\377"), &r, &err), VLY_EFORMAT);
    assert_int_equal(vly_grpc_sessions_request_parse(BYTES("\n\002ab\020\007"), &sessions, &err),
                     VLY_OK);
    assert_true(vly_str_is(sessions.after, "ab") && sessions.limit == 7);
    assert_int_equal(vly_grpc_sessions_request_parse(BYTES("\n\003ab"), &sessions, &err),
                     VLY_EFORMAT);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

UNIT_TESTS(TEST(reads_requests_of_streams), TEST(reads_readings), TEST(refuses_readings),
           TEST(keeps_its_limits), TEST(reads_other_requests))
