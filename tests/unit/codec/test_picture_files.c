/* SPDX-License-Identifier: MIT */
/*
 * Whole files against Pillow: the samples of the tree by pictures.tsv, and when they are there the
 * shared pictures by pictures_shared.tsv and the hostile ones by their own EXPECT.tsv. The two
 * tables come from tools/make_picture_samples.py; a line is a path, a size and a 4 x 4 grid of mean
 * colours.
 */
#include "base/assert.h"
#include "base/str.h"
#include "codec/picture.h"
#include "support/file_bytes.h"
#include "unit.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <webp/encode.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

static const vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;

static vly_status decode_file(const char *path, const vly_picture_limits *l, vly_picture *ret,
                              vly_err *err)
{
    size_t n;
    unsigned char *bytes = file_bytes(path, &n);
    vly_status st = vly_picture_decode(bytes, n, l, ret, err);
    free(bytes);
    return st;
}

/* Where we differ from Pillow, and why. The first match counts; a path that ends in '*' is a
 * prefix. */
typedef struct difference {
    const char *path;
    vly_status ours;
    const char *why;
} difference;

static const difference differences[] = {
    {"bad_crc.png", VLY_EFORMAT, "Pillow does not check the checksum of IDAT"},
    {"formats/jpg/pillars_640x640_arithmetic.jpg", VLY_OK,
     "Pillow's wheels lack arithmetic coding"},
    {"hostile/pillow_sugarshack_bad_mpo_header.jpg", VLY_OK,
     "a warning, by Pillow's table an error"},
    {"hostile/pillow_syntax_num_frames_invalid.png", VLY_OK, "bad animation chunk, good picture"},
    {"hostile/pillow_truncated_exif_dpi.jpg", VLY_OK, "bad EXIF resolution, which we do not read"},
    {"hostile/generated/iccp_bomb.png", VLY_OK, "the profile is skipped, not inflated"},
    {"hostile/generated/ztxt_bomb.png", VLY_OK, "the text is skipped, not inflated"},
    {"hostile/libpng-crashers/empty_ancillary_chunks.png", VLY_OK, "empty chunks that we skip"},
    {"hostile/pillow_broken_data_stream.png", VLY_EFORMAT, "a filter type that does not exist"},
    {"hostile/generated/chunk_len_4G.png", VLY_EFORMAT, "a chunk longer than PNG allows"},
    {"hostile/generated/palette_missing.png", VLY_EFORMAT, "indices without a palette"},
    {"hostile/libpng-crashers/badadler.png", VLY_EFORMAT, "wrong checksum of the pixel data"},
    {"hostile/libpng-crashers/badcrc.png", VLY_EFORMAT, "wrong checksum of IDAT"},
    {"hostile/libpng-crashers/huge_IDAT.png", VLY_EFORMAT, "IDAT announces more than the file has"},
    {"hostile/go-fuzz/png/*", VLY_EFORMAT, "ends within IDAT; Pillow takes what rows there are"},
    {"hostile/go-fuzz/gif/*", VLY_EMEDIA, "not a format of ours"},
    {"hostile/pillow_decompression_bomb_extents.gif", VLY_EMEDIA, "not a format of ours"},
    {"hostile/pillow_badrle.bmp", VLY_EMEDIA, "not a format of ours"},
};

static const difference *find_difference(const char *path)
{
    for (size_t i = 0; i < VLY_COUNT(differences); i++) {
        const char *pattern = differences[i].path;
        size_t n = strlen(pattern);
        if (pattern[n - 1] == '*' ? strncmp(path, pattern, n - 1) == 0 : strcmp(path, pattern) == 0)
            return &differences[i];
    }
    return NULL;
}

/* Is the verdict Pillow's, or the one in the table above? */
static void check_verdict(const char *path, bool pillow_decodes, vly_status st, const vly_err *err)
{
    if ((st == VLY_OK) != pillow_decodes) {
        const difference *d = find_difference(path);
        if (d == NULL || d->ours != st)
            fail_msg("%s: Pillow %s it, we: %s %s", path, pillow_decodes ? "decodes" : "refuses",
                     vly_status_name(st), st != VLY_OK ? err->msg : "");
    }
    if (st != VLY_OK && st != VLY_EFORMAT && st != VLY_EMEDIA && st != VLY_ELIMIT &&
        st != VLY_EINVAL)
        fail_msg("%s: refused with %s '%s'", path, vly_status_name(st), err->msg);
}

/* ---- pixels ---- */

static void check_grid(const char *path, const vly_picture *p, const char *grid)
{
    uint64_t sums[16][3] = {0}, counts[16] = {0};

    for (uint32_t y = 0; y < p->height; y++)
        for (uint32_t x = 0; x < p->width; x++) {
            size_t cell = (size_t)y * 4 / p->height * 4 + (size_t)x * 4 / p->width;
            counts[cell]++;
            for (int c = 0; c < 3; c++)
                sums[cell][c] += p->pixels[y * p->stride + (size_t)3 * x + (size_t)c];
        }
    for (int i = 0; i < 48; i++) {
        uint64_t n = counts[i / 3], mean = n != 0 ? (sums[i / 3][i % 3] + n / 2) / n : 0;
        unsigned expected;
        assert_int_equal(sscanf(grid + (size_t)2 * (size_t)i, "%2x", &expected), 1);
        if (mean > expected + 1 || mean + 1 < expected)
            fail_msg("%s: channel %d of cell %d is %d, by Pillow %u", path, i % 3, i / 3, (int)mean,
                     expected);
    }
}

/* The next field of a table line as a number. */
static uint32_t number(char **save)
{
    uint64_t v = 0;
    assert_true(vly_str_to_u64(vly_str_from(strtok_r(NULL, "\t\n", save)), &v));
    return (uint32_t)v;
}

/* One line of a table; dir ends in '/'. */
static void check_line(const char *dir, char *line)
{
    char full[8192], *save, *path = strtok_r(line, "\t\n", &save);
    vly_picture p = {0};
    vly_err err = VLY_ERR_INIT;

    snprintf(full, sizeof(full), "%s%s", dir, path);
    vly_status st = decode_file(full, &limits, &p, &err);
    bool pillow_decodes = *save != '-';
    check_verdict(path, pillow_decodes, st, &err);
    if (st == VLY_OK && pillow_decodes) {
        assert_int_equal(p.width, number(&save));
        assert_int_equal(p.height, number(&save));
        const char *grid = strtok_r(NULL, "\t\n", &save);
        assert_int_equal(strlen(grid), 96);
        check_grid(path, &p, grid);
    }
    vly_picture_release(&p);
}

static void check_table(const char *table, const char *dir)
{
    char line[1024];
    int n = 0;
    FILE *f = fopen(unit_source(table), "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        if (line[0] != '#') {
            check_line(dir, line);
            n++;
        }
    fclose(f);
    assert_true(n > 50);
}

static void samples_are_what_pillow_sees(void **state)
{
    (void)state;
    char dir[4096];
    snprintf(dir, sizeof(dir), "%s", unit_source("tests/fuzz/corpus/picture/"));
    check_table("tests/unit/codec/pictures.tsv", dir);
}

static void shared_pictures_are_what_pillow_sees(void **state)
{
    (void)state;
    char dir[4096];
    snprintf(dir, sizeof(dir), "%s", unit_shared("data/images/"));
    check_table("tests/unit/codec/pictures_shared.tsv", dir);
}

/* The same coefficients in three codings: the one that Pillow cannot read must agree with the
 * others. */
static void arithmetic_coding_is_lossless(void **state)
{
    (void)state;
    vly_picture p[3] = {0};
    static const char *const names[3] = {"data/images/formats/jpg/pillars_640x640_arithmetic.jpg",
                                         "data/images/formats/jpg/pillars_640x640_restart.jpg",
                                         "data/images/formats/jpg/pillars_640x640_98scans.jpg"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(decode_file(unit_shared(names[i]), &limits, &p[i], NULL), VLY_OK);
        assert_memory_equal(p[i].pixels, p[0].pixels, (size_t)3 * 640 * 640);
    }
    for (int i = 0; i < 3; i++)
        vly_picture_release(&p[i]);
}

/* ---- hostile files ---- */

/* Calls visit for each file of EXPECT.tsv that is there. detail is Pillow's, such as
 * "JPEG RGB 160x120 orient=6". */
static void each_hostile(void (*visit)(const char *path, const char *full, bool pillow_decodes,
                                       const char *detail))
{
    char line[2048], dir[4096], full[8192];
    int n = 0, n_there = 0;
    snprintf(dir, sizeof(dir), "%s", unit_shared("data/images/"));
    FILE *f = fopen(unit_shared("data/images/hostile/EXPECT.tsv"), "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f)); /* headings */
    while (fgets(line, sizeof(line), f) != NULL) {
        vly_str rest = vly_str_from(line), path = vly_str_split(&rest, '\t');
        (void)vly_str_split(&rest, '\t'); /* bytes */
        vly_str verdict = vly_str_split(&rest, '\t');
        line[path.len] = '\0';
        snprintf(full, sizeof(full), "%s%s", dir, path.ptr);
        n++;
        if (access(full, R_OK) != 0)
            continue;
        n_there++;
        visit(path.ptr, full, vly_str_is(verdict, "OK"), rest.ptr);
    }
    fclose(f);
    printf("# %d of %d hostile files are there\n", n_there, n);
    assert_true(n_there > 150);
}

static void check_hostile(const char *path, const char *full, bool pillow_decodes,
                          const char *detail)
{
    vly_picture p = {0};
    vly_err err = VLY_ERR_INIT;
    unsigned w, h;
    vly_status st = decode_file(full, &limits, &p, &err);

    check_verdict(path, pillow_decodes, st, &err);
    if (st == VLY_OK && pillow_decodes && sscanf(detail, "%*s %*s %ux%u", &w, &h) == 2) {
        const char *orient = strstr(detail, "orient=");
        bool is_turned = orient != NULL && orient[7] >= '5' && orient[7] <= '8';
        assert_int_equal(p.width, is_turned ? h : w);
        assert_int_equal(p.height, is_turned ? w : h);
    }
    vly_picture_release(&p);
}

static void hostile_files_get_pillows_verdict(void **state)
{
    (void)state;
    each_hostile(check_hostile);
}

/* ---- memory ---- */

static size_t address_space(void)
{
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu", &pages), 1);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Decodes with no more new address space than l->max_memory_bytes (and 3 MiB, since malloc takes it
 * in blocks). */
static vly_status decode_within(const unsigned char *bytes, size_t n, const vly_picture_limits *l,
                                vly_picture *ret, vly_err *err)
{
    struct rlimit old, tight;

    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    tight = old;
    tight.rlim_cur = address_space() + l->max_memory_bytes + ((size_t)3 << 20);
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    vly_status st = vly_picture_decode(bytes, n, l, ret, err);
    assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
    return st;
}

static void check_hostile_memory(const char *path, const char *full, bool pillow_decodes,
                                 const char *detail)
{
    (void)pillow_decodes;
    (void)detail;
    vly_picture_limits l = limits;
    vly_picture p = {0};
    vly_err err = VLY_ERR_INIT;
    size_t n;
    unsigned char *bytes = file_bytes(full, &n);

    l.max_memory_bytes = (size_t)16 << 20;
    if (decode_within(bytes, n, &l, &p, &err) == VLY_ENOMEM)
        fail_msg("%s: %s", path, err.msg);
    vly_picture_release(&p);
    free(bytes);
}

/* Skips under a sanitizer; else large blocks must come from mmap, or free ones would hide need. */
static void begin_memory_test(void)
{
    if (IS_SANITIZED) {
        printf("# skipped: a sanitizer needs address space of its own\n");
        skip();
    }
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 128 << 10), 1);
}

/* No decoder takes more than the limit: with the address space cut to it, nothing runs out. */
static void hostile_files_stay_within_memory(void **state)
{
    (void)state;
    begin_memory_test();
    each_hostile(check_hostile_memory);
}

/* With exactly the memory that probe's estimate admits, a good picture still decodes. */
static void check_estimate(const char *name, const unsigned char *bytes, size_t n)
{
    vly_picture_info info;
    vly_picture p = {0};
    vly_err err = VLY_ERR_INIT;
    vly_picture_limits l = limits;

    assert_int_equal(vly_picture_probe(bytes, n, &limits, &info, NULL), VLY_OK);
    size_t pixels = (size_t)3 * info.width * info.height;
    size_t turned = info.orientation >= 5 ? pixels : 0;
    l.max_memory_bytes = pixels + (turned > info.decoder_bytes ? turned : info.decoder_bytes);
    if (decode_within(bytes, n, &l, &p, &err) != VLY_OK)
        fail_msg("%s: %zu bytes do not suffice: %s", name, l.max_memory_bytes, err.msg);
    vly_picture_release(&p);
}

static void estimates_suffice_for_shared_pictures(void **state)
{
    (void)state;
    char line[1024], dir[4096], full[8192], *save;
    begin_memory_test();
    snprintf(dir, sizeof(dir), "%s", unit_shared("data/images/"));
    FILE *f = fopen(unit_source("tests/unit/codec/pictures_shared.tsv"), "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        size_t n;
        snprintf(full, sizeof(full), "%s%s", dir, strtok_r(line, "\t\n", &save));
        if (line[0] == '#' || *save == '-')
            continue;
        unsigned char *bytes = file_bytes(full, &n);
        check_estimate(full, bytes, n);
        free(bytes);
    }
    fclose(f);
}

/* The kinds of WebP that keep whole planes, large enough to show above malloc's blocks. */
static void estimates_suffice_for_webp(void **state)
{
    (void)state;
    enum { W = 2000, H = 1500 };
    begin_memory_test();
    uint8_t *rgba = malloc((size_t)4 * W * H), *file;
    assert_non_null(rgba);
    for (size_t i = 0; i < (size_t)W * H; i++)
        memcpy(rgba + 4 * i, (uint8_t[]){(uint8_t)(i / 99), (uint8_t)(i % W / 8), 7, (uint8_t)i},
               4);
    size_t n = WebPEncodeLosslessRGBA(rgba, W, H, 4 * W, &file);
    check_estimate("lossless", file, n);
    WebPFree(file);
    n = WebPEncodeRGBA(rgba, W, H, 4 * W, 50.0f, &file);
    check_estimate("lossy with alpha", file, n);
    WebPFree(file);
    free(rgba);
}

UNIT_TESTS(cmocka_unit_test(samples_are_what_pillow_sees),
           cmocka_unit_test(shared_pictures_are_what_pillow_sees),
           cmocka_unit_test(arithmetic_coding_is_lossless),
           cmocka_unit_test(hostile_files_get_pillows_verdict),
           cmocka_unit_test(hostile_files_stay_within_memory),
           cmocka_unit_test(estimates_suffice_for_shared_pictures),
           cmocka_unit_test(estimates_suffice_for_webp))
