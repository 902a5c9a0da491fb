/* SPDX-License-Identifier: MIT */
#include "codec/inflate.h"

#include "base/mem.h"

#include <limits.h>
#include <zlib.h>

#define STEP_BYTES   ((size_t)64 << 10)
#define WINDOW_BITS  15
#define GZIP_WRAPPER 16 /* added to the window bits: a gzip header, not zlib's */

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

vly_status vly_encoding_parse(vly_str name, vly_encoding *ret, vly_err *err)
{
    if (name.len == 0 || vly_str_eq_nocase(name, VLY_STR("identity")))
        *ret = VLY_ENCODING_IDENTITY;
    else if (vly_str_eq_nocase(name, VLY_STR("gzip")))
        *ret = VLY_ENCODING_GZIP;
    else if (vly_str_eq_nocase(name, VLY_STR("deflate")))
        *ret = VLY_ENCODING_DEFLATE;
    else
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "Unsupported compression type '%.*s', expected gzip or deflate",
                        VLY_STR_ARG(name));
    return VLY_OK;
}

/* One call of the library: as much as fits into the room that out has now. */
static vly_status step(z_stream *z, vly_buf *out, bool *ret_is_end, vly_err *err)
{
    size_t left = out->max_bytes - out->len;
    size_t room = left < STEP_BYTES ? left : STEP_BYTES;

    if (room == 0)
        return vly_fail(err, VLY_ELIMIT, "compressed body: more than %zu bytes come out of it",
                        out->max_bytes);
    if (!vly_buf_reserve(out, room))
        return vly_fail(err, VLY_ENOMEM, "compressed body: out of memory");
    z->next_out = (unsigned char *)out->ptr + out->len;
    z->avail_out = (unsigned)room;
    int code = inflate(z, Z_NO_FLUSH);
    out->len += room - z->avail_out;
    *ret_is_end = code == Z_STREAM_END;
    if (code == Z_OK || code == Z_STREAM_END)
        return VLY_OK;
    if (code == Z_MEM_ERROR)
        return vly_fail(err, VLY_ENOMEM, "compressed body: out of memory");
    return vly_fail(err, VLY_EFORMAT, "compressed body: %s",
                    code == Z_BUF_ERROR ? "it ends early"
                    : z->msg != NULL    ? z->msg
                                        : "damaged");
}

vly_status vly_inflate(vly_encoding encoding, vly_str bytes, vly_buf *out, vly_err *err)
{
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    bool is_end = false;
    vly_status st = VLY_OK;

    if (encoding == VLY_ENCODING_IDENTITY) {
        vly_buf_add_str(out, bytes);
        return out->failed ? vly_fail(err, VLY_ELIMIT, "body: more than %zu bytes", out->max_bytes)
                           : VLY_OK;
    }
    if (bytes.len > UINT_MAX)
        return vly_fail(err, VLY_ELIMIT, "compressed body: %zu bytes are too many", bytes.len);
    z.next_in = (unsigned char *)(uintptr_t)bytes.ptr; /* only read: zlib's const is an option */
    z.avail_in = (unsigned)bytes.len;
    if (inflateInit2(&z, WINDOW_BITS + (encoding == VLY_ENCODING_GZIP ? GZIP_WRAPPER : 0)) != Z_OK)
        return vly_fail(err, VLY_ENOMEM, "compressed body: out of memory");
    while (st == VLY_OK && !is_end)
        st = step(&z, out, &is_end, err);
    if (st == VLY_OK && z.avail_in > 0)
        st = vly_fail(err, VLY_EFORMAT, "compressed body: %u bytes behind its end", z.avail_in);
    inflateEnd(&z);
    return st;
}
