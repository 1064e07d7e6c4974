/* LD_PRELOAD: while the file $FULL_DISK_SWITCH exists, write() below $FULL_DISK_ROOT fails with
 * ENOSPC. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

ssize_t write(int fd, const void* data, size_t size) {
    static ssize_t (*real)(int, const void*, size_t);
    const char* on = getenv("FULL_DISK_SWITCH");
    const char* root = getenv("FULL_DISK_ROOT");
    if (real == NULL) real = (ssize_t(*)(int, const void*, size_t))dlsym(RTLD_NEXT, "write");
    if (on != NULL && root != NULL && access(on, F_OK) == 0) {
        char link[64];
        char path[4096];
        ssize_t got;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        got = readlink(link, path, sizeof path - 1);
        if (got > 0) {
            path[got] = '\0';
            if (strncmp(path, root, strlen(root)) == 0) {
                errno = ENOSPC;
                return -1;
            }
        }
    }
    return real(fd, data, size);
}
