/* SPDX-License-Identifier: MIT */
/* Losses, optimiser, schedules and products, against numbers worked out apart. */
#include "base/cpu.h"
#include "base/rng.h"
#include "train/cross_entropy.h"
#include "train/matrix.h"
#include "train/optimiser.h"
#include "unit.h"

#include <math.h>
#include <stdalign.h>
#include <string.h>

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%.9g, expected %.9g", got, want);
}

/* By hand: x 0 is ln 2; x 100 with target 1 is e^-100; soft targets; a mask. */
static void sigmoid_loss(void **state)
{
    const float x[] = {0, 100, -100, 1, 5}, targets[] = {1, 1, 1, 0.25F, 0};
    const float weights[] = {1, 1, 2, 3, 0};
    float grads[5];

    (void)state;
    double loss = vly_loss_sigmoid(x, targets, weights, 5, 0.5, grads);
    double p = 1 / (1 + exp(-1));
    near(loss, M_LN2 + 200 + 3 * (log(1 + exp(1)) - 0.25), 1e-4);
    near((double)grads[0], 0.5 * -0.5, 1e-7);
    near((double)grads[1], 0, 1e-7);
    near((double)grads[2], 0.5 * 2 * -1, 1e-7);
    near((double)grads[3], 0.5 * 3 * (p - 0.25), 1e-6);
    near((double)grads[4], 0, 0);
    near(vly_loss_sigmoid_weight(weights, 5), 7, 0);
    near(vly_loss_sigmoid_weight(NULL, 5), 5, 0);
}

static double softmax_value(const float *x, const float *targets, const float *weights,
                            const float *class_weights, size_t rows, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < rows; i++) {
        double all = 0;
        for (size_t c = 0; c < n; c++)
            all += exp((double)x[i * n + c]);
        for (size_t c = 0; c < n; c++)
            sum -= (double)(weights[i] * class_weights[c] * targets[i * n + c]) *
                   ((double)x[i * n + c] - log(all));
    }
    return sum;
}

static void softmax_loss(void **state)
{
    float x[] = {1, 2, -1, 0.5F, 0.25F, 3};
    const float targets[] = {0, 1, 0, 0.5F, 0.5F, 0}, weights[] = {1, 2};
    const float class_weights[] = {1, 0.5F, 3};
    float grads[6], big[3] = {1000, 0, -1000}, unused[3];

    (void)state;
    double loss = vly_loss_softmax(x, targets, weights, class_weights, 2, 3, 0.1, grads);
    near(loss, softmax_value(x, targets, weights, class_weights, 2, 3), 1e-5);
    for (int i = 0; i < 6; i++) {
        float was = x[i];
        x[i] = was + 1e-2F;
        double up = softmax_value(x, targets, weights, class_weights, 2, 3);
        x[i] = was - 1e-2F;
        double down = softmax_value(x, targets, weights, class_weights, 2, 3);
        x[i] = was;
        near((double)grads[i], 0.1 * (up - down) / 2e-2,
             1e-5); /* h^2 / 6 of the third derivative */
    }
    near(vly_loss_softmax_weight(targets, weights, class_weights, 2, 3), 0.5 + 2 * 0.75, 1e-6);
    near(vly_loss_softmax(big, targets, NULL, NULL, 1, 3, 1, unused), 1000, 1e-3);
}

/* Two steps of AdamW worked out with a calculator: beta 0.5 and 0.5 to keep the numbers short. */
static void adamw(void **state)
{
    const vly_adamw o = {.rate = 0.1F, .beta1 = 0.5F, .beta2 = 0.5F, .epsilon = 0, .decay = 0.5F};
    const float first[] = {2, -1}, second[] = {0, -1};
    float params[] = {1, 0}, mean[2] = {0}, square[2] = {0};

    (void)state;
    vly_adamw_step(&o, 1, 2, first, params, mean, square);
    near((double)params[0], 1 - 0.1 * (1 + 0.5), 1e-6); /* the first step is rate * sign */
    near((double)params[1], 0.1, 1e-6);
    vly_adamw_step(&o, 2, 2, second, params, mean, square);
    double move = (0.5 / 0.75) / sqrt(1 / 0.75); /* mean 1 -> 0.5, square 2 -> 1 */
    near((double)params[0], 0.85 - 0.1 * (move + 0.5 * 0.85), 1e-6);
    near((double)params[1], 0.1 + 0.1 * (1 - 0.5 * 0.1), 1e-6);
}

static void clip_and_average(void **state)
{
    float grads[] = {3, 4}, average[] = {1, 10};

    (void)state;
    near(vly_clip_norm(grads, 2, 0), 5, 1e-9);
    near((double)grads[0], 3, 0);
    near(vly_clip_norm(grads, 2, 1), 5, 1e-9);
    near((double)grads[0], 0.6, 1e-6);
    near((double)grads[1], 0.8, 1e-6);
    vly_average(average, (float[]){2, 20}, 2, 0.75F);
    near((double)average[0], 1.25, 1e-6);
    near((double)average[1], 12.5, 1e-6);
}

static void schedules(void **state)
{
    vly_schedule cosine = {
        .kind = VLY_SCHEDULE_COSINE, .n_warmup = 4, .n_steps = 104, .floor = 0.1};
    vly_schedule plateau = {
        .kind = VLY_SCHEDULE_PLATEAU, .factor = 0.5, .patience = 1, .floor = 0.2};
    vly_plateau p = {-HUGE_VAL, 1, 0};
    const double figures[] = {1, 2, 2, 2, 1, 3, 3, 3, 3, 3};
    const double scales[] = {1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2};

    (void)state;
    near(vly_schedule_at(&cosine, NULL, 0), 0.25, 1e-12);
    near(vly_schedule_at(&cosine, NULL, 3), 1, 1e-12);
    near(vly_schedule_at(&cosine, NULL, 4), 1, 1e-12);
    near(vly_schedule_at(&cosine, NULL, 54), 0.55, 1e-12);
    near(vly_schedule_at(&cosine, NULL, 104), 0.1, 1e-12);
    near(vly_schedule_at(&cosine, NULL, 500), 0.1, 1e-12);
    for (size_t i = 0; i < 10; i++) {
        vly_plateau_tell(&plateau, &p, figures[i]);
        near(vly_schedule_at(&plateau, &p, 9), scales[i], 1e-12);
    }
}

/* C = A B in double. All shapes around the sizes of tiles, operands turned or not, added or not. */
static void check_product(const vly_gemm_kernel *kernel, int64_t m, int64_t n, int64_t k,
                          bool is_added)
{
    enum { MAX = 64 * 1024, SCRATCH = MAX * 4 };
    static float a[MAX], b[MAX], c[MAX], again[MAX];
    alignas(64) static float scratch[SCRATCH];
    vly_rng rng;

    assert_true(vly_matmul_scratch(kernel, n) <= SCRATCH &&
                vly_matmul_packed(kernel, n, k) <= SCRATCH);
    assert_true(m * k <= MAX && k * n <= MAX && m * n <= MAX);
    vly_rng_init(&rng, 5, (uint64_t)(m * 1000000 + n * 1000 + k));
    for (int64_t i = 0; i < MAX; i++) {
        a[i] = vly_rng_uniform(&rng) - 0.5F;
        b[i] = vly_rng_uniform(&rng) - 0.5F;
        c[i] = again[i] = 1;
    }
    vly_matrix turned = {a, 1, m}, straight = {b, n, 1};
    vly_matmul p = {m, n, k, c, n, is_added};
    vly_matmul_run(kernel, &p, turned, straight, scratch);
    vly_matmul_pack(kernel, n, k, straight, scratch);
    p.c = again;
    vly_matmul_run_packed(kernel, &p, turned, scratch);
    assert_memory_equal(c, again, sizeof(c));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double want = is_added ? 1 : 0;
            for (int64_t kk = 0; kk < k; kk++)
                want += (double)a[kk * m + i] * (double)b[kk * n + j];
            near((double)c[i * n + j], want, 1e-5); /* 300 products of at most 1/4, 6e-8 each */
        }
    for (int64_t i = m * n; i < MAX; i++)
        near((double)c[i], 1, 0);
}

static void products(void **state)
{
    const int64_t sizes[] = {1, 5, 12, 13, 32, 33, 48};
    const unsigned levels[] = {0, vly_cpu_flags()};

    (void)state;
    for (size_t level = 0; level < 2; level++) {
        vly_gemm_dsp dsp;
        vly_gemm_dsp_init(&dsp, levels[level]);
        for (size_t i = 0; i < 7; i++)
            for (size_t j = 0; j < 7; j++)
                check_product(&dsp.f32, sizes[i], sizes[j], sizes[(i + j) % 7], (i + j) % 2 == 0);
        check_product(&dsp.f32, 24, 40, 256, true);
        check_product(&dsp.f32, 24, 40, 300, false);
    }
}

UNIT_TESTS(cmocka_unit_test(sigmoid_loss), cmocka_unit_test(softmax_loss), cmocka_unit_test(adamw),
           cmocka_unit_test(clip_and_average), cmocka_unit_test(schedules),
           cmocka_unit_test(products))
