/* SPDX-License-Identifier: MIT */
#include "codec/deflate.h"

#include "base/assert.h"
#include "base/mem.h"

#include <limits.h>
#include <zlib.h>
#include <zstd.h>

#define STEP_BYTES   ((size_t)64 << 10)
#define WINDOW_BITS  15
#define GZIP_WRAPPER 16 /* added to the window bits: a gzip header, not zlib's */
#define MEM_LEVEL    8  /* zlib's default */
#define ZSTD_LEVEL   1

static void *zlib_alloc(void *ctx, unsigned n, unsigned size)
{
    (void)ctx;
    return vly_calloc(VLY_MEM_CODEC, n, size);
}

static void zlib_free(void *ctx, void *p)
{
    (void)ctx;
    vly_free(p);
}

/* Room for one call of a library; 0 when there is none left. */
static size_t make_room(vly_buf *out)
{
    size_t left = out->max_bytes - out->len;
    size_t room = left < STEP_BYTES ? left : STEP_BYTES;

    return room > 0 && vly_buf_reserve(out, room) ? room : 0;
}

static vly_status no_room(const vly_buf *out, vly_err *err)
{
    if (out->failed)
        return vly_fail(err, VLY_ENOMEM, "compression: out of memory");
    return vly_fail(err, VLY_ELIMIT, "compression: more than %zu bytes", out->max_bytes);
}

/* ---- zlib ---- */

static vly_status zlib_add(z_stream *z, vly_str part, bool is_last, vly_buf *out, vly_err *err)
{
    z->next_in = (unsigned char *)(uintptr_t)part.ptr; /* only read: zlib's const is an option */
    do {
        unsigned piece = part.len < UINT_MAX ? (unsigned)part.len : UINT_MAX;
        z->avail_in = piece;
        part.len -= piece;
        bool is_end = is_last && part.len == 0;
        int code = Z_OK;
        while (z->avail_in > 0 || (is_end && code != Z_STREAM_END)) {
            size_t room = make_room(out);
            if (room == 0)
                return no_room(out, err);
            z->next_out = (unsigned char *)out->ptr + out->len;
            z->avail_out = (unsigned)room;
            code = deflate(z, is_end ? Z_FINISH : Z_NO_FLUSH);
            out->len += room - z->avail_out;
        }
    } while (part.len > 0);
    return VLY_OK;
}

static vly_status zlib_all(vly_encoding encoding, const vly_str *parts, size_t n, vly_buf *out,
                           vly_err *err)
{
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    int bits = WINDOW_BITS + (encoding == VLY_ENCODING_GZIP ? GZIP_WRAPPER : 0);
    vly_status st = VLY_OK;

    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, bits, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return vly_fail(err, VLY_ENOMEM, "compression: out of memory");
    for (size_t i = 0; st == VLY_OK && i + 1 < n; i++)
        st = zlib_add(&z, parts[i], false, out, err);
    if (st == VLY_OK)
        st = zlib_add(&z, n > 0 ? parts[n - 1] : VLY_STR(""), true, out, err);
    deflateEnd(&z);
    return st;
}

/* ---- zstd ---- */

static vly_status zstd_add(ZSTD_CCtx *z, vly_str part, bool is_last, vly_buf *out, vly_err *err)
{
    ZSTD_inBuffer in = {part.ptr, part.len, 0};
    size_t left = 1;

    while (in.pos < in.size || (is_last && left > 0)) {
        size_t room = make_room(out);
        if (room == 0)
            return no_room(out, err);
        ZSTD_outBuffer to = {out->ptr + out->len, room, 0};
        left = ZSTD_compressStream2(z, &to, &in, is_last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return vly_fail(err, VLY_ENOMEM, "compression: %s", ZSTD_getErrorName(left));
        out->len += to.pos;
    }
    return VLY_OK;
}

static vly_status zstd_all(const vly_str *parts, size_t n, vly_buf *out, vly_err *err)
{
    ZSTD_CCtx *z = ZSTD_createCCtx();
    vly_status st = VLY_OK;

    if (z == NULL)
        return vly_fail(err, VLY_ENOMEM, "compression: out of memory");
    /* The level is a constant within the library's range, so this cannot fail. */
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    for (size_t i = 0; st == VLY_OK && i + 1 < n; i++)
        st = zstd_add(z, parts[i], false, out, err);
    if (st == VLY_OK)
        st = zstd_add(z, n > 0 ? parts[n - 1] : VLY_STR(""), true, out, err);
    ZSTD_freeCCtx(z);
    return st;
}

vly_status vly_deflate(vly_encoding encoding, const vly_str *parts, size_t n, vly_buf *out,
                       vly_err *err)
{
    VLY_ASSERT(encoding != VLY_ENCODING_LZ4);
    if (encoding == VLY_ENCODING_ZSTD)
        return zstd_all(parts, n, out, err);
    if (encoding != VLY_ENCODING_IDENTITY)
        return zlib_all(encoding, parts, n, out, err);
    for (size_t i = 0; i < n; i++)
        vly_buf_add_str(out, parts[i]);
    return out->failed ? vly_fail(err, VLY_ELIMIT, "body: more than %zu bytes", out->max_bytes)
                       : VLY_OK;
}

/* ---- Accept-Encoding ---- */

#define QUALITY_MAX 1.0

double vly_accept_quality(vly_str params)
{
    double q = QUALITY_MAX;

    while (params.ptr != NULL) {
        vly_str value = vly_str_trim(vly_str_split(&params, ';'));
        vly_str key = vly_str_trim(vly_str_split(&value, '='));
        if (!vly_str_eq_nocase(key, VLY_STR("q")))
            continue;
        if (!vly_str_to_f64(vly_str_trim(value), &q) || !(q >= 0 && q <= QUALITY_MAX))
            return -1;
    }
    return q;
}

static bool encoding_of(vly_str name, vly_encoding *ret)
{
    if (vly_str_eq_nocase(name, VLY_STR("x-gzip")))
        name = VLY_STR("gzip"); /* RFC 9110 8.4.1.3 */
    return name.len > 0 && vly_encoding_parse(name, ret, NULL) == VLY_OK;
}

/* The quality of each encoding; 0: not taken. */
static void read_accept(vly_str accept, double q[VLY_ENCODING_N])
{
    double any = 0;
    vly_encoding e;

    for (size_t i = 0; i < VLY_ENCODING_N; i++)
        q[i] = -1; /* not named */
    while (accept.ptr != NULL) {
        vly_str params = vly_str_split(&accept, ',');
        vly_str name = vly_str_trim(vly_str_split(&params, ';'));
        double quality = vly_accept_quality(params);
        if (vly_str_is(name, "*"))
            any = quality;
        else if (encoding_of(name, &e))
            q[e] = quality;
    }
    for (size_t i = 0; i < VLY_ENCODING_N; i++)
        q[i] = q[i] >= 0 ? q[i] : any;
}

vly_encoding vly_encoding_choose(vly_str accept)
{
    static const vly_encoding order[] = {VLY_ENCODING_ZSTD, VLY_ENCODING_GZIP, VLY_ENCODING_DEFLATE,
                                         VLY_ENCODING_IDENTITY};
    double q[VLY_ENCODING_N], most = 0;
    vly_encoding best = VLY_ENCODING_IDENTITY;

    read_accept(accept, q);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (q[order[i]] > most) {
            most = q[order[i]];
            best = order[i];
        }
    }
    return best;
}

bool vly_encoding_takes(vly_str accept, vly_encoding encoding)
{
    double q[VLY_ENCODING_N];

    read_accept(accept, q);
    return q[encoding] > 0;
}
