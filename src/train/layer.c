/* SPDX-License-Identifier: MIT */
#include "train/layer.h"

#define VLY_TRAIN_EXTERN(id, ops) extern const vly_train_layer_ops ops;
VLY_TRAIN_LAYERS(VLY_TRAIN_EXTERN)

vly_status vly_train_layer_shape(vly_train_layer *l, vly_err *err)
{
#define VLY_TRAIN_ROW(id, ops) [VLY_TRAIN_##id] = &ops,
    static const vly_train_layer_ops *const list[] = {VLY_TRAIN_LAYERS(VLY_TRAIN_ROW)};
    const vly_train_spec *s = &l->spec;

    if ((unsigned)s->kind >= VLY_TRAIN_KINDS)
        return vly_fail(err, VLY_EINVAL, "layer of unknown kind %u", (unsigned)s->kind);
    l->ops = list[s->kind];
    if (l->in < 1 || l->in > VLY_TRAIN_CHANNELS_MAX || s->out < 0 ||
        s->out > VLY_TRAIN_CHANNELS_MAX)
        return vly_fail(err, VLY_EINVAL, "layer %s: expected 1 to %d channels, got %lld to %d",
                        l->ops->name, VLY_TRAIN_CHANNELS_MAX, (long long)l->in, s->out);
    if (!(s->rate >= 0 && s->rate < 1))
        return vly_fail(err, VLY_EINVAL, "layer %s: expected a rate from 0 to below 1",
                        l->ops->name);
    l->out = l->in;
    l->n_weights = l->n_params = l->n_running = 0;
    return l->ops->shape(l, err);
}
