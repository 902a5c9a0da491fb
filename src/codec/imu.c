/* SPDX-License-Identifier: MIT */
#include "codec/imu.h"

#include "base/assert.h"

#include <math.h>

static const char *const fault_names[VLY_IMU_FAULTS] = {
    [VLY_IMU_NOT_A_NUMBER] = "not_a_number",
    [VLY_IMU_NOT_FINITE] = "not_finite",
    [VLY_IMU_OUT_OF_RANGE] = "out_of_range",
};

const char *vly_imu_fault_name(vly_imu_fault fault)
{
    VLY_ASSERT(fault < VLY_IMU_FAULTS);
    return fault_names[fault];
}

vly_imu_fault vly_imu_reading_fault(const vly_imu_reading *r)
{
    bool is_finite = true;
    bool is_in_range = r->t_us >= -VLY_IMU_TIME_MAX && r->t_us <= VLY_IMU_TIME_MAX;

    for (int i = 0; i < 3; i++) {
        is_finite = is_finite && isfinite(r->acc[i]) && isfinite(r->gyro[i]);
        is_in_range = is_in_range && fabsf(r->acc[i]) <= VLY_IMU_ACC_MAX &&
                      fabsf(r->gyro[i]) <= VLY_IMU_GYRO_MAX;
    }
    return !is_finite ? VLY_IMU_NOT_FINITE : is_in_range ? VLY_IMU_FAULTS : VLY_IMU_OUT_OF_RANGE;
}
