/* SPDX-License-Identifier: MIT */
/*
 * Runs ONNX backend test cases through the engine:
 *     conformance [--min-passed N] [--verbose] [--outdated NAME]... DIR...
 *                                                         DIR holds case folders
 *     conformance --list-ops DIR...                       the ops they use: cases_ops.tsv
 *     conformance --ops-md TSV [--check PAGE]             docs/ops.md, or is PAGE up to date
 *
 * Each case runs in a process of its own, so that a crash or a hang is a counted failure. Exit 0:
 * none failed and enough passed; unsupported ops are counted by name but are no failure. An
 * outdated case is one whose reference a later release of ONNX corrected: it may fail.
 */
#include "base/assert.h"
#include "conformance/case.h"
#include "conformance/ops_md.h"
#include "conformance/walk.h"
#include "sys/file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CASE_SECONDS = 60, REASONS_MAX = 512, OUTDATED_MAX = 32 };

typedef struct reason {
    char text[VLY_ERR_MSG_MAX];
    int n;
} reason;

typedef struct tally {
    int n[3];                    /* by verdict */
    reason reasons[REASONS_MAX]; /* of unsupported cases */
    int n_reasons;
    const char *outdated[OUTDATED_MAX]; /* names of cases */
    int n_outdated;
    int n_outdated_failed;
    bool verbose;
} tally;

/* ---- one case ----------------------------------------------------------------------------- */

static void run_in_child(const char *path, int fd)
{
    case_result r;

    alarm(CASE_SECONDS);
    case_run(path, &r);
    ssize_t n = write(fd, &r, sizeof(r));  /* fits in a pipe's buffer */
    exit(n == (ssize_t)sizeof(r) ? 0 : 1); /* not _exit: LeakSanitizer looks at exit */
}

static case_result run_guarded(const char *path)
{
    case_result r = {.verdict = CASE_FAILED};
    int fds[2], status = 0;

    if (pipe(fds) != 0) {
        perror("conformance: pipe");
        exit(1);
    }
    fflush(NULL); /* or the child would print it again */
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        run_in_child(path, fds[1]);
    }
    close(fds[1]);
    bool is_whole = pid > 0 && read(fds[0], &r, sizeof(r)) == (ssize_t)sizeof(r);
    close(fds[0]);
    if (pid > 0)
        waitpid(pid, &status, 0);
    if (is_whole && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return r;
    r.verdict = CASE_FAILED; /* sanitizers make the exit status of a finished case non-zero */
    if (WIFSIGNALED(status))
        snprintf(r.reason, sizeof(r.reason), "crashed: %s", strsignal(WTERMSIG(status)));
    else
        snprintf(r.reason, sizeof(r.reason), "exited with status %d", WEXITSTATUS(status));
    return r;
}

static void count_reason(tally *t, const char *text)
{
    int i = 0;

    while (i < t->n_reasons && strcmp(t->reasons[i].text, text) != 0)
        i++;
    if (i == REASONS_MAX)
        return;
    if (i == t->n_reasons) {
        snprintf(t->reasons[i].text, sizeof(t->reasons[i].text), "%s", text);
        t->n_reasons++;
    }
    t->reasons[i].n++;
}

static bool is_outdated(const tally *t, const char *name)
{
    for (int i = 0; i < t->n_outdated; i++)
        if (strcmp(t->outdated[i], name) == 0)
            return true;
    return false;
}

static void visit_case(const char *path, const char *name, void *arg)
{
    static const char *const words[] = {"passed", "unsupported", "FAILED"};
    tally *t = arg;
    case_result r = run_guarded(path);

    if (r.verdict == CASE_FAILED && is_outdated(t, name)) {
        t->n_outdated_failed++;
        return;
    }
    t->n[r.verdict]++;
    if (r.verdict == CASE_UNSUPPORTED)
        count_reason(t, r.reason);
    if (t->verbose || r.verdict == CASE_FAILED)
        printf("%s %s%s%s\n", words[r.verdict], name, r.reason[0] != '\0' ? ": " : "", r.reason);
}

/* ---- all of them -------------------------------------------------------------------------- */

static int by_count(const void *a, const void *b)
{
    const reason *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : strcmp(x->text, y->text);
}

static int run_dirs(char **dirs, int n_dirs, int min_passed, tally *t)
{
    int n_cases = 0;

    for (int i = 0; i < n_dirs; i++) {
        int n = walk_cases(dirs[i], visit_case, t);
        if (n <= 0) {
            fprintf(stderr, "conformance: no cases in '%s'\n", dirs[i]);
            return 1;
        }
        n_cases += n;
    }
    qsort(t->reasons, (size_t)t->n_reasons, sizeof(t->reasons[0]), by_count);
    if (t->n_reasons > 0)
        printf("unsupported, by what is missing:\n");
    for (int i = 0; i < t->n_reasons; i++)
        printf("%5d  %s\n", t->reasons[i].n, t->reasons[i].text);
    printf("%d cases: %d passed, %d unsupported, %d failed\n", n_cases, t->n[CASE_PASSED],
           t->n[CASE_UNSUPPORTED], t->n[CASE_FAILED]);
    if (t->n_outdated_failed > 0)
        printf("and %d whose reference is outdated\n", t->n_outdated_failed);
    if (t->n[CASE_PASSED] < min_passed)
        printf("expected at least %d to pass\n", min_passed);
    return t->n[CASE_FAILED] > 0 || t->n[CASE_PASSED] < min_passed;
}

/* ---- ops ---------------------------------------------------------------------------------- */

static int fail(const vly_err *err)
{
    fprintf(stderr, "conformance: %s\n", err->msg);
    return 1;
}

static int list_ops(char **dirs, int n_dirs)
{
    vly_err err = VLY_ERR_INIT;
    vly_buf out;

    vly_buf_init(&out, VLY_MEM_BASE, 1 << 20);
    int rc = ops_of_cases(dirs, n_dirs, &out, &err) == VLY_OK ? 0 : fail(&err);
    if (rc == 0)
        fwrite(out.ptr, 1, out.len, stdout);
    vly_buf_release(&out);
    return rc;
}

/* page NULL: prints it. */
static int ops_md(const char *tsv_path, const char *page)
{
    vly_err err = VLY_ERR_INIT;
    vly_buf tsv, out, have;
    int rc = 0;

    vly_buf_init(&tsv, VLY_MEM_BASE, 1 << 20);
    vly_buf_init(&out, VLY_MEM_BASE, 1 << 20);
    vly_buf_init(&have, VLY_MEM_BASE, 1 << 20);
    if (vly_file_read(tsv_path, 1 << 20, &tsv, &err) != VLY_OK ||
        ops_page(vly_buf_str(&tsv), &out, &err) != VLY_OK ||
        (page != NULL && vly_file_read(page, 1 << 20, &have, &err) != VLY_OK)) {
        rc = fail(&err);
    } else if (page == NULL) {
        fwrite(out.ptr, 1, out.len, stdout);
    } else if (!vly_str_eq(vly_buf_str(&out), vly_buf_str(&have))) {
        fprintf(stderr, "conformance: '%s' is out of date: conformance --ops-md %s > %s\n", page,
                tsv_path, page);
        rc = 1;
    }
    vly_buf_release(&tsv);
    vly_buf_release(&out);
    vly_buf_release(&have);
    return rc;
}

static int usage(void)
{
    fprintf(stderr, "usage: conformance [--min-passed N] [--verbose] [--outdated NAME]... DIR...\n"
                    "       conformance --list-ops DIR...\n"
                    "       conformance --ops-md TSV [--check PAGE]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static tally t;
    int i = 1, min_passed = 0;

    if (argc >= 3 && strcmp(argv[1], "--list-ops") == 0)
        return list_ops(argv + 2, argc - 2);
    if (argc == 3 && strcmp(argv[1], "--ops-md") == 0)
        return ops_md(argv[2], NULL);
    if (argc == 5 && strcmp(argv[1], "--ops-md") == 0 && strcmp(argv[3], "--check") == 0)
        return ops_md(argv[2], argv[4]);
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--min-passed") == 0 && i + 1 < argc)
            min_passed = (int)strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--verbose") == 0)
            t.verbose = true;
        else if (strcmp(argv[i], "--outdated") == 0 && i + 1 < argc && t.n_outdated < OUTDATED_MAX)
            t.outdated[t.n_outdated++] = argv[++i];
        else
            return usage();
    }
    return i < argc ? run_dirs(argv + i, argc - i, min_passed, &t) : usage();
}
