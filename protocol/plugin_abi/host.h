/* Plugin ABI, version 1: what the host offers a plugin.
 *
 * ew_host is valid from create() until destroy() returns. Its functions may be called on any thread
 * between the two; those that take an ew_request only while handle() runs with that request, on its
 * thread.
 */
#ifndef EXPORT_WORKER_PLUGIN_ABI_HOST_H
#define EXPORT_WORKER_PLUGIN_ABI_HOST_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The answer to one request, owned by the host, valid until handle() returns. [the thread of
 * handle()]
 *
 * Exactly one outcome: either result bytes (one msgpack map, from one or more append() calls) or
 * one set_error(). Anything else (nothing, both, another type than a map, invalid msgpack, over the
 * size limit) is a plugin fault. */
typedef struct ew_writer ew_writer;
struct ew_writer {
    uint32_t struct_bytes;
    uint32_t reserved;
    uint64_t bytes_max; /* of the whole result */
    /* Adds to the result; the bytes are copied. EW_FAILED past bytes_max. */
    ew_status (*append)(ew_writer* writer, const void* data, uint64_t size);
    /* `code` is one of EW_ERROR_..., `executed` one of EW_EXECUTED_...; the message is shown to
     * callers, cut at 1024 bytes. `details` is one msgpack object or empty. All are copied.
     * EW_MISUSE when called twice, or with a code that only the host says. */
    ew_status (*set_error)(ew_writer* writer, uint32_t code, ew_string message, uint32_t executed,
                           ew_string details);
};

/* One method a plugin answers. Borrowed for the call of add_method(). */
typedef struct ew_method {
    uint32_t struct_bytes;
    uint32_t idempotent; /* 1: running it twice does no harm, so hosts and callers may retry. */
    ew_string name;      /* "download_url.get": [a-z0-9_.], at most 64 bytes, one dot at least */
    ew_string summary;   /* One line for operators. */
} ew_method;

/* Where describe() puts its answer; owned by the host, valid until describe() returns. */
typedef struct ew_description ew_description;
struct ew_description {
    uint32_t struct_bytes;
    uint32_t reserved;
    /* EW_MISUSE for a bad or repeated name, one of the daemon's own (sys, exports, templates, jobs,
     * downloads, control, and a dot), or too many methods. */
    ew_status (*add_method)(ew_description* description, const ew_method* method);
};

typedef struct ew_host ew_host;
struct ew_host {
    uint32_t struct_bytes;
    uint32_t abi_minor; /* of the host */
    /* A table from extensions.h by name and revision ("log/1"), or NULL. Valid as long as the host.
     * [any-thread] */
    const void* (*get_extension)(const ew_host* host, ew_string name);
};

#ifdef __cplusplus
}
#endif
#endif
