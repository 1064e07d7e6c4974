/* LD_PRELOAD: while the file $FAILING_DISK exists, calls it names fail. Its lines are
 *   CALL ERROR PATTERN
 * with CALL write, pwrite64, pread64, fsync, fdatasync, renameat2 or statvfs (which succeeds and
 * finds nothing free), ERROR EIO or ENOSPC, and PATTERN as fnmatch(3) has it, for the whole path of
 * the file; '*' also matches '/'. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

/* Is `call` on `path` to fail? Sets errno. */
static int fails_at(const char* call, const char* path) {
    char name[32], error[32], pattern[512];
    const char* list = getenv("FAILING_DISK");
    FILE* file = list == NULL || access(list, F_OK) != 0 ? NULL : fopen(list, "r");
    int fails = 0;
    if (file == NULL) return 0;
    while (!fails && fscanf(file, "%31s %31s %511s", name, error, pattern) == 3)
        fails = strcmp(name, call) == 0 && fnmatch(pattern, path, 0) == 0;
    fclose(file);
    if (fails) errno = strcmp(error, "ENOSPC") == 0 ? ENOSPC : EIO;
    return fails;
}

static int fails(const char* call, int fd) {
    const int saved = errno;
    char link[64];
    char path[4096];
    ssize_t got;
    if (getenv("FAILING_DISK") == NULL) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    got = readlink(link, path, sizeof path - 1);
    if (got > 0) {
        path[got] = '\0';
        if (fails_at(call, path)) return 1;
    }
    errno = saved;
    return 0;
}

#define REAL(name) \
    (name##_real != NULL ? name##_real : (name##_real = (name##_type*)dlsym(RTLD_NEXT, #name)))

typedef ssize_t write_type(int, const void*, size_t);
typedef ssize_t pwrite64_type(int, const void*, size_t, off64_t);
typedef ssize_t pread64_type(int, void*, size_t, off64_t);
typedef int fsync_type(int);
typedef int fdatasync_type(int);
typedef int statvfs_type(const char*, struct statvfs*);
typedef int renameat2_type(int, const char*, int, const char*, unsigned);
static write_type* write_real;
static pwrite64_type* pwrite64_real;
static pread64_type* pread64_real;
static fsync_type* fsync_real;
static fdatasync_type* fdatasync_real;
static renameat2_type* renameat2_real;
static statvfs_type* statvfs_real;

ssize_t write(int fd, const void* data, size_t size) {
    return fails("write", fd) ? -1 : REAL(write)(fd, data, size);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
    return fails("pwrite64", fd) ? -1 : REAL(pwrite64)(fd, data, size, offset);
}
ssize_t pread64(int fd, void* data, size_t size, off64_t offset) {
    return fails("pread64", fd) ? -1 : REAL(pread64)(fd, data, size, offset);
}
int fsync(int fd) {
    return fails("fsync", fd) ? -1 : REAL(fsync)(fd);
}
int fdatasync(int fd) {
    return fails("fdatasync", fd) ? -1 : REAL(fdatasync)(fd);
}
int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) {
    return fails_at("renameat2", to) ? -1 : REAL(renameat2)(from_fd, from, to_fd, to, flags);
}
int statvfs(const char* path, struct statvfs* out) {
    const int done = REAL(statvfs)(path, out);
    if (done == 0 && fails_at("statvfs", path)) out->f_bavail = 0;
    return done;
}
