/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_json.h"

#include "base/float_text.h"

#include <inttypes.h>

#define US_PER_MS 1000

void vly_step_json_ms(vly_buf *b, int64_t us)
{
    uint64_t all = us < 0 ? -(uint64_t)us : (uint64_t)us;
    unsigned rest = (unsigned)(all % US_PER_MS);
    int digits = 3;

    vly_buf_printf(b, "%s%" PRIu64, us < 0 ? "-" : "", all / US_PER_MS);
    if (rest == 0)
        return;
    for (; rest % 10 == 0; rest /= 10)
        digits--;
    vly_buf_printf(b, ".%0*u", digits, rest);
}

void vly_step_json_event(vly_buf *b, const vly_step_event *e)
{
    char confidence[VLY_F32_TEXT_MAX];

    vly_f32_text(e->confidence, confidence);
    vly_buf_printf(b,
                   "{\"type\":\"%s\",\"step\":%" PRIu64 ",\"t_ms\":", vly_step_event_name(e->type),
                   e->step);
    vly_step_json_ms(b, e->t_us);
    vly_buf_printf(b, ",\"confidence\":%s,\"activity\":\"%s\",\"known_ms\":", confidence,
                   vly_activity_name(e->activity));
    vly_step_json_ms(b, e->known_us);
    vly_buf_putc(b, '}');
}

void vly_step_json_events(vly_buf *b, const vly_step_event *events, size_t n)
{
    vly_buf_putc(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            vly_buf_putc(b, ',');
        vly_step_json_event(b, &events[i]);
    }
    vly_buf_putc(b, ']');
}

void vly_step_csv_event(vly_buf *b, const vly_step_event *e)
{
    vly_buf_printf(b, "%s,%" PRIu64 ",", vly_step_event_name(e->type), e->step);
    vly_step_json_ms(b, e->t_us);
    vly_buf_printf(b, ",%.6g,%s\n", (double)e->confidence, vly_activity_name(e->activity));
}

void vly_step_json_activity(vly_buf *b, const vly_step_totals *t, unsigned rate_hz)
{
    for (int a = 0; a < VLY_ACTIVITIES; a++)
        vly_buf_printf(b, "%s\"%s\":%.12g", a == 0 ? "{" : ",", vly_activity_name((vly_activity)a),
                       (double)t->n_activity[a] / rate_hz);
    vly_buf_putc(b, '}');
}

static void put_text(vly_buf *b, const char *name, const char *text)
{
    vly_buf_printf(b, ",\"%s\":", name);
    vly_buf_json_str(b, vly_str_from(text));
}

static void put_guesses(vly_buf *b, const vly_imu_report *r)
{
    const struct {
        bool is_guessed;
        const char *name;
    } guesses[] = {{r->is_acc_unit_guessed, "acc"},
                   {r->is_gyro_unit_guessed, "gyro"},
                   {r->is_time_unit_guessed, "time"},
                   {r->is_rate_guessed, "rate"}};
    bool is_first = true;

    vly_buf_puts(b, ",\"guessed\":[");
    for (size_t i = 0; i < sizeof(guesses) / sizeof(guesses[0]); i++) {
        if (!guesses[i].is_guessed)
            continue;
        vly_buf_printf(b, "%s\"%s\"", is_first ? "" : ",", guesses[i].name);
        is_first = false;
    }
    vly_buf_putc(b, ']');
}

static void put_input(vly_buf *b, const vly_imu_report *r)
{
    vly_buf_puts(b, ",\"input\":{\"rows\":");
    vly_buf_printf(b, "%" PRIu64 ",\"rate_hz\":%.6g", r->n_rows, r->rate_hz);
    put_text(b, "format", r->format);
    put_text(b, "columns", r->columns);
    put_text(b, "acc_unit", r->acc_unit);
    put_text(b, "gyro_unit", r->gyro_unit);
    put_text(b, "time_unit", r->time_unit);
    put_guesses(b, r);
    if (r->n_late_gyro > 0)
        vly_buf_printf(b, ",\"late_gyro\":%" PRIu64, r->n_late_gyro);
    vly_buf_printf(b, ",\"is_rate_assumed\":%s}", r->is_rate_assumed ? "true" : "false");
}

static void put_left_out(vly_buf *b, const vly_step_summary *s)
{
    vly_buf_puts(b, ",\"left_out\":{");
    for (int i = 0; i < VLY_IMU_FAULTS; i++)
        vly_buf_printf(b, "\"%s\":{\"n\":%" PRIu64 ",\"first_line\":%" PRIu64 "},",
                       vly_imu_fault_name((vly_imu_fault)i), s->input->n_faults[i],
                       s->input->first_fault_line[i]);
    vly_buf_printf(b,
                   "\"duplicates\":%" PRIu32 ",\"out_of_order\":%" PRIu32 "},\"gaps\":%" PRIu32
                   ",\"bridged\":%" PRIu32,
                   s->counts->n_duplicates, s->counts->n_out_of_order, s->counts->n_gaps,
                   s->counts->n_bridged);
}

static void put_warnings(vly_buf *b, const vly_step_summary *s)
{
    bool is_first = true;

    vly_buf_puts(b, ",\"warnings\":[");
    for (int i = 0; i < VLY_STEP_WARNINGS; i++) {
        if (!s->has_warning[i])
            continue;
        if (!is_first)
            vly_buf_putc(b, ',');
        vly_buf_json_str(b, vly_str_from(vly_step_warning_text((vly_step_warning)i)));
        is_first = false;
    }
    vly_buf_putc(b, ']');
}

void vly_step_json_summary(vly_buf *b, const vly_step_summary *s)
{
    vly_buf_printf(b, "{\"samples\":%" PRIu64 ",\"steps\":%" PRIu64 ",\"duration_s\":%.12g",
                   s->totals->n_readings, s->totals->n_steps, s->duration_s);
    if (s->cadence > 0)
        vly_buf_printf(b, ",\"cadence\":%.4g", s->cadence);
    else
        vly_buf_puts(b, ",\"cadence\":null");
    vly_buf_puts(b, ",\"activity_s\":");
    vly_step_json_activity(b, s->totals, s->model->rate_hz);
    put_input(b, s->input);
    put_left_out(b, s);
    put_warnings(b, s);
    put_text(b, "model", s->model->name);
    vly_buf_puts(b, ",\"look_ahead_ms\":");
    vly_step_json_ms(b, vly_step_model_delay_us(s->model));
    vly_buf_puts(b, ",\"events\":");
    vly_step_json_events(b, s->events, s->n_events);
    vly_buf_putc(b, '}');
}
