/* SPDX-License-Identifier: MIT */
/* What concerns the whole process, each case in a child: log lines, assertions, CPU flags. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/log.h"
#include "unit.h"

#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs fn in a child and returns its wait status; what it wrote to stderr is in text. */
static int run_child(void (*fn)(void), char *text, size_t cap)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(fds[1]);
    size_t len = 0;
    ssize_t n;
    while (len + 1 < cap && (n = read(fds[0], text + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fds[0]);
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t re;
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, text, 0, NULL, 0) != 0)
        fail_msg("expected /%s/, got \"%s\"", pattern, text);
    regfree(&re);
}

static void write_lines(void)
{
    char text[4000];
    vly_debug("hidden");
    vly_info("shown %d", 1);
    vly_log_set_level(VLY_LOG_ERROR);
    vly_warn("hidden");
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    vly_error("%s", text);
}

static void log_lines(void **state)
{
    (void)state;
    char text[8192];
    assert_int_equal(run_child(write_lines, text, sizeof(text)), 0);
    assert_matches(text, "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}\\.[0-9]{3}Z info shown 1\n"
                         "20[0-9T:.Z-]{22} error x+\n$");
    assert_true(strlen(text) < 1024 + 64); /* a long line is cut, and still ends in a newline */

    vly_log_level level = VLY_LOG_INFO;
    assert_true(vly_log_level_parse("warn", &level));
    assert_int_equal(level, VLY_LOG_WARN);
    assert_false(vly_log_level_parse("WARN", &level));
    assert_int_equal(level, VLY_LOG_WARN);
}

static void write_a_forged_line(void)
{
    vly_warn("model '%s'", "a\nb\r\t\x1b[2J\x7fz\xc3\xa9");
}

static void a_record_is_one_line(void **state)
{
    char text[256];

    (void)state;
    assert_int_equal(run_child(write_a_forged_line, text, sizeof(text)), 0);
    assert_matches(text, "^20[0-9T:.Z-]{22} warn model 'a b   \\[2J z\xc3\xa9'\n$");
}

static void break_a_rule(void)
{
    const struct rlimit no_core = {0, 0};
    signal(SIGABRT, SIG_DFL);
    setrlimit(RLIMIT_CORE, &no_core);
    VLY_ASSERT(1 + 1 == 2);
    VLY_ASSERT(1 + 1 == 3);
}

static void assertion_names_place_and_expression(void **state)
{
    (void)state;
    char text[1024];
    int status = run_child(break_a_rule, text, sizeof(text));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_matches(text, "test_process\\.c:[0-9]+: .*1 \\+ 1 == 3");
}

static void use_c(void)
{
    setenv("VOLLEY_CPU", "c", 1);
    VLY_ASSERT((vly_cpu_flags() & ~(unsigned)VLY_CPU_NEON) == 0);
    VLY_ASSERT(strcmp(vly_cpu_level(), "c") == 0);
}

static void use_avx2(void)
{
    setenv("VOLLEY_CPU", "avx2", 1);
    VLY_ASSERT((vly_cpu_flags() & ~(unsigned)(VLY_CPU_AVX2 | VLY_CPU_AVX_VNNI)) == 0);
}

static void use_unknown(void)
{
    setenv("VOLLEY_CPU", "quantum", 1);
    VLY_ASSERT(vly_cpu_flags() == 0);
}

static void cpu_level_can_be_lowered(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(run_child(use_c, text, sizeof(text)), 0);
    assert_int_equal(run_child(use_avx2, text, sizeof(text)), 0);
    assert_int_equal(run_child(use_unknown, text, sizeof(text)), 0);
}

static void clock_goes_forward(void **state)
{
    (void)state;
    vly_nsec a = vly_clock_now();
    usleep(2000);
    vly_nsec b = vly_clock_now();
    assert_true(b - a >= 2 * VLY_NSEC_PER_MS);
    assert_true(vly_clock_ms(1500000) == 1.5);
    assert_true(vly_clock_unix_ms() > UINT64_C(1577836800000)); /* 2020 */
}

UNIT_TESTS(cmocka_unit_test(log_lines), cmocka_unit_test(a_record_is_one_line),
           cmocka_unit_test(assertion_names_place_and_expression),
           cmocka_unit_test(cpu_level_can_be_lowered), cmocka_unit_test(clock_goes_forward))
