/* SPDX-License-Identifier: MIT */
#include "engine/random_graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    OPSET = 20,
    DIM_MAX = 40,
    GROWN_MAX = 160,
    ELEMENTS_MAX = 20000,
    WEIGHTS_MAX = 40000,
    TEXT_MAX = 96
};

int rg_below(uint64_t *state, int n)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (int)(((*state * 0x2545F4914F6CDD1Dull) >> 33) % (uint64_t)n);
}

static int below(random_graph *g, int n)
{
    return rg_below(&g->state, n);
}

static bool chance(random_graph *g, int percent)
{
    return below(g, 100) < percent;
}

/* ---- values ------------------------------------------------------------------------------- */

static const char *name_of(int v, char text[TEXT_MAX])
{
    snprintf(text, TEXT_MAX, "v%d", v);
    return text;
}

static int64_t count(const rg_value *v)
{
    int64_t n = 1;
    for (int i = 0; i < v->rank; i++)
        n *= v->dim[i];
    return n;
}

static bool is_acceptable(const rg_value *v)
{
    for (int i = 0; i < v->rank; i++)
        if (v->dim[i] < 1 || v->dim[i] > GROWN_MAX)
            return false;
    return count(v) <= ELEMENTS_MAX;
}

/* A value of this rank (0: any), a late one rather than an early one; -1: there is none. */
static int pick(random_graph *g, int rank)
{
    for (int i = 0; i < 40; i++) {
        int back = below(g, chance(g, 70) ? 4 : RG_VALUES_MAX);
        int v = g->n_values - 1 - back;
        if (v >= 0 && (rank == 0 || g->values[v].rank == rank))
            return v;
    }
    return -1;
}

/* One with the shape of v but for the dimension `free` (-1: none); v when there is no other. */
static int pick_like(random_graph *g, int v, int free)
{
    const rg_value *a = &g->values[v];

    for (int i = 0; i < 30; i++) {
        int u = below(g, g->n_values);
        const rg_value *b = &g->values[u];
        bool is_like = b->rank == a->rank;
        for (int k = 0; k < a->rank && is_like; k++)
            is_like = k == free || b->dim[k] == a->dim[k];
        if (is_like && u != v)
            return u;
    }
    return v;
}

/* Adds the node "op(inputs)" with one output of this type; its index. */
static int add(random_graph *g, const char *op, const char *inputs, rg_value type)
{
    char out[TEXT_MAX];

    type.is_read = false;
    g->values[g->n_values] = type;
    ob_node(&g->b, op, inputs, name_of(g->n_values, out));
    return g->n_values++;
}

static int add_unary(random_graph *g, const char *op, int x)
{
    char in[TEXT_MAX];
    rg_value type = g->values[x];

    g->values[x].is_read = true;
    type.is_code = false;
    return add(g, op, name_of(x, in), type);
}

static int add_binary(random_graph *g, const char *op, int x, int y, rg_value type)
{
    char in[TEXT_MAX];

    g->values[x].is_read = g->values[y].is_read = true;
    snprintf(in, sizeof(in), "v%d,v%d", x, y);
    type.is_code = false;
    return add(g, op, in, type);
}

/* ---- constants ---------------------------------------------------------------------------- */

static const char *new_constant(random_graph *g, char text[TEXT_MAX])
{
    snprintf(text, TEXT_MAX, "c%d", g->n_constants++);
    return text;
}

/* Uniform in [-reach, reach]; quantised graphs: multiples of 1/16. */
static float number(random_graph *g, float reach)
{
    float v = ((float)below(g, 2001) / 1000.0f - 1.0f) * reach;
    return g->is_quantised ? rintf(v * 16.0f) / 16.0f : v;
}

static void floats(random_graph *g, const char *name, int rank, const int64_t *dims, float middle,
                   float reach)
{
    static float data[WEIGHTS_MAX];
    int64_t n = 1;

    for (int i = 0; i < rank; i++)
        n *= dims[i];
    for (int64_t i = 0; i < n; i++)
        data[i] = middle + number(g, reach);
    ob_floats(&g->b, name, rank, dims, data);
}

static float power_of_two(random_graph *g, int from, int n)
{
    return ldexpf(1.0f, from + below(g, n));
}

/* int8 weights [dims] behind a DequantizeLinear called `name`, with scales for the tensor or for
 * each index of axis 0. */
static void int8_weights(random_graph *g, const char *name, int rank, const int64_t *dims)
{
    static int8_t codes[WEIGHTS_MAX];
    static float scales[WEIGHTS_MAX];
    static int8_t zeros[WEIGHTS_MAX];
    char in[3 * TEXT_MAX], q[TEXT_MAX], s[TEXT_MAX], z[TEXT_MAX];
    int64_t n = 1, n_scales = chance(g, 60) ? dims[0] : 1;
    bool has_zero = chance(g, 60), is_symmetric = chance(g, 85);

    for (int i = 0; i < rank; i++)
        n *= dims[i];
    for (int64_t i = 0; i < n; i++)
        codes[i] = (int8_t)(below(g, 256) - 128);
    for (int64_t i = 0; i < n_scales; i++) {
        scales[i] = power_of_two(g, -9, 3);
        zeros[i] = is_symmetric ? 0 : (int8_t)(below(g, 40) - 20);
    }
    g->is_exact &= is_symmetric || !has_zero; /* else floats, and perhaps Winograd */
    ob_tensor(&g->b, new_constant(g, q), OB_INT8, rank, dims, codes, (size_t)n);
    ob_floats(&g->b, new_constant(g, s), n_scales > 1 ? 1 : 0, &n_scales, scales);
    ob_tensor(&g->b, new_constant(g, z), OB_INT8, n_scales > 1 ? 1 : 0, &n_scales, zeros,
              (size_t)n_scales);
    snprintf(in, sizeof(in), has_zero ? "%s,%s,%s" : "%s,%s", q, s, z);
    ob_node(&g->b, "DequantizeLinear", in, name);
    if (n_scales > 1)
        ob_attr_int(&g->b, "axis", 0);
}

static void weights(random_graph *g, const char *name, int rank, const int64_t *dims)
{
    int64_t fan_in = 1;

    for (int i = 1; i < rank; i++)
        fan_in *= dims[i];
    if (g->is_quantised && chance(g, 85)) {
        int8_weights(g, name, rank, dims);
        return;
    }
    g->is_exact &= !g->is_quantised;
    floats(g, name, rank, dims, 0.0f, 1.7f / sqrtf((float)fan_in));
}

/* ---- quantisation ------------------------------------------------------------------------- */

/* The codes q of v[value] under another scale, or quantised again as they are, or read twice. */
static int quantise_oddly(random_graph *g, int value, const char *q, const char *s, const char *z)
{
    char in[3 * TEXT_MAX], x[TEXT_MAX];
    rg_value type = g->values[value];
    int kind = below(g, 3);

    if (kind == 0) {
        float scale = power_of_two(g, -6, 3);
        ob_floats(&g->b, new_constant(g, x), 0, NULL, &scale);
        s = x;
        g->values[value].is_code = type.is_code = false;
    } else if (kind == 1) {
        g->values[value].is_read = true;
        snprintf(in, sizeof(in), "v%d,%s,%s", value, s, z);
        q = new_constant(g, x);
        ob_node(&g->b, "QuantizeLinear", in, q);
    }
    snprintf(in, sizeof(in), "%s,%s,%s", q, s, z);
    return add(g, "DequantizeLinear", in, type);
}

/* v behind a Q and a DQ, as exporters put them behind every operator. */
static int quantise(random_graph *g, int v)
{
    char in[3 * TEXT_MAX], q[TEXT_MAX], s[TEXT_MAX], z[TEXT_MAX], x[TEXT_MAX];
    bool is_signed = chance(g, 40);
    uint8_t zero = (uint8_t)(is_signed ? below(g, 80) - 40 : chance(g, 30) ? 0 : below(g, 256));
    float scale = power_of_two(g, -6, 3);
    rg_value type = g->values[v];

    if (g->n_values == RG_VALUES_MAX)
        return v;
    g->values[v].is_read = true;
    ob_floats(&g->b, new_constant(g, s), 0, NULL, &scale);
    ob_tensor(&g->b, new_constant(g, z), is_signed ? OB_INT8 : OB_UINT8, 0, NULL, &zero, 1);
    snprintf(in, sizeof(in), "%s,%s,%s", name_of(v, x), s, z);
    ob_node(&g->b, "QuantizeLinear", in, new_constant(g, q));
    snprintf(in, sizeof(in), "%s,%s,%s", q, s, z);
    type.is_code = true;
    v = add(g, "DequantizeLinear", in, type);
    return chance(g, 15) && g->n_values < RG_VALUES_MAX ? quantise_oddly(g, v, q, s, z) : v;
}

/* ---- operators: each adds a node or a few, or does nothing ---------------------------------- */

/* How a window moves over the spatial dimensions, chosen before the node is written. */
typedef struct window {
    int64_t kernel[2], stride[2], dilation[2], pads[4];
    int auto_pad; /* -1: pads */
} window;

static const char *const auto_pads[] = {"SAME_UPPER", "SAME_LOWER", "VALID"};

/* A window for x, whose output is written to type->dim; false: it would be empty. */
static bool choose_window(random_graph *g, const rg_value *x, int pad_max, window *w,
                          rg_value *type)
{
    static const int64_t kernels[] = {1, 1, 3, 3, 3, 5, 2};
    int n = x->rank - 2;
    bool is_square = chance(g, 80), is_plain = chance(g, 50);
    int64_t k = kernels[below(g, 7)];

    *w = (window){.auto_pad = chance(g, 12) ? below(g, 3) : -1};
    for (int i = 0; i < n; i++) {
        w->kernel[i] = is_square ? k : kernels[below(g, 7)];
        w->stride[i] = is_plain ? 1 : 1 + below(g, 2);
        w->dilation[i] = is_plain || w->auto_pad >= 0 ? 1 : 1 + below(g, 2);
        int64_t reach = (w->kernel[i] - 1) * w->dilation[i];
        for (int e = 0; e < 2; e++) {
            int64_t pad =
                is_plain ? reach / 2 : below(g, (int)(reach < pad_max ? reach : pad_max) + 1);
            w->pads[i + e * n] = pad < pad_max ? pad : pad_max;
        }
        int64_t in = x->dim[2 + i], total = w->pads[i] + w->pads[i + n];
        if (w->auto_pad == 0 || w->auto_pad == 1)
            type->dim[2 + i] = (in + w->stride[i] - 1) / w->stride[i];
        else
            type->dim[2 + i] =
                in + (w->auto_pad == 2 ? 0 : total) - reach <= 0
                    ? 0
                    : (in + (w->auto_pad == 2 ? 0 : total) - reach - 1) / w->stride[i] + 1;
    }
    return is_acceptable(type);
}

static void write_window(random_graph *g, const window *w, int n, bool has_dilations)
{
    ob_attr_ints(&g->b, "kernel_shape", (size_t)n, w->kernel);
    ob_attr_ints(&g->b, "strides", (size_t)n, w->stride);
    if (has_dilations)
        ob_attr_ints(&g->b, "dilations", (size_t)n, w->dilation);
    if (w->auto_pad >= 0)
        ob_attr_string(&g->b, "auto_pad", auto_pads[w->auto_pad]);
    else
        ob_attr_ints(&g->b, "pads", 2 * (size_t)n, w->pads);
}

static void add_conv(random_graph *g)
{
    int x = pick(g, chance(g, 85) ? 4 : 3);
    char in[3 * TEXT_MAX], w[TEXT_MAX], b[TEXT_MAX];
    window win;

    if (x < 0)
        return;
    rg_value type = g->values[x];
    int64_t c = type.dim[1], group = chance(g, 20) ? c : 1;
    if (c % 2 == 0 && chance(g, 5))
        group = 2;
    type.dim[1] =
        group > 1 ? group * (chance(g, 80) ? 1 : 2) : 1 + below(g, chance(g, 70) ? 12 : 40);
    int64_t dims[4] = {type.dim[1], c / group};
    if (!choose_window(g, &g->values[x], 3, &win, &type))
        return;
    memcpy(dims + 2, win.kernel, sizeof(win.kernel));
    if (dims[0] * dims[1] * dims[2] * (type.rank == 4 ? dims[3] : 1) > WEIGHTS_MAX)
        return;
    g->is_exact &= !g->is_quantised || g->values[x].is_code;
    weights(g, new_constant(g, w), type.rank, dims);
    floats(g, new_constant(g, b), 1, dims, 0.0f, 1.0f);
    g->values[x].is_read = true;
    snprintf(in, sizeof(in), chance(g, 60) ? "v%d,%s,%s" : "v%d,%s", x, w, b);
    type.is_code = false;
    add(g, "Conv", in, type);
    write_window(g, &win, type.rank - 2, true);
    ob_attr_int(&g->b, "group", group);
}

static void add_batch_norm(random_graph *g)
{
    static const float middle[4] = {1.0f, 0.0f, 0.0f, 1.5f};
    char in[6 * TEXT_MAX];
    int x = pick(g, chance(g, 85) ? 4 : 0), n;

    if (x < 0 || g->values[x].rank < 2)
        return;
    g->is_exact &= !g->is_quantised;
    n = snprintf(in, sizeof(in), "v%d", x);
    for (int i = 0; i < 4; i++) {
        char name[TEXT_MAX];
        floats(g, new_constant(g, name), 1, &g->values[x].dim[1], middle[i], 1.0f);
        n += snprintf(in + n, sizeof(in) - (size_t)n, ",%s", name);
    }
    rg_value type = g->values[x];
    g->values[x].is_read = true;
    type.is_code = false;
    add(g, "BatchNormalization", in, type);
}

static void add_clip(random_graph *g, int x)
{
    char in[3 * TEXT_MAX], lo[TEXT_MAX], hi[TEXT_MAX];
    float low = -0.5f, high = 1.0f;
    rg_value type = g->values[x];

    ob_floats(&g->b, new_constant(g, lo), 0, NULL, &low);
    ob_floats(&g->b, new_constant(g, hi), 0, NULL, &high);
    switch (below(g, 3)) {
    case 0:
        snprintf(in, sizeof(in), "v%d,%s,%s", x, lo, hi);
        break;
    case 1:
        snprintf(in, sizeof(in), "v%d,,%s", x, hi);
        break;
    default:
        snprintf(in, sizeof(in), "v%d,%s", x, lo);
        break;
    }
    g->values[x].is_read = true;
    type.is_code = false;
    add(g, "Clip", in, type);
}

static void add_act(random_graph *g)
{
    static const char *const acts[] = {"Relu",    "LeakyRelu", "HardSigmoid", "Abs",
                                       "Sigmoid", "Tanh",      "HardSwish",   "Gelu"};
    int x = pick(g, 0), i = below(g, 9);

    if (x < 0)
        return;
    if (i == 8) {
        add_clip(g, x);
        return;
    }
    add_unary(g, acts[i], x);
    g->is_exact &= !g->is_quantised || i < 4;
    if (i == 1)
        ob_attr_float(&g->b, "alpha", 0.25f);
    if (i == 2 && chance(g, 50))
        ob_attr_float(&g->b, "alpha", 0.25f);
    else if (i == 2)
        g->is_exact &= !g->is_quantised;
}

/* x * sigmoid(x) and its like. */
static void add_swish(random_graph *g)
{
    int x = pick(g, 0);
    bool is_hard = chance(g, 40);

    if (x < 0)
        return;
    g->is_exact &= !g->is_quantised;
    int gate = add_unary(g, is_hard ? "HardSigmoid" : "Sigmoid", x);
    if (is_hard && chance(g, 70))
        ob_attr_float(&g->b, "alpha", 1.0f / 6.0f);
    if (g->is_quantised && chance(g, 70))
        gate = quantise(g, gate);
    bool is_swapped = chance(g, 50);
    if (g->n_values < RG_VALUES_MAX)
        add_binary(g, "Mul", is_swapped ? gate : x, is_swapped ? x : gate, g->values[x]);
}

static void add_sum(random_graph *g)
{
    static const char *const ops[] = {"Add", "Add", "Add", "Mul", "Sub"};
    int x = pick(g, 0), i = below(g, 5);

    if (x < 0)
        return;
    int y = pick_like(g, x, -1);
    g->is_exact &= i != 3 || (g->values[x].is_code && g->values[y].is_code) || !g->is_quantised;
    add_binary(g, ops[i], x, y, g->values[x]);
}

/* With a constant for each channel. */
static void add_constant(random_graph *g)
{
    static const char *const ops[] = {"Add", "Mul", "Sub"};
    int x = pick(g, chance(g, 80) ? 4 : 0), i = below(g, 3);
    char in[2 * TEXT_MAX], c[TEXT_MAX];

    if (x < 0)
        return;
    rg_value type = g->values[x];
    int64_t dims[4] = {1, type.dim[1], 1, 1};
    int skip = chance(g, 50), rank = type.rank - skip;
    g->is_exact &= i != 1 || !g->is_quantised;
    floats(g, new_constant(g, c), rank, dims + skip, 0.0f, 1.0f);
    g->values[x].is_read = true;
    type.is_code = false;
    snprintf(in, sizeof(in), chance(g, 70) ? "v%d,%s" : "%2$s,v%1$d", x, c);
    add(g, ops[i], in, type);
}

/* Squeeze and excite: a factor for each channel from the picture's mean. */
static void add_excite(random_graph *g)
{
    int x = pick(g, 4);

    if (x < 0 || g->n_values + 3 > RG_VALUES_MAX)
        return;
    rg_value type = g->values[x];
    g->is_exact &= !g->is_quantised;
    int mean = add_unary(g, "GlobalAveragePool", x);
    g->values[mean].dim[2] = g->values[mean].dim[3] = 1;
    int gate = add_unary(g, "HardSigmoid", mean);
    bool is_swapped = chance(g, 50);
    add_binary(g, chance(g, 80) ? "Mul" : "Add", is_swapped ? gate : x, is_swapped ? x : gate,
               type);
}

static void add_concat(random_graph *g)
{
    int first = pick(g, 0), n = 2 + below(g, 3), at;
    char in[8 * TEXT_MAX];

    if (first < 0 || g->values[first].rank < 3)
        return;
    int axis = g->values[first].rank == 3 && chance(g, 50) ? 2 : chance(g, 90) ? 1 : 0;
    rg_value type = g->values[first];
    g->values[first].is_read = true;
    at = snprintf(in, sizeof(in), "v%d", first);
    for (int i = 1; i < n; i++) {
        int v = pick_like(g, first, axis);
        g->values[v].is_read = true;
        type.dim[axis] += g->values[v].dim[axis];
        at += snprintf(in + at, sizeof(in) - (size_t)at, ",v%d", v);
    }
    if (!is_acceptable(&type))
        return;
    type.is_code = false;
    add(g, "Concat", in, type);
    ob_attr_int(&g->b, "axis", chance(g, 20) ? axis - type.rank : axis);
}

static void add_split(random_graph *g)
{
    int x = pick(g, 0), n = 2 + below(g, 2);
    char in[2 * TEXT_MAX], out[4 * TEXT_MAX], c[TEXT_MAX];
    int64_t sizes[3];

    if (x < 0 || g->n_values + n > RG_VALUES_MAX)
        return;
    rg_value type = g->values[x];
    int axis = type.rank == 2 || chance(g, 90) ? 1 : 2, at = 0;
    int64_t left = type.dim[axis];
    if (left < n)
        return;
    for (int i = 0; i < n; i++) {
        sizes[i] = i == n - 1 ? left : 1 + below(g, (int)(left - (n - 1 - i)));
        left -= sizes[i];
        g->values[g->n_values] = type;
        g->values[g->n_values].dim[axis] = sizes[i];
        g->values[g->n_values].is_read = false;
        at += snprintf(out + at, sizeof(out) - (size_t)at, i > 0 ? ",v%d" : "v%d", g->n_values++);
    }
    g->values[x].is_read = true;
    ob_ints(&g->b, new_constant(g, c), 1, (int64_t[]){n}, sizes);
    snprintf(in, sizeof(in), "v%d,%s", x, c);
    ob_node(&g->b, "Split", in, out);
    ob_attr_int(&g->b, "axis", axis);
}

static void add_pool(random_graph *g)
{
    int x = pick(g, chance(g, 85) ? 4 : 3);
    window w;

    if (x < 0)
        return;
    bool is_max = chance(g, 60);
    rg_value type = g->values[x];
    if (!choose_window(g, &g->values[x], 1, &w, &type))
        return;
    for (int i = 0; i < type.rank - 2; i++) /* each window meets the picture */
        if (w.kernel[i] < 2 && w.auto_pad < 0 && (w.pads[i] > 0 || w.pads[i + type.rank - 2] > 0))
            return;
    g->is_exact &= is_max || !g->is_quantised;
    int y = add_unary(g, is_max ? "MaxPool" : "AveragePool", x);
    write_window(g, &w, type.rank - 2, true);
    type.is_code = false;
    g->values[y] = type;
    if (!is_max && chance(g, 50))
        ob_attr_int(&g->b, "count_include_pad", 1);
}

static void add_resize(random_graph *g)
{
    static const char *const modes[] = {"asymmetric", "half_pixel", "pytorch_half_pixel",
                                        "align_corners"};
    static const char *const roundings[] = {"floor", "round_prefer_floor", "ceil",
                                            "round_prefer_ceil"};
    int x = pick(g, 4);
    char in[2 * TEXT_MAX], c[TEXT_MAX];
    float scales[4] = {1, 1, chance(g, 70) ? 2.0f : 1.5f, chance(g, 80) ? 2.0f : 0.5f};

    if (x < 0)
        return;
    rg_value type = g->values[x];
    for (int i = 2; i < 4; i++)
        type.dim[i] = (int64_t)floorf((float)type.dim[i] * scales[i]);
    if (!is_acceptable(&type))
        return;
    bool is_nearest = chance(g, 90);
    g->is_exact &= is_nearest || !g->is_quantised;
    ob_floats(&g->b, new_constant(g, c), 1, (int64_t[]){4}, scales);
    snprintf(in, sizeof(in), "v%d,,%s", x, c);
    g->values[x].is_read = true;
    type.is_code = false;
    add(g, "Resize", in, type);
    ob_attr_string(&g->b, "mode", is_nearest ? "nearest" : "linear");
    ob_attr_string(&g->b, "coordinate_transformation_mode", modes[below(g, 4)]);
    if (is_nearest)
        ob_attr_string(&g->b, "nearest_mode", roundings[below(g, 4)]);
}

/* [n, c, h, w] and [n, c, h * w], [n, c] and [n, c, 1, 1]; rows and columns; any. */
static void add_reshape(random_graph *g)
{
    int x = pick(g, 0), at = 0;
    char in[2 * TEXT_MAX], c[TEXT_MAX];
    int64_t dims[4];

    if (x < 0)
        return;
    rg_value type = g->values[x];
    int64_t n = type.dim[0], ch = type.dim[1], rest = count(&type) / (n * ch);
    dims[at++] = n;
    dims[at++] = ch;
    if (rest > 1 && type.rank == 3 && chance(g, 70)) {
        dims[at++] = rest % 2 == 0 ? 2 : 1;
        dims[at++] = rest % 2 == 0 ? rest / 2 : rest;
    } else if (rest > 1 || type.rank == 2) {
        dims[at++] = rest;
        if (chance(g, 30))
            dims[at++] = 1;
    }
    if (chance(g, 10)) { /* not the same pixels */
        dims[0] = 1;
        dims[1] = count(&type);
        at = 2;
    }
    for (type.rank = 0; type.rank < at; type.rank++)
        type.dim[type.rank] = dims[type.rank];
    if (!is_acceptable(&type))
        return;
    ob_ints(&g->b, new_constant(g, c), 1, (int64_t[]){at}, dims);
    g->values[x].is_read = true;
    snprintf(in, sizeof(in), "v%d,%s", x, c);
    add(g, "Reshape", in, type);
}

static void add_flatten(random_graph *g)
{
    int x = pick(g, chance(g, 70) ? 4 : 0);

    if (x < 0)
        return;
    rg_value type = g->values[x];
    bool is_code = type.is_code;
    type.dim[1] = count(&type) / type.dim[0];
    type.rank = 2;
    if (!is_acceptable(&type))
        return;
    g->values[add_unary(g, "Flatten", x)] =
        (rg_value){.rank = 2, .dim = {type.dim[0], type.dim[1]}, .is_code = is_code};
}

static void add_dense(random_graph *g)
{
    int x = pick(g, chance(g, 80) ? 2 : 3);
    bool is_gemm = x >= 0 && g->values[x].rank == 2 && chance(g, 60), trans_b = chance(g, 50);
    char in[3 * TEXT_MAX], w[TEXT_MAX], b[TEXT_MAX];

    if (x < 0)
        return;
    rg_value type = g->values[x];
    int64_t c_in = type.dim[type.rank - 1], c_out = 1 + below(g, 20);
    if (c_in * c_out > WEIGHTS_MAX)
        return;
    type.dim[type.rank - 1] = c_out;
    type.is_code = false;
    g->is_exact &= !g->is_quantised;
    trans_b &= is_gemm;
    int64_t dims[2] = {trans_b ? c_out : c_in, trans_b ? c_in : c_out};
    floats(g, new_constant(g, w), 2, dims, 0.0f, 1.7f / sqrtf((float)c_in));
    floats(g, new_constant(g, b), 1, &c_out, 0.0f, 1.0f);
    g->values[x].is_read = true;
    snprintf(in, sizeof(in), is_gemm && chance(g, 60) ? "v%d,%s,%s" : "v%d,%s", x, w, b);
    add(g, is_gemm ? "Gemm" : "MatMul", in, type);
    if (trans_b)
        ob_attr_int(&g->b, "transB", 1);
}

/* What fusion leaves as it is. */
static void add_other(random_graph *g)
{
    int x = pick(g, 0);

    if (x < 0)
        return;
    rg_value type = g->values[x];
    switch (below(g, 3)) {
    case 0:
        g->is_exact &= !g->is_quantised;
        add_unary(g, "Softmax", x);
        ob_attr_int(&g->b, "axis", 1);
        break;
    case 1:
        add_unary(g, "Neg", x);
        break;
    default: {
        int last = type.rank - 1, y = add_unary(g, "Transpose", x);
        int64_t perm[4] = {0, 1, 2, 3};
        perm[1] = last;
        perm[last] = 1;
        ob_attr_ints(&g->b, "perm", (size_t)type.rank, perm);
        g->values[y].dim[1] = type.dim[last];
        g->values[y].dim[last] = type.dim[1];
    }
    }
}

/* ---- the whole ---------------------------------------------------------------------------- */

static void add_input(random_graph *g, int rank)
{
    char name[TEXT_MAX];
    rg_value type = {.rank = rank, .dim = {chance(g, 80) ? 1 : 2, 1 + below(g, 10)}};

    for (int i = 2; i < rank; i++)
        type.dim[i] = 1 + below(g, chance(g, 70) ? 12 : DIM_MAX);
    if (rank == 2)
        type.dim[0] = 1 + below(g, 20);
    ob_input(&g->b, name_of(g->n_values, name), OB_FLOAT, rank, type.dim);
    g->values[g->n_values++] = type;
}

static void add_any(random_graph *g)
{
    static void (*const makers[])(random_graph *) = {
        add_conv,    add_conv,    add_conv,  add_conv,  add_batch_norm, add_act,    add_act,
        add_swish,   add_swish,   add_sum,   add_sum,   add_constant,   add_excite, add_concat,
        add_concat,  add_concat,  add_split, add_split, add_pool,       add_resize, add_reshape,
        add_reshape, add_flatten, add_dense, add_dense, add_other,
    };
    int before = g->n_values;

    makers[below(g, (int)(sizeof(makers) / sizeof(makers[0])))](g);
    for (int v = before, end = g->n_values; g->is_quantised && v < end; v++)
        if (!g->values[v].is_read && !g->values[v].is_code && chance(g, 80))
            quantise(g, v);
}

vly_str rg_build(random_graph *g, uint64_t seed, bool is_quantised)
{
    char name[TEXT_MAX];

    *g = (random_graph){
        .state = seed * 0x9E3779B97F4A7C15ull + 1, .is_quantised = is_quantised, .is_exact = true};
    ob_init(&g->b);
    add_input(g, chance(g, 85) ? 4 : 2 + below(g, 2));
    if (chance(g, 30))
        add_input(g, 2 + below(g, 3));
    if (is_quantised)
        quantise(g, 0);
    for (int i = 2 + below(g, 24); i > 0 && g->n_values + 6 < RG_VALUES_MAX; i--)
        add_any(g);
    for (int v = 0; v < g->n_values; v++)
        if (!g->values[v].is_read || v == g->n_values - 1 || chance(g, 10))
            ob_output(&g->b, name_of(v, name), OB_FLOAT, -1, NULL);
    return ob_finish(&g->b, OPSET);
}

void rg_release(random_graph *g)
{
    ob_release(&g->b);
}
