/* SPDX-License-Identifier: MIT */
/* Patterns that fusion knows: the steps they become, and their values by hand or by plain loops. */
#include "engine/model.h"

#include "base/cpu.h"
#include "base/mem.h"
#include "support/onnx_builder.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct session {
    onnx_builder b;
    vly_model *model;
    vly_instance *instance;
    vly_tensor out;
} session;

static void begin(session *s, int rank, const int64_t *dims)
{
    *s = (session){0};
    ob_init(&s->b);
    ob_input(&s->b, "x", OB_FLOAT, rank, dims);
    ob_output(&s->b, "y", OB_FLOAT, -1, NULL);
}

static void open_file(session *s, vly_str file, vly_precision precision)
{
    vly_model_options options = VLY_MODEL_OPTIONS_DEFAULT;
    vly_err err;

    options.precision = precision;
    if (vly_model_load_bytes(file.ptr, file.len, &options, &s->model, &err) != VLY_OK ||
        vly_instance_new(s->model, NULL, &s->instance, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

static void open_session(session *s, vly_precision precision)
{
    open_file(s, ob_finish(&s->b, 20), precision);
}

static size_t count_steps(session *s)
{
    vly_plan_summary plan;
    vly_err err;

    assert_int_equal(vly_instance_plan(s->instance, NULL, &plan, &err), VLY_OK);
    return plan.n_steps;
}

/* Runs on x of the model's shape; twice, and the second time allocates nothing. */
static const float *run_on(session *s, const float *x)
{
    vly_tensor in = vly_tensor_borrow(VLY_DTYPE_F32, &vly_model_describe(s->model)->inputs[0].shape,
                                      (void *)(uintptr_t)x);
    vly_err err;
    uint64_t before = 0;

    for (int i = 0; i < 2; i++) {
        vly_tensor_release(&s->out);
        before = vly_mem_count_all();
        if (vly_instance_run(s->instance, &in, &s->out, &err) != VLY_OK)
            fail_msg("%s", err.msg);
    }
    assert_int_equal(vly_mem_count_all(), before);
    return s->out.data;
}

static void end(session *s)
{
    vly_tensor_release(&s->out);
    vly_instance_free(s->instance);
    vly_model_unref(s->model);
    ob_release(&s->b);
}

static void expect(const float *got, const double *want, size_t n, double bound)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= bound))
            fail_msg("element %zu: %g, expected %g", i, (double)got[i], want[i]);
}

/* ---- convolution, batch norm, activation ---------------------------------------------------- */

enum { C = 4, SIDE = 5, AREA = SIDE * SIDE, N = C * AREA, N_WEIGHTS = C * C * 9 };

static void fill(float *p, size_t n, int seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (float)((i * 37 + (size_t)seed * 11) % 23) / 10.0f - 1.1f;
}

/* 3x3, one zero around. */
static void convolve(const float *x, const float *w, const float *bias, double *y)
{
    for (int o = 0; o < C; o++)
        for (int at = 0; at < AREA; at++) {
            double sum = bias != NULL ? (double)bias[o] : 0.0;
            for (int i = 0; i < C; i++)
                for (int t = 0; t < 9; t++) {
                    int r = at / SIDE + t / 3 - 1, c = at % SIDE + t % 3 - 1;
                    if (r >= 0 && r < SIDE && c >= 0 && c < SIDE)
                        sum +=
                            (double)x[(i * SIDE + r) * SIDE + c] * (double)w[(o * C + i) * 9 + t];
                }
            y[o * AREA + at] = sum;
        }
}

/* A convolution as convolve computes it. */
static void add_conv(session *s, const char *in, const char *out, const float *w, const float *bias)
{
    char inputs[192], weights[64], name[64];

    snprintf(weights, sizeof(weights), "w_%s", out);
    snprintf(name, sizeof(name), "b_%s", out);
    ob_floats(&s->b, weights, 4, (int64_t[]){C, C, 3, 3}, w);
    ob_floats(&s->b, name, 1, (int64_t[]){C}, bias);
    snprintf(inputs, sizeof(inputs), "%s,%s,%s", in, weights, name);
    ob_node(&s->b, "Conv", inputs, out);
    ob_attr_ints(&s->b, "pads", 4, (int64_t[]){1, 1, 1, 1});
}

static double sigmoid(double v)
{
    return 1.0 / (1.0 + exp(-v));
}

static double act(const char *op, double v)
{
    if (strcmp(op, "Relu") == 0)
        return v > 0 ? v : 0;
    if (strcmp(op, "Sigmoid") == 0)
        return sigmoid(v);
    if (strcmp(op, "Tanh") == 0)
        return tanh(v);
    if (strcmp(op, "HardSwish") == 0)
        return v * fmin(fmax(v / 6 + 0.5, 0), 1);
    if (strcmp(op, "HardSigmoid") == 0)
        return fmin(fmax(0.2 * v + 0.5, 0), 1);
    if (strcmp(op, "LeakyRelu") == 0)
        return v < 0 ? 0.01 * v : v;
    if (strcmp(op, "Gelu") == 0)
        return v / 2 * (1 + erf(v / sqrt(2)));
    return v * sigmoid(v); /* SiLU */
}

static void check_act(const char *op, vly_precision precision, double bound)
{
    float x[N], w[N_WEIGHTS], bias[C] = {0.5f, -0.25f, 0, 1}, bn[4][C];
    double want[N];
    session s;
    bool is_silu = strcmp(op, "SiLU") == 0;

    fill(x, N, 1);
    fill(w, N_WEIGHTS, 2);
    for (int k = 0; k < 4; k++)
        for (int c = 0; c < C; c++)
            bn[k][c] = (float)(k + c + 1) / 4.0f;
    begin(&s, 4, (int64_t[]){1, C, SIDE, SIDE});
    add_conv(&s, "x", "a", w, bias);
    for (int k = 0; k < 4; k++)
        ob_floats(&s.b, (const char *[]){"p0", "p1", "p2", "p3"}[k], 1, (int64_t[]){C}, bn[k]);
    ob_node(&s.b, "BatchNormalization", "a,p0,p1,p2,p3", "n");
    ob_node(&s.b, is_silu ? "Sigmoid" : op, "n", is_silu ? "g" : "y");
    if (is_silu)
        ob_node(&s.b, "Mul", "n,g", "y");
    open_session(&s, precision);
    assert_int_equal(count_steps(&s), 3); /* in, convolution, out */
    convolve(x, w, bias, want);
    for (int i = 0; i < N; i++) {
        int c = i / AREA;
        double v = (want[i] - (double)bn[2][c]) / sqrt((double)bn[3][c] + 1e-5) * (double)bn[0][c] +
                   (double)bn[1][c];
        want[i] = act(op, v);
    }
    expect(run_on(&s, x), want, N, bound);
    end(&s);
}

static void test_activations(void **state)
{
    (void)state;
    static const char *const ops[] = {"Relu",        "Sigmoid",   "Tanh", "HardSwish",
                                      "HardSigmoid", "LeakyRelu", "Gelu", "SiLU"};

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        check_act(ops[i], VLY_PRECISION_FP32, 1e-4);
        check_act(ops[i], VLY_PRECISION_BF16, 0.4); /* 36 products of up to 1.3, 2^-8 each way */
    }
}

/* relu(conv(x)) + conv(x), and relu of that, as in ResNet. */
static void test_residual(void **state)
{
    (void)state;
    float x[N], w1[N_WEIGHTS], w2[N_WEIGHTS], bias[C] = {0};
    double a[N], b[N];
    session s;

    fill(x, N, 3);
    fill(w1, N_WEIGHTS, 4);
    fill(w2, N_WEIGHTS, 5);
    begin(&s, 4, (int64_t[]){1, C, SIDE, SIDE});
    add_conv(&s, "x", "a", w1, bias);
    ob_node(&s.b, "Relu", "a", "r");
    add_conv(&s, "x", "b", w2, bias);
    ob_node(&s.b, "Add", "r,b", "s");
    ob_node(&s.b, "Relu", "s", "y");
    open_session(&s, VLY_PRECISION_FP32);
    assert_int_equal(count_steps(&s), 4);
    convolve(x, w1, bias, a);
    convolve(x, w2, bias, b);
    for (int i = 0; i < N; i++)
        a[i] = fmax(fmax(a[i], 0) + b[i], 0);
    expect(run_on(&s, x), a, N, 1e-4);
    end(&s);
}

/* C2f of YOLOv8: a Split whose parts are convolved and put together again without a copy. */
static void test_split_and_concat(void **state)
{
    (void)state;
    float x[N], w1[N_WEIGHTS], w2[N_WEIGHTS], bias[C] = {0}, half[N];
    double a[N], want[2 * N];
    session s;

    fill(x, N, 6);
    fill(w1, N_WEIGHTS, 7);
    fill(w2, N_WEIGHTS, 8);
    begin(&s, 4, (int64_t[]){1, C, SIDE, SIDE});
    add_conv(&s, "x", "a", w1, bias);
    add_conv(&s, "a", "b", w2, bias);
    ob_ints(&s.b, "sizes", 1, (int64_t[]){2}, (int64_t[]){1, 3});
    ob_node(&s.b, "Split", "b,sizes", "p,q");
    ob_attr_int(&s.b, "axis", 1);
    ob_node(&s.b, "Concat", "p,q,a", "c");
    ob_attr_int(&s.b, "axis", 1);
    ob_node(&s.b, "Relu", "c", "y");
    open_session(&s, VLY_PRECISION_FP32);
    assert_int_equal(count_steps(&s), 4); /* in, two convolutions, Relu on the way out */
    convolve(x, w1, bias, a);
    for (int i = 0; i < N; i++) {
        half[i] = (float)a[i];
        want[N + i] = fmax(a[i], 0);
    }
    convolve(half, w2, bias, want);
    for (int i = 0; i < N; i++)
        want[i] = fmax(want[i], 0);
    expect(run_on(&s, x), want, sizeof(want) / sizeof(want[0]), 1e-3);
    end(&s);
}

/* A picture of one pixel and a matrix whose rows are no whole groups of channels. */
static void test_narrow_rows(void **state)
{
    (void)state;
    float x[3 * 5], w[5 * 2];
    double want[3 * 2] = {0};
    session s;

    fill(x, 15, 9);
    fill(w, 10, 10);
    begin(&s, 2, (int64_t[]){3, 5});
    ob_floats(&s.b, "w", 2, (int64_t[]){5, 2}, w);
    ob_node(&s.b, "MatMul", "x,w", "y");
    open_session(&s, VLY_PRECISION_BF16);
    for (int i = 0; i < 3; i++)
        for (int o = 0; o < 2; o++)
            for (int k = 0; k < 5; k++)
                want[i * 2 + o] += (double)x[i * 5 + k] * (double)w[k * 2 + o];
    expect(run_on(&s, x), want, 6, 0.05);
    end(&s);
}

/* Signals joined along time and convolved over the seam. */
static void test_join(void **state)
{
    (void)state;
    const float x[4] = {1, 2, 3, 4}, w[3] = {1, 10, 100};
    const double want[8] = {2 * 10 + 4 * 100.0, 2 + 40 + 600.0, 4 + 60 + 800.0, 6 + 80 + 200.0,
                            8 + 20 + 400.0,     2 + 40 + 600.0, 4 + 60 + 800.0, 6 + 80.0};
    session s;

    begin(&s, 3, (int64_t[]){1, 1, 4});
    ob_floats(&s.b, "one", 3, (int64_t[]){1, 1, 1}, (float[]){2});
    ob_floats(&s.b, "w", 3, (int64_t[]){1, 1, 3}, w);
    ob_node(&s.b, "Conv", "x,one", "a");
    ob_node(&s.b, "Concat", "a,a", "j");
    ob_attr_int(&s.b, "axis", 2);
    ob_node(&s.b, "Conv", "j,w", "y");
    ob_attr_ints(&s.b, "pads", 2, (int64_t[]){1, 1});
    open_session(&s, VLY_PRECISION_FP32);
    expect(run_on(&s, x), want, 8, 1e-3);
    end(&s);
}

/* ---- quantised ------------------------------------------------------------------------------ */

/* Codes of 2x2 pixels through a 1x1 convolution with weights 1 and -2 in halves, hand-computed:
 * x = 0.5 * q, y = 0.25 * round(4 * (0.5 * x0 - x1)). zero_point: of the weights. */
static void check_codes(int8_t zero_point)
{
    const float x[8] = {1, 2, 3, 4, 0.5f, 0, -1, 2.3f}, half = 0.5f, quarter = 0.25f;
    const int8_t codes[2] = {(int8_t)(1 + zero_point), (int8_t)(-2 + zero_point)};
    const uint8_t middle = 100;
    const double want[4] = {0, 1, 2.5, -0.5};
    session s;

    begin(&s, 4, (int64_t[]){1, 2, 2, 2});
    ob_floats(&s.b, "h", 0, NULL, &half);
    ob_floats(&s.b, "f", 0, NULL, &quarter);
    ob_tensor(&s.b, "m", OB_UINT8, 0, NULL, &middle, 1);
    ob_tensor(&s.b, "z", OB_INT8, 0, NULL, &zero_point, 1);
    ob_tensor(&s.b, "w", OB_INT8, 4, (int64_t[]){1, 2, 1, 1}, codes, 2);
    ob_node(&s.b, "QuantizeLinear", "x,h,m", "q");
    ob_node(&s.b, "DequantizeLinear", "q,h,m", "d");
    ob_node(&s.b, "DequantizeLinear", "w,h,z", "wd");
    ob_node(&s.b, "Conv", "d,wd", "c");
    ob_node(&s.b, "QuantizeLinear", "c,f,m", "cq");
    ob_node(&s.b, "DequantizeLinear", "cq,f,m", "y");
    open_session(&s, VLY_PRECISION_INT8);
    expect(run_on(&s, x), want, 4, 0);
    end(&s);
}

static void test_codes(void **state)
{
    (void)state;
    check_codes(0);
    check_codes(7); /* not symmetric: in floats, and right */
}

/* Halves of a split and their Concat, quantised again as they were, cost no step; hand-computed:
 * a = 0.25 * round(4 * (x0 / 2, -x0, x1 / 2, x1)), y = (a0 - 2 a1 + 3 a2 + a3) / 2. */
static void test_codes_come_back(void **state)
{
    (void)state;
    const float x[4] = {1, 2, 0.5f, -1}, half = 0.5f, quarter = 0.25f;
    const int8_t first[8] = {1, 0, -2, 0, 0, 1, 0, 2}, second[4] = {1, -2, 3, 1}, zero = 0;
    const uint8_t middle = 100;
    const double want[2] = {1.875, 1.25};
    session s;

    begin(&s, 4, (int64_t[]){1, 2, 1, 2});
    ob_floats(&s.b, "h", 0, NULL, &half);
    ob_floats(&s.b, "f", 0, NULL, &quarter);
    ob_tensor(&s.b, "m", OB_UINT8, 0, NULL, &middle, 1);
    ob_tensor(&s.b, "z", OB_INT8, 0, NULL, &zero, 1);
    ob_tensor(&s.b, "w", OB_INT8, 4, (int64_t[]){4, 2, 1, 1}, first, 8);
    ob_tensor(&s.b, "v", OB_INT8, 4, (int64_t[]){1, 4, 1, 1}, second, 4);
    ob_node(&s.b, "DequantizeLinear", "w,h,z", "wd");
    ob_node(&s.b, "DequantizeLinear", "v,h,z", "vd");
    ob_node(&s.b, "QuantizeLinear", "x,h,m", "q");
    ob_node(&s.b, "DequantizeLinear", "q,h,m", "d");
    ob_node(&s.b, "Conv", "d,wd", "a");
    ob_node(&s.b, "QuantizeLinear", "a,f,m", "aq");
    ob_node(&s.b, "DequantizeLinear", "aq,f,m", "ad");
    ob_ints(&s.b, "sizes", 1, (int64_t[]){2}, (int64_t[]){1, 3});
    ob_node(&s.b, "Split", "ad,sizes", "p,r");
    ob_attr_int(&s.b, "axis", 1);
    ob_node(&s.b, "QuantizeLinear", "p,f,m", "pq");
    ob_node(&s.b, "DequantizeLinear", "pq,f,m", "pd");
    ob_node(&s.b, "QuantizeLinear", "r,f,m", "rq");
    ob_node(&s.b, "DequantizeLinear", "rq,f,m", "rd");
    ob_node(&s.b, "Concat", "pd,rd", "c");
    ob_attr_int(&s.b, "axis", 1);
    ob_node(&s.b, "QuantizeLinear", "c,f,m", "cq");
    ob_node(&s.b, "DequantizeLinear", "cq,f,m", "cd");
    ob_node(&s.b, "Conv", "cd,vd", "y");
    open_session(&s, VLY_PRECISION_INT8);
    if ((vly_cpu_flags() & VLY_CPU_AMX) != 0)
        assert_int_equal(count_steps(&s), 4); /* in, two convolutions, out */
    expect(run_on(&s, x), want, 2, 0);
    end(&s);
}

/* ---- quantised otherwise than exporters do, beside the operators by themselves --------------- */

enum { LINE_C = 16, LINE_W = 12, LINE_N = LINE_C * LINE_W };

/* Signals x [1, LINE_C, LINE_W]; scales h 1/2, f 1/4 and hs (along an axis), all powers of two, so
 * that sums are exact; zero points m 100, n 90, ms; weights w1 and w3 of one tap and of three. */
static void begin_codes(session *s)
{
    const float half = 0.5f, quarter = 0.25f;
    const uint8_t m = 100, n = 90;
    const int8_t zero = 0;
    float scales[LINE_C];
    uint8_t zeros[LINE_C];
    int8_t w1[LINE_C * LINE_C], w3[LINE_C * LINE_C * 3];

    for (int c = 0; c < LINE_C; c++) {
        scales[c] = c % 2 == 0 ? half : quarter;
        zeros[c] = m;
    }
    for (int i = 0; i < LINE_C * LINE_C * 3; i++) {
        w1[i / 3] = (int8_t)(i / 3 * 5 % 7 - 3);
        w3[i] = (int8_t)(i * 5 % 7 - 3);
    }
    begin(s, 3, (int64_t[]){1, LINE_C, LINE_W});
    ob_floats(&s->b, "h", 0, NULL, &half);
    ob_floats(&s->b, "f", 0, NULL, &quarter);
    ob_floats(&s->b, "hs", 1, (int64_t[]){LINE_C}, scales);
    ob_tensor(&s->b, "m", OB_UINT8, 0, NULL, &m, 1);
    ob_tensor(&s->b, "n", OB_UINT8, 0, NULL, &n, 1);
    ob_tensor(&s->b, "ms", OB_UINT8, 1, (int64_t[]){LINE_C}, zeros, LINE_C);
    ob_tensor(&s->b, "z", OB_INT8, 0, NULL, &zero, 1);
    ob_tensor(&s->b, "w1q", OB_INT8, 3, (int64_t[]){LINE_C, LINE_C, 1}, w1, sizeof(w1));
    ob_tensor(&s->b, "w3q", OB_INT8, 3, (int64_t[]){LINE_C, LINE_C, 3}, w3, sizeof(w3));
    ob_node(&s->b, "DequantizeLinear", "w1q,h,z", "w1");
    ob_node(&s->b, "DequantizeLinear", "w3q,h,z", "w3");
}

/* The int8 plan gives what the operators by themselves give, to the bit. */
static void expect_exact(session *s)
{
    float x[LINE_N];
    vly_str file = ob_finish(&s->b, 23);
    session exact = {0};

    fill(x, LINE_N, 11);
    open_file(s, file, VLY_PRECISION_INT8);
    open_file(&exact, file, VLY_PRECISION_EXACT);
    const float *got = run_on(s, x), *want = run_on(&exact, x);
    assert_true(vly_shape_eq(&s->out.shape, &exact.out.shape));
    for (uint64_t i = 0; i < vly_tensor_count(&s->out); i++)
        if (got[i] != want[i])
            fail_msg("element %d: %g, expected %g", (int)i, (double)got[i], (double)want[i]);
    end(&exact);
    end(s);
}

/* How a graph writes codes and reads them. */
typedef struct pair {
    const char *written, *read; /* scale and zero point */
    const char *domain;         /* of who reads, or NULL */
    int64_t code_type, type;    /* output_dtype; 0: not given */
} pair;

/* in, quantised and dequantised by p, as `out` */
static void add_pair(session *s, const pair *p, const char *in, const char *out)
{
    char inputs[64], codes[32], real[32];

    snprintf(codes, sizeof(codes), "%s_q", in);
    snprintf(real, sizeof(real), "%s%s", out, p->type != 0 ? "_r" : "");
    snprintf(inputs, sizeof(inputs), "%s,%s", in, p->written);
    ob_node(&s->b, "QuantizeLinear", inputs, codes);
    if (p->code_type != 0)
        ob_attr_int(&s->b, "output_dtype", p->code_type);
    snprintf(inputs, sizeof(inputs), "%s,%s", codes, p->read);
    ob_node(&s->b, "DequantizeLinear", inputs, real);
    if (p->domain != NULL)
        ob_node_domain(&s->b, p->domain);
    if (p->type == 0)
        return;
    ob_attr_int(&s->b, "output_dtype", p->type);
    ob_node(&s->b, "Cast", real, out);
    ob_attr_int(&s->b, "to", OB_FLOAT);
}

/* Codes of the input, of a convolution's sums, and of a sum with a residual. */
static void check_pair(const pair *p)
{
    session s;

    begin_codes(&s);
    ob_opset(&s.b, "com.microsoft", 1);
    ob_node(&s.b, "Sub", "x,x", "zeros");
    ob_node(&s.b, "ReduceMax", "zeros", "no");
    ob_attr_int(&s.b, "keepdims", 0);
    ob_node(&s.b, "Add", "no,f", "computed");
    add_pair(&s, p, "x", "d");
    ob_node(&s.b, "Conv", "d,w1", "a");
    add_pair(&s, p, "a", "ad");
    ob_node(&s.b, "Conv", "ad,w3", "b");
    ob_attr_ints(&s.b, "pads", 2, (int64_t[]){1, 1});
    ob_node(&s.b, "Add", "ad,b", "c");
    add_pair(&s, p, "c", "cd");
    ob_node(&s.b, "Conv", "cd,w1", "y");
    expect_exact(&s);
}

static void test_codes_read_otherwise(void **state)
{
    (void)state;
    static const pair pairs[] = {
        {"h,m", "h,m", NULL, 0, 0},
        {"h,m", "f,m", NULL, 0, 0},
        {"h,m", "h,n", NULL, 0, 0},
        {"h,m", "h", NULL, 0, 0},
        {"h,m", "hs,ms", NULL, 0, 0},
        {"h,m", "computed,m", NULL, 0, 0},
        {"computed,m", "f,m", NULL, 0, 0},
        {"h,m", "h,m", "com.microsoft", 0, 0},
        {"h,m", "h,m", NULL, 0, OB_FLOAT16},
        {"h", "h", NULL, OB_INT8, 0}, /* saturates at -128 and 127 */
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        check_pair(&pairs[i]);
}

/* Codes joined along time leave no room for the border that another reader needs: of codes
 * quantised again, or read twice. */
static void check_joined_codes(bool is_twice)
{
    session s;

    begin_codes(&s);
    ob_node(&s.b, "QuantizeLinear", "x,h,m", "q");
    ob_node(&s.b, "DequantizeLinear", "q,h,m", "d");
    ob_node(&s.b, "Conv", "d,w1", "a");
    ob_node(&s.b, "QuantizeLinear", "a,f,m", "aq");
    ob_node(&s.b, "DequantizeLinear", "aq,f,m", "ad");
    ob_node(&s.b, "Conv", "d,w1", "b");
    ob_node(&s.b, "QuantizeLinear", "b,f,m", "bq");
    ob_node(&s.b, "DequantizeLinear", "bq,f,m", "bd");
    ob_node(&s.b, "Concat", "ad,bd", "j");
    ob_attr_int(&s.b, "axis", 2);
    ob_node(&s.b, "QuantizeLinear", "j,f,m", "jq");
    ob_node(&s.b, "DequantizeLinear", "jq,f,m", "jd");
    ob_node(&s.b, "Conv", "jd,w1", "y1");
    if (!is_twice)
        ob_node(&s.b, "QuantizeLinear", "ad,f,m", "pq");
    ob_node(&s.b, "DequantizeLinear", is_twice ? "aq,f,m" : "pq,f,m", "pd");
    ob_node(&s.b, "Conv", "pd,w3", "y2");
    ob_attr_ints(&s.b, "pads", 2, (int64_t[]){1, 1});
    ob_node(&s.b, "Concat", "y1,y2", "y");
    ob_attr_int(&s.b, "axis", 2);
    expect_exact(&s);
}

static void test_joined_codes(void **state)
{
    (void)state;
    check_joined_codes(false);
    check_joined_codes(true);
}

/* As many scales as outputs, but one for each input of all of them. */
static void test_blocks_of_weights(void **state)
{
    (void)state;
    float scales[LINE_C];
    session s;

    for (int i = 0; i < LINE_C; i++)
        scales[i] = i % 3 == 0 ? 0.5f : 0.25f;
    begin_codes(&s);
    ob_floats(&s.b, "blocks", 3, (int64_t[]){1, LINE_C, 1}, scales);
    ob_node(&s.b, "DequantizeLinear", "w1q,blocks", "w");
    ob_attr_int(&s.b, "axis", 0);
    ob_attr_int(&s.b, "block_size", LINE_C);
    ob_node(&s.b, "QuantizeLinear", "x,h,m", "q");
    ob_node(&s.b, "DequantizeLinear", "q,h,m", "d");
    ob_node(&s.b, "Conv", "d,w", "y");
    expect_exact(&s);
}

/* Packed weights count as memory: one output channel is packed as sixteen or more. */
static void test_memory_limit(void **state)
{
    (void)state;
    static float w[64 * 64 * 9];
    vly_model_options options = VLY_MODEL_OPTIONS_DEFAULT;
    vly_plan_summary plan;
    vly_err err;
    session s;

    begin(&s, 4, (int64_t[]){1, 64, 1, 1});
    ob_floats(&s.b, "w", 4, (int64_t[]){64, 64, 3, 3}, w);
    ob_node(&s.b, "Conv", "x,w", "y");
    ob_attr_ints(&s.b, "pads", 4, (int64_t[]){1, 1, 1, 1});
    options.max_memory_bytes = sizeof(w) + 10000;
    vly_str file = ob_finish(&s.b, 20);
    assert_int_equal(vly_model_load_bytes(file.ptr, file.len, &options, &s.model, &err), VLY_OK);
    assert_int_equal(vly_instance_new(s.model, NULL, &s.instance, &err), VLY_OK);
    assert_int_equal(vly_instance_plan(s.instance, NULL, &plan, &err), VLY_ELIMIT);
    end(&s);
}

UNIT_TESTS(cmocka_unit_test(test_activations), cmocka_unit_test(test_residual),
           cmocka_unit_test(test_split_and_concat), cmocka_unit_test(test_narrow_rows),
           cmocka_unit_test(test_join), cmocka_unit_test(test_codes),
           cmocka_unit_test(test_codes_come_back), cmocka_unit_test(test_codes_read_otherwise),
           cmocka_unit_test(test_joined_codes), cmocka_unit_test(test_blocks_of_weights),
           cmocka_unit_test(test_memory_limit))
