/* SPDX-License-Identifier: MIT */
#include "api/imu_json.h"

#include "tasks/steps/step_json.h"

#include <inttypes.h>

static void put_text(vly_buf *b, const char *name, const char *text)
{
    vly_buf_printf(b, "%s\":", name);
    vly_buf_json_str(b, vly_str_from(text));
}

void vly_imu_put_info(vly_buf *b, const vly_imu_session_info *info)
{
    const vly_imu_grid_counts *c = &info->counts;
    const vly_step_totals *t = &info->totals;

    put_text(b, "\"session", info->id);
    put_text(b, ",\"user", info->user);
    put_text(b, ",\"device", info->device);
    vly_buf_printf(b,
                   ",\"attached\":%s,\"next\":%" PRIu64 ",\"durable\":%" PRIu64
                   ",\"readings\":%" PRIu64 ",\"steps\":%" PRIu64 ",\"activity\":\"%s\"",
                   info->is_attached ? "true" : "false", info->next, info->durable, t->n_readings,
                   t->n_steps, vly_activity_name(info->activity));
    vly_buf_puts(b, ",\"activity_s\":");
    vly_step_json_activity(b, t, VLY_IMU_FEATURES_RATE_HZ);
    vly_buf_printf(b, ",\"begun_ms\":%" PRId64 ",\"heard_ms\":%" PRId64, info->begun_ms,
                   info->heard_ms);
    vly_buf_puts(b, ",\"first_ms\":");
    vly_step_json_ms(b, t->first_us);
    vly_buf_puts(b, ",\"last_ms\":");
    vly_step_json_ms(b, t->last_us);
    vly_buf_printf(b,
                   ",\"counts\":{\"duplicates\":%" PRIu32 ",\"out_of_order\":%" PRIu32
                   ",\"bridged\":%" PRIu32 ",\"gaps\":%" PRIu32 "}",
                   c->n_duplicates, c->n_out_of_order, c->n_bridged, c->n_gaps);
}

void vly_imu_put_session(vly_buf *b, const vly_imu_session_info *info)
{
    vly_buf_putc(b, '{');
    vly_imu_put_info(b, info);
    vly_buf_putc(b, '}');
}
