/* SPDX-License-Identifier: MIT */
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_NAP_MS 10

static vly_status fail_errno(vly_err *err, const char *path, int code)
{
    vly_status st = VLY_EIO;

    if (code == ENOENT || code == ENOTDIR)
        st = VLY_ENOTFOUND;
    else if (code == ENOMEM)
        st = VLY_ENOMEM;
    return vly_fail(err, st, "'%s': %s", path, strerror(code));
}

/* O_NONBLOCK: the open of a FIFO must not wait for its writer; it is refused right after. */
static vly_status open_regular(const char *path, size_t max_bytes, int *ret_fd, size_t *ret_len,
                               vly_err *err)
{
    struct stat sb;
    vly_status st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return fail_errno(err, path, errno);
    if (fstat(fd, &sb) != 0)
        st = fail_errno(err, path, errno);
    else if (!S_ISREG(sb.st_mode))
        st = vly_fail(err, VLY_EINVAL, "'%s': expected a regular file", path);
    else if ((uint64_t)sb.st_size > max_bytes)
        st = vly_fail(err, VLY_ELIMIT, "'%s': expected at most %zu bytes, got %lld", path,
                      max_bytes, (long long)sb.st_size);
    else {
        *ret_fd = fd;
        *ret_len = (size_t)sb.st_size;
        return VLY_OK;
    }
    close(fd);
    return st;
}

/* Reads until the end. The length fstat told is only a hint: the file may grow or, as in /proc,
 * lie. */
static vly_status read_all(int fd, const char *path, size_t max_bytes, vly_buf *buf, vly_err *err)
{
    char chunk[16384];
    size_t total = 0;

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, path, errno);
        if (n == 0)
            return VLY_OK;
        total += (size_t)n;
        if (total > max_bytes)
            return vly_fail(err, VLY_ELIMIT, "'%s': expected at most %zu bytes", path, max_bytes);
        vly_buf_add(buf, chunk, (size_t)n);
        if (buf->failed)
            return vly_fail(err, VLY_ENOMEM, "'%s': no room after %zu bytes", path, total);
    }
}

vly_status vly_file_read(const char *path, size_t max_bytes, vly_buf *buf, vly_err *err)
{
    size_t start = buf->len;
    size_t len;
    int fd;
    vly_status st = open_regular(path, max_bytes, &fd, &len, err);

    if (st != VLY_OK)
        return st;
    if (vly_buf_reserve(buf, len))
        st = read_all(fd, path, max_bytes, buf, err);
    else
        st = vly_fail(err, VLY_ENOMEM, "'%s': no room for %zu bytes", path, len);
    close(fd);
    if (st != VLY_OK)
        buf->len = start;
    return st;
}

static int write_all(int fd, const char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return fsync(fd);
}

static vly_status write_file(const char *path, const void *bytes, size_t len, mode_t mode,
                             vly_err *err)
{
    static const char suffix[] = ".XXXXXX";
    size_t path_len = strlen(path);
    char *tmp = vly_alloc(VLY_MEM_BASE, path_len + sizeof(suffix));
    vly_status st = VLY_OK;

    if (tmp == NULL)
        return vly_fail(err, VLY_ENOMEM, "'%s': no memory", path);
    memcpy(tmp, path, path_len);
    memcpy(tmp + path_len, suffix, sizeof(suffix));
    int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0) {
        st = fail_errno(err, path, errno);
        goto out;
    }
    int rc = write_all(fd, bytes, len);
    if (rc == 0)
        rc = fchmod(fd, mode);
    if (rc == 0)
        rc = rename(tmp, path);
    if (rc != 0) {
        st = fail_errno(err, path, errno);
        unlink(tmp);
    }
    close(fd);
out:
    vly_free(tmp);
    return st;
}

vly_status vly_file_write(const char *path, const void *bytes, size_t len, vly_err *err)
{
    return write_file(path, bytes, len, 0644, err);
}

vly_status vly_file_write_private(const char *path, const void *bytes, size_t len, vly_err *err)
{
    return write_file(path, bytes, len, 0600, err);
}

/* The directory that the file lies in; NULL: no memory. */
static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? vly_strndup(VLY_MEM_BASE, ".", 1)
                         : vly_strndup(VLY_MEM_BASE, path, (size_t)(slash - path) + 1);
}

/* Who may write the directory may replace the file, and so has to lock it. */
static void share_lock(int fd, const char *path)
{
    struct stat sb;
    char *dir = dir_of(path);

    if (dir != NULL && stat(dir, &sb) == 0 && (sb.st_mode & S_ISVTX) == 0 &&
        fchown(fd, (uid_t)-1, sb.st_gid) == 0)
        fchmod(fd, 0600 | ((sb.st_mode & S_IWGRP) != 0 ? 0060 : 0) |
                       ((sb.st_mode & S_IWOTH) != 0 ? 0006 : 0));
    vly_free(dir);
}

/* 0, or an errno. No event tells that another process gives a lock back: it is asked for again. */
static int lock_whole(int fd, int timeout_ms)
{
    const struct timespec nap = {.tv_nsec = LOCK_NAP_MS * 1000000L};
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int left_ms = timeout_ms;

    while (fcntl(fd, timeout_ms < 0 ? F_OFD_SETLKW : F_OFD_SETLK, &whole) != 0) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN || left_ms <= 0)
            return errno;
        nanosleep(&nap, NULL);
        left_ms -= LOCK_NAP_MS;
    }
    return 0;
}

vly_status vly_file_lock(const char *path, int timeout_ms, int *ret_fd, vly_err *err)
{
    vly_status st = VLY_OK;
    vly_buf name;

    vly_buf_init(&name, VLY_MEM_BASE, (size_t)1 << 16);
    vly_buf_printf(&name, "%s.lock", path);
    int fd = name.failed ? -1 : open(name.ptr, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int why = name.failed ? ENOMEM : errno;
    vly_buf_release(&name);
    if (fd >= 0) {
        share_lock(fd, path);
        why = lock_whole(fd, timeout_ms);
    }
    if (why == 0)
        *ret_fd = fd;
    else if (why == EAGAIN)
        st = vly_fail(err, VLY_EUNAVAILABLE, "'%s' is being written by another process", path);
    else
        st = vly_fail(err, VLY_EIO, "'%s.lock': %s", path, strerror(why));
    if (why != 0 && fd >= 0)
        close(fd);
    return st;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    int why = errno;
    close(fd);
    errno = why;
    return rc;
}

vly_status vly_file_replace(const char *from, const char *path, vly_err *err)
{
    char *dir = dir_of(path);
    vly_status st = VLY_OK;

    if (dir == NULL)
        return vly_fail(err, VLY_ENOMEM, "'%s': no memory", path);
    if (sync_path(from, 0) != 0 || rename(from, path) != 0 || sync_path(dir, O_DIRECTORY) != 0)
        st = fail_errno(err, path, errno);
    vly_free(dir);
    return st;
}

bool vly_file_exists(const char *path)
{
    struct stat sb;
    return stat(path, &sb) == 0 && S_ISREG(sb.st_mode);
}

bool vly_dir_exists(const char *path)
{
    struct stat sb;
    return stat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
}

vly_status vly_mmap_open(const char *path, size_t max_bytes, vly_mmap *ret, vly_err *err)
{
    size_t len;
    int fd;
    vly_status st = open_regular(path, max_bytes, &fd, &len, err);

    if (st != VLY_OK)
        return st;
    void *ptr = len > 0 ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (ptr == MAP_FAILED)
        st = fail_errno(err, path, errno);
    else
        *ret = (vly_mmap){.ptr = ptr, .len = len};
    close(fd); /* the map keeps the file */
    return st;
}

/* Exactly len bytes, up to the end of the file. */
static vly_status read_exactly(int fd, const char *path, char *to, size_t len, vly_err *err)
{
    size_t n = 0;
    char past_end;

    while (n < len) {
        ssize_t got = read(fd, to + n, len - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(err, path, errno);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    if (n < len || read(fd, &past_end, 1) != 0)
        return vly_fail(err, VLY_EIO, "'%s': the file is being written", path);
    return VLY_OK;
}

vly_status vly_mmap_read(const char *path, size_t max_bytes, vly_mmap *ret, vly_err *err)
{
    size_t len;
    int fd;
    vly_status st = open_regular(path, max_bytes, &fd, &len, err);

    if (st != VLY_OK)
        return st;
    vly_mmap m = {.len = len};
    if (len > 0) {
        void *ptr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        st = ptr == MAP_FAILED ? fail_errno(err, path, errno) : VLY_OK;
        m.ptr = ptr == MAP_FAILED ? NULL : ptr;
        if (st == VLY_OK)
            st = read_exactly(fd, path, ptr, len, err);
        if (st == VLY_OK && mprotect(ptr, len, PROT_READ) != 0)
            st = fail_errno(err, path, errno);
    }
    close(fd);
    if (st == VLY_OK)
        *ret = m;
    else
        vly_mmap_close(&m);
    return st;
}

vly_status vly_file_stat(const char *path, vly_file_info *ret, vly_err *err)
{
    struct stat sb;

    if (stat(path, &sb) != 0)
        return fail_errno(err, path, errno);
    *ret = (vly_file_info){
        .bytes = (uint64_t)sb.st_size,
        .mtime_ns = (int64_t)sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec,
        .inode = (uint64_t)sb.st_ino,
        .is_dir = S_ISDIR(sb.st_mode),
    };
    return VLY_OK;
}

void vly_mmap_close(vly_mmap *m)
{
    if (m->ptr != NULL)
        munmap((void *)(uintptr_t)m->ptr, m->len);
    *m = (vly_mmap){0};
}

static bool entry_is_dir(DIR *dir, const struct dirent *de)
{
    struct stat sb;

    if (de->d_type != DT_UNKNOWN && de->d_type != DT_LNK)
        return de->d_type == DT_DIR;
    return fstatat(dirfd(dir), de->d_name, &sb, 0) == 0 && S_ISDIR(sb.st_mode);
}

static vly_status dir_add(vly_dir *d, size_t *cap, DIR *dir, const struct dirent *de)
{
    if (d->n_entries == *cap) {
        size_t want = *cap != 0 ? *cap * 2 : 16;
        vly_dir_entry *grown = vly_realloc(VLY_MEM_BASE, d->entries, want * sizeof(*grown));
        if (grown == NULL)
            return VLY_ENOMEM;
        d->entries = grown;
        *cap = want;
    }
    char *name = vly_strndup(VLY_MEM_BASE, de->d_name, strlen(de->d_name));
    if (name == NULL)
        return VLY_ENOMEM;
    d->entries[d->n_entries++] = (vly_dir_entry){.name = name, .is_dir = entry_is_dir(dir, de)};
    return VLY_OK;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const vly_dir_entry *)a)->name, ((const vly_dir_entry *)b)->name);
}

/* Not opendir: ThreadSanitizer does not see the descriptor that it makes, only that closedir ends
 * one, and takes that for a race with whoever had the number before. */
static DIR *open_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (fd >= 0 && dir == NULL)
        close(fd);
    return dir;
}

vly_status vly_dir_list(const char *path, size_t max_entries, vly_dir *ret, vly_err *err)
{
    vly_dir d = {0};
    size_t cap = 0;
    vly_status st = VLY_OK;
    DIR *dir = open_dir(path);

    if (dir == NULL)
        return fail_errno(err, path, errno);
    while (st == VLY_OK) {
        errno = 0;
        const struct dirent *de = readdir(dir);
        if (de == NULL && errno != 0)
            st = fail_errno(err, path, errno);
        if (de == NULL)
            break;
        if (de->d_name[0] == '.')
            continue;
        if (d.n_entries == max_entries)
            st = vly_fail(err, VLY_ELIMIT, "'%s': more than %zu entries", path, max_entries);
        else if (dir_add(&d, &cap, dir, de) != VLY_OK)
            st = vly_fail(err, VLY_ENOMEM, "'%s': no memory", path);
    }
    closedir(dir);
    if (st != VLY_OK) {
        vly_dir_release(&d);
        return st;
    }
    if (d.n_entries > 1)
        qsort(d.entries, d.n_entries, sizeof(*d.entries), compare_entries);
    *ret = d;
    return VLY_OK;
}

void vly_dir_release(vly_dir *d)
{
    for (size_t i = 0; i < d->n_entries; i++)
        vly_free(d->entries[i].name);
    vly_free(d->entries);
    *d = (vly_dir){0};
}

/* Every part between slashes is neither empty nor "." nor "..". */
static bool is_plain_path(vly_str name)
{
    if (name.len == 0 || memchr(name.ptr, '\0', name.len) != NULL)
        return false;
    while (name.ptr != NULL) {
        vly_str part = vly_str_split(&name, '/');
        if (part.len == 0 || vly_str_is(part, ".") || vly_str_is(part, ".."))
            return false;
    }
    return true;
}

vly_status vly_path_join(const char *dir, vly_str name, char **ret, vly_err *err)
{
    if (!is_plain_path(name))
        return vly_fail(err, VLY_EINVAL,
                        "path '%.*s': expected a relative path without '.' and "
                        "'..' parts",
                        VLY_STR_ARG(name));
    size_t dir_len = strlen(dir);
    bool has_slash = dir_len > 0 && dir[dir_len - 1] == '/';
    char *path = vly_alloc(VLY_MEM_BASE, dir_len + 1 + name.len + 1);
    if (path == NULL)
        return vly_fail(err, VLY_ENOMEM, "path '%.*s': no memory", VLY_STR_ARG(name));
    snprintf(path, dir_len + 1 + name.len + 1, "%s%s%.*s", dir, has_slash ? "" : "/",
             VLY_STR_ARG(name));
    *ret = path;
    return VLY_OK;
}
