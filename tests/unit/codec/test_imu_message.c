/* SPDX-License-Identifier: MIT */
#include "codec/imu_message.h"

#include "unit.h"

static vly_arena arena;

static int setup(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, (size_t)16 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_arena_release(&arena);
    return 0;
}

static vly_imu_message read(const char *json, bool has_gyro)
{
    vly_imu_message m;
    vly_err err;

    if (vly_imu_message_read(vly_str_from(json), has_gyro, &arena, &m, &err) != VLY_OK)
        fail_msg("%s: %s", json, err.msg);
    return m;
}

static void assert_reading(const vly_imu_reading *r, int64_t t_us, const float v[6])
{
    assert_true(r->t_us == t_us);
    assert_memory_equal(r->acc, v, sizeof(r->acc));
    assert_memory_equal(r->gyro, v + 3, sizeof(r->gyro));
}

static void reads_rows(void **state)
{
    (void)state;
    vly_imu_message m = read("{\"readings\":[[0,0.1,-9.8,1e1,0,-0.5,2],[12.5,1,2,3,4,5,6],"
                             "[-0.0015,0,0,0,0,0,0]],\"first\":9007199254740993,\"more\":[]}",
                             true);
    assert_int_equal(m.action, VLY_IMU_READINGS);
    assert_int_equal(m.n, 3);
    assert_true(m.has_times && m.has_first && m.first == UINT64_C(9007199254740993));
    assert_reading(&m.readings[0], 0, (float[]){0.1F, -9.8F, 10, 0, -0.5F, 2});
    assert_reading(&m.readings[1], 12500, (float[]){1, 2, 3, 4, 5, 6});
    assert_true(m.readings[2].t_us == -2); /* halves away from zero */
    m = read("{\"readings\":[[1,2,3,4,5,6]]}", true);
    assert_true(m.n == 1 && !m.has_times && !m.has_first);
    assert_reading(&m.readings[0], 0, (float[]){1, 2, 3, 4, 5, 6});
    m = read("{\"readings\":[[1,2,3],[4,5,6]]}", false);
    assert_true(m.n == 2 && !m.has_times);
    assert_reading(&m.readings[1], 0, (float[]){4, 5, 6, 0, 0, 0});
    m = read("{\"readings\":[[1700000000000.125,2,3,4]]}", false);
    assert_true(m.has_times);
    assert_reading(&m.readings[0], INT64_C(1700000000000125), (float[]){2, 3, 4, 0, 0, 0});
}

static void reads_one(void **state)
{
    (void)state;
    vly_imu_message m = read("{\"gyro_z\":6,\"accel_x\":1,\"accel_y\":2,\"accel_z\":3,\"gyro_x\":4,"
                             "\"gyro_y\":5}",
                             true);
    assert_true(m.n == 1 && !m.has_times);
    assert_reading(m.readings, 0, (float[]){1, 2, 3, 4, 5, 6});
    m = read("{\"accel_x\":1,\"accel_y\":2,\"accel_z\":3,\"t_ms\":20}", false);
    assert_true(m.has_times);
    assert_reading(m.readings, 20000, (float[]){1, 2, 3, 0, 0, 0});
}

static void reads_actions(void **state)
{
    (void)state;
    assert_int_equal(read("{\"action\":\"stop\"}", true).action, VLY_IMU_STOP);
    assert_int_equal(read("{\"action\":\"reset\"}", true).action, VLY_IMU_RESET);
    assert_int_equal(read("{\"action\":\"stats\",\"readings\":7}", true).action, VLY_IMU_STATS);
}

static void refuses(void **state)
{
    static const struct {
        const char *json, *says;
        vly_status status;
    } rows[] = {
        {"", "expected JSON of at most 524288 bytes, got 0", VLY_EFORMAT},
        {"{\"readings\":[[1,2", "expected JSON: ", VLY_EFORMAT},
        {"[1]", "expected an object, got array", VLY_EINVAL},
        {"{\"action\":\"go\"}", "'action': expected stop, reset or stats", VLY_EINVAL},
        {"{\"action\":1}", "'action'", VLY_EINVAL},
        {"{\"readings\":[]}", "'readings': expected an array with readings", VLY_EINVAL},
        {"{\"readings\":{}}", "'readings'", VLY_EINVAL},
        {"{\"readings\":[[1,2,3]]}", "reading 0: expected an array of 6 numbers", VLY_EINVAL},
        {"{\"readings\":[[1,2,3,4,5,6,7],[1,2,3,4,5,6]]}",
         "reading 1: expected an array of 7 numbers, t_ms first", VLY_EINVAL},
        {"{\"readings\":[[1,2,3,4,5,6],7]}", "reading 1: expected an array", VLY_EINVAL},
        {"{\"readings\":[[1,2,3,4,\"x\",6]]}", "reading 0: gyro_y: expected a number, got string",
         VLY_EINVAL},
        {"{\"readings\":[[1,2,3,4,null,6]]}", "got null", VLY_EINVAL},
        {"{\"readings\":[[1,200.1,3,4,5,6]]}",
         "reading 0: accel_y: expected within 200 m/s^2, got 200.1", VLY_EINVAL},
        {"{\"readings\":[[1,2,3,4,5,-70.5]]}",
         "reading 0: gyro_z: expected within 70 rad/s, got -70.5", VLY_EINVAL},
        {"{\"readings\":[[1,1e300,3,4,5,6]]}", "accel_y", VLY_EINVAL},
        {"{\"readings\":[[9.1e12,1,2,3,4,5,6]]}", "reading 0: t_ms: expected milliseconds",
         VLY_EINVAL},
        {"{\"readings\":[[true,1,2,3,4,5,6]]}", "t_ms: expected milliseconds, got true",
         VLY_EINVAL},
        {"{\"readings\":[[1,2,3,4,5,6]],\"first\":-1}", "'first'", VLY_EINVAL},
        {"{\"readings\":[[1,2,3,4,5,6]],\"first\":1.5}", "'first'", VLY_EINVAL},
        {"{\"accel_x\":1,\"accel_y\":2,\"accel_z\":3,\"gyro_x\":1,\"gyro_z\":1}",
         "expected 'gyro_y', which is missing", VLY_ENOTFOUND},
        {"{}", "expected 'accel_x', which is missing", VLY_ENOTFOUND},
    };
    vly_imu_message m = {.n = 77};
    vly_err err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        vly_status st = vly_imu_message_read(vly_str_from(rows[i].json), true, &arena, &m, &err);
        if (st != rows[i].status || strstr(err.msg, rows[i].says) == NULL)
            fail_msg("%s: got %d '%s'", rows[i].json, st, err.msg);
        assert_int_equal(m.n, 77);
    }
}

static void keeps_its_limits(void **state)
{
    vly_imu_message m;
    vly_arena small;
    vly_buf b;
    vly_err err;

    (void)state;
    vly_buf_init(&b, VLY_MEM_CODEC, 1 << 20);
    vly_buf_puts(&b, "{\"readings\":[[1,2,3]");
    for (int i = 1; i < VLY_IMU_PACKET_MAX; i++)
        vly_buf_puts(&b, ",[1,2,3]");
    size_t len = b.len;
    vly_buf_puts(&b, "]}");
    assert_int_equal(read(b.ptr, false).n, VLY_IMU_PACKET_MAX);
    b.len = len;
    vly_buf_puts(&b, ",[1,2,3]]}");
    assert_int_equal(vly_imu_message_read(vly_buf_str(&b), false, &arena, &m, &err), VLY_ELIMIT);
    assert_non_null(strstr(err.msg, "expected at most 4096 in a message, got 4097"));
    vly_arena_init(&small, VLY_MEM_CODEC, 4096, 16384);
    assert_int_equal(vly_imu_message_read(vly_buf_str(&b), false, &small, &m, &err), VLY_ELIMIT);
    vly_arena_release(&small);
    while (b.len <= VLY_IMU_MESSAGE_BYTES_MAX)
        vly_buf_putc(&b, ' ');
    assert_int_equal(vly_imu_message_read(vly_buf_str(&b), false, &arena, &m, &err), VLY_ELIMIT);
    vly_buf_release(&b);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

UNIT_TESTS(TEST(reads_rows), TEST(reads_one), TEST(reads_actions), TEST(refuses),
           TEST(keeps_its_limits))
