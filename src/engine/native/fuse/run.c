/* SPDX-License-Identifier: MIT */
#include "engine/native/fuse/run.h"

#include "sys/worker_pool.h"

#include <string.h>

static vly_image image_in(const vly_operand *o, const vly_tensor *t)
{
    vly_image im = o->image;
    im.data = (unsigned char *)t->data + o->at;
    return im;
}

/* Calls fn over [0, n) in the step's pieces. */
static void split(const vly_op_ctx *ctx, int n, vly_parallel_fn fn, void *arg)
{
    const vly_fused *p = ctx->params;
    size_t grain = ((size_t)n + (size_t)p->n_pieces - 1) / (size_t)p->n_pieces;

    vly_parallel_for(p->n_pieces > 1 ? ctx->pool : NULL, (size_t)n, grain > 0 ? grain : 1, fn, arg);
}

/* ---- convolution -------------------------------------------------------------------------- */

typedef struct conv_job {
    const vly_fused *p;
    vly_conv_call call;
    unsigned char *scratch;
    size_t grain;
} conv_job;

static void conv_piece(void *arg, size_t begin, size_t end)
{
    const conv_job *j = arg;

    j->p->kernel->run(&j->call, (int)begin, (int)end,
                      j->scratch + begin / j->grain * j->p->scratch_bytes);
}

static void fill_borders(const vly_image *y)
{
    for (int n = 0; y->border_h + y->border_w > 0 && n < y->n; n++)
        vly_image_fill_border(y, n, 0, y->h);
}

static vly_status conv_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_fused *p = ctx->params;
    vly_image x = image_in(&p->x, ctx->in[0]), y = image_in(&p->y, &ctx->out[0]), second;
    vly_image codes = y;
    conv_job j = {.p = p,
                  .call = {.desc = &p->desc,
                           .packed = p->packed,
                           .x = &x,
                           .y = &y,
                           .scale = p->scale,
                           .bias = p->bias,
                           .alpha = p->alpha,
                           .beta = p->beta,
                           .table = p->table},
                  .scratch = ctx->scratch,
                  .grain = ((size_t)p->units + (size_t)p->n_pieces - 1) / (size_t)p->n_pieces};

    (void)err;
    if (p->table != NULL) {
        codes.scale = p->code_scale;
        codes.zero = p->code_zero;
        j.call.y = &codes;
    }
    if (p->desc.residual != VLY_RESIDUAL_NONE) {
        second = image_in(&p->second, ctx->in[1]);
        j.call.residual = &second;
    }
    if (ctx->pool == NULL || p->n_pieces == 1)
        p->kernel->run(&j.call, 0, p->units, ctx->scratch);
    else
        vly_parallel_for(ctx->pool, (size_t)p->units, j.grain, conv_piece, &j);
    fill_borders(&y);
    return VLY_OK;
}

/* ---- everything else ---------------------------------------------------------------------- */

typedef struct rows_job {
    const vly_fused *p;
    vly_image x, second, y;
    vly_planes planes;
} rows_job;

static rows_job job_of(const vly_op_ctx *ctx)
{
    const vly_fused *p = ctx->params;
    rows_job j = {.p = p, .planes = p->planes};

    j.x = image_in(&p->x, ctx->in[0]);
    j.second = image_in(&p->second, ctx->in[ctx->n_in - 1]);
    j.y = image_in(&p->y, &ctx->out[0]);
    return j;
}

/* planes_at: the plain tensor, where the step reads or writes one */
#define ROWS_RUN(name, n_rows, planes_at, CALL)                                                    \
    static void name##_rows(void *arg, size_t first, size_t last)                                  \
    {                                                                                              \
        const rows_job *j = arg;                                                                   \
        const vly_fused *p = j->p;                                                                 \
        int begin = (int)first, end = (int)last;                                                   \
        CALL;                                                                                      \
    }                                                                                              \
                                                                                                   \
    static vly_status name##_run(vly_op_ctx *ctx, vly_err *err)                                    \
    {                                                                                              \
        rows_job j = job_of(ctx);                                                                  \
                                                                                                   \
        (void)err;                                                                                 \
        j.planes.data = planes_at;                                                                 \
        split(ctx, n_rows, name##_rows, &j);                                                       \
        fill_borders(&j.y);                                                                        \
        return VLY_OK;                                                                             \
    }

ROWS_RUN(pool, j.y.n *j.y.h, NULL, p->dsp->pool(&j->y, &j->x, &p->pool, begin, end))
ROWS_RUN(mean, j.y.n, NULL, p->dsp->global_mean(&j->y, &j->x, begin, end))
ROWS_RUN(resize, j.y.n *j.y.h, NULL,
         p->dsp->resize_nearest(&j->y, &j->x, p->rows, p->cols, begin, end))
ROWS_RUN(combine, j.y.n *j.y.h, NULL,
         p->dsp->combine(&j->y, &j->x, &j->second, p->combine, p->act, p->alpha, p->beta, begin,
                         end))
ROWS_RUN(map, j.y.n *j.y.h, NULL, p->dsp->map(&j->y, &j->x, p->act, p->alpha, p->beta, begin, end))
ROWS_RUN(lookup, j.y.n *j.y.h, NULL, p->dsp->lookup(&j->y, &j->x, p->table, begin, end))
ROWS_RUN(from_planes, j.y.n *j.y.h, ctx->in[0]->data,
         p->dsp->from_planes(&j->y, &j->planes, p->n_channels, begin, end))
ROWS_RUN(to_planes, j.x.n *j.x.h, ctx->out[0].data,
         p->dsp->to_planes(&j->planes, &j->x, p->act, p->alpha, p->beta, begin, end))
ROWS_RUN(expect, j.x.n *j.x.h, ctx->out[0].data,
         p->dsp->expect(&j->planes, &j->x, p->bin_weights, p->bins, begin, end))

/* The border of an image that copies fill, none of which reaches over all of it. */
static vly_status frame_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_fused *p = ctx->params;
    vly_image y = image_in(&p->y, &ctx->out[0]);

    (void)err;
    fill_borders(&y);
    return VLY_OK;
}

#define FUSED_OP(id, text)                                                                         \
    const vly_op vly_fused_##id = {                                                                \
        .name = text, .domain = "volley", .params_bytes = sizeof(vly_fused), .run = id##_run}

FUSED_OP(conv, "Conv");
FUSED_OP(pool, "Pool");
FUSED_OP(mean, "GlobalMean");
FUSED_OP(resize, "Resize");
FUSED_OP(combine, "Combine");
FUSED_OP(map, "Map");
FUSED_OP(lookup, "Lookup");
FUSED_OP(expect, "Expect");
FUSED_OP(frame, "Frame");
FUSED_OP(from_planes, "FromPlanes");
FUSED_OP(to_planes, "ToPlanes");

static vly_dtype dtype_of(vly_elem elem)
{
    static const vly_dtype dtypes[] = {[VLY_ELEM_F32] = VLY_DTYPE_F32,
                                       [VLY_ELEM_BF16] = VLY_DTYPE_BF16,
                                       [VLY_ELEM_U8] = VLY_DTYPE_U8};
    return dtypes[elem];
}

bool vly_fused_describe(const vly_node *node, vly_shape *ret_shape, vly_dtype *ret_precision)
{
    const vly_fused *p = node->params;

    if (node->op == &vly_fused_recurrent)
        return false;
    if (node->op->run == conv_run) {
        *ret_shape = VLY_SHAPE(p->desc.n, p->desc.h_out, p->desc.w_out, p->desc.c_out);
        *ret_precision = dtype_of(p->desc.in);
        return true;
    }
    if (node->op->domain == NULL || strcmp(node->op->domain, "volley") != 0 || p->y.image.n == 0)
        return false;
    *ret_shape = VLY_SHAPE(p->y.image.n, p->y.image.h, p->y.image.w, p->y.image.c);
    *ret_precision = dtype_of(p->y.image.elem);
    return true;
}

static uint64_t bytes_of(const vly_image *im)
{
    return (uint64_t)im->n * (uint64_t)im->h * (uint64_t)im->w * (uint64_t)im->c *
           vly_elem_size(im->elem);
}

uint64_t vly_fused_bytes(const vly_node *node)
{
    const vly_fused *p = node->params;

    if (node->op->domain == NULL || strcmp(node->op->domain, "volley") != 0 ||
        node->op == &vly_fused_recurrent)
        return 0;
    uint64_t total = bytes_of(&p->x.image) + bytes_of(&p->second.image) + bytes_of(&p->y.image);
    if (node->op->run == conv_run)
        return total + p->kernel->packed_bytes(&p->desc);
    /* from or to planes of float, of the size of the image at the other end */
    const vly_image *other = p->x.image.n == 0 ? &p->y.image : &p->x.image;
    bool has_planes = p->x.image.n == 0 || p->y.image.n == 0;
    return has_planes ? total + bytes_of(other) / vly_elem_size(other->elem) * sizeof(float)
                      : total;
}
