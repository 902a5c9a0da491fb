/* SPDX-License-Identifier: MIT */
#include "redis_process.h"

#include "base/assert.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

bool redis_is_there(void)
{
    return access("/usr/bin/redis-server", X_OK) == 0;
}

void redis_init(redis_process *p)
{
    *p = (redis_process){.pid = 0};
    VLY_ASSERT(temp_dir_make(p->dir));
    snprintf(p->socket, sizeof(p->socket), "%s/socket", p->dir);
    snprintf(p->url, sizeof(p->url), "unix:%s", p->socket);
}

/* It says so on its standard output when it serves: "ready" before Redis 7.2, "Ready" since. */
static void wait_until_ready(FILE *out)
{
    char line[512];

    while (fgets(line, sizeof(line), out) != NULL)
        if (strstr(line, "eady to accept connections") != NULL)
            return;
    VLY_ASSERT(!"redis-server ended");
}

void redis_start(redis_process *p, const char *option, const char *value)
{
    char name[64];
    char program[] = "/usr/bin/redis-server", port[] = "--port", zero[] = "0", save[] = "--save";
    char none[] = "", sock[] = "--unixsocket", dir[] = "--dir", debug[] = "--enable-debug-command";
    char yes[] = "yes", text[256];
    char *args[] = {program,   port, zero,   save,  none, sock,
                    p->socket, dir,  p->dir, debug, yes,  option != NULL ? name : NULL,
                    text,      NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t no_signals;
    int out[2];

    VLY_ASSERT(p->pid == 0 && pipe(out) == 0);
    snprintf(name, sizeof(name), "--%s", option != NULL ? option : "");
    snprintf(text, sizeof(text), "%s", value != NULL ? value : "");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    posix_spawn_file_actions_addclose(&actions, out[1]);
    posix_spawnattr_init(&attributes);
    sigemptyset(&no_signals);
    posix_spawnattr_setsigmask(&attributes, &no_signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    VLY_ASSERT(posix_spawn(&p->pid, program, &actions, &attributes, args, environ) == 0);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    FILE *lines = fdopen(out[0], "r");
    VLY_ASSERT(lines != NULL);
    wait_until_ready(lines);
    fclose(lines); /* what it still says goes nowhere */
}

void redis_signal(const redis_process *p, int number)
{
    VLY_ASSERT(p->pid > 0 && kill(p->pid, number) == 0);
}

void redis_kill(redis_process *p)
{
    if (p->pid == 0)
        return;
    redis_signal(p, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    p->pid = 0;
}

void redis_release(redis_process *p)
{
    redis_kill(p);
    temp_dir_remove(p->dir);
}

static redisReply *ask(const redis_process *p, const char *words)
{
    redisContext *c = redisConnectUnix(p->socket);
    VLY_ASSERT(c != NULL && c->err == 0);
    redisReply *reply = redisCommand(c, words);

    redisFree(c);
    return reply;
}

bool redis_do(const redis_process *p, const char *words)
{
    redisReply *reply = ask(p, words);
    bool is_good = reply != NULL && reply->type != REDIS_REPLY_ERROR;

    freeReplyObject(reply);
    return is_good;
}

long long redis_number(const redis_process *p, const char *words)
{
    redisReply *reply = ask(p, words);
    VLY_ASSERT(reply != NULL && reply->type == REDIS_REPLY_INTEGER);
    long long n = reply->integer;

    freeReplyObject(reply);
    return n;
}
