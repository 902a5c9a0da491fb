/* SPDX-License-Identifier: MIT */
#include "tasks/task_fixture.h"
#include "unit.h"

#include <math.h>
#include <string.h>

void fixture_init(task_fixture *f, int64_t width, int64_t height)
{
    *f = (task_fixture){.opts = VLY_DETECTOR_OPTIONS_INIT};
    vly_arena_init(&f->model_arena, VLY_MEM_BASE, 1024, (size_t)4 << 20);
    vly_arena_init(&f->arena, VLY_MEM_BASE, 4096, (size_t)256 << 20);
    f->input = (vly_model_io){.name = "images",
                              .dtype = VLY_DTYPE_F32,
                              .shape = VLY_SHAPE(1, 3, height, width),
                              .has_shape = true};
    f->info = (vly_model_info){
        .n_inputs = 1, .inputs = &f->input, .outputs = f->outputs, .properties = f->properties};
    f->map = vly_letterbox_map_of((uint32_t)width, (uint32_t)height, VLY_FIT_LETTERBOX,
                                  (uint32_t)width, (uint32_t)height);
}

void fixture_release(task_fixture *f)
{
    for (size_t i = 0; i < f->info.n_outputs; i++)
        vly_tensor_release(&f->tensors[i]);
    vly_arena_release(&f->arena);
    vly_arena_release(&f->model_arena);
}

void fixture_property(task_fixture *f, const char *key, const char *value)
{
    assert_true(f->info.n_properties < FIXTURE_PROPERTIES_MAX);
    f->properties[f->info.n_properties++] =
        (vly_model_property){vly_str_from(key), vly_str_from(value)};
}

void fixture_output(task_fixture *f, const char *name, const vly_shape *shape)
{
    size_t i = f->info.n_outputs++;

    assert_true(i < FIXTURE_OUTPUTS_MAX);
    f->outputs[i] =
        (vly_model_io){.name = name, .dtype = VLY_DTYPE_F32, .shape = *shape, .has_shape = true};
    if (!vly_shape_known(shape))
        return;
    assert_int_equal(vly_tensor_new(VLY_DTYPE_F32, shape, &f->tensors[i], NULL), VLY_OK);
    memset(f->tensors[i].data, 0, f->tensors[i].bytes);
}

float *fixture_at(task_fixture *f, size_t output, size_t idx)
{
    assert_true(idx < vly_tensor_count(&f->tensors[output]));
    return (float *)f->tensors[output].data + idx;
}

void fixture_set(task_fixture *f, size_t output, size_t idx, size_t n, const float *values)
{
    for (size_t i = 0; i < n; i++)
        *fixture_at(f, output, idx + i) = values[i];
}

void fixture_expect_task(task_fixture *f, const char *name)
{
    vly_status st = vly_decoder_init(&f->decoder, &f->info, &f->config, &f->model_arena, &f->err);

    if (st != VLY_OK)
        print_error("%s\n", f->err.msg);
    assert_int_equal(st, VLY_OK);
    assert_string_equal(f->decoder.name, name);
}

vly_status fixture_decode(task_fixture *f)
{
    const vly_decode_args args = {.outputs = f->tensors,
                                  .n_outputs = f->info.n_outputs,
                                  .item = f->item,
                                  .map = &f->map,
                                  .opts = &f->opts,
                                  .arena = &f->arena};

    assert_int_equal(vly_detector_options_check(&f->opts, NULL), VLY_OK);
    return vly_decoder_run(&f->decoder, &args, &f->seen, &f->err);
}

void fixture_expect_count(task_fixture *f, size_t n)
{
    vly_status st = fixture_decode(f);

    if (st != VLY_OK)
        print_error("%s\n", f->err.msg);
    assert_int_equal(st, VLY_OK);
    assert_int_equal(f->seen.n_detections, n);
}

void fixture_expect(const task_fixture *f, size_t i, int class_id, double confidence, double x1,
                    double y1, double x2, double y2)
{
    const double box[4] = {x1, y1, x2, y2};

    assert_true(i < f->seen.n_detections);
    const vly_detection *d = &f->seen.detections[i];
    assert_int_equal(d->class_id, class_id);
    assert_true(fabs((double)d->confidence - confidence) < 1e-5);
    for (int k = 0; k < 4; k++)
        if (fabs((double)d->bbox[k] - box[k]) > 1e-4)
            fail_msg("detection %zu: bbox[%d] is %g, expected %g", i, k, (double)d->bbox[k],
                     box[k]);
}
