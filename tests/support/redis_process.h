/* SPDX-License-Identifier: MIT */
/* A real redis-server for a test, on a Unix socket in a directory of its own. */
#ifndef VLY_TESTS_REDIS_PROCESS_H
#define VLY_TESTS_REDIS_PROCESS_H

#include "temp_dir.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct redis_process {
    char dir[TEMP_DIR_PATH_MAX];
    char socket[TEMP_DIR_PATH_MAX + 16];
    char url[TEMP_DIR_PATH_MAX + 32];
    pid_t pid; /* 0: not running */
} redis_process;

/* False: this machine has none. */
bool redis_is_there(void);
/* Makes the directory; starts nothing. */
void redis_init(redis_process *p);
/* Starts it, with one more option ("requirepass", "secret") or NULLs, and waits until it serves. */
void redis_start(redis_process *p, const char *option, const char *value);
void redis_signal(const redis_process *p, int number);
void redis_kill(redis_process *p); /* at once, and waits */
void redis_release(redis_process *p);
/* One command, its words divided by blanks, by hiredis, waiting; false: an error. */
bool redis_do(const redis_process *p, const char *words);
/* The same of a command that is answered with a number, and this. */
long long redis_number(const redis_process *p, const char *words);

#endif
