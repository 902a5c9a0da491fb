/* SPDX-License-Identifier: MIT */
/*
 * JPEG in by the libjpeg API of libjpeg-turbo, out by its TurboJPEG API.
 *
 * TurboJPEG cannot read CMYK to RGB, bound the decoder's memory, or tell damage that Pillow accepts
 * from the end of the data, which it does not; for writing it is the shorter way.
 *
 * libjpeg reports errors by longjmp. Everything that changes between setjmp and longjmp lives in
 * the reader, which belongs to a frame above the one that calls setjmp, so no local is ever
 * clobbered; the decompressor is destroyed once, behind it.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "codec/exif.h"
#include "codec/picture_codec.h"

#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

/* in this order: jpeglib.h needs FILE, jerror.h the version macros of jpeglib.h */
#include <jpeglib.h>

#include <jerror.h>
#include <turbojpeg.h>

enum {
    MARKER_TEM = 0x01,
    MARKER_SOF0 = 0xc0,
    MARKER_SOF2 = 0xc2,
    MARKER_DHT = 0xc4,
    MARKER_SOF6 = 0xc6,
    MARKER_JPG = 0xc8,
    MARKER_SOF10 = 0xca,
    MARKER_DAC = 0xcc,
    MARKER_SOF14 = 0xce,
    MARKER_SOF15 = 0xcf,
    MARKER_RST0 = 0xd0,
    MARKER_RST7 = 0xd7,
    MARKER_SOI = 0xd8,
    MARKER_EOI = 0xd9,
    MARKER_SOS = 0xda,
    MARKER_APP1 = 0xe1,
};

/* A scan costs time by the picture's size, not by its bytes: an empty one is ten bytes. Encoders
 * use about ten scans: 16 are always allowed, up to 500 while scans * pixels stay within a budget.
 */
#define MIN_SCANS       16
#define MAX_SCANS       500
#define MAX_SCAN_PIXELS ((uint64_t)1 << 30)

/* ---- header ---- */

typedef struct header {
    uint32_t width;
    uint32_t height;
    unsigned n_components; /* 0: no frame header seen */
    unsigned max_h;
    unsigned max_v;
    uint8_t sampling[4]; /* h << 4 | v */
    bool is_progressive;
    unsigned n_in_scan; /* components in the first scan; 0: no scan seen */
    int orientation;    /* 0: no EXIF seen */
} header;

static bool is_frame(int marker)
{
    return marker >= MARKER_SOF0 && marker <= MARKER_SOF15 && marker != MARKER_DHT &&
           marker != MARKER_JPG && marker != MARKER_DAC;
}

static bool has_length(int marker)
{
    return marker != MARKER_TEM && marker != MARKER_SOI && marker != MARKER_EOI &&
           !(marker >= MARKER_RST0 && marker <= MARKER_RST7);
}

/* Next marker at or behind *at, which moves behind it; what is between two segments is skipped, as
 * libjpeg does. -1: no more. */
static int next_marker(const uint8_t *bytes, size_t len, size_t *at)
{
    size_t i = *at;

    while (i < len) {
        const uint8_t *ff = memchr(bytes + i, 0xff, len - i);
        if (ff == NULL)
            return -1;
        for (i = (size_t)(ff - bytes); i < len && bytes[i] == 0xff;)
            i++;
        if (i < len && bytes[i] != 0) {
            *at = i + 1;
            return bytes[i];
        }
    }
    return -1;
}

/* p: a frame header's payload. */
static void read_frame(header *h, int marker, const uint8_t *p, size_t n)
{
    if (h->n_components != 0 || n < 6 || p[5] == 0)
        return;
    h->height = (uint32_t)p[1] << 8 | p[2];
    h->width = (uint32_t)p[3] << 8 | p[4];
    h->n_components = p[5];
    h->is_progressive = marker == MARKER_SOF2 || marker == MARKER_SOF6 || marker == MARKER_SOF10 ||
                        marker == MARKER_SOF14;
    for (unsigned c = 0; c < h->n_components && c < 4 && 6 + 3 * c + 3 <= n; c++) {
        uint8_t s = p[6 + 3 * c + 1];
        h->sampling[c] = s;
        h->max_h = s >> 4 > h->max_h ? s >> 4 : h->max_h;
        h->max_v = (s & 15u) > h->max_v ? s & 15u : h->max_v;
    }
}

/* Walks the segments up to the first scan. */
static void read_segments(header *h, const uint8_t *bytes, size_t len)
{
    size_t at = 2; /* behind SOI */

    for (;;) {
        int marker = next_marker(bytes, len, &at);
        if (marker < 0 || marker == MARKER_EOI)
            return;
        if (!has_length(marker))
            continue;
        if (len - at < 2)
            return;
        size_t n = (size_t)bytes[at] << 8 | bytes[at + 1];
        if (n < 2 || n > len - at)
            return;
        const uint8_t *payload = bytes + at + 2;
        at += n;
        n -= 2;
        if (is_frame(marker))
            read_frame(h, marker, payload, n);
        else if (marker == MARKER_APP1 && h->orientation == 0 && n >= 6 &&
                 memcmp(payload, "Exif\0", 6) == 0)
            h->orientation = vly_exif_orientation(payload, n);
        if (marker == MARKER_SOS) {
            h->n_in_scan = n > 0 ? payload[0] : 0;
            return;
        }
    }
}

/* Estimate, from above. Row buffers: five times the rows of one block row (upsampling context,
 * colour conversion), full width for each component. When the picture comes in several scans, all
 * its coefficients are kept: 128 bytes for each block of 8 x 8 samples. */
static size_t decoder_bytes(const header *h)
{
    size_t row_blocks = (size_t)(h->width + 7) / 8 + h->max_h;
    size_t column_blocks = (size_t)(h->height + 7) / 8 + h->max_v;
    size_t bytes = ((size_t)256 << 10) + row_blocks * 8 * h->n_components * 8 * h->max_v * 5;

    if (!h->is_progressive && h->n_in_scan == h->n_components)
        return bytes;
    for (unsigned c = 0; c < h->n_components && c < 4; c++) {
        size_t across = (row_blocks * (h->sampling[c] >> 4) + h->max_h - 1) / h->max_h;
        size_t down = (column_blocks * (h->sampling[c] & 15u) + h->max_v - 1) / h->max_v;
        bytes += (across + h->max_h) * (down + h->max_v) * 128;
    }
    return bytes;
}

static bool sniff(const uint8_t *bytes, size_t len)
{
    return len >= 3 && bytes[0] == 0xff && bytes[1] == MARKER_SOI && bytes[2] == 0xff;
}

static vly_status probe(const uint8_t *bytes, size_t len, vly_picture_info *ret_info, vly_err *err)
{
    header h = {0};

    read_segments(&h, bytes, len);
    if (h.n_components == 0)
        return vly_fail(err, VLY_EFORMAT, "jpeg picture: no frame header in %zu bytes", len);
    if (h.max_h < 1 || h.max_h > 4 || h.max_v < 1 || h.max_v > 4)
        return vly_fail(err, VLY_EFORMAT,
                        "jpeg picture: expected sampling factors of 1 to 4, got %u x %u", h.max_h,
                        h.max_v);
    ret_info->width = h.width;
    ret_info->height = h.height;
    ret_info->orientation = h.orientation != 0 ? h.orientation : 1;
    ret_info->decoder_bytes = decoder_bytes(&h);
    return VLY_OK;
}

/* ---- decoder ---- */

typedef struct reader {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr error_mgr;
    struct jpeg_progress_mgr progress_mgr;
    jmp_buf jump;
    const uint8_t *bytes;
    size_t len;
    size_t max_bytes;
    int max_scans;
    vly_picture *p; /* borrowed */
    vly_err *err;   /* borrowed */
    vly_status st;
} reader;

static vly_status status_of(int msg_code)
{
    switch (msg_code) {
    case JERR_OUT_OF_MEMORY:
        return VLY_ENOMEM;
    case JERR_NO_BACKING_STORE: /* more than max_memory_to_use */
    case JERR_WIDTH_OVERFLOW:
    case JERR_IMAGE_TOO_BIG:
        return VLY_ELIMIT;
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_CCIR601_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
        return VLY_EMEDIA;
    default:
        return VLY_EFORMAT;
    }
}

static _Noreturn void on_error(j_common_ptr cinfo)
{
    reader *r = cinfo->client_data;
    char text[JMSG_LENGTH_MAX];

    cinfo->err->format_message(cinfo, text);
    r->st = vly_fail(r->err, status_of(cinfo->err->msg_code), "jpeg picture: %s", text);
    longjmp(r->jump, 1);
}

static _Noreturn void stop(reader *r, vly_status st)
{
    r->st = st;
    longjmp(r->jump, 1);
}

/* Warnings are damage that was stepped over; only the end of the data is an error. */
static void on_message(j_common_ptr cinfo, int msg_level)
{
    reader *r = cinfo->client_data;

    if (msg_level < 0 && cinfo->err->msg_code == JWRN_JPEG_EOF)
        stop(r, vly_fail(r->err, VLY_EFORMAT, "jpeg picture: truncated at %zu bytes", r->len));
}

static void on_progress(j_common_ptr cinfo)
{
    reader *r = cinfo->client_data;

    if (r->cinfo.input_scan_number > r->max_scans)
        stop(r, vly_fail(r->err, VLY_ELIMIT, "jpeg picture: more than %d scans", r->max_scans));
}

/* product / 255, rounded; exact for 0 <= product <= 255 * 255 */
static uint8_t div255(unsigned product)
{
    product += 128;
    return (uint8_t)((product + (product >> 8)) >> 8);
}

static void cmyk_to_rgb(uint8_t *rgb, const uint8_t *cmyk, size_t n)
{
    for (size_t i = 0; i < n; i++, rgb += 3, cmyk += 4) {
        rgb[0] = div255((unsigned)cmyk[0] * cmyk[3]);
        rgb[1] = div255((unsigned)cmyk[1] * cmyk[3]);
        rgb[2] = div255((unsigned)cmyk[2] * cmyk[3]);
    }
}

static void read_rows(reader *r)
{
    struct jpeg_decompress_struct *cinfo = &r->cinfo;
    JSAMPARRAY cmyk = NULL;

    if (cinfo->out_color_space == JCS_CMYK) /* freed with the decompressor */
        cmyk =
            cinfo->mem->alloc_sarray((j_common_ptr)cinfo, JPOOL_IMAGE, cinfo->output_width * 4, 1);
    while (cinfo->output_scanline < cinfo->output_height) {
        uint8_t *row = r->p->pixels + cinfo->output_scanline * r->p->stride;
        jpeg_read_scanlines(cinfo, cmyk != NULL ? cmyk : &row, 1);
        if (cmyk != NULL)
            cmyk_to_rgb(row, cmyk[0], r->p->width);
    }
}

static void set_output(reader *r)
{
    struct jpeg_decompress_struct *cinfo = &r->cinfo;

    if (cinfo->image_width != r->p->width || cinfo->image_height != r->p->height)
        stop(r, vly_fail(r->err, VLY_EFORMAT, "jpeg picture: two frame headers"));
    if (cinfo->jpeg_color_space == JCS_UNKNOWN)
        stop(r, vly_fail(r->err, VLY_EMEDIA,
                         "jpeg picture: expected 1, 3 or 4 colour components, got %d",
                         cinfo->num_components));
    bool is_cmyk = cinfo->jpeg_color_space == JCS_CMYK || cinfo->jpeg_color_space == JCS_YCCK;
    cinfo->out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
}

/* Leaves by longjmp on failure. */
static void decode_all(reader *r)
{
    struct jpeg_decompress_struct *cinfo = &r->cinfo;

    jpeg_create_decompress(cinfo);
    cinfo->mem->max_memory_to_use = r->max_bytes < LONG_MAX ? (long)r->max_bytes : LONG_MAX;
    cinfo->progress = &r->progress_mgr;
    jpeg_mem_src(cinfo, r->bytes, (unsigned long)r->len);
    (void)jpeg_read_header(cinfo, TRUE);
    set_output(r);
    (void)jpeg_start_decompress(cinfo);
    read_rows(r);
    (void)jpeg_finish_decompress(cinfo); /* reads on to the end marker */
}

static void decode_guarded(reader *r)
{
    if (setjmp(r->jump) == 0)
        decode_all(r);
}

static int max_scans(uint64_t n_pixels)
{
    uint64_t scans = MAX_SCAN_PIXELS / n_pixels;
    return scans < MIN_SCANS ? MIN_SCANS : scans > MAX_SCANS ? MAX_SCANS : (int)scans;
}

static vly_status decode(const uint8_t *bytes, size_t len, size_t max_bytes, vly_picture *p,
                         vly_err *err)
{
    reader r = {
        .bytes = bytes,
        .len = len,
        .max_bytes = max_bytes,
        .max_scans = max_scans((uint64_t)p->width * p->height),
        .p = p,
        .err = err,
        .st = VLY_OK,
        .progress_mgr.progress_monitor = on_progress,
    };

    r.cinfo.err = jpeg_std_error(&r.error_mgr);
    r.cinfo.client_data = &r;
    r.error_mgr.error_exit = on_error;
    r.error_mgr.emit_message = on_message;
    decode_guarded(&r);
    jpeg_destroy_decompress(&r.cinfo);
    return r.st;
}

const vly_picture_codec vly_picture__jpeg = {
    .name = "jpeg",
    .sniff = sniff,
    .probe = probe,
    .decode = decode,
};

/* ---- encoder ---- */

vly_status vly_picture_encode_jpeg(const vly_picture *p, int quality, vly_buf *out, vly_err *err)
{
    vly_status st = VLY_OK;
    int sampling = quality < 90 ? TJSAMP_420 : TJSAMP_444;

    VLY_ASSERT(quality >= 1 && quality <= 100);
    if (p->width > JPEG_MAX_DIMENSION || p->height > JPEG_MAX_DIMENSION || p->stride > INT_MAX)
        return vly_fail(err, VLY_ELIMIT, "jpeg picture: %u x %u exceeds the format's %ld per side",
                        p->width, p->height, JPEG_MAX_DIMENSION);

    unsigned long bytes = tjBufSize((int)p->width, (int)p->height, sampling);
    tjhandle tj = tjInitCompress();
    if (tj == NULL || !vly_buf_reserve(out, bytes)) {
        st = vly_fail(err, tj == NULL ? VLY_ENOMEM : VLY_ELIMIT, "jpeg picture: no room to encode");
        goto out;
    }
    unsigned char *to = (unsigned char *)out->ptr + out->len;
    if (tjCompress2(tj, p->pixels, (int)p->width, (int)p->stride, (int)p->height, TJPF_RGB, &to,
                    &bytes, sampling, quality, TJFLAG_NOREALLOC) != 0) {
        st = vly_fail(err, VLY_EINTERNAL, "jpeg picture: %s", tjGetErrorStr2(tj));
        goto out;
    }
    out->len += bytes;
    out->ptr[out->len] = '\0';
out:
    if (tj != NULL)
        tjDestroy(tj);
    return st;
}
