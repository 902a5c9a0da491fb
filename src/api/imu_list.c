/* SPDX-License-Identifier: MIT */
#include "api/imu_list.h"

#include "api/imu_json.h"

#include <string.h>

#define PAGE 64 /* sessions taken at a time */

vly_status vly_imu_list(vly_imu_sessions *sessions, const vly_imu_who *who, vly_str after, size_t n,
                        vly_imu_list_fn fn, void *ctx, char last[VLY_IMU_ID_LEN + 1], vly_err *err)
{
    vly_imu_session_info page[PAGE];
    size_t n_all = 0, n_got = 0, want = 0;

    last[0] = '\0';
    do {
        want = n - n_all < PAGE ? n - n_all : PAGE;
        vly_status st = vly_imu_sessions_list(sessions, who, after, page, want, &n_got, err);
        if (st != VLY_OK)
            return st;
        for (size_t i = 0; i < n_got; i++)
            fn(ctx, &page[i], n_all + i);
        n_all += n_got;
        if (n_got > 0)
            after = vly_str_from(memcpy(last, page[n_got - 1].id, VLY_IMU_ID_LEN + 1));
    } while (n_got == want && n_all < n);
    if (n_got < want)
        last[0] = '\0';
    return VLY_OK;
}

static void put(void *ctx, const vly_imu_session_info *info, size_t idx)
{
    vly_buf *b = ctx;

    vly_buf_puts(b, idx > 0 ? "," : "");
    vly_imu_put_session(b, info);
}

vly_status vly_imu_list_json(vly_imu_sessions *sessions, const vly_imu_who *who, vly_str after,
                             size_t n, vly_buf *b, char last[VLY_IMU_ID_LEN + 1], vly_err *err)
{
    return vly_imu_list(sessions, who, after, n, put, b, last, err);
}
