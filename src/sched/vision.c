/* SPDX-License-Identifier: MIT */
#include "sched/vision.h"

#include "base/mem.h"

struct vly_vision {
    vly_servable *servable;
    vly_instance *instance;
    vly_picture_limits limits;
    vly_letterbox letterbox;
    vly_tensor input;    /* float32 [1, 3, height, width] */
    vly_tensor *outputs; /* [n_outputs], of the run at hand */
};

static vly_status check_servable(const vly_servable *s, vly_err *err)
{
    if (s->decoder.kind == VLY_TASK_TENSOR || s->decoder.input_channels != 3)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "model '%s': its outputs fit no picture task; use it with tensors, or name "
                        "its task in the configuration",
                        s->name);
    const vly_model_io *in = &s->run_info->inputs[0];
    if (in->dtype != VLY_DTYPE_F32)
        return vly_fail(err, VLY_EUNSUPPORTED, "model '%s': input '%s': expected float32, got %s",
                        s->name, in->name, vly_dtype_name(in->dtype));
    return VLY_OK;
}

vly_status vly_vision_new(vly_servable *s, const vly_picture_limits *limits,
                          struct vly_worker_pool *pool, vly_vision **ret, vly_err *err)
{
    const vly_decoder *d = &s->decoder;
    vly_shape shape = VLY_SHAPE(1, d->input_channels, d->input_height, d->input_width);
    vly_vision *v = NULL;
    vly_status st = check_servable(s, err);

    if (st != VLY_OK)
        return st;
    v = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*v));
    if (v == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", s->name);
    v->servable = vly_servable_ref(s);
    v->limits = *limits;
    vly_letterbox_init(&v->letterbox);
    v->outputs = vly_calloc(VLY_MEM_SCHED, s->run_info->n_outputs, sizeof(*v->outputs));
    if (v->outputs == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", s->name);
    if (st == VLY_OK)
        st = vly_tensor_new(VLY_DTYPE_F32, &shape, &v->input, err);
    if (st == VLY_OK)
        st = vly_instance_new(s->model, pool, &v->instance, err);
    if (st != VLY_OK) {
        vly_vision_free(v);
        return st;
    }
    *ret = v;
    return VLY_OK;
}

void vly_vision_free(vly_vision *v)
{
    if (v == NULL)
        return;
    vly_instance_free(v->instance);
    vly_tensor_release(&v->input);
    vly_letterbox_release(&v->letterbox);
    vly_free(v->outputs);
    vly_servable_unref(v->servable);
    vly_free(v);
}

static vly_nsec lap(vly_nsec *since)
{
    vly_nsec now = vly_clock_now();
    vly_nsec spent = now - *since;
    *since = now;
    return spent;
}

/* The outputs live until the next run reuses their storage, so they are released here. */
static vly_status observe(vly_vision *v, const vly_picture *picture,
                          const vly_detector_options *opts, vly_arena *arena, vly_observations *ret,
                          vly_vision_times *times, vly_err *err)
{
    const vly_decoder *d = &v->servable->decoder;
    size_t n_outputs = v->servable->run_info->n_outputs;
    vly_nsec t = vly_clock_now();
    vly_letterbox_map map;
    vly_status st = vly_letterbox_run(&v->letterbox, picture, &d->prep, d->input_width,
                                      d->input_height, v->input.data, &map, err);

    times->prep = lap(&t);
    if (st != VLY_OK)
        return st;
    st = vly_instance_run(v->instance, &v->input, v->outputs, err);
    times->infer = lap(&t);
    if (st != VLY_OK)
        return st;
    vly_decode_args args = {
        .outputs = v->outputs, .n_outputs = n_outputs, .map = &map, .opts = opts, .arena = arena};
    st = vly_decoder_run(d, &args, ret, err);
    for (size_t i = 0; i < n_outputs; i++)
        vly_tensor_release(&v->outputs[i]);
    times->post = lap(&t);
    return st;
}

vly_status vly_vision_run(vly_vision *v, const void *bytes, size_t len,
                          const vly_detector_options *opts, vly_arena *arena, vly_observations *ret,
                          vly_picture *ret_picture, vly_vision_times *ret_times, vly_err *err)
{
    vly_vision_times times = {0};
    vly_picture picture = {0};
    vly_nsec t = vly_clock_now();
    vly_status st = vly_picture_decode(bytes, len, &v->limits, &picture, err);

    times.decode = lap(&t);
    if (st == VLY_OK)
        st = observe(v, &picture, opts, arena, ret, &times, err);
    if (st == VLY_OK && ret_picture != NULL) {
        *ret_picture = picture;
        picture = (vly_picture){0};
    }
    vly_picture_release(&picture);
    if (ret_times != NULL)
        *ret_times = times;
    return st;
}

vly_status vly_vision_see(vly_vision *v, const vly_picture *picture,
                          const vly_detector_options *opts, vly_arena *arena, vly_observations *ret,
                          vly_vision_times *ret_times, vly_err *err)
{
    vly_vision_times times = {0};
    vly_status st = observe(v, picture, opts, arena, ret, &times, err);

    if (ret_times != NULL)
        *ret_times = times;
    return st;
}
