/* SPDX-License-Identifier: MIT */
/*
 * Fused plans of random graphs beside the same graphs with each operator by itself.
 *
 * VOLLEY_FUSE_SEED and VOLLEY_FUSE_GRAPHS choose which and how many; a failure prints the seed.
 */
#include "engine/random_graph.h"

#include "base/arena.h"
#include "engine/model.h"
#include "sys/worker_pool.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IO_MAX = RG_VALUES_MAX };

typedef struct run {
    vly_model *model;
    vly_instance *instance;
    vly_tensor out[IO_MAX];
} run;

static void open_run(run *r, vly_str file, vly_precision precision, vly_worker_pool *pool)
{
    vly_model_options options = VLY_MODEL_OPTIONS_DEFAULT;
    vly_err err;

    *r = (run){0};
    options.precision = precision;
    if (vly_model_load_bytes(file.ptr, file.len, &options, &r->model, &err) != VLY_OK ||
        vly_instance_new(r->model, pool, &r->instance, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

static void release_outputs(run *r)
{
    for (size_t i = 0; i < vly_model_describe(r->model)->n_outputs; i++)
        vly_tensor_release(&r->out[i]);
}

static void close_run(run *r)
{
    release_outputs(r);
    vly_instance_free(r->instance);
    vly_model_unref(r->model);
}

static void run_on(run *r, const vly_tensor *inputs)
{
    vly_err err;

    release_outputs(r);
    if (vly_instance_run(r->instance, inputs, r->out, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

static void make_inputs(const vly_model_info *info, uint64_t *state, vly_tensor *ret)
{
    vly_err err;

    for (size_t i = 0; i < info->n_inputs; i++) {
        assert_int_equal(vly_tensor_new(VLY_DTYPE_F32, &info->inputs[i].shape, &ret[i], &err),
                         VLY_OK);
        float *p = ret[i].data;
        for (uint64_t k = 0; k < vly_tensor_count(&ret[i]); k++)
            p[k] = (float)rg_below(state, 4001) / 1000.0f - 2.0f;
    }
}

#define LARGEST 1e6 /* products of products, or maxima of nothing: not compared */

/* How far got may be from want: each element by `reach` of the tensor's largest, and of all
 * differences the root of the mean square by `rms` of the values'. */
typedef struct tolerance {
    double reach, rms;
} tolerance;

static bool is_close(const vly_tensor *got, const vly_tensor *want, tolerance t, double *ret_worst)
{
    const float *a = got->data, *b = want->data;
    double largest = 1.0, worst = 0.0, sum = 0.0;
    uint64_t n = vly_tensor_count(want);
    double sum_want = (double)n * 0.04; /* sums may cancel: as if values were 0.2 at least */
    bool is_comparable = true;

    assert_true(vly_shape_eq(&got->shape, &want->shape));
    for (uint64_t i = 0; i < n; i++) {
        double d = a[i] == b[i] ? 0.0 : fabs((double)a[i] - (double)b[i]);
        is_comparable &= fabs((double)b[i]) < LARGEST; /* not NaN either */
        largest = fabs((double)b[i]) > largest ? fabs((double)b[i]) : largest;
        worst = d <= worst ? worst : d;
        sum += d * d;
        sum_want += (double)b[i] * (double)b[i];
    }
    *ret_worst = worst / largest;
    return !is_comparable || (worst <= t.reach * largest && sqrt(sum) <= t.rms * sqrt(sum_want));
}

/* How many outputs are not; says which. */
static int count_faults(const run *got, const run *want, tolerance t, const char *what,
                        uint64_t seed)
{
    const vly_model_info *info = vly_model_describe(got->model);
    int n = 0;
    double worst;

    for (size_t i = 0; i < info->n_outputs; i++) {
        if (is_close(&got->out[i], &want->out[i], t, &worst))
            continue;
        print_error("graph %llu, %s: output '%s' is off by %g of its largest value\n",
                    (unsigned long long)seed, what, info->outputs[i].name, worst);
        n++;
    }
    return n;
}

/* One graph: fused once, again after other inputs, and by two threads; all must agree. */
static int compare(vly_str file, uint64_t seed, vly_precision precision, tolerance t,
                   vly_worker_pool *pool)
{
    static const tolerance same = {0.0, 0.0};
    run exact, fused, shared;
    vly_tensor in[IO_MAX], other[IO_MAX];
    uint64_t state = seed * 2 + 1;

    open_run(&exact, file, VLY_PRECISION_EXACT, NULL);
    open_run(&fused, file, precision, NULL);
    open_run(&shared, file, precision, pool);
    const vly_model_info *info = vly_model_describe(exact.model);
    make_inputs(info, &state, in);
    make_inputs(info, &state, other);
    run_on(&exact, in);
    run_on(&fused, in);
    int n_faults = count_faults(&fused, &exact, t, vly_precision_name(precision), seed);
    run_on(&shared, other);
    run_on(&shared, in);
    n_faults += count_faults(&shared, &fused, same, "second run on two threads", seed);
    for (size_t i = 0; i < info->n_inputs; i++) {
        vly_tensor_release(&in[i]);
        vly_tensor_release(&other[i]);
    }
    close_run(&exact);
    close_run(&fused);
    close_run(&shared);
    return n_faults;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void compare_many(vly_precision precision, bool is_quantised)
{
    static const tolerance floats = {2e-4, 2e-4}, narrow = {0.25, 0.06}, codes = {2.0, 0.15},
                           none = {1e-6, 1e-6};
    uint64_t seed = setting("VOLLEY_FUSE_SEED", 1), n = setting("VOLLEY_FUSE_GRAPHS", 60);
    vly_worker_pool *pool;
    vly_err err;
    random_graph g;
    int n_faults = 0;

    assert_int_equal(vly_worker_pool_new(1, 1, &pool, &err), VLY_OK);
    for (uint64_t s = seed; s < seed + n; s++) {
        vly_str file = rg_build(&g, s, is_quantised);
        tolerance t = precision == VLY_PRECISION_BF16                 ? narrow
                      : !is_quantised                                 ? floats
                      : g.is_exact && precision == VLY_PRECISION_INT8 ? none
                                                                      : codes;
        n_faults += compare(file, s, precision, t, pool);
        rg_release(&g);
    }
    vly_worker_pool_free(pool);
    assert_int_equal(n_faults, 0);
}

static void test_fp32(void **state)
{
    (void)state;
    compare_many(VLY_PRECISION_FP32, false);
}

static void test_bf16(void **state)
{
    (void)state;
    compare_many(VLY_PRECISION_BF16, false);
}

static void test_int8(void **state)
{
    (void)state;
    compare_many(VLY_PRECISION_INT8, true);
}

static void test_quantised_in_floats(void **state)
{
    (void)state;
    compare_many(VLY_PRECISION_FP32, true);
}

UNIT_TESTS(cmocka_unit_test(test_fp32), cmocka_unit_test(test_bf16), cmocka_unit_test(test_int8),
           cmocka_unit_test(test_quantised_in_floats))
