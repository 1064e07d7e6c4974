/* Plugin ABI, version 1: the values that cross the border.
 *
 * Rules for every struct here and beside this file:
 *  - The first member is the struct's size in bytes as its writer knew it. A reader uses only the
 * members that lie within it; a missing tail means "feature absent". Members are only ever added at
 * the end. ew_string and ew_config_entry have no size and never change.
 *  - A struct that the other side fills in (ew_principal, ew_job, ew_credentials) is filled as far
 * as the struct_bytes set before the call; below 8 the call returns EW_MISUSE.
 *  - Integers have fixed widths. Text is pointer and length, UTF-8, not terminated.
 *  - Nothing allocated on one side is freed on the other. Pointers handed in are borrowed: each
 * says until when. A pointer whose size is 0 may be NULL.
 *  - The host answers EW_MISUSE (a function without a status: does nothing, and returns 0, -1 or
 * NULL) to a NULL pointer, a size above 4 MiB, a host, writer, description or request that is not
 * the one of the call on this thread, and a host whose plugin has ended.
 *
 * Thread tags: [loader-thread] one thread at a time, never while it runs anywhere else on that
 * instance; [worker-thread] any number at once; [any-thread].
 */
#ifndef EXPORT_WORKER_PLUGIN_ABI_TYPES_H
#define EXPORT_WORKER_PLUGIN_ABI_TYPES_H

#include <stddef.h>
#include <stdint.h>

#define EW_ABI_MAJOR 1
#define EW_ABI_MINOR 2

#ifdef __cplusplus
extern "C" {
#endif

/* Text or bytes owned by somebody else. */
typedef struct ew_string {
    const char* data;
    uint64_t size; /* bytes */
} ew_string;

/* What every call returns. */
typedef int32_t ew_status;
enum {
    EW_OK = 0,
    EW_FAILED = 1, /* The callee has said why through the writer or log it was given. */
    EW_NOT_FOUND =
        2, /* Asked for something that does not exist (or that this caller may not see). */
    EW_UNSUPPORTED = 3, /* The other side is older and lacks this. */
    EW_MISUSE = 4       /* The call broke this contract; the log says how. */
};

/* Error codes of the wire protocol, for ew_writer.set_error. Append-only. */
enum {
    EW_ERROR_BAD_REQUEST = 1,
    EW_ERROR_UNAUTHENTICATED = 2,
    EW_ERROR_PERMISSION_DENIED = 3,
    EW_ERROR_NOT_FOUND = 4,
    EW_ERROR_UNKNOWN_METHOD = 5,
    EW_ERROR_CONFLICT = 6,
    EW_ERROR_GONE = 7,
    EW_ERROR_TOO_LARGE = 8,
    EW_ERROR_INVALID_ARGUMENT = 9,
    EW_ERROR_RATE_LIMITED = 10,
    EW_ERROR_INTERNAL = 11,
    EW_ERROR_PLUGIN_FAULT = 12, /* Said by the host about a plugin: EW_MISUSE in set_error(). */
    EW_ERROR_PLUGIN_UNAVAILABLE = 13,
    EW_ERROR_OVERLOADED = 14,
    EW_ERROR_DRAINING = 15, /* Said by the host about itself: EW_MISUSE in set_error(). */
    EW_ERROR_EXPIRED = 16,
    EW_ERROR_DEADLINE_EXCEEDED = 17,
    EW_ERROR_UNAVAILABLE = 18
};

/* Whether the caller may safely send the request again. */
enum { EW_EXECUTED_NO = 0, EW_EXECUTED_YES = 1, EW_EXECUTED_UNKNOWN = 2 };

/* Why an instance is created. */
enum { EW_CREATE_START = 0, EW_CREATE_RELOAD = 1, EW_CREATE_ROLLBACK = 2, EW_CREATE_PROBE = 3 };

enum { EW_LOG_DEBUG = 1, EW_LOG_INFO = 2, EW_LOG_WARN = 3, EW_LOG_ERROR = 4 };

/* One line of the plugin's configuration: a key of [plugin.NAME], or "store.S.key" for a key of
 * [store.S]. */
typedef struct ew_config_entry {
    ew_string key;
    ew_string value;
} ew_config_entry;

/* One request. Everything it points to is borrowed until handle() returns. */
typedef struct ew_request {
    uint32_t struct_bytes;
    uint32_t reserved;          /* 0 */
    ew_string id;               /* Request id, for logs. */
    ew_string method;           /* As named by describe(). */
    ew_string params;           /* One valid msgpack map. */
    ew_string trace;            /* W3C traceparent, or empty. */
    int64_t deadline_steady_ns; /* CLOCK_MONOTONIC; the answer is dropped after it. */
    void* call;                 /* The host's own; hand it back to host services unchanged. */
} ew_request;

#ifdef __cplusplus
}
#endif
#endif
