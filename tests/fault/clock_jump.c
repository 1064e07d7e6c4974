/* LD_PRELOAD: CLOCK_REALTIME is off by as many seconds as the file $CLOCK_JUMP_FILE says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec* out) {
    static int (*real)(clockid_t, struct timespec*);
    int result;
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
    result = real(clock, out);
    if (clock == CLOCK_REALTIME && result == 0) {
        const char* path = getenv("CLOCK_JUMP_FILE");
        FILE* file = path == NULL ? NULL : fopen(path, "r");
        long seconds = 0;
        if (file != NULL) {
            if (fscanf(file, "%ld", &seconds) == 1) out->tv_sec += seconds;
            fclose(file);
        }
    }
    return result;
}
