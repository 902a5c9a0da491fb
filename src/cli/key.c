/* SPDX-License-Identifier: MIT */
/* `volley key mint|list|revoke`: the keys of clients, in the file that `volley serve --keys` reads.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "cli/command.h"
#include "store/key_file.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <time.h>

#define DEFAULT_FILE "keys.json"
#define MS_PER_DAY   INT64_C(86400000)

typedef struct key_opts {
    const char *file;
    const char *scope;
    const char *expires;
    double rate;
    int64_t burst, concurrency;
    bool json;
} key_opts;

static const key_opts defaults = {.file = DEFAULT_FILE, .scope = "infer", .expires = "never"};

/* ---- when a key expires ---- */

/* Milliseconds of "30d", "12h", "90m"; 0: not such a span. */
static uint64_t span_ms(vly_str text)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'d', MS_PER_DAY}, {'h', 3600000}, {'m', 60000}, {'s', 1000}};
    uint64_t n;

    if (text.len < 2 || !vly_str_to_u64((vly_str){text.ptr, text.len - 1}, &n) || n > 1000000)
        return 0;
    for (size_t i = 0; i < VLY_COUNT(units); i++)
        if (units[i].unit == text.ptr[text.len - 1])
            return n * (uint64_t)units[i].ms;
    return 0;
}

/* The begin of a day, UTC; 0: not a date, or one before 1970. */
static uint64_t date_ms(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%d", &tm);
    int day = tm.tm_mday;

    if (rest == NULL || *rest != '\0')
        return 0;
    time_t s = timegm(&tm); /* makes the 2nd of March of a 30th of February */
    return s > 0 && tm.tm_mday == day ? (uint64_t)s * 1000 : 0;
}

static vly_status read_expiry(const char *text, uint64_t now_ms, uint64_t *ret, vly_err *err)
{
    uint64_t span = span_ms(vly_str_from(text));
    uint64_t at = span > 0 ? now_ms + span : date_ms(text);

    if (strcmp(text, "never") == 0)
        at = 0;
    else if (at <= now_ms)
        return vly_fail(err, VLY_EINVAL,
                        "--expires: expected as 30d, 12h, 90m, a date to come as 2030-01-31, or "
                        "never, got '%s'",
                        text);
    *ret = at;
    return VLY_OK;
}

/* "2026-11-21 14:00" of UTC, or "never". */
static void put_time(char text[32], uint64_t ms)
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;

    if (ms == 0 || gmtime_r(&s, &tm) == NULL || strftime(text, 32, "%Y-%m-%d %H:%M", &tm) == 0)
        snprintf(text, 32, "never");
}

/* ---- mint ---- */

static vly_status read_count(const char *name, int64_t v, uint32_t *ret, vly_err *err)
{
    if (v < 0 || v > UINT32_MAX)
        return vly_fail(err, VLY_EINVAL, "--%s: expected 0 to %u, got %lld", name, UINT32_MAX,
                        (long long)v);
    *ret = (uint32_t)v;
    return VLY_OK;
}

static vly_status read_key(const key_opts *o, const char *name, vly_key *k, vly_err *err)
{
    vly_status st = vly_key_scope_parse(vly_str_from(o->scope), &k->scope, err);

    k->created_ms = vly_clock_unix_ms();
    k->rate = o->rate;
    if (strlen(name) > VLY_KEY_NAME_MAX)
        return vly_fail(err, VLY_EINVAL, "name of a key: expected at most %d bytes",
                        VLY_KEY_NAME_MAX);
    memcpy(k->name, name, strlen(name));
    if (st == VLY_OK && !(o->rate >= 0 && o->rate <= 1e9))
        st = vly_fail(err, VLY_EINVAL, "--rate: expected requests a second, got %g", o->rate);
    if (st == VLY_OK)
        st = read_expiry(o->expires, k->created_ms, &k->expires_ms, err);
    if (st == VLY_OK)
        st = read_count("burst", o->burst, &k->burst, err);
    if (st == VLY_OK)
        st = read_count("concurrency", o->concurrency, &k->concurrency, err);
    return st;
}

static vly_status add_key(void *ctx, vly_key_set *s, vly_err *err)
{
    const vly_key *k = ctx;
    return vly_key_set_add(s, k, k->created_ms, err);
}

static void print_minted(const key_opts *o, const vly_key *k, const char *text)
{
    char expires[32];

    put_time(expires, k->expires_ms);
    if (o->json) {
        printf("{\"name\":\"%s\",\"key\":\"%s\",\"scope\":\"%s\",\"expires_ms\":%llu}\n", k->name,
               text, vly_key_scope_name(k->scope), (unsigned long long)k->expires_ms);
        return;
    }
    printf("%s\n", text);
    fprintf(stderr,
            "key '%s' of scope %s, expires: %s. It is shown this once; '%s' keeps its hash.\n",
            k->name, vly_key_scope_name(k->scope), expires, o->file);
}

static int run_mint(const void *opts, int n_args, char *const *args)
{
    const key_opts *o = opts;
    char text[VLY_KEY_TEXT_BYTES + 1];
    vly_key k = {.burst = 0};
    vly_err err;

    (void)n_args;
    vly_status st = read_key(o, args[0], &k, &err);
    if (st == VLY_OK)
        st = vly_key_make(text, k.hash, &err);
    if (st == VLY_OK)
        st = vly_key_file_edit(o->file, add_key, &k, &err);
    if (st != VLY_OK)
        return vly_command_fail(&err);
    print_minted(o, &k, text);
    OPENSSL_cleanse(text, sizeof(text));
    return VLY_EXIT_OK;
}

/* ---- list ---- */

static const char *state_of(const vly_key *k, uint64_t now_ms)
{
    return k->is_revoked ? "revoked" : vly_key_is_live(k, now_ms) ? "live" : "expired";
}

static void print_json(const vly_key_set *s, uint64_t now_ms)
{
    printf("{\"keys\":[");
    for (size_t i = 0; i < s->n; i++) {
        const vly_key *k = &s->keys[i];
        printf("%s\n{\"name\":\"%s\",\"scope\":\"%s\",\"state\":\"%s\",\"created_ms\":%llu,"
               "\"expires_ms\":%llu,\"rate\":%g,\"burst\":%u,\"concurrency\":%u}",
               i > 0 ? "," : "", k->name, vly_key_scope_name(k->scope), state_of(k, now_ms),
               (unsigned long long)k->created_ms, (unsigned long long)k->expires_ms, k->rate,
               k->burst, k->concurrency);
    }
    printf("\n]}\n");
}

static void print_table(const vly_key_set *s, uint64_t now_ms)
{
    char expires[32];

    printf("%-24s %-6s %-8s %-17s %8s %8s %12s\n", "name", "scope", "state", "expires", "rate",
           "burst", "concurrency");
    for (size_t i = 0; i < s->n; i++) {
        const vly_key *k = &s->keys[i];
        put_time(expires, k->expires_ms);
        printf("%-24s %-6s %-8s %-17s %8g %8u %12u\n", k->name, vly_key_scope_name(k->scope),
               state_of(k, now_ms), expires, k->rate, k->burst, k->concurrency);
    }
}

static int run_list(const void *opts, int n_args, char *const *args)
{
    const key_opts *o = opts;
    vly_key_set s;
    vly_err err;

    (void)n_args, (void)args;
    if (vly_key_file_read(o->file, &s, &err) != VLY_OK)
        return vly_command_fail(&err);
    if (o->json)
        print_json(&s, vly_clock_unix_ms());
    else
        print_table(&s, vly_clock_unix_ms());
    vly_key_set_release(&s);
    return VLY_EXIT_OK;
}

/* ---- revoke ---- */

static vly_status revoke_key(void *ctx, vly_key_set *s, vly_err *err)
{
    const char *name = ctx;
    vly_key *k = vly_key_set_find(s, vly_str_from(name));

    if (k == NULL)
        return vly_fail(err, VLY_ENOTFOUND, "there is no key '%s'", name);
    k->is_revoked = true;
    return VLY_OK;
}

static int run_revoke(const void *opts, int n_args, char *const *args)
{
    const key_opts *o = opts;
    vly_err err;

    for (int i = 0; i < n_args; i++) {
        if (vly_key_file_edit(o->file, revoke_key, args[i], &err) != VLY_OK)
            return vly_command_fail(&err);
        printf("key '%s' is revoked\n", args[i]);
    }
    return VLY_EXIT_OK;
}

/* ---- commands ---- */

#define FILE_OPT                                                                                   \
    VLY_OPT(key_opts, file, 'k', TEXT, "keys", "FILE", "the key file (default: keys.json)")
#define JSON_OPT VLY_OPT(key_opts, json, 'j', FLAG, "json", NULL, "print JSON")

static const vly_opt mint_options[] = {
    FILE_OPT,
    VLY_OPT(key_opts, scope, 's', TEXT, "scope", "SCOPE",
            "what it may do: read, infer or admin, each with what is before it (default: infer)"),
    VLY_OPT(key_opts, expires, 'e', TEXT, "expires", "WHEN",
            "30d, 12h, 90m, a date as 2030-01-31, or never (default: never)"),
    VLY_OPT(key_opts, rate, 'r', FLOAT, "rate", "R",
            "requests a second (default: as limits.key_requests says)"),
    VLY_OPT(key_opts, burst, 'b', INT, "burst", "N",
            "requests at once after a silence (default: those of one second, or the server's)"),
    VLY_OPT(key_opts, concurrency, 'c', INT, "concurrency", "N",
            "requests in work at once (default: as limits.key_concurrency says)"),
    JSON_OPT,
    VLY_OPT_END,
};

static const vly_opt list_options[] = {FILE_OPT, JSON_OPT, VLY_OPT_END};
static const vly_opt revoke_options[] = {FILE_OPT, VLY_OPT_END};

const vly_command vly_command_key_mint = {
    .name = "key mint",
    .args = "NAME",
    .summary = "make an API key, print it once, keep its hash",
    .details =
        "Prints a new key on stdout and adds its name, scope, limits and SHA-256 to the key file.\n"
        "A server that runs with --keys FILE takes it within seconds, or at once on SIGHUP.\n"
        "Clients send it as `Authorization: Bearer KEY` or `X-Api-Key: KEY`. The name stands in\n"
        "the access log and in metrics; the key stands nowhere.\n",
    .examples = "  volley key mint camera-1\n"
                "  volley key mint ops --scope admin --expires 30d\n"
                "  volley key mint batch --rate 100 --burst 200 --concurrency 8 --keys keys.json\n",
    .opts = mint_options,
    .opts_bytes = sizeof(key_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = 1,
    .run = run_mint,
};

const vly_command vly_command_key_list = {
    .name = "key list",
    .args = "",
    .summary = "show the API keys of a file, without the keys",
    .details = "Shows name, scope, state, expiry (UTC) and limits of each key; 0 is the server's\n"
               "default.\n",
    .examples = "  volley key list\n"
                "  volley key list --keys keys.json --json\n",
    .opts = list_options,
    .opts_bytes = sizeof(key_opts),
    .defaults = &defaults,
    .run = run_list,
};

const vly_command vly_command_key_revoke = {
    .name = "key revoke",
    .args = "NAME...",
    .summary = "make API keys invalid",
    .details = "A revoked key is refused from when the server has read the file again: within\n"
               "seconds, or at once on SIGHUP. Its name may be minted anew.\n",
    .examples = "  volley key revoke camera-1\n",
    .opts = revoke_options,
    .opts_bytes = sizeof(key_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = VLY_ARGS_ANY,
    .run = run_revoke,
};
