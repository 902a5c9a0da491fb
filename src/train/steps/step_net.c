/* SPDX-License-Identifier: MIT */
#include "train/steps/step_net.h"

#include "prep/imu/imu_features.h"
#include "tasks/steps/step_model.h"
#include "train/net_onnx.h"

#define LAYERS_MAX 8
#define TEXTS      4       /* metadata that are no numbers */
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

vly_status vly_step_net_write(const vly_train_net *net, const float *params, const float *running,
                              const vly_step_shape *shape, const vly_step_decoder_rule *rule,
                              const vly_step_origin *origin, vly_buf *out, vly_err *err)
{
    const vly_step_model m = {.features = VLY_IMU_FEATURES_VERSION,
                              .rate_hz = VLY_IMU_FEATURES_RATE_HZ,
                              .hop = (unsigned)shape->hop,
                              .delay = (unsigned)shape->delay,
                              .rule = *rule};
    vly_step_property numbers[VLY_STEP_PROPERTIES];
    vly_onnx_prop props[VLY_STEP_PROPERTIES + TEXTS] = {
        {VLY_STR("volley.task"), VLY_STR("steps")},
        {VLY_STR("volley.steps.trained"), vly_str_from(origin->command)},
        {VLY_STR("volley.steps.persons"), origin->persons},
        {VLY_STR("license"), origin->credit != NULL ? vly_str_from(origin->credit)
                                                    : VLY_STR("of the recordings: not stated")},
    };

    vly_step_model_properties(&m, numbers);
    for (size_t i = 0; i < VLY_STEP_PROPERTIES; i++)
        props[TEXTS + i] =
            (vly_onnx_prop){vly_str_from(numbers[i].key), vly_str_from(numbers[i].value)};
    return vly_train_net_write(net, params, running,
                               &(vly_train_onnx_opts){.name = "steps",
                                                      .input = "frames",
                                                      .props = props,
                                                      .n_props = VLY_STEP_PROPERTIES + TEXTS},
                               out, err);
}
