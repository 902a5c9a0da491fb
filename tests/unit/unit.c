/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TESTS_MAX 1024

static struct CMUnitTest all_tests[TESTS_MAX];
static size_t n_tests;

void unit_add(const struct CMUnitTest *tests, size_t n)
{
    if (n > TESTS_MAX - n_tests)
        abort();
    memcpy(all_tests + n_tests, tests, n * sizeof(*tests));
    n_tests += n;
}

const char *unit_shared(const char *rel)
{
    static char path[4096];
    const char *dir = getenv("VOLLEY_SHARED");
    if (dir == NULL)
        dir = UNIT_SOURCE_ROOT "/../shared";
    snprintf(path, sizeof(path), "%s/%s", dir, rel);
    if (access(path, R_OK) != 0) {
        printf("# skipped: no '%s' (set VOLLEY_SHARED)\n", rel);
        skip();
    }
    return path;
}

const char *unit_source(const char *rel)
{
    static char path[4096];
    snprintf(path, sizeof(path), UNIT_SOURCE_ROOT "/%s", rel);
    return path;
}

/* cmocka 1.1 prints a skipped test as "not ok N # SKIP", which a TAP reader takes for a failure:
 * this stands behind stdout and takes the "not" away. One call is one line, as the stream is
 * line-buffered. */
static ssize_t tap_write(void *cookie, const char *line, size_t len)
{
    (void)cookie;
    size_t cut = 0;
    if (len > 4 && memcmp(line, "not ", 4) == 0 && memmem(line, len, "# SKIP", 6) != NULL)
        cut = 4;
    for (size_t done = cut; done < len;) {
        ssize_t n = write(STDOUT_FILENO, line + done, len - done);
        if (n < 0)
            return -1;
        done += (size_t)n;
    }
    return (ssize_t)len;
}

int main(void)
{
    static char buffer[65536];
    FILE *out = fopencookie(NULL, "w", (cookie_io_functions_t){.write = tap_write});
    if (out == NULL)
        return EXIT_FAILURE;
    setvbuf(out, buffer, _IOLBF, sizeof(buffer));
    stdout = out;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int n_failed = _cmocka_run_group_tests("unit", all_tests, n_tests, NULL, NULL);
    fflush(stdout);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
