/* SPDX-License-Identifier: MIT */
/*
 * PNG by libpng. Its errors leave by longjmp, with the same rule as in jpeg.c: all state is in the
 * reader, above the frame that calls setjmp.
 *
 * Only IHDR, PLTE, tRNS, IDAT and IEND reach libpng's parsers; every other chunk is skipped, so a
 * compressed text or profile is never inflated. Nothing behind the last row is read.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "codec/exif.h"
#include "codec/picture_codec.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

enum {
    SIGNATURE_BYTES = 8,
    CHUNK_BYTES = 12, /* length, type, checksum */
    IHDR_BYTES = 13,
};

static bool sniff(const uint8_t *bytes, size_t len)
{
    return len >= SIGNATURE_BYTES && memcmp(bytes, "\x89PNG\r\n\x1a\n", SIGNATURE_BYTES) == 0;
}

/* Orientation of the first eXIf chunk; each step is at least CHUNK_BYTES long. */
static int find_orientation(const uint8_t *bytes, size_t len)
{
    size_t at = SIGNATURE_BYTES;

    while (len - at >= CHUNK_BYTES) {
        size_t n = vly_load_be32(bytes + at);
        if (n > len - at - CHUNK_BYTES)
            return 1;
        if (memcmp(bytes + at + 4, "eXIf", 4) == 0)
            return vly_exif_orientation(bytes + at + 8, n);
        at += CHUNK_BYTES + n;
    }
    return 1;
}

static vly_status probe(const uint8_t *bytes, size_t len, vly_picture_info *ret_info, vly_err *err)
{
    const uint8_t *ihdr = bytes + SIGNATURE_BYTES;

    if (len < SIGNATURE_BYTES + CHUNK_BYTES + IHDR_BYTES || vly_load_be32(ihdr) != IHDR_BYTES ||
        memcmp(ihdr + 4, "IHDR", 4) != 0)
        return vly_fail(err, VLY_EFORMAT, "png picture: no header chunk in %zu bytes", len);
    ret_info->width = vly_load_be32(ihdr + 8);
    ret_info->height = vly_load_be32(ihdr + 12);
    ret_info->orientation = find_orientation(bytes, len);
    /* inflate's window and state; three rows of up to 8 bytes a pixel */
    ret_info->decoder_bytes = ((size_t)192 << 10) + (size_t)3 * 8 * ret_info->width;
    return VLY_OK;
}

typedef struct reader {
    png_structp png;
    png_infop info;
    jmp_buf jump;
    const uint8_t *bytes;
    size_t len;
    size_t at;
    vly_picture *p; /* borrowed */
    vly_err *err;   /* borrowed */
    vly_status st;
    bool is_out_of_memory;
} reader;

static _Noreturn void on_error(png_structp png, png_const_charp text)
{
    reader *r = png_get_error_ptr(png);

    r->st =
        vly_fail(r->err, r->is_out_of_memory ? VLY_ENOMEM : VLY_EFORMAT, "png picture: %s", text);
    longjmp(r->jump, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static png_voidp on_alloc(png_structp png, png_alloc_size_t size)
{
    reader *r = png_get_mem_ptr(png);
    void *ptr = vly_alloc(VLY_MEM_CODEC, size);

    r->is_out_of_memory = ptr == NULL;
    return ptr;
}

static void on_free(png_structp png, png_voidp ptr)
{
    (void)png;
    vly_free(ptr);
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    reader *r = png_get_io_ptr(png);

    if (n > r->len - r->at) {
        r->st = vly_fail(r->err, VLY_EFORMAT, "png picture: truncated at %zu bytes", r->len);
        longjmp(r->jump, 1);
    }
    memcpy(to, r->bytes + r->at, n);
    r->at += n;
}

/* Everything becomes 8-bit RGB. */
static void set_output(reader *r)
{
    png_set_palette_to_rgb(r->png); /* takes tRNS to alpha too */
    png_set_expand_gray_1_2_4_to_8(r->png);
    png_set_gray_to_rgb(r->png);
    png_set_strip_16(r->png);
    png_set_strip_alpha(r->png);
}

/* Leaves by longjmp on failure. */
static void decode_all(reader *r)
{
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, r, on_alloc,
                                      on_free);
    r->info = r->png != NULL ? png_create_info_struct(r->png) : NULL;
    if (r->info == NULL) {
        r->st = vly_fail(r->err, VLY_ENOMEM, "png picture: no memory for the decoder");
        return;
    }
    png_set_read_fn(r->png, r, on_read);
    png_set_user_limits(r->png, r->p->width, r->p->height);
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(r->png, r->info);
    set_output(r);
    int n_passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    VLY_ASSERT(png_get_rowbytes(r->png, r->info) == (size_t)3 * r->p->width);
    for (int pass = 0; pass < n_passes; pass++)
        for (uint32_t y = 0; y < r->p->height; y++)
            png_read_row(r->png, r->p->pixels + y * r->p->stride, NULL);
}

static void decode_guarded(reader *r)
{
    if (setjmp(r->jump) == 0)
        decode_all(r);
}

static vly_status decode(const uint8_t *bytes, size_t len, size_t max_bytes, vly_picture *p,
                         vly_err *err)
{
    (void)max_bytes; /* what libpng keeps depends on the width only, and probe has counted it */
    reader r = {.bytes = bytes, .len = len, .p = p, .err = err, .st = VLY_OK};

    decode_guarded(&r);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    return r.st;
}

const vly_picture_codec vly_picture__png = {
    .name = "png",
    .sniff = sniff,
    .probe = probe,
    .decode = decode,
};

vly_status vly_picture_encode_png(const vly_picture *p, vly_buf *out, vly_err *err)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = p->width,
                       .height = p->height,
                       .format = PNG_FORMAT_RGB};

    if (p->width > INT32_MAX / 3 || p->stride > INT32_MAX ||
        (uint64_t)p->width * p->height > UINT32_MAX / 8)
        return vly_fail(err, VLY_ELIMIT, "png picture: %u x %u is too large to encode", p->width,
                        p->height);
    size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    if (!vly_buf_reserve(out, bytes))
        return vly_fail(err, VLY_ELIMIT, "png picture: no room to encode %u x %u", p->width,
                        p->height);
    png_alloc_size_t n = bytes;
    if (!png_image_write_to_memory(&image, out->ptr + out->len, &n, 0, p->pixels, (int)p->stride,
                                   NULL))
        return vly_fail(err, VLY_EINTERNAL, "png picture: %s", image.message);
    out->len += n;
    out->ptr[out->len] = '\0';
    return VLY_OK;
}
