/* SPDX-License-Identifier: MIT */
#include "codec/picture.h"

#include "base/assert.h"
#include "base/bits.h"
#include "codec/picture_codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const vly_picture_codec *const codecs[] = {
    &vly_picture__jpeg,
    &vly_picture__png,
    &vly_picture__webp,
};

#define ACCEPTED "expected jpeg, png or webp"

/* Formats that people send and that we do not take: the answer should name them. */
static const struct {
    size_t offset;
    vly_str magic;
    const char *name;
} foreign[] = {
    {0, {"GIF8", 4}, "gif"},         {0, {"BM", 2}, "bmp"},
    {0, {"II*\0", 4}, "tiff"},       {0, {"MM\0*", 4}, "tiff"},
    {0, {"\0\0\1\0", 4}, "ico"},     {0, {"P5", 2}, "pgm"},
    {0, {"P6", 2}, "ppm"},           {4, {"ftypavif", 8}, "avif"},
    {4, {"ftypheic", 8}, "heic"},    {4, {"ftypmif1", 8}, "heif"},
    {4, {"ftyp", 4}, "mp4 video"},   {0, {"\0\0\0\x0cJXL ", 8}, "jpeg xl"},
    {0, {"\xff\x0a", 2}, "jpeg xl"}, {0, {"\0\0\0\x0cjP  ", 8}, "jpeg 2000"},
    {0, {"%PDF", 4}, "pdf"},         {0, {"<svg", 4}, "svg"},
    {0, {"<?xml", 5}, "xml"},        {0, {"<", 1}, "html"},
    {0, {"{", 1}, "json"},
};

static const vly_picture_codec *find_codec(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < VLY_COUNT(codecs); i++)
        if (codecs[i]->sniff(bytes, len))
            return codecs[i];
    return NULL;
}

static vly_status fail_foreign(const uint8_t *bytes, size_t len, vly_err *err)
{
    if (len == 0)
        return vly_fail(err, VLY_EINVAL, "picture: " ACCEPTED ", got no bytes");
    for (size_t i = 0; i < VLY_COUNT(foreign); i++) {
        vly_str magic = foreign[i].magic;
        if (len >= foreign[i].offset + magic.len &&
            memcmp(bytes + foreign[i].offset, magic.ptr, magic.len) == 0)
            return vly_fail(err, VLY_EMEDIA, "picture: " ACCEPTED ", got %s", foreign[i].name);
    }
    uint8_t head[4] = {0};
    memcpy(head, bytes, len < sizeof(head) ? len : sizeof(head));
    return vly_fail(err, VLY_EMEDIA,
                    "picture: " ACCEPTED ", got %zu bytes that begin with %02x %02x %02x %02x", len,
                    head[0], head[1], head[2], head[3]);
}

/* Bytes of the pixels: the product cannot overflow once the dimensions have passed the limits. */
static size_t pixel_bytes(uint32_t width, uint32_t height)
{
    return (size_t)3 * width * height;
}

/* Peak memory: the decoder beside the pixels, then the turned copy beside them. */
static size_t peak_bytes(const vly_picture_info *info)
{
    size_t pixels = pixel_bytes(info->width, info->height);
    size_t turned = info->orientation >= 5 ? pixels : 0;
    return pixels + (turned > info->decoder_bytes ? turned : info->decoder_bytes);
}

static vly_status check_limits(const vly_picture_info *info, const vly_picture_limits *limits,
                               vly_err *err)
{
    uint32_t w = info->width, h = info->height;

    if (w == 0 || h == 0)
        return vly_fail(err, VLY_EFORMAT, "%s picture: expected at least one pixel, got %u x %u",
                        info->format, w, h);
    if (w > limits->max_dim || h > limits->max_dim)
        return vly_fail(err, VLY_ELIMIT, "%s picture: %u x %u exceeds the limit of %u per side",
                        info->format, w, h, limits->max_dim);
    if ((uint64_t)w * h > limits->max_pixels || (uint64_t)w * h > SIZE_MAX / 16)
        return vly_fail(err, VLY_ELIMIT,
                        "%s picture: %u x %u pixels exceed the limit of %" PRIu64 " pixels",
                        info->format, w, h, limits->max_pixels);
    if (peak_bytes(info) > limits->max_memory_bytes)
        return vly_fail(err, VLY_ELIMIT,
                        "%s picture: %u x %u needs %zu bytes to decode, the limit is %zu",
                        info->format, w, h, peak_bytes(info), limits->max_memory_bytes);
    return VLY_OK;
}

/* The header, dimensions as stored, within limits. */
static vly_status read_header(const uint8_t *bytes, size_t len, const vly_picture_limits *limits,
                              const vly_picture_codec **ret_codec, vly_picture_info *ret_info,
                              vly_err *err)
{
    vly_picture_info info = {.orientation = 1};

    if (len > limits->max_bytes)
        return vly_fail(err, VLY_ELIMIT, "picture: %zu bytes exceed the limit of %zu", len,
                        limits->max_bytes);
    const vly_picture_codec *codec = find_codec(bytes, len);
    if (codec == NULL)
        return fail_foreign(bytes, len, err);
    vly_status st = codec->probe(bytes, len, &info, err);
    if (st != VLY_OK)
        return st;
    info.format = codec->name;
    st = check_limits(&info, limits, err);
    if (st != VLY_OK)
        return st;
    *ret_codec = codec;
    *ret_info = info;
    return VLY_OK;
}

vly_status vly_picture_probe(const void *bytes, size_t len, const vly_picture_limits *limits,
                             vly_picture_info *ret_info, vly_err *err)
{
    const vly_picture_codec *codec;
    vly_picture_info info = {0};

    vly_status st = read_header(bytes, len, limits, &codec, &info, err);
    if (st != VLY_OK)
        return st;
    *ret_info = info;
    if (info.orientation >= 5) {
        ret_info->width = info.height;
        ret_info->height = info.width;
    }
    return VLY_OK;
}

vly_status vly_picture_decode(const void *bytes, size_t len, const vly_picture_limits *limits,
                              vly_picture *ret_picture, vly_err *err)
{
    const vly_picture_codec *codec = NULL;
    vly_picture_info info = {0};
    vly_picture p = {0};

    vly_status st = read_header(bytes, len, limits, &codec, &info, err);
    if (st != VLY_OK)
        return st;
    VLY_ASSERT(codec != NULL && info.width > 0 && info.height > 0);
    st = vly_picture_new(info.width, info.height, &p, err);
    if (st != VLY_OK)
        goto out;
    st = codec->decode(bytes, len, limits->max_memory_bytes - pixel_bytes(info.width, info.height),
                       &p, err);
    if (st != VLY_OK)
        goto out;
    st = vly_picture__upright(&p, info.orientation, err);
    if (st != VLY_OK)
        goto out;
    *ret_picture = p; /* ownership moves to the caller */
    p = (vly_picture){0};
out:
    vly_picture_release(&p);
    return st;
}

vly_status vly_picture_new(uint32_t width, uint32_t height, vly_picture *ret_picture, vly_err *err)
{
    size_t bytes;

    VLY_ASSERT(width > 0 && height > 0);
    if (!vly_size_mul((size_t)3 * width, height, &bytes))
        return vly_fail(err, VLY_ELIMIT, "picture: %u x %u is not addressable", width, height);
    uint8_t *pixels = vly_alloc_aligned(VLY_MEM_CODEC, bytes);
    if (pixels == NULL)
        return vly_fail(err, VLY_ENOMEM, "picture: no memory for %u x %u", width, height);
    *ret_picture = (vly_picture){pixels, (size_t)3 * width, width, height};
    return VLY_OK;
}

void vly_picture_release(vly_picture *p)
{
    vly_free(p->pixels);
    *p = (vly_picture){0};
}
