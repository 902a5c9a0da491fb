/* SPDX-License-Identifier: MIT */
/* The built-in step that makes the input of a net out of an encoded picture. */
#include "sched/step.h"

#include "base/assert.h"

#include <math.h>
#include <string.h>

#define SIDE_MAX 16384

static vly_status describe(vly_step *s, vly_arena *arena, vly_err *err)
{
    vly_model_io *ios = vly_arena_calloc(arena, 3, sizeof(*ios));
    const vly_shape tensor = VLY_SHAPE(1, 3, s->height, s->width);

    if (ios == NULL)
        return vly_arena_fail(arena, err);
    vly_status st =
        vly_step__set_io(&ios[0], "picture", SIZE_MAX, VLY_DTYPE_STRING, VLY_SHAPE(1), arena, err);
    if (st == VLY_OK)
        st = vly_step__set_io(&ios[1], "tensor", SIZE_MAX, VLY_DTYPE_F32, tensor, arena, err);
    if (st == VLY_OK)
        st = vly_step__set_io(&ios[2], "map", SIZE_MAX, VLY_DTYPE_F32, VLY_SHAPE(4), arena, err);
    s->info.n_inputs = 1;
    s->info.inputs = &ios[0];
    s->info.n_outputs = 2;
    s->info.outputs = &ios[1];
    return st;
}

/* ---- parameters ---- */

static vly_status read_side(const vly_triton_config *c, const char *key, uint32_t *ret,
                            vly_err *err)
{
    vly_str text = vly_triton_config_param(c, key);
    int64_t v;

    if (!vly_str_to_i64(text, &v) || v < 1 || v > SIDE_MAX)
        return vly_step__fail_param(err, key, "1 to 16384", text);
    *ret = (uint32_t)v;
    return VLY_OK;
}

/* The place of the parameter's word among names; 0 when it is not given. */
static vly_status read_word(const vly_triton_config *c, const char *key, const char *const *names,
                            size_t n, const char *want, size_t *ret, vly_err *err)
{
    vly_str text = vly_triton_config_param(c, key);

    *ret = 0;
    if (text.ptr == NULL)
        return VLY_OK;
    for (size_t i = 0; i < n; i++) {
        if (vly_str_is(text, names[i])) {
            *ret = i;
            return VLY_OK;
        }
    }
    return vly_step__fail_param(err, key, want, text);
}

static vly_status read_triple(const vly_triton_config *c, const char *key, bool is_positive,
                              float ret[3], vly_err *err)
{
    vly_str text = vly_triton_config_param(c, key), rest = text;
    double v[3];
    int n = 0;

    if (text.ptr == NULL)
        return VLY_OK;
    for (; rest.ptr != NULL && n < 3; n++)
        if (!vly_str_to_f64(vly_str_trim(vly_str_split(&rest, ',')), &v[n]) || !isfinite(v[n]) ||
            (is_positive && !((float)v[n] > 0)))
            break;
    if (n != 3 || rest.ptr != NULL)
        return vly_step__fail_param(err, key,
                                    is_positive ? "three numbers above 0, with commas between"
                                                : "three numbers with commas between",
                                    text);
    for (int i = 0; i < 3; i++)
        ret[i] = (float)v[i];
    return VLY_OK;
}

static vly_status configure(vly_step *s, const vly_triton_config *c, vly_err *err)
{
    static const char *const fits[] = {
        [VLY_FIT_LETTERBOX] = "letterbox",
        [VLY_FIT_TOP_LEFT] = "top_left",
        [VLY_FIT_STRETCH] = "stretch",
        [VLY_FIT_COVER] = "cover",
    };
    static const char *const orders[] = {"rgb", "bgr"}, *const scales[] = {"255", "1"};
    vly_str pad_text = vly_triton_config_param(c, "pad");
    size_t fit = 0, order = 0, scale = 0;
    int64_t pad = 114;

    vly_status st = read_side(c, "width", &s->width, err);
    if (st == VLY_OK)
        st = read_side(c, "height", &s->height, err);
    if (st == VLY_OK)
        st = read_word(c, "fit", fits, VLY_COUNT(fits), "letterbox, top_left, stretch or cover",
                       &fit, err);
    if (st == VLY_OK)
        st = read_word(c, "channels", orders, VLY_COUNT(orders), "rgb or bgr", &order, err);
    if (st == VLY_OK)
        st = read_word(c, "scale", scales, VLY_COUNT(scales), "255 or 1", &scale, err);
    if (st == VLY_OK && pad_text.ptr != NULL &&
        (!vly_str_to_i64(pad_text, &pad) || pad < 0 || pad > 255))
        st = vly_step__fail_param(err, "pad", "0 to 255", pad_text);
    s->prep = (vly_letterbox_opts){.fit = (vly_fit)fit,
                                   .is_bgr = order == 1,
                                   .unit = scale == 0,
                                   .pad = (uint8_t)pad,
                                   .std = {1, 1, 1}};
    if (st == VLY_OK)
        st = read_triple(c, "mean", false, s->prep.mean, err);
    return st == VLY_OK ? read_triple(c, "std", true, s->prep.std, err) : st;
}

/* ---- a run ---- */

static vly_status fill(const vly_step *s, const vly_picture *picture, const vly_tensor *tensor,
                       const vly_tensor *map, vly_err *err)
{
    vly_letterbox letterbox;
    vly_letterbox_map m;

    vly_letterbox_init(&letterbox);
    vly_status st = vly_letterbox_run(&letterbox, picture, &s->prep, s->width, s->height,
                                      tensor->data, &m, err);
    vly_letterbox_release(&letterbox);
    if (st != VLY_OK)
        return st;
    const float values[4] = {m.scale_x, m.scale_y, m.pad_x, m.pad_y};
    memcpy(map->data, values, sizeof(values));
    return VLY_OK;
}

static vly_status run(const vly_step *s, const vly_picture_limits *limits, const vly_tensor *inputs,
                      vly_tensor *outputs, vly_err *err)
{
    vly_picture picture = {0};
    vly_tensor made[2] = {{.data = NULL}};

    if (vly_tensor_count(&inputs[0]) != 1)
        return vly_fail(err, VLY_EINVAL, "picture: expected one element");
    const vly_str *bytes = inputs[0].data;
    vly_status st = vly_picture_decode(bytes->ptr, bytes->len, limits, &picture, err);
    for (size_t i = 0; i < 2 && st == VLY_OK; i++)
        st = vly_tensor_new(VLY_DTYPE_F32, &s->info.outputs[i].shape, &made[i], err);
    if (st == VLY_OK)
        st = fill(s, &picture, &made[0], &made[1], err);
    vly_picture_release(&picture);
    for (size_t i = 0; i < 2; i++) {
        if (st == VLY_OK)
            outputs[i] = made[i];
        else
            vly_tensor_release(&made[i]);
    }
    return st;
}

const vly_step_kind vly_step_picture = {"picture", describe, configure, run};
