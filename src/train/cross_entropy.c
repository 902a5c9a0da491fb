/* SPDX-License-Identifier: MIT */
#include "train/cross_entropy.h"

#include <math.h>

double vly_loss_sigmoid(const float *x, const float *targets, const float *weights, size_t n,
                        double scale, float *grads)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        float w = weights != NULL ? weights[i] : 1;
        float tail = expf(-fabsf(x[i])); /* exp of a negative number: never too large */
        float p = x[i] >= 0 ? 1 / (1 + tail) : tail / (1 + tail);
        float loss = (x[i] > 0 ? x[i] : 0) - x[i] * targets[i] + log1pf(tail);
        sum += (double)(w * loss);
        grads[i] = (float)(scale * (double)(w * (p - targets[i])));
    }
    return sum;
}

/* log of the sum of exp, shifted so that the largest is exp(0). */
static float log_sum_exp(const float *x, size_t n)
{
    float most = x[0], sum = 0;

    for (size_t i = 1; i < n; i++)
        most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++)
        sum += expf(x[i] - most);
    return most + logf(sum);
}

double vly_loss_softmax(const float *x, const float *targets, const float *weights,
                        const float *class_weights, size_t rows, size_t n_classes, double scale,
                        float *grads)
{
    double sum = 0;

    for (size_t i = 0; i < rows; i++, x += n_classes, targets += n_classes, grads += n_classes) {
        float norm = log_sum_exp(x, n_classes), w = weights != NULL ? weights[i] : 1, all = 0;
        for (size_t c = 0; c < n_classes; c++) {
            float y = w * targets[c] * (class_weights != NULL ? class_weights[c] : 1);
            sum += (double)(y * (norm - x[c]));
            grads[c] = -y;
            all += y;
        }
        for (size_t c = 0; c < n_classes; c++)
            grads[c] = (float)(scale * (double)(grads[c] + all * expf(x[c] - norm)));
    }
    return sum;
}

double vly_loss_sigmoid_weight(const float *weights, size_t n)
{
    double sum = 0;

    if (weights == NULL)
        return (double)n;
    for (size_t i = 0; i < n; i++)
        sum += (double)weights[i];
    return sum;
}

double vly_loss_softmax_weight(const float *targets, const float *weights,
                               const float *class_weights, size_t rows, size_t n_classes)
{
    double sum = 0;

    for (size_t i = 0; i < rows * n_classes; i++) {
        float w = weights != NULL ? weights[i / n_classes] : 1;
        sum +=
            (double)(w * targets[i] * (class_weights != NULL ? class_weights[i % n_classes] : 1));
    }
    return sum;
}
