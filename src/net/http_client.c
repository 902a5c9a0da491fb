/* SPDX-License-Identifier: MIT */
#include "net/http_client.h"

#include "base/mem.h"
#include "sys/url.h"

#include <curl/curl.h>
#include <limits.h>
#include <pthread.h>

#define HEADER_LINE_MAX 8192

struct vly_http_client {
    CURL *curl;
    char why[CURL_ERROR_SIZE];
};

/* One exchange. */
typedef struct exchange {
    vly_buf *answer;
    struct curl_slist *headers;
} exchange;

static void init_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT); /* a failure shows again in curl_easy_init */
}

vly_status vly_http_client_new(vly_http_client **ret, vly_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    vly_http_client *c = vly_calloc(VLY_MEM_NET, 1, sizeof(*c));

    if (c == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    pthread_once(&once, init_library);
    c->curl = curl_easy_init();
    if (c->curl == NULL) {
        vly_free(c);
        return vly_fail(err, VLY_ENOMEM, "libcurl cannot be used");
    }
    *ret = c;
    return VLY_OK;
}

void vly_http_client_free(vly_http_client *c)
{
    if (c == NULL)
        return;
    curl_easy_cleanup(c->curl);
    vly_free(c);
}

static size_t take_body(char *bytes, size_t size, size_t n, void *ctx)
{
    vly_buf *b = ctx;

    vly_buf_add(b, bytes, size * n);
    return b->failed ? 0 : size * n;
}

static int on_progress(void *ctx, curl_off_t n_down, curl_off_t down, curl_off_t n_up,
                       curl_off_t up)
{
    const vly_http_client_request *r = ctx;

    (void)n_down, (void)down, (void)n_up, (void)up;
    return r->is_cancelled(r->ctx) ? 1 : 0;
}

static bool has_control(vly_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

static vly_status add_line(exchange *x, const char *line, vly_err *err)
{
    struct curl_slist *list = curl_slist_append(x->headers, line);

    if (list == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    x->headers = list;
    return VLY_OK;
}

static vly_status add_header(exchange *x, const vly_http_header *h, vly_err *err)
{
    vly_buf line;

    if (h->name.len == 0 || has_control(h->name) || has_control(h->value))
        return vly_fail(err, VLY_EINVAL, "header '%.*s': it holds a control byte, or has no name",
                        VLY_STR_ARG(h->name));
    vly_buf_init(&line, VLY_MEM_NET, HEADER_LINE_MAX);
    vly_buf_add_str(&line, h->name);
    /* libcurl leaves out "Name:"; a semicolon makes it send one without a value. */
    vly_buf_puts(&line, h->value.len > 0 ? ": " : ";");
    vly_buf_add_str(&line, h->value);
    vly_status st =
        line.failed ? vly_fail(err, VLY_EINVAL, "header '%.*s' is too long", VLY_STR_ARG(h->name))
                    : add_line(x, line.ptr, err);
    vly_buf_release(&line);
    return st;
}

static vly_status add_headers(exchange *x, const vly_http_client_request *r, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < r->n_headers && st == VLY_OK; i++)
        st = add_header(x, &r->headers[i], err);
    return st == VLY_OK ? add_line(x, "Expect:", err) : st; /* no round trip before the body */
}

static vly_status set(CURLcode code, vly_err *err)
{
    return code == CURLE_OK ? VLY_OK
                            : vly_fail(err, code == CURLE_OUT_OF_MEMORY ? VLY_ENOMEM : VLY_EINVAL,
                                       "request: %s", curl_easy_strerror(code));
}

static vly_status prepare(vly_http_client *c, const vly_http_client_request *r, exchange *x,
                          vly_err *err)
{
    CURL *h = c->curl;

    curl_easy_reset(h); /* the options; connections stay */
    CURLcode codes[] = {
        curl_easy_setopt(h, CURLOPT_URL, r->url),
        curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https"),
        curl_easy_setopt(h, CURLOPT_PROXY, ""),
        curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->why),
        curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms),
        curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_body),
        curl_easy_setopt(h, CURLOPT_WRITEDATA, x->answer),
        curl_easy_setopt(h, CURLOPT_HTTPHEADER, x->headers),
        curl_easy_setopt(h, CURLOPT_NOPROGRESS, r->is_cancelled == NULL ? 1L : 0L),
        curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress),
        curl_easy_setopt(h, CURLOPT_XFERINFODATA, r),
        r->ca != NULL ? curl_easy_setopt(h, CURLOPT_CAINFO, r->ca) : CURLE_OK,
        r->body.len > 0 ? curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len)
                        : CURLE_OK,
        r->body.len > 0 ? curl_easy_setopt(h, CURLOPT_POSTFIELDS, r->body.ptr) : CURLE_OK,
        strcmp(r->method, "HEAD") == 0 ? curl_easy_setopt(h, CURLOPT_NOBODY, 1L)
                                       : curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, r->method),
    };
    vly_status st = VLY_OK;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]) && st == VLY_OK; i++)
        st = set(codes[i], err);
    return st;
}

static vly_status status_of(CURLcode code, const vly_buf *answer)
{
    switch ((int)code) { /* there are a hundred */
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return VLY_EINVAL;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return VLY_EUNAVAILABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return VLY_EDEADLINE;
    case CURLE_ABORTED_BY_CALLBACK:
        return VLY_ECANCELLED;
    case CURLE_OUT_OF_MEMORY:
        return VLY_ENOMEM;
    case CURLE_WRITE_ERROR:
        return answer->failed ? VLY_ELIMIT : VLY_EIO;
    default:
        return VLY_EIO;
    }
}

static vly_status perform(vly_http_client *c, const vly_http_client_request *r, exchange *x,
                          int *ret_status, vly_err *err)
{
    char shown[VLY_ERR_MSG_MAX / 2];
    long status = 0;

    c->why[0] = '\0';
    vly_status st = prepare(c, r, x, err);
    if (st != VLY_OK)
        return st;
    CURLcode code = curl_easy_perform(c->curl);
    if (code != CURLE_OK) {
        st = status_of(code, x->answer);
        return vly_fail(err, st, "%s %s: %s", r->method,
                        vly_url_public(r->url, shown, sizeof(shown)),
                        st == VLY_ELIMIT    ? "the answer is too large"
                        : c->why[0] != '\0' ? c->why
                                            : curl_easy_strerror(code));
    }
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_status = (int)status;
    return VLY_OK;
}

vly_status vly_http_client_send(vly_http_client *c, const vly_http_client_request *r,
                                int *ret_status, vly_buf *answer, vly_err *err)
{
    exchange x = {.answer = answer};
    size_t len = answer->len;

    if (strlen(r->url) > VLY_HTTP_CLIENT_URL_MAX)
        return vly_fail(err, VLY_EINVAL, "the URL is longer than %d bytes",
                        VLY_HTTP_CLIENT_URL_MAX);
    vly_status st = add_headers(&x, r, err);
    if (st == VLY_OK)
        st = perform(c, r, &x, ret_status, err);
    curl_slist_free_all(x.headers);
    if (st != VLY_OK) {
        answer->len = len;
        answer->failed = false;
    }
    return st;
}

unsigned vly_http_client_retry_after_ms(const vly_http_client *c)
{
    curl_off_t s = 0;

    if (curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &s) != CURLE_OK || s <= 0)
        return 0;
    return s < UINT_MAX / 1000 ? (unsigned)s * 1000 : UINT_MAX;
}
