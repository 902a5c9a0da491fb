/* SPDX-License-Identifier: MIT */
/*
 * Stands in for libFuzzer: feeds each file of the corpus directories to the fuzz target, whole and
 * cut short at up to 64 places, in blocks of exactly that size so that AddressSanitizer sees each
 * byte read past the end. One TAP line per file.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

enum { CUTS = 64 };

static unsigned char *read_file(const char *path, size_t *ret_n)
{
    unsigned char *bytes = NULL;
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return NULL;
    if (fseek(f, 0, SEEK_END) == 0) {
        long size = ftell(f);
        rewind(f);
        bytes = size >= 0 ? malloc((size_t)size + 1) : NULL;
        if (bytes != NULL)
            *ret_n = fread(bytes, 1, (size_t)size, f);
    }
    fclose(f);
    return bytes;
}

static void run_prefix(const unsigned char *bytes, size_t n)
{
    unsigned char *copy = malloc(n != 0 ? n : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, bytes, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static int replay(const char *path)
{
    size_t n = 0;
    unsigned char *bytes = read_file(path, &n);
    if (bytes == NULL)
        return -1;
    size_t step = n / CUTS + 1;
    for (size_t cut = 0; cut < n; cut += step)
        run_prefix(bytes, cut);
    run_prefix(bytes, n);
    free(bytes);
    return 0;
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    int n_run = 0, n_failed = 0;

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* a crash still shows which file it was */
    for (int i = 1; i < argc; i++) {
        struct dirent **entries;
        int n = scandir(argv[i], &entries, is_visible, alphasort);
        for (int k = 0; k < n; k++) {
            char path[4096];
            snprintf(path, sizeof(path), "%s/%s", argv[i], entries[k]->d_name);
            printf("# %s\n", entries[k]->d_name);
            int failed = replay(path) != 0;
            printf("%sok %d - %s\n", failed ? "not " : "", ++n_run, entries[k]->d_name);
            n_failed += failed;
            free(entries[k]);
        }
        if (n >= 0)
            free(entries);
    }
    printf("1..%d\n", n_run);
    if (n_run == 0)
        printf("Bail out! empty corpus\n");
    return n_run == 0 || n_failed != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
