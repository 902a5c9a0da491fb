/* SPDX-License-Identifier: MIT */
#include "train/steps/step_net.h"

#include "prep/imu/imu_features.h"
#include "train/net_onnx.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LAYERS_MAX 8
#define PROPS_MAX  24
#define TEXT_MAX   256
#define RARE       (-2.5F) /* logit of 8 %: about the mean of the bells */

vly_status vly_step_net_new(const vly_step_net_opts *opts, vly_train_net **ret, vly_err *err)
{
    vly_train_spec trunk[2 + 2 * LAYERS_MAX];
    const vly_train_spec events = {.kind = VLY_TRAIN_DENSE, .out = opts->hop * 2};
    const vly_train_spec activity = {.kind = VLY_TRAIN_DENSE, .out = VLY_ACTIVITIES};
    const vly_train_chain_spec heads[] = {
        {.name = "events", .layers = &events, .n_layers = 1, .output = VLY_TRAIN_SIGMOID},
        {.name = "activity", .layers = &activity, .n_layers = 1, .output = VLY_TRAIN_SOFTMAX},
    };
    size_t n = 0;

    if (opts->n_layers < 1 || opts->n_layers > LAYERS_MAX)
        return vly_fail(err, VLY_EINVAL, "step net: expected 1 to %d recurrent layers, got %d",
                        LAYERS_MAX, opts->n_layers);
    trunk[n++] = (vly_train_spec){.kind = VLY_TRAIN_DENSE, .out = opts->dense};
    trunk[n++] = (vly_train_spec){.kind = VLY_TRAIN_RELU};
    for (int32_t i = 0; i < opts->n_layers; i++) {
        trunk[n++] = (vly_train_spec){.kind = VLY_TRAIN_GRU, .out = opts->hidden};
        trunk[n++] = (vly_train_spec){.kind = VLY_TRAIN_DROPOUT, .rate = opts->dropout};
    }
    return vly_train_net_new(&(vly_train_net_spec){.in = (int64_t)opts->hop * VLY_IMU_FEATURES + 1,
                                                   .trunk = {.layers = trunk, .n_layers = n},
                                                   .heads = heads,
                                                   .n_heads = VLY_STEP_HEADS},
                             ret, err);
}

void vly_step_net_init(const vly_train_net *net, uint64_t seed, float *params, float *running)
{
    const vly_train_layer *events = &net->heads[VLY_STEP_HEAD_EVENTS].layers[0];

    vly_train_net_init(net, seed, params, running);
    for (size_t i = events->n_weights; i < events->n_params; i++)
        params[events->params_at + i] = RARE;
}

/* ---- the file ------------------------------------------------------------------------------ */

typedef struct props {
    vly_onnx_prop list[PROPS_MAX];
    char text[PROPS_MAX][TEXT_MAX];
    size_t n;
} props;

static void add(props *p, const char *key, const char *value)
{
    snprintf(p->text[p->n], TEXT_MAX, "%s", value);
    p->list[p->n] = (vly_onnx_prop){vly_str_from(key), vly_str_from(p->text[p->n])};
    p->n++;
}

static void add_number(props *p, const char *key, double value)
{
    char text[32];

    snprintf(text, sizeof(text), "%.9g", value);
    add(p, key, text);
}

static void add_rule(props *p, const vly_step_decoder_rule *rule)
{
    const double ms = 1000.0 / VLY_IMU_FEATURES_RATE_HZ;

    add_number(p, "volley.steps.threshold_first", (double)rule->threshold_first);
    add_number(p, "volley.steps.threshold_early", (double)rule->threshold_early);
    add_number(p, "volley.steps.threshold_due", (double)rule->threshold_due);
    add_number(p, "volley.steps.share", (double)rule->share);
    add_number(p, "volley.steps.fall_from_ms", rule->fall_from * ms);
    add_number(p, "volley.steps.fall_to_ms", rule->fall_to * ms);
    add_number(p, "volley.steps.confirm", rule->confirm);
    add_number(p, "volley.steps.min_gap_ms", rule->min_gap * ms);
    add_number(p, "volley.steps.max_step_ms", rule->max_step * ms);
}

vly_status vly_step_net_write(const vly_train_net *net, const float *params, const float *running,
                              const vly_step_shape *shape, const vly_step_decoder_rule *rule,
                              const char *trained, const char *persons, vly_buf *out, vly_err *err)
{
    props p = {.n = 0};

    add(&p, "volley.task", "steps");
    add_number(&p, "volley.steps.features", VLY_IMU_FEATURES_VERSION);
    add_number(&p, "volley.steps.rate_hz", VLY_IMU_FEATURES_RATE_HZ);
    add_number(&p, "volley.steps.hop", shape->hop);
    add_number(&p, "volley.steps.delay", shape->delay);
    add_rule(&p, rule);
    add(&p, "volley.steps.trained", trained);
    add(&p, "volley.steps.persons", persons);
    add(&p, "license", "CC-BY-SA-4.0, trained on SIMUL (github.com/simpleLoc/SIMUL-dataset)");
    return vly_train_net_write(
        net, params, running,
        &(vly_train_onnx_opts){.name = "steps", .input = "frames", .props = p.list, .n_props = p.n},
        out, err);
}
