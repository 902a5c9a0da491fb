/* SPDX-License-Identifier: MIT */
/* Tensors in shared memory, by Triton's extension: the client's object is made by the system's own
 * calls. */
#include "service.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OBJECT_BYTES 4096
#define SHM          "/v2/systemsharedmemory/"

static char key[64];
static char *client;

static int begin(void **state)
{
    snprintf(key, sizeof(key), "/volley_api_test_%d", (int)getpid());
    int fd = shm_open(key, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || ftruncate(fd, OBJECT_BYTES) != 0)
        return -1;
    client = mmap(NULL, OBJECT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return client == MAP_FAILED ? -1 : service_start(state);
}

static int end(void **state)
{
    int rc = service_stop(state);

    munmap(client, OBJECT_BYTES);
    return shm_unlink(key) == 0 ? rc : -1;
}

static void add_region(const char *name)
{
    char target[128], body[128];

    snprintf(target, sizeof(target), SHM "region/%s/register", name);
    snprintf(body, sizeof(body), "{\"key\":\"%s\",\"byte_size\":%d}", key, OBJECT_BYTES);
    assert_reply(post(target, body), 200, "");
}

#define IN_REGION(name, offset, bytes)                                                             \
    "\"parameters\":{\"shared_memory_region\":\"" name "\",\"shared_memory_offset\":" #offset      \
    ",\"shared_memory_byte_size\":" #bytes "}"

/* One request of which all tensors lie in shared memory: the answer holds none. */
static void tensors_do_not_travel(void **state)
{
    (void)state;
    const float values[3] = {1.5f, -2.0f, 3.25f};

    add_region("r");
    memcpy(client + 64, values, sizeof(values));
    assert_reply(
        post("/v2/models/id_FP32/infer",
             "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3]," IN_REGION(
                 "r", 64, 12) "}],\"outputs\":[{\"name\":\"y\"," IN_REGION("r", 128, 12) "}]}"),
        200,
        "{\"model_name\":\"id_FP32\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
        "\"datatype\":\"FP32\",\"shape\":[1,3]}]}");
    assert_memory_equal(client + 128, values, sizeof(values));
}

static void bytes_and_integers_too(void **state)
{
    (void)state;
    static const char texts[] = "\x02\0\0\0ab\x00\0\0\0\x01\0\0\0c";
    const int64_t numbers[2] = {-1, INT64_MAX};

    add_region("r");
    memcpy(client, texts, sizeof(texts) - 1);
    assert_says(
        post("/v2/models/id_BYTES/infer",
             "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"BYTES\",\"shape\":[1,3]," IN_REGION(
                 "r", 0, 15) "}],\"outputs\":[{\"name\":\"y\"," IN_REGION("r", 100, 15) "}]}"),
        200, "\"shape\":[1,3]}]}");
    assert_memory_equal(client + 100, texts, sizeof(texts) - 1);
    memcpy(client + 8, numbers, sizeof(numbers));
    assert_says(
        post("/v2/models/id_INT64/infer",
             "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"INT64\",\"shape\":[2,1]," IN_REGION(
                 "r", 8, 16) "}]}"),
        200, "\"data\":[-1,9223372036854775807]");
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    static const char x[] =
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],%s}]"
        "%s}";
    static const struct {
        const char *input, *output, *says;
        int status;
    } rows[] = {
        {IN_REGION("none", 0, 12), "", "Unable to find shared memory region: 'none'", 404},
        {IN_REGION("r", 4096, 12), "", "Invalid offset for shared memory region: 'r'", 400},
        {IN_REGION("r", 4090, 12), "", "Invalid offset + byte size for shared memory region: 'r'",
         400},
        {IN_REGION("r", 0, 8), "", "input byte size mismatch for input 'x'", 400},
        {IN_REGION("r", 0, 12), ",\"outputs\":[{\"name\":\"y\"," IN_REGION("r", 0, 8) "}]",
         "shared memory size specified with the request for output 'y' (8 bytes) should be at "
         "least 12 bytes to hold the results",
         400},
    };
    add_region("r");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char body[512];
        snprintf(body, sizeof(body), x, rows[i].input, rows[i].output);
        assert_says(post("/v2/models/id_FP32/infer", body), rows[i].status, rows[i].says);
    }
}

static void regions_are_managed(void **state)
{
    (void)state;
    char want[256];

    assert_reply(get(SHM "status"), 200, "[]");
    add_region("a");
    add_region("b");
    snprintf(want, sizeof(want),
             "[{\"name\":\"b\",\"key\":\"%s\",\"offset\":0,\"byte_size\":4096}]", key);
    assert_reply(get(SHM "region/b/status"), 200, want);
    assert_says(get(SHM "region/c/status"), 404, "Unable to find system shared memory region: 'c'");
    assert_says(post(SHM "region/a/register", "{\"key\":\"/x\",\"byte_size\":1}"), 404,
                "Unable to open shared memory region: '/x'");
    assert_says(post(SHM "region/c/register", "{\"byte_size\":1}"), 400,
                "Shared memory register request has no 'key' field");
    assert_says(post(SHM "region/c/register", "{\"key\":\"/x\"}"), 400,
                "Shared memory register request has no 'byte_size' field");
    assert_says(post(SHM "region/c/register", "{\"key\":\"/x\",\"byte_size\":-1}"), 400,
                "Unable to parse 'byte_size'");
    assert_reply(post(SHM "region/a/unregister", ""), 200, "");
    assert_says(get(SHM "status"), 200, "[{\"name\":\"b\"");
    assert_reply(post(SHM "unregister", ""), 200, "");
    assert_reply(get(SHM "status"), 200, "[]");
}

static void off_it_says_how_to_get_it(void **state)
{
    (void)state;
    svc.api.shared_memory = NULL;
    assert_says(get(SHM "status"), 501, "--allow-client-shm");
    assert_says(post(SHM "region/a/register", "{\"key\":\"/x\",\"byte_size\":1}"), 501,
                "--allow-client-shm");
    assert_says(
        post("/v2/models/id_FP32/infer",
             "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3]," IN_REGION(
                 "r", 0, 12) "}]}"),
        501, "--allow-client-shm");
}

/* As a Triton without GPUs. */
static void cuda_is_not_there(void **state)
{
    (void)state;
    assert_reply(get("/v2/cudasharedmemory/status"), 200, "[]");
    assert_says(get("/v2/cudasharedmemory/region/a/status"), 404,
                "Unable to find cuda shared memory region: 'a'");
    assert_says(post("/v2/cudasharedmemory/region/a/register", "{}"), 400,
                "failed to register CUDA shared memory region: 'a', GPUs not supported");
    assert_reply(post("/v2/cudasharedmemory/unregister", ""), 200, "");
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(tensors_do_not_travel, begin, end),
           cmocka_unit_test_setup_teardown(bytes_and_integers_too, begin, end),
           cmocka_unit_test_setup_teardown(refuses_what_does_not_fit, begin, end),
           cmocka_unit_test_setup_teardown(regions_are_managed, begin, end),
           cmocka_unit_test_setup_teardown(off_it_says_how_to_get_it, begin, end),
           cmocka_unit_test_setup_teardown(cuda_is_not_there, begin, end))
