/* SPDX-License-Identifier: MIT */
#include "support/imu_walk.h"

#include <math.h>

void imu_walk(vly_imu_reading *out, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        double t = (double)i / 80, w = 2 * 3.14159265358979 * 1.8 * t + seed;
        float on = t > 3 ? 1.0F : 0.0F, bounce = on * 3.0F * (float)sin(w);
        float tilt = 0.1F * (float)(seed % 7);
        out[i] = (vly_imu_reading){
            .t_us = (int64_t)i * 12500,
            .acc = {on * (float)sin(w / 2), tilt * (9.81F + bounce), 9.81F + bounce},
            .gyro = {on * 0.5F * (float)cos(w / 2), 0.1F, on * 0.2F * (float)sin(w)}};
    }
}
