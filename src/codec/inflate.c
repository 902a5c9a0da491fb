/* SPDX-License-Identifier: MIT */
#include "codec/inflate.h"

#include "base/mem.h"

#include <limits.h>
#include <lz4frame.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define STEP_BYTES          ((size_t)64 << 10)
#define WINDOW_BITS         15
#define GZIP_WRAPPER        16 /* added to the window bits: a gzip header, not zlib's */
#define ZSTD_WINDOW_LOG_MAX 23 /* 8 MiB, as RFC 8878 3.1.1.1.2 recommends */

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

static const char *const names[VLY_ENCODING_N] = {"identity", "gzip", "deflate", "zstd", "lz4"};

const char *vly_encoding_name(vly_encoding encoding)
{
    return names[encoding];
}

vly_status vly_encoding_parse(vly_str name, vly_encoding *ret, vly_err *err)
{
    if (name.len == 0) {
        *ret = VLY_ENCODING_IDENTITY;
        return VLY_OK;
    }
    for (int e = 0; e < VLY_ENCODING_N; e++) {
        if (vly_str_eq_nocase(name, vly_str_from(names[e]))) {
            *ret = (vly_encoding)e;
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_EUNSUPPORTED,
                    "Unsupported compression type '%.*s', expected gzip, deflate, zstd or lz4",
                    VLY_STR_ARG(name));
}

/* Bytes that may come out of n, besides what out allows. */
static size_t most_from(size_t n)
{
    if (n > SIZE_MAX / VLY_INFLATE_RATIO_MAX)
        return SIZE_MAX;
    n *= VLY_INFLATE_RATIO_MAX;
    return n > VLY_INFLATE_FREE_BYTES ? n : VLY_INFLATE_FREE_BYTES;
}

/* What one body may become, and where it goes. */
typedef struct target {
    vly_buf *out;
    size_t begin; /* out's length before */
    size_t most;
} target;

/* Room for one call of a library. */
typedef struct room {
    char *at;
    size_t n;
    char spare; /* when out is full: what is still to come may be no more than the end */
} room;

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static vly_status make_room(const target *t, room *ret, vly_err *err)
{
    size_t own = t->most - (t->out->len - t->begin);
    size_t n = least(least(t->out->max_bytes - t->out->len, own), STEP_BYTES);

    if (n > 0 && !vly_buf_reserve(t->out, n))
        return vly_fail(err, VLY_ENOMEM, "compressed body: out of memory");
    ret->at = n > 0 ? t->out->ptr + t->out->len : &ret->spare;
    ret->n = n > 0 ? n : 1;
    return VLY_OK;
}

/* n bytes have come into the room. */
static vly_status use_room(const target *t, const room *r, size_t n, vly_err *err)
{
    if (n == 0 || r->at != &r->spare) {
        t->out->len += n;
        return VLY_OK;
    }
    if (t->out->len == t->out->max_bytes)
        return vly_fail(err, VLY_ELIMIT, "compressed body: more than %zu bytes come out of it",
                        t->out->max_bytes);
    return vly_fail(err, VLY_ELIMIT, "compressed body: more than %d times its size comes out of it",
                    VLY_INFLATE_RATIO_MAX);
}

/* One call of zlib: as much as fits into the room that there is now. */
static vly_status zlib_step(z_stream *z, const target *t, bool *ret_is_end, vly_err *err)
{
    room r;
    vly_status st = make_room(t, &r, err);

    if (st != VLY_OK)
        return st;
    z->next_out = (unsigned char *)r.at;
    z->avail_out = (unsigned)r.n;
    int code = inflate(z, Z_NO_FLUSH);
    *ret_is_end = code == Z_STREAM_END;
    st = use_room(t, &r, r.n - z->avail_out, err);
    if (st != VLY_OK || code == Z_OK || code == Z_STREAM_END)
        return st;
    if (code == Z_MEM_ERROR)
        return vly_fail(err, VLY_ENOMEM, "compressed body: out of memory");
    return vly_fail(err, VLY_EFORMAT, "compressed body: %s",
                    code == Z_BUF_ERROR ? "it ends early"
                    : z->msg != NULL    ? z->msg
                                        : "damaged");
}

static vly_status zlib_all(vly_encoding encoding, vly_str bytes, const target *t, vly_err *err)
{
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    bool is_end = false;
    vly_status st = VLY_OK;

    if (bytes.len > UINT_MAX)
        return vly_fail(err, VLY_ELIMIT, "compressed body: %zu bytes are too many", bytes.len);
    z.next_in = (unsigned char *)(uintptr_t)bytes.ptr; /* only read: zlib's const is an option */
    z.avail_in = (unsigned)bytes.len;
    if (inflateInit2(&z, WINDOW_BITS + (encoding == VLY_ENCODING_GZIP ? GZIP_WRAPPER : 0)) != Z_OK)
        return vly_fail(err, VLY_ENOMEM, "compressed body: out of memory");
    while (st == VLY_OK && !is_end)
        st = zlib_step(&z, t, &is_end, err);
    if (st == VLY_OK && z.avail_in > 0)
        st = vly_fail(err, VLY_EFORMAT, "compressed body: %u bytes behind its end", z.avail_in);
    inflateEnd(&z);
    return st;
}

static vly_status zstd_step(ZSTD_DCtx *z, ZSTD_inBuffer *in, const target *t, bool *ret_is_end,
                            vly_err *err)
{
    room r;
    vly_status st = make_room(t, &r, err);

    if (st != VLY_OK)
        return st;
    ZSTD_outBuffer to = {r.at, r.n, 0};
    size_t left = ZSTD_decompressStream(z, &to, in);
    if (ZSTD_isError(left))
        return vly_fail(err, VLY_EFORMAT, "compressed body: %s", ZSTD_getErrorName(left));
    *ret_is_end = left == 0;
    st = use_room(t, &r, to.pos, err);
    if (st == VLY_OK && left > 0 && in->pos == in->size && to.pos < r.n)
        return vly_fail(err, VLY_EFORMAT, "compressed body: it ends early");
    return st;
}

/* One frame. A content-coding may hold several; what writes them is not known, so none is read. */
static vly_status zstd_all(vly_str bytes, const target *t, vly_err *err)
{
    ZSTD_inBuffer in = {bytes.ptr, bytes.len, 0};
    ZSTD_DCtx *z = ZSTD_createDCtx();
    bool is_end = false;
    vly_status st = VLY_OK;

    if (z == NULL)
        return vly_fail(err, VLY_ENOMEM, "compressed body: out of memory");
    /* The value is a constant within the library's range, so this cannot fail. */
    (void)ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    while (st == VLY_OK && !is_end)
        st = zstd_step(z, &in, t, &is_end, err);
    if (st == VLY_OK && in.pos < in.size)
        st = vly_fail(err, VLY_EFORMAT, "compressed body: %zu bytes behind its end",
                      in.size - in.pos);
    ZSTD_freeDCtx(z);
    return st;
}

static vly_status lz4_step(LZ4F_dctx *z, vly_str *in, const target *t, bool *ret_is_end,
                           vly_err *err)
{
    room r;
    vly_status st = make_room(t, &r, err);

    if (st != VLY_OK)
        return st;
    size_t n_in = in->len, n_out = r.n;
    size_t left = LZ4F_decompress(z, r.at, &n_out, in->ptr, &n_in, NULL);
    if (LZ4F_isError(left)) /* the code itself is no part of the library's stable interface */
        return strcmp(LZ4F_getErrorName(left), "ERROR_allocation_failed") == 0
                   ? vly_fail(err, VLY_ENOMEM, "compressed body: out of memory")
                   : vly_fail(err, VLY_EFORMAT, "compressed body: %s", LZ4F_getErrorName(left));
    *in = (vly_str){in->ptr + n_in, in->len - n_in};
    *ret_is_end = left == 0;
    st = use_room(t, &r, n_out, err);
    if (st == VLY_OK && left > 0 && in->len == 0 && n_out < r.n)
        return vly_fail(err, VLY_EFORMAT, "compressed body: it ends early");
    return st;
}

/* One frame, as above. */
static vly_status lz4_all(vly_str bytes, const target *t, vly_err *err)
{
    LZ4F_dctx *z = NULL;
    bool is_end = false;
    vly_status st = VLY_OK;

    if (bytes.len == 0)
        return vly_fail(err, VLY_EFORMAT, "compressed body: it ends early");
    if (LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)))
        return vly_fail(err, VLY_ENOMEM, "compressed body: out of memory");
    while (st == VLY_OK && !is_end)
        st = lz4_step(z, &bytes, t, &is_end, err);
    if (st == VLY_OK && bytes.len > 0)
        st = vly_fail(err, VLY_EFORMAT, "compressed body: %zu bytes behind its end", bytes.len);
    LZ4F_freeDecompressionContext(z);
    return st;
}

vly_status vly_inflate(vly_encoding encoding, vly_str bytes, vly_buf *out, vly_err *err)
{
    const target t = {out, out->len, most_from(bytes.len)};

    if (encoding == VLY_ENCODING_ZSTD)
        return zstd_all(bytes, &t, err);
    if (encoding == VLY_ENCODING_LZ4)
        return lz4_all(bytes, &t, err);
    if (encoding != VLY_ENCODING_IDENTITY)
        return zlib_all(encoding, bytes, &t, err);
    vly_buf_add_str(out, bytes);
    return out->failed ? vly_fail(err, VLY_ELIMIT, "body: more than %zu bytes", out->max_bytes)
                       : VLY_OK;
}
