/* SPDX-License-Identifier: MIT */
/* Key files. The hash is sha256sum's of the same text. */
#include "store/key_file.h"

#include "base/assert.h"
#include "support/temp_dir.h"
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT  "vly_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define HASH  "ad6b091c7d3c3d125d5eb50503c17eba1d8c575c9856782961be72b2d8a8436d"
#define OTHER "00000000000000000000000000000000000000000000000000000000000000ff"

static char dir[TEMP_DIR_PATH_MAX];
static char path[TEMP_DIR_PATH_MAX + 16];
static vly_err err;

static int begin(void **state)
{
    (void)state;
    if (!temp_dir_make(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/keys.json", dir);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return temp_dir_remove(dir) ? 0 : -1;
}

static vly_status parse(const char *json, vly_key_set *s)
{
    return vly_key_set_parse(vly_str_from(json), s, &err);
}

static void hashes_as_sha256sum(void **state)
{
    unsigned char hash[VLY_KEY_HASH_BYTES];
    char hex[2 * VLY_KEY_HASH_BYTES + 1];

    (void)state;
    assert_true(vly_key_hash(vly_str_from(TEXT), hash));
    for (size_t i = 0; i < sizeof(hash); i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    assert_string_equal(hex, HASH);
    assert_false(vly_key_hash(VLY_STR(""), hash));
    assert_false(vly_key_hash(VLY_STR(TEXT "A"), hash));
    assert_false(vly_key_hash(VLY_STR("vlx_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), hash));
    assert_false(vly_key_hash(VLY_STR("vly_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="), hash));
}

static void makes_another_key_each_time(void **state)
{
    char a[VLY_KEY_TEXT_BYTES + 1], b[VLY_KEY_TEXT_BYTES + 1];
    unsigned char hash[VLY_KEY_HASH_BYTES], again[VLY_KEY_HASH_BYTES];

    (void)state;
    assert_int_equal(vly_key_make(a, hash, &err), VLY_OK);
    assert_int_equal(vly_key_make(b, again, &err), VLY_OK);
    assert_int_equal(strlen(a), VLY_KEY_TEXT_BYTES);
    assert_string_not_equal(a, b);
    assert_true(vly_key_hash(vly_str_from(a), again));
    assert_memory_equal(hash, again, sizeof(hash));
}

static void reads_what_a_file_says(void **state)
{
    vly_key_set s;

    (void)state;
    assert_int_equal(
        parse("{\"version\":1,\"keys\":[{\"name\":\"a.b-c_1\",\"sha256\":\"" HASH
              "\",\"scope\":\"infer\",\"expires_ms\":5,\"rate\":2.5,\"burst\":7,"
              "\"concurrency\":3,\"created_ms\":1},{\"revoked\":true,\"scope\":\"admin\","
              "\"sha256\":\"" OTHER "\",\"name\":\"x\"}]}",
              &s),
        VLY_OK);
    assert_int_equal(s.n, 2);
    const vly_key *a = vly_key_set_find(&s, VLY_STR("a.b-c_1"));
    const vly_key *x = vly_key_set_find(&s, VLY_STR("x"));
    assert_true(a == &s.keys[0] && x == &s.keys[1]);
    assert_true(a->scope == VLY_SCOPE_INFER && a->expires_ms == 5 && a->burst == 7);
    assert_true(a->concurrency == 3 && a->rate == 2.5 && a->created_ms == 1 && !a->is_revoked);
    assert_true(x->scope == VLY_SCOPE_ADMIN && x->is_revoked && x->expires_ms == 0);
    assert_true(x->hash[31] == 0xff && x->hash[0] == 0);
    assert_true(vly_key_is_live(a, 4) && !vly_key_is_live(a, 5) && !vly_key_is_live(x, 0));
    vly_key_set_release(&s);
}

#define KEY(members) "{\"version\":1,\"keys\":[{" members "}]}"
#define GOOD         "\"name\":\"a\",\"sha256\":\"" HASH "\",\"scope\":\"read\""

static void refuses_and_says_why(void **state)
{
    static const struct {
        const char *json, *text;
    } rows[] = {
        {"", "at byte 0"},
        {"[]", "expected an object with 'version' and 'keys'"},
        {"{\"version\":1}", "expected an object with 'version' and 'keys'"},
        {"{\"version\":2,\"keys\":[]}", "'version': expected 1, got 2"},
        {"{\"version\":1,\"keys\":{}}", "'keys': expected an array"},
        {"{\"version\":1,\"keys\":[[[[[]]]]]}", "levels deep"},
        {"{\"version\":1,\"keys\":[1]}", "key 1: expected an object, got uint"},
        {KEY("\"name\":\"a\""), "key 1: 'sha256' is missing"},
        {KEY("\"name\":\"a b\""), "'name': expected letters"},
        {KEY("\"name\":\"\""), "'name': expected letters"},
        {KEY("\"name\":3"), "'name': expected letters"},
        {KEY("\"sha256\":\"00\""), "'sha256': expected 64 hexadecimal digits"},
        {KEY("\"scope\":\"none\""), "'scope': expected read, infer or admin"},
        {KEY(GOOD ",\"rate\":-1"), "'rate': expected requests a second"},
        {KEY(GOOD ",\"burst\":4294967296"), "'burst': expected an integer below 2^32"},
        {KEY(GOOD ",\"concurrency\":1.5"), "'concurrency': expected an integer"},
        {KEY(GOOD ",\"expires_ms\":\"x\""), "'expires_ms': expected milliseconds"},
        {KEY(GOOD ",\"revoked\":1"), "'revoked': expected true or false"},
        {KEY(GOOD ",\"name\":\"a\""), "'name' is there twice"},
        {KEY(GOOD ",\"expire\":1"), "unknown member 'expire'"},
        {KEY(GOOD "},{" GOOD), "two keys are named 'a'"},
        {KEY(GOOD "},{\"name\":\"b\",\"sha256\":\"" HASH "\",\"scope\":\"read\""), "are the same"},
    };
    vly_key_set s = {NULL, 9};

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        assert_int_not_equal(parse(rows[i].json, &s), VLY_OK);
        if (strstr(err.msg, rows[i].text) == NULL)
            fail_msg("%s: expected '%s', got '%s'", rows[i].json, rows[i].text, err.msg);
    }
    assert_int_equal(s.n, 9);
}

static vly_status add_key(void *ctx, vly_key_set *s, vly_err *e)
{
    vly_key k = {.scope = VLY_SCOPE_READ};

    snprintf(k.name, sizeof(k.name), "%s", (const char *)ctx);
    for (size_t i = 0; k.name[i] != '\0'; i++)
        k.hash[i] = (unsigned char)k.name[i];
    return vly_key_set_add(s, &k, 1, e);
}

static vly_status revoke_key(void *ctx, vly_key_set *s, vly_err *e)
{
    (void)e;
    vly_key_set_find(s, vly_str_from(ctx))->is_revoked = true;
    return VLY_OK;
}

static void replaces_the_file_for_its_owner_only(void **state)
{
    char one[] = "one", odd[] = "a/b";
    vly_key_set s;
    struct stat sb;

    (void)state;
    assert_int_equal(vly_key_file_read(path, &s, &err), VLY_ENOTFOUND);
    assert_int_equal(vly_key_file_edit(path, add_key, one, &err), VLY_OK);
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0600);
    assert_int_equal(vly_key_file_edit(path, add_key, one, &err), VLY_EEXIST);
    assert_int_equal(vly_key_file_edit(path, add_key, odd, &err), VLY_EINVAL);
    assert_int_equal(vly_key_file_edit(path, revoke_key, one, &err), VLY_OK);
    assert_int_equal(vly_key_file_read(path, &s, &err), VLY_OK);
    assert_true(s.n == 1 && s.keys[0].is_revoked);
    vly_key_set_release(&s);
    assert_int_equal(vly_key_file_edit(path, add_key, one, &err), VLY_OK); /* in its place */
    assert_int_equal(vly_key_file_read(path, &s, &err), VLY_OK);
    assert_true(s.n == 1 && !s.keys[0].is_revoked);
    vly_key_set_release(&s);
}

enum { WRITERS = 4, EACH = 25 };

static int write_some(int who)
{
    char name[32];

    for (int i = 0; i < EACH; i++) {
        snprintf(name, sizeof(name), "w%d-%d", who, i);
        if (vly_key_file_edit(path, add_key, name, NULL) != VLY_OK)
            return 1;
    }
    return 0;
}

static void two_writers_lose_nothing(void **state)
{
    vly_key_set s;
    int status;

    (void)state;
    for (int w = 0; w < WRITERS; w++)
        if (fork() == 0)
            _exit(write_some(w));
    for (int w = 0; w < WRITERS; w++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(vly_key_file_read(path, &s, &err), VLY_OK);
    assert_int_equal(s.n, WRITERS * EACH);
    vly_key_set_release(&s);
}

UNIT_TESTS(cmocka_unit_test(hashes_as_sha256sum), cmocka_unit_test(makes_another_key_each_time),
           cmocka_unit_test(reads_what_a_file_says), cmocka_unit_test(refuses_and_says_why),
           cmocka_unit_test_setup_teardown(replaces_the_file_for_its_owner_only, begin, end),
           cmocka_unit_test_setup_teardown(two_writers_lose_nothing, begin, end))
