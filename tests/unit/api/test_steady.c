/* SPDX-License-Identifier: MIT */
/* What a request costs once a connection and a model are warm: no allocation, however it comes. */
#include "base/mem.h"
#include "service.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WARM  50
#define CALLS 200

#define ONES "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"
#define INPUTS(data)                                                                               \
    "{\"inputs\":[{\"name\":\"INPUT0\",\"shape\":[1,16],\"datatype\":\"INT32\"," data              \
    "},{\"name\":\"INPUT1\",\"shape\":[1,16],\"datatype\":\"INT32\"," data "}]"

static char request[2048];
static size_t request_len;

static void make(const char *json, size_t n_binary)
{
    int n = snprintf(request, sizeof(request),
                     "POST /v2/models/simple/infer HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n"
                     "Inference-Header-Content-Length: %zu\r\n\r\n%s",
                     strlen(json) + n_binary, strlen(json), json);

    memset(request + n, 1, n_binary);
    request_len = (size_t)n + n_binary;
}

/* One request and its whole answer, without touching the heap. */
static void exchange(int fd)
{
    char answer[8192];
    size_t len = 0;

    assert_int_equal(send(fd, request, request_len, MSG_NOSIGNAL), request_len);
    for (;;) {
        ssize_t n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0);
        assert_true(n > 0);
        len += (size_t)n;
        answer[len] = '\0';
        const char *end = strstr(answer, "\r\n\r\n");
        const char *length = strstr(answer, "Content-Length: ");
        size_t body;
        if (end == NULL || length == NULL || sscanf(length, "Content-Length: %zu", &body) != 1)
            continue;
        if (len >= (size_t)(end + 4 - answer) + body)
            break;
    }
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
}

static uint64_t allocations_of_calls(void)
{
    int fd = service_connect();

    for (int i = 0; i < WARM; i++)
        exchange(fd);
    uint64_t before = vly_mem_count_all();
    for (int i = 0; i < CALLS; i++)
        exchange(fd);
    uint64_t n = vly_mem_count_all() - before;
    close(fd);
    return n;
}

static void json_allocates_nothing(void **state)
{
    (void)state;
    make(INPUTS("\"data\":[" ONES "]") "}", 0);
    assert_int_equal(allocations_of_calls(), 0);
}

static void binary_allocates_nothing(void **state)
{
    (void)state;
    make(INPUTS("\"parameters\":{\"binary_data_size\":64}") ",\"parameters\":{\"binary_data_"
                                                            "output\":true}}",
         128);
    assert_int_equal(allocations_of_calls(), 0);
}

/* What is known, and a picture whose answer is. */
static void known_answers_allocate_nothing(void **state)
{
    (void)state;
    make(INPUTS("\"parameters\":{\"binary_data_size\":64}") "}", 128);
    assert_int_equal(allocations_of_calls(), 0);

    vly_buf picture = picture_of(8, 8, 255, 0, 0);
    int n = snprintf(request, sizeof(request),
                     "POST /v1/images:detect?model=colour HTTP/1.1\r\nHost: h\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     picture.len);
    assert_true((size_t)n + picture.len <= sizeof(request));
    memcpy(request + n, picture.ptr, picture.len);
    request_len = (size_t)n + picture.len;
    assert_int_equal(allocations_of_calls(), 0);
    vly_buf_release(&picture);
    vly_cache_totals totals;
    vly_cache_get_totals(svc.cache, &totals);
    assert_int_equal(totals.misses, 2);
    assert_int_equal(totals.hits, 2 * (WARM + CALLS) - 2);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(json_allocates_nothing, service_start, service_stop),
           cmocka_unit_test_setup_teardown(binary_allocates_nothing, service_start, service_stop),
           cmocka_unit_test_setup_teardown(known_answers_allocate_nothing, service_start_cached,
                                           service_stop))
