/* SPDX-License-Identifier: MIT */
/* What requests say about the cache, and results as it keeps them. */
#include "api/cached.h"
#include "api/cached_tensors.h"
#include "base/assert.h"
#include "base/bits.h"
#include "unit.h"

/* ---- what requests say ---- */

static vly_status wish_of(const char *control, const char *tags, vly_cache_wish *ret, vly_err *err)
{
    vly_http_header headers[] = {{VLY_STR("cache-control"), vly_str_from(control)},
                                 {VLY_STR("volley-cache-tags"), vly_str_from(tags)}};
    const vly_http_msg msg = {.headers = headers, .n_headers = tags != NULL ? 2 : 1};
    const vly_api api = {.cache = (struct vly_cache *)headers}; /* only that there is one counts */

    return vly_cached_wish(&api, &msg, ret, err);
}

static void wishes(void **state)
{
    (void)state;
    vly_cache_wish w;

    assert_int_equal(wish_of("max-age=0", NULL, &w, NULL), VLY_OK);
    assert_false(w.no_cache || w.no_store || w.n_tags > 0);
    assert_int_equal(wish_of("private, No-Cache ,x", NULL, &w, NULL), VLY_OK);
    assert_true(w.no_cache && !w.no_store);
    assert_int_equal(wish_of("no-store", "b,a , b, c", &w, NULL), VLY_OK);
    assert_true(w.no_store && !w.no_cache);
    assert_int_equal(w.n_tags, 3); /* in order, each once */
    assert_true(vly_str_is(w.tags[0], "a"));
    assert_true(vly_str_is(w.tags[1], "b"));
    assert_true(vly_str_is(w.tags[2], "c"));
}

static void refuses_tags(void **state)
{
    (void)state;
#define LONG_TAG "01234567890123456789012345678901234567890123456789012345678901234" /* 65 */
    static const char *const bad[] = {"", "a,", "a,,b", "a b", "a,b,c,d", "caf\xc3\xa9", LONG_TAG};
    vly_cache_wish w;
    vly_err err;

    for (size_t i = 0; i < VLY_COUNT(bad); i++)
        assert_int_equal(wish_of("x", bad[i], &w, &err), VLY_EINVAL);
    assert_int_equal(wish_of("x", bad[VLY_COUNT(bad) - 1] + 1, &w, &err), VLY_OK); /* 64 */
    assert_int_equal(wish_of("x", "a,b,c,d", &w, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "'Volley-Cache-Tags': expected at most 3 tags");
}

/* ---- results ---- */

enum { OUTPUTS = 2 };

typedef struct fixture {
    vly_model_io io[OUTPUTS];
    vly_model_info info;
    vly_servable servable;
    vly_served served;
    vly_infer_output wanted[OUTPUTS];
    vly_infer_result results[OUTPUTS];
    vly_arena arena;
    vly_infer call;
} fixture;

static void open_fixture(fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->io[0] = (vly_model_io){.name = "scores", .dtype = VLY_DTYPE_F32};
    f->io[1] = (vly_model_io){.name = "words", .dtype = VLY_DTYPE_STRING};
    f->info.outputs = f->io;
    f->info.n_outputs = OUTPUTS;
    f->servable.info = &f->info;
    f->served.servable = &f->servable;
    f->wanted[0].name = VLY_STR("scores");
    f->wanted[1].name = VLY_STR("words");
    vly_arena_init(&f->arena, VLY_MEM_ARENA, 4096, 1 << 20);
    f->call.arena = &f->arena;
    f->call.served = &f->served;
    f->call.wanted = f->wanted;
    f->call.results = f->results;
}

/* As the format says, put down by hand. */
#define SCORES                                                                                     \
    "\0\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0"       /* output 0, FP32, rank 2 */                          \
    "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0"       /* 1 x 2 */                                           \
    "\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"      /* 8 bytes */                                         \
    "\0\0\200\77\0\0\40\300\0\0\0\0\0\0\0\0" /* 1, -2.5 */
#define WORDS                                                                                      \
    "\1\0\0\0\10\0\0\0\1\0\0\0\0\0\0\0" /* output 1, BYTES, rank 1 */                              \
    "\2\0\0\0\0\0\0\0\13\0\0\0\0\0\0\0" /* 2, 11 bytes */                                          \
    "\3\0\0\0abc\0\0\0\0\0\0\0\0\0"

static bool read_bytes(fixture *f, const char *bytes, size_t n)
{
    static _Alignas(16) char aligned[4096];

    assert_true(n <= sizeof(aligned));
    memcpy(aligned, bytes, n);
    f->call.n_results = 0;
    return vly_cached_tensors_read(&f->call, (vly_str){aligned, n});
}

static void reads_results(void **state)
{
    (void)state;
    static const char both[] = SCORES WORDS;
    fixture f;
    vly_buf b;

    open_fixture(&f);
    assert_true(read_bytes(&f, both, sizeof(both) - 1));
    assert_int_equal(f.call.n_results, 2);
    const vly_tensor *scores = &f.results[0].tensor, *words = &f.results[1].tensor;
    assert_int_equal(scores->shape.rank, 2);
    assert_int_equal(scores->shape.dim[1], 2);
    assert_true(((const float *)scores->data)[0] == 1.0f);
    assert_true(((const float *)scores->data)[1] == -2.5f);
    assert_true(vly_str_is(((const vly_str *)words->data)[0], "abc"));
    assert_int_equal(((const vly_str *)words->data)[1].len, 0);
    vly_buf_init(&b, VLY_MEM_CACHE, 4096);
    vly_cached_tensors_write(&f.call, &b);
    assert_int_equal(b.len, sizeof(both) - 1);
    assert_memory_equal(b.ptr, both, b.len);
    vly_buf_release(&b);
    vly_arena_release(&f.arena);
}

static void reads_nothing_else(void **state)
{
    (void)state;
    static const char both[] = SCORES WORDS, twice[] = SCORES SCORES;
    size_t n = sizeof(both) - 1;
    char bad[sizeof(both)];
    fixture f;

    open_fixture(&f);
    for (size_t len = 0; len < n; len++)
        if (len + 1 < n) /* the last byte is padding */
            assert_false(read_bytes(&f, both, len - len % 16));
    assert_false(read_bytes(&f, twice, sizeof(twice) - 1));
    static const size_t at[] = {0, 4, 8, 24, 32, 64, 68, 72, 80, 88, 96};
    for (size_t i = 0; i < VLY_COUNT(at); i++) { /* output, type, rank, shape, sizes, lengths */
        memcpy(bad, both, sizeof(bad));
        bad[at[i]] ^= 0x40;
        assert_false(read_bytes(&f, bad, n));
        assert_int_equal(f.call.n_results, 0);
    }
    f.wanted[1].name = (vly_str){NULL, 0}; /* words are not asked for */
    assert_false(read_bytes(&f, both, n));
    assert_true(read_bytes(&f, both, sizeof(SCORES) - 1));
    f.wanted[0].n_classes = 1; /* classes are text */
    assert_false(read_bytes(&f, both, sizeof(SCORES) - 1));
    vly_arena_release(&f.arena);
}

UNIT_TESTS(cmocka_unit_test(wishes), cmocka_unit_test(refuses_tags),
           cmocka_unit_test(reads_results), cmocka_unit_test(reads_nothing_else))
