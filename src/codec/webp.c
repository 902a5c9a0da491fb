/* SPDX-License-Identifier: MIT */
/*
 * WebP by libwebp. The RIFF chunks are walked here: for EXIF, and for the first frame of an
 * animation, which is decoded alone and set on a black canvas, as libwebp's own player does.
 *
 *   RIFF <size> WEBP  VP8 | VP8L | VP8X  [ANIM ANMF ANMF ...] | [ALPH] VP8 | VP8L  [EXIF]
 *   ANMF  x/2:3 y/2:3 width-1:3 height-1:3 duration:3 flags:1  [ALPH] VP8 | VP8L
 */
#include "base/bits.h"
#include "codec/exif.h"
#include "codec/picture_codec.h"

#include <string.h>
#include <webp/decode.h>

enum {
    RIFF_BYTES = 12,
    CHUNK_BYTES = 8,
    FRAME_BYTES = 16,
};

typedef struct span {
    const uint8_t *ptr;
    size_t len;
} span;

static bool sniff(const uint8_t *bytes, size_t len)
{
    return len >= RIFF_BYTES && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

/* First chunk of this type that lies wholly in the file; len 0 when there is none. */
static span find_chunk(const uint8_t *bytes, size_t len, const char type[4])
{
    size_t at = RIFF_BYTES;

    while (len - at >= CHUNK_BYTES) {
        size_t n = vly_load_le32(bytes + at + 4);
        if (n > len - at - CHUNK_BYTES)
            break;
        if (memcmp(bytes + at, type, 4) == 0)
            return (span){bytes + at + CHUNK_BYTES, n};
        n += n & 1; /* chunks are padded to even length */
        if (n > len - at - CHUNK_BYTES)
            break;
        at += CHUNK_BYTES + n;
    }
    return (span){bytes, 0};
}

static vly_status fail_status(VP8StatusCode code, size_t len, vly_err *err)
{
    static const char *const texts[] = {
        [VP8_STATUS_INVALID_PARAM] = "invalid parameter",
        [VP8_STATUS_BITSTREAM_ERROR] = "damaged data",
        [VP8_STATUS_UNSUPPORTED_FEATURE] = "unsupported feature",
    };

    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return vly_fail(err, VLY_ENOMEM, "webp picture: no memory for the decoder");
    if (code == VP8_STATUS_SUSPENDED || code == VP8_STATUS_NOT_ENOUGH_DATA)
        return vly_fail(err, VLY_EFORMAT, "webp picture: truncated at %zu bytes", len);
    const char *text = (size_t)code < sizeof(texts) / sizeof(texts[0]) ? texts[code] : NULL;
    return vly_fail(err, VLY_EFORMAT, "webp picture: %s", text != NULL ? text : "cannot decode");
}

static vly_status read_features(const uint8_t *bytes, size_t len, WebPBitstreamFeatures *ret,
                                vly_err *err)
{
    VP8StatusCode code = WebPGetFeatures(bytes, len, ret);
    return code == VP8_STATUS_OK ? VLY_OK : fail_status(code, len, err);
}

static vly_status probe(const uint8_t *bytes, size_t len, vly_picture_info *ret_info, vly_err *err)
{
    WebPBitstreamFeatures f;
    vly_status st = read_features(bytes, len, &f, err);
    if (st != VLY_OK)
        return st;

    span exif = find_chunk(bytes, len, "EXIF");
    ret_info->width = (uint32_t)f.width;
    ret_info->height = (uint32_t)f.height;
    ret_info->orientation = vly_exif_orientation(exif.ptr, exif.len);
    /* Lossless keeps the picture as argb; lossy keeps a few rows, and alpha as two planes. */
    size_t per_pixel = f.format != 1 || f.has_animation ? 4 : f.has_alpha ? 2 : 0;
    ret_info->decoder_bytes = ((size_t)512 << 10) + (size_t)256 * ret_info->width +
                              per_pixel * ret_info->width * (ret_info->height + (size_t)16);
    return VLY_OK;
}

/* Decodes to the rectangle of p whose top left pixel is `to`; f is its size. */
static vly_status decode_to(span file, const WebPBitstreamFeatures *f, uint8_t *to, size_t stride,
                            vly_err *err)
{
    WebPDecoderConfig config;

    if (!WebPInitDecoderConfig(&config))
        return vly_fail(err, VLY_EINTERNAL, "webp picture: libwebp of another version");
    config.input = *f;
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = to;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.size = stride * (size_t)(f->height - 1) + (size_t)3 * (size_t)f->width;
    VP8StatusCode code = WebPDecode(file.ptr, file.len, &config);
    WebPFreeDecBuffer(&config.output);
    return code == VP8_STATUS_OK ? VLY_OK : fail_status(code, file.len, err);
}

static uint32_t load24(const uint8_t *p)
{
    return (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static vly_status decode_first_frame(span file, vly_picture *p, vly_err *err)
{
    WebPBitstreamFeatures f;
    span frame = find_chunk(file.ptr, file.len, "ANMF");

    if (frame.len < FRAME_BYTES)
        return vly_fail(err, VLY_EFORMAT, "webp picture: animation without a whole frame");
    uint32_t x = 2 * load24(frame.ptr), y = 2 * load24(frame.ptr + 3);
    uint32_t w = load24(frame.ptr + 6) + 1, h = load24(frame.ptr + 9) + 1;
    span data = {frame.ptr + FRAME_BYTES, frame.len - FRAME_BYTES};
    vly_status st = read_features(data.ptr, data.len, &f, err);
    if (st != VLY_OK)
        return st;
    if ((uint32_t)f.width != w || (uint32_t)f.height != h || x + w > p->width || y + h > p->height)
        return vly_fail(err, VLY_EFORMAT,
                        "webp picture: frame of %d x %d at %u, %u outside a canvas of %u x %u",
                        f.width, f.height, x, y, p->width, p->height);
    for (uint32_t row = 0; row < p->height; row++)
        memset(p->pixels + row * p->stride, 0, (size_t)3 * p->width);
    return decode_to(data, &f, p->pixels + y * p->stride + (size_t)3 * x, p->stride, err);
}

static vly_status decode(const uint8_t *bytes, size_t len, size_t max_bytes, vly_picture *p,
                         vly_err *err)
{
    (void)max_bytes; /* probe has counted what libwebp will take */
    WebPBitstreamFeatures f;
    vly_status st = read_features(bytes, len, &f, err);
    if (st != VLY_OK)
        return st;
    if (f.has_animation)
        return decode_first_frame((span){bytes, len}, p, err);
    return decode_to((span){bytes, len}, &f, p->pixels, p->stride, err);
}

const vly_picture_codec vly_picture__webp = {
    .name = "webp",
    .sniff = sniff,
    .probe = probe,
    .decode = decode,
};
