/* LD_PRELOAD: the Nth write to a file whose name ends in $KILL_IN_WRITE_SUFFIX is cut in half and
 * the process killed between the halves, as a power cut leaves it. $KILL_IN_WRITE_COUNT is N. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_the_one(int fd) {
    static int seen;
    const char* suffix = getenv("KILL_IN_WRITE_SUFFIX");
    const char* count = getenv("KILL_IN_WRITE_COUNT");
    char link[64];
    char path[4096];
    ssize_t got;
    if (suffix == NULL || count == NULL) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    got = readlink(link, path, sizeof path - 1);
    if (got < (ssize_t)strlen(suffix)) return 0;
    path[got] = '\0';
    if (strcmp(path + got - strlen(suffix), suffix) != 0) return 0;
    return __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST) == atoi(count);
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
    static ssize_t (*real)(int, const void*, size_t, off64_t);
    if (real == NULL)
        real = (ssize_t(*)(int, const void*, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    if (is_the_one(fd)) {
        real(fd, data, size / 2, offset);
        kill(getpid(), SIGKILL);
    }
    return real(fd, data, size, offset);
}

ssize_t write(int fd, const void* data, size_t size) {
    static ssize_t (*real)(int, const void*, size_t);
    if (real == NULL) real = (ssize_t(*)(int, const void*, size_t))dlsym(RTLD_NEXT, "write");
    if (is_the_one(fd)) {
        real(fd, data, size / 2);
        kill(getpid(), SIGKILL);
    }
    return real(fd, data, size);
}
