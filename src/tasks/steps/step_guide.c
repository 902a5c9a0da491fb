/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_guide.h"

#include "base/mem.h"
#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

/* Its settings: 11 m/s^2 and 1.5 rad/s, of which "adaptive" takes 0.7, but not less than 10.5. */
#define MOTION         10.5
#define ROTATION       1.05
#define INTERVAL_US    400000
#define STILL_VARIANCE 0.8
#define STILL_READINGS 10
#define P_STEP         0.3F
#define P_SURE         0.8F

#define CHUNK 4096 /* readings that go through the network at once */

/* ---- rules --------------------------------------------------------------------------------- */

static void shift_in(double *list, size_t n, double v)
{
    memmove(list, list + 1, (n - 1) * sizeof(*list));
    list[n - 1] = v;
}

/* Of the last 15 magnitudes, or as many as there are; 0 before there are 10. */
static double variance(const vly_step_guide *g)
{
    size_t n = g->n < VLY_STEP_GUIDE_WINDOW ? (size_t)g->n : VLY_STEP_GUIDE_WINDOW;
    const double *last = g->acc + VLY_STEP_GUIDE_WINDOW - n;
    double sum = 0, squares = 0;

    if (n < 10)
        return 0;
    for (size_t i = 0; i < n; i++)
        sum += last[i];
    for (size_t i = 0; i < n; i++)
        squares += (last[i] - sum / (double)n) * (last[i] - sum / (double)n);
    return squares / (double)n;
}

static bool is_rising(const vly_step_guide *g)
{
    const double *a = g->acc + VLY_STEP_GUIDE_WINDOW - 3;

    return g->n >= 3 && a[2] > a[1] && a[1] > a[0] && a[2] > MOTION * 0.6;
}

/* The last three sums against the three before. */
static bool is_spike(const vly_step_guide *g)
{
    double now = (g->sum[3] + g->sum[4] + g->sum[5]) / 3;
    double before = (g->sum[0] + g->sum[1] + g->sum[2]) / 3;

    return g->n >= 6 && now > before * 1.3 && now > 5;
}

static bool is_motion(const vly_step_guide *g, double a, double w, double var)
{
    bool is_still = g->n_still >= STILL_READINGS || (fabs(a - 9.8) < 0.5 && w < 0.2);
    bool is_varied = var >= 1 || a > MOTION * 1.3 || w > ROTATION * 1.5;

    if (is_still && var < 0.5)
        return false;
    return (a > MOTION && w > ROTATION && is_varied) || (a > MOTION * 1.3 && w > ROTATION * 0.5) ||
           is_rising(g) || is_spike(g) || (w > ROTATION * 2 && is_varied);
}

bool vly_step_guide_next(vly_step_guide *g, const vly_imu_reading *reading, float p_start,
                         float p_end)
{
    double a = vly_imu_length(reading->acc), w = vly_imu_length(reading->gyro);

    shift_in(g->acc, VLY_STEP_GUIDE_WINDOW, a);
    shift_in(g->sum, 6, a + w);
    g->n++;
    double var = variance(g);
    g->n_still = var < STILL_VARIANCE ? g->n_still + 1 : 0;
    bool is_late = !g->has_step || reading->t_us - g->step_us > INTERVAL_US;
    bool by_motion = is_late && is_motion(g, a, w, var);
    bool by_net = p_start > P_STEP || p_end > P_STEP;
    bool is_step = (by_net && by_motion) || (by_net && fmaxf(p_start, p_end) >= P_SURE) ||
                   (by_motion && a > MOTION * 1.5 && w > ROTATION * 1.5);
    if (is_step) {
        g->step_us = reading->t_us;
        g->has_step = true;
    }
    return is_step;
}

/* ---- network ------------------------------------------------------------------------------- */

vly_status vly_step_guide_load(const char *path, vly_model **ret, vly_err *err)
{
    vly_model *m = NULL;
    vly_status st = vly_model_load(path, NULL, &m, err);

    if (st != VLY_OK)
        return st;
    const vly_model_info *info = vly_model_describe(m);
    const vly_model_io *in = info->inputs, *out = info->outputs;
    if (info->n_inputs != 1 || info->n_outputs != 1 || in->dtype != VLY_DTYPE_F32 ||
        out->dtype != VLY_DTYPE_F32 || in->shape.rank != 2 || out->shape.rank != 2 ||
        in->shape.dim[0] != VLY_DIM_UNKNOWN || in->shape.dim[1] != 6 || out->shape.dim[1] != 3) {
        vly_model_unref(m);
        return vly_fail(err, VLY_EFORMAT,
                        "'%s': expected the guide's step network, float32 [n,6] to [n,3]", path);
    }
    *ret = m;
    return VLY_OK;
}

static void softmax(const float logits[3], float p[3])
{
    float max = fmaxf(logits[0], fmaxf(logits[1], logits[2])), sum = 0;

    for (int k = 0; k < 3; k++)
        sum += p[k] = expf(logits[k] - max);
    for (int k = 0; k < 3; k++)
        p[k] /= sum;
}

static void take_logits(vly_step_guide *g, const vly_imu_reading *readings, size_t n,
                        const float *logits, vly_step_event_list *to)
{
    for (size_t i = 0; i < n; i++) {
        int64_t t_us = readings[i].t_us;
        float p[3];
        softmax(logits + 3 * i, p);
        if (!vly_step_guide_next(g, &readings[i], p[1], p[2]))
            continue;
        float sure = fmaxf(p[1], p[2]);
        uint64_t step = to->n / 2 + 1;
        const vly_step_event events[] = {
            {VLY_STEP_START, VLY_ACTIVITY_WALKING, step, t_us, t_us, sure},
            {VLY_STEP_END, VLY_ACTIVITY_WALKING, step, t_us, t_us, sure},
        };
        vly_step_event_list_add(to, events, 2);
    }
}

static vly_status run_chunk(vly_instance *net, vly_step_guide *g, const vly_imu_reading *readings,
                            size_t n, vly_step_event_list *to, vly_err *err)
{
    vly_shape shape = {.rank = 2, .dim = {(int64_t)n, 6}};
    vly_tensor x = {0}, y = {0};
    vly_status st = vly_tensor_new(VLY_DTYPE_F32, &shape, &x, err);

    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        memcpy((float *)x.data + 6 * i, readings[i].acc, sizeof(readings[i].acc));
        memcpy((float *)x.data + 6 * i + 3, readings[i].gyro, sizeof(readings[i].gyro));
    }
    if (st == VLY_OK)
        st = vly_instance_run(net, &x, &y, err);
    if (st == VLY_OK)
        take_logits(g, readings, n, y.data, to);
    vly_tensor_release(&y);
    vly_tensor_release(&x);
    return st;
}

vly_status vly_step_guide_run(vly_model *m, const vly_imu_reading *readings, size_t n,
                              vly_step_event_list *to, vly_err *err)
{
    vly_step_guide g = {0};
    vly_instance *net = NULL;
    vly_status st = vly_instance_new(m, NULL, &net, err);

    for (size_t i = 0; i < n && st == VLY_OK; i += CHUNK)
        st = run_chunk(net, &g, readings + i, n - i < CHUNK ? n - i : CHUNK, to, err);
    vly_instance_free(net);
    return st;
}
