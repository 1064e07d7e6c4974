/* Plugin ABI, version 1: what a plugin is. docs/plugin_abi.md tells the story; examples in plugins/
 * and tests/fixtures/plugins/minimal.c.
 *
 * A plugin is a shared object that
 *  - carries an ELF note (EW_PLUGIN_NOTE below), which the host judges before any of the file's
 * code runs, and
 *  - exports one function, export_worker_plugin_v1, that returns a constant descriptor.
 *
 * Life of an instance:
 *
 *    create -> describe -> self_test -> handle, handle, ... (many at once) -> quiesce -> destroy
 *
 * No function may throw, exit, fork, change signal handlers, locale, working directory or the
 * environment. After destroy() nothing of the plugin may run: no thread, no callback.
 */
#ifndef EXPORT_WORKER_PLUGIN_ABI_PLUGIN_H
#define EXPORT_WORKER_PLUGIN_ABI_PLUGIN_H

#include "extensions.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ew_create_args {
    uint32_t struct_bytes;
    uint32_t reason;               /* EW_CREATE_... */
    const ew_config_entry* config; /* Borrowed until create() returns. */
    uint64_t config_count;
    ew_writer* error; /* For set_error() before returning EW_FAILED: what to fix. */
} ew_create_args;

typedef struct ew_plugin {
    uint32_t struct_bytes;
    uint32_t abi_major; /* EW_ABI_MAJOR the plugin was built against */
    uint32_t abi_minor;
    uint32_t reserved;
    ew_string name;    /* Equal to the note's. Static. */
    ew_string version; /* Equal to the note's. Static. */

    /* Makes an instance and stores it in `*instance` (NULL is allowed: a stateless plugin). On any
     * other status than EW_OK there is no instance, and nothing of the attempt may stay behind.
     * EW_OK after set_error() is refused. Required. [loader-thread] */
    ew_status (*create)(const ew_host* host, const ew_create_args* args, void** instance);
    /* Names the methods. The same answer every time. Required. [loader-thread] */
    ew_status (*describe)(void* instance, ew_description* description);
    /* Proves that the instance can work, without side effects others can see. On failure,
     * set_error() says what is wrong; EW_OK after it is refused. Optional (NULL: nothing to prove).
     * [loader-thread] */
    ew_status (*self_test)(void* instance, ew_writer* error);
    /* Answers one request through `writer`. Returns EW_OK when an outcome was written, be it a
     * result or an error; any other status is a plugin fault. Required. [worker-thread], reentrant
     */
    ew_status (*handle)(void* instance, const ew_request* request, ew_writer* writer);
    /* No further handle() will come; stop own threads and timers. Optional. [loader-thread] */
    void (*quiesce)(void* instance);
    /* Frees the instance. Required. [loader-thread] */
    void (*destroy)(void* instance);
} ew_plugin;

/* The one exported function. `host_abi_minor` is what the host offers. NULL: "this host is too old
 * for me". The descriptor is constant and lives as long as the image. [loader-thread] */
typedef const ew_plugin* (*ew_plugin_entry)(uint32_t host_abi_minor);
#define EW_PLUGIN_ENTRY_NAME "export_worker_plugin_v1"

#if defined(__GNUC__)
#define EW_EXPORT __attribute__((visibility("default")))
#else
#define EW_EXPORT
#endif

/* The note: owner "ExportWorker", type 1, this descriptor, in section .note.export_worker. Names
 * are NUL-padded; both end with at least one NUL. */
#define EW_NOTE_OWNER "ExportWorker"
#define EW_NOTE_TYPE 1
typedef struct ew_note_descriptor {
    uint32_t struct_bytes;
    uint32_t abi_major;
    uint32_t abi_minor;      /* of the headers the plugin was built against */
    uint32_t host_minor_min; /* the oldest host it can work with */
    char name[64];
    char version[32];
} ew_note_descriptor;

typedef struct ew_note {
    uint32_t owner_bytes;
    uint32_t descriptor_bytes;
    uint32_t type;
    char owner[16]; /* 13 used, padded to 4 */
    ew_note_descriptor descriptor;
} ew_note;

/* Once, at file scope: EW_PLUGIN_NOTE("download_url", "1.0.0", 0); */
#define EW_PLUGIN_NOTE(plugin_name, plugin_version, oldest_host_minor)                             \
    __attribute__((section(".note.export_worker"), used,                                           \
                   aligned(4))) static const ew_note ew_plugin_note = {                            \
        sizeof(EW_NOTE_OWNER),                                                                     \
        sizeof(ew_note_descriptor),                                                                \
        EW_NOTE_TYPE,                                                                              \
        EW_NOTE_OWNER,                                                                             \
        {sizeof(ew_note_descriptor), EW_ABI_MAJOR, EW_ABI_MINOR, (oldest_host_minor), plugin_name, \
         plugin_version}}

#ifdef __cplusplus
}
#endif
#endif
