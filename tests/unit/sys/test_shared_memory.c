/* SPDX-License-Identifier: MIT */
/* The objects are made by the system's own calls, as a client does. Texts: Triton's
 * shared_memory_manager.cc. */
#include "sys/shared_memory.h"

#include "base/mem.h"
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OBJECT_BYTES 10000

static char key[64];
static char *client; /* the client's map of the object */
static int client_fd;
static vly_shared_memory *shm;
static vly_shared_region *r;
static void *at;
static vly_err err;

static int begin(void **state)
{
    (void)state;
    snprintf(key, sizeof(key), "/volley_test_%d", (int)getpid());
    client_fd = shm_open(key, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (client_fd < 0 || ftruncate(client_fd, OBJECT_BYTES) != 0)
        return -1;
    client = mmap(NULL, OBJECT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, client_fd, 0);
    return vly_shared_memory_new(2, &shm, &err) == VLY_OK && client != MAP_FAILED ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    vly_shared_memory_free(shm);
    munmap(client, OBJECT_BYTES);
    close(client_fd);
    return shm_unlink(key);
}

static vly_status add(const char *name, uint64_t offset, uint64_t bytes)
{
    return vly_shared_memory_register(shm, vly_str_from(name), vly_str_from(key), offset, bytes,
                                      &err);
}

static vly_status view(const char *name, uint64_t offset, uint64_t bytes)
{
    return vly_shared_memory_view(shm, vly_str_from(name), offset, bytes, &r, &at, &err);
}

static void is_the_clients_memory(void **state)
{
    (void)state;
    memcpy(client + 5003, "there", 5);
    assert_int_equal(add("a", 5001, 100), VLY_OK); /* not at a page */
    assert_int_equal(view("a", 2, 5), VLY_OK);
    assert_memory_equal(at, "there", 5);
    memcpy(at, "HERE!", 5);
    assert_memory_equal(client + 5003, "HERE!", 5);
    vly_shared_region_unref(r);
}

static void keeps_to_its_bounds(void **state)
{
    (void)state;
    assert_int_equal(add("a", 0, OBJECT_BYTES + 1), VLY_EINVAL);
    assert_string_equal(err.msg, "failed to register shared memory region 'a': invalid args");
    assert_int_equal(add("a", OBJECT_BYTES, 1), VLY_EINVAL);
    assert_int_equal(add("a", UINT64_MAX, 2), VLY_EINVAL);
    assert_int_equal(add("a", 1, UINT64_MAX), VLY_EINVAL);
    assert_int_equal(add("a", 0, 0), VLY_EINVAL);
    assert_int_equal(add("a", 100, 50), VLY_OK);
    assert_int_equal(view("a", 50, 0), VLY_EINVAL);
    assert_string_equal(err.msg, "Invalid offset for shared memory region: 'a'");
    assert_int_equal(view("a", 49, 2), VLY_EINVAL);
    assert_string_equal(err.msg, "Invalid offset + byte size for shared memory region: 'a'");
    assert_int_equal(view("a", 1, UINT64_MAX), VLY_EINVAL);
    assert_int_equal(view("a", 0, 50), VLY_OK);
    vly_shared_region_unref(r);
    assert_int_equal(view("b", 0, 1), VLY_ENOTFOUND);
    assert_string_equal(err.msg, "Unable to find shared memory region: 'b'");
}

static void notices_a_shortened_object(void **state)
{
    (void)state;
    assert_int_equal(add("a", 0, OBJECT_BYTES), VLY_OK);
    assert_int_equal(ftruncate(client_fd, 100), 0);
    assert_int_equal(view("a", 0, 10), VLY_EINVAL);
    assert_int_equal(ftruncate(client_fd, OBJECT_BYTES), 0);
    assert_int_equal(view("a", 0, 10), VLY_OK);
    vly_shared_region_unref(r);
}

static void names_are_unique_and_few(void **state)
{
    (void)state;
    assert_int_equal(add("a", 0, 10), VLY_OK);
    assert_int_equal(add("a", 0, 10), VLY_EEXIST);
    assert_string_equal(err.msg, "shared memory region 'a' already in manager");
    assert_int_equal(add("b", 0, 10), VLY_OK); /* the same object again */
    assert_int_equal(add("c", 0, 10), VLY_ELIMIT);
    vly_shared_memory_unregister(shm, VLY_STR("a"));
    vly_shared_memory_unregister(shm, VLY_STR("nobody"));
    assert_int_equal(add("c", 0, 10), VLY_OK);
    vly_shared_memory_unregister(shm, VLY_STR(""));
    assert_int_equal(view("b", 0, 1), VLY_ENOTFOUND);
}

static void keys_are_names_of_objects(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "/", ".", "..", "/..", "/a/b", "../x", "//x"};
    char text[VLY_SHM_NAME_MAX + 2];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(
            vly_shared_memory_register(shm, VLY_STR("a"), vly_str_from(bad[i]), 0, 1, &err),
            VLY_EINVAL);
    memset(text, 'x', sizeof(text));
    assert_int_equal(
        vly_shared_memory_register(shm, VLY_STR("a"), (vly_str){text, sizeof(text)}, 0, 1, &err),
        VLY_EINVAL);
    assert_int_equal(vly_shared_memory_register(shm, (vly_str){text, sizeof(text)},
                                                vly_str_from(key), 0, 1, &err),
                     VLY_EINVAL);
    assert_int_equal(
        vly_shared_memory_register(shm, VLY_STR("a"), VLY_STR("/volley_none"), 0, 1, &err),
        VLY_ENOTFOUND);
    assert_string_equal(err.msg, "Unable to open shared memory region: '/volley_none'");
}

static void outlives_its_name(void **state)
{
    (void)state;
    assert_int_equal(add("a", 0, 10), VLY_OK);
    assert_int_equal(view("a", 0, 10), VLY_OK);
    vly_shared_memory_unregister(shm, VLY_STR("a"));
    memcpy(at, "0123456789", 10);
    assert_memory_equal(client, "0123456789", 10);
    vly_shared_region_unref(r);
}

static void tells_what_there_is(void **state)
{
    (void)state;
    vly_shared_list l;

    assert_int_equal(vly_shared_memory_list(shm, VLY_STR(""), &l, &err), VLY_OK);
    assert_int_equal(l.n, 0);
    vly_shared_list_free(&l);
    assert_int_equal(add("b", 3, 10), VLY_OK);
    assert_int_equal(add("a", 0, 20), VLY_OK);
    assert_int_equal(vly_shared_memory_list(shm, VLY_STR(""), &l, &err), VLY_OK);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.regions[0]->name, "b");
    assert_string_equal(l.regions[0]->key, key);
    assert_int_equal(l.regions[0]->offset, 3);
    assert_int_equal(l.regions[1]->bytes, 20);
    vly_shared_list_free(&l);
    assert_int_equal(vly_shared_memory_list(shm, VLY_STR("a"), &l, &err), VLY_OK);
    assert_int_equal(l.n, 1);
    vly_shared_list_free(&l);
    assert_int_equal(vly_shared_memory_list(shm, VLY_STR("c"), &l, &err), VLY_ENOTFOUND);
    assert_string_equal(err.msg, "Unable to find system shared memory region: 'c'");
}

static void survives_without_memory(void **state)
{
    (void)state;
    vly_status st = VLY_ENOMEM;
    int n = 0;

    for (; st != VLY_OK && n < 10; n++) {
        vly_mem_fail_after(n);
        st = add("a", 0, 10);
        vly_mem_fail_after(-1);
    }
    assert_true(n > 1 && st == VLY_OK);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(is_the_clients_memory, begin, end),
           cmocka_unit_test_setup_teardown(keeps_to_its_bounds, begin, end),
           cmocka_unit_test_setup_teardown(notices_a_shortened_object, begin, end),
           cmocka_unit_test_setup_teardown(names_are_unique_and_few, begin, end),
           cmocka_unit_test_setup_teardown(keys_are_names_of_objects, begin, end),
           cmocka_unit_test_setup_teardown(outlives_its_name, begin, end),
           cmocka_unit_test_setup_teardown(tells_what_there_is, begin, end),
           cmocka_unit_test_setup_teardown(survives_without_memory, begin, end))
