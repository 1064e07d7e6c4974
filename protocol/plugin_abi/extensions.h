/* Plugin ABI, version 1: host services by name.
 *
 * Ask for them in create() with ew_host.get_extension and keep the pointer. A revision never
 * changes its meaning; a new one gets a new number, and hosts go on offering the old. [any-thread]
 * unless said.
 */
#ifndef EXPORT_WORKER_PLUGIN_ABI_EXTENSIONS_H
#define EXPORT_WORKER_PLUGIN_ABI_EXTENSIONS_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The host's log. `level` is one of EW_LOG_...; the text is copied. Never log a secret or a
 * signature. */
#define EW_EXT_LOG "log/1"
typedef struct ew_ext_log {
    uint32_t struct_bytes;
    uint32_t reserved;
    void (*write)(const ew_host* host, uint32_t level, ew_string message);
} ew_ext_log;

/* The host's clocks; tests move them. */
#define EW_EXT_CLOCK "clock/1"
typedef struct ew_ext_clock {
    uint32_t struct_bytes;
    uint32_t reserved;
    int64_t (*unix_us)(const ew_host* host);   /* microseconds since 1970 */
    int64_t (*steady_ns)(const ew_host* host); /* CLOCK_MONOTONIC */
} ew_ext_clock;

/* Counters, shown to operators under the plugin's name. */
#define EW_EXT_METRICS "metrics/1"
typedef struct ew_ext_metrics {
    uint32_t struct_bytes;
    uint32_t reserved;
    /* A counter id; -1 when there are too many, `name` is not 1 to 64 of [a-z0-9_], or outside of
     * create() and its thread. Both texts are copied. [loader-thread] */
    int32_t (*register_counter)(const ew_host* host, ew_string name, ew_string help);
    void (*add)(const ew_host* host, int32_t counter, uint64_t amount);
} ew_ext_metrics;

/* Who is calling, and may they? */
#define EW_EXT_AUTHORIZE "authorize/1"
typedef struct ew_principal {
    uint32_t struct_bytes;
    uint32_t reserved;
    ew_string subject;         /* Key id or user id, for logs. Borrowed until handle() returns. */
    ew_string organization_id; /* The one this call acts for. Borrowed until handle() returns. */
} ew_principal;
typedef struct ew_ext_authorize {
    uint32_t struct_bytes;
    uint32_t reserved;
    /* EW_OK: the caller has `permission` ("product:read"); `principal` is filled in. Otherwise the
     * refusal is already in `writer`, in the words every method uses: return from handle() with
     * EW_OK. [the thread of handle()] */
    ew_status (*require)(const ew_host* host, const ew_request* request, ew_string permission,
                         ew_writer* writer, ew_principal* principal);
} ew_ext_authorize;

/* Finished and unfinished jobs. */
#define EW_EXT_JOB_LOOKUP "job_lookup/1"
typedef struct ew_job {
    uint32_t struct_bytes;
    uint32_t is_export;        /* 1: its type produces an export file. */
    ew_string status;          /* "completed", ... as on the wire */
    ew_string organization_id; /* Whose job it is: the caller's. */
    ew_string file_url;        /* Storage location, never signed; empty when there is none. */
    ew_string filename;        /* Suggested download name; empty when the job has none. */
    /* Since minor 1, as the job's metadata says them, unchecked; empty when it does not. */
    ew_string content_type; /* Of the file: "text/csv; charset=utf-8" */
    ew_string sha256;       /* Of the file, in hexadecimal digits */
} ew_job;                   /* All borrowed until handle() returns or the next find(). */
typedef struct ew_ext_job_lookup {
    uint32_t struct_bytes;
    uint32_t reserved;
    /* Sees only jobs of the organization that authorize/1 established for this request; before
     * that, EW_MISUSE. EW_NOT_FOUND for unknown jobs and for those of others alike. EW_FAILED when
     * the store is unreadable; the error is then in `writer`. [the thread of handle()] */
    ew_status (*find)(const ew_host* host, const ew_request* request, ew_string job_id,
                      ew_writer* writer, ew_job* job);
} ew_ext_job_lookup;

/* Credentials of the configured stores. */
#define EW_EXT_CREDENTIALS "credentials/1"
typedef struct ew_credentials {
    uint32_t struct_bytes;
    uint32_t reserved;
    uint64_t version; /* Changes when anything below does: drop what was derived from the old. */
    ew_string key_id; /* Access key id, or the id of the local signing key. */
    ew_string secret; /* Never log it. Past handle(), keep nothing but what was derived from it. */
    ew_string session_token; /* Empty for long-lived credentials. */
    int64_t expires_unix_us; /* 0: no end. */
} ew_credentials; /* All borrowed until handle() returns, or until get() with the same call returns.
                   */
typedef struct ew_ext_credentials {
    uint32_t struct_bytes;
    uint32_t reserved;
    /* EW_NOT_FOUND: no such store, or it needs none. EW_FAILED: they have not come yet; try again
     * with the next request. `call` is ew_request.call, or NULL in create() and self_test(), where
     * the pointers live until the next get(). */
    ew_status (*get)(const ew_host* host, void* call, ew_string store, ew_credentials* credentials);
} ew_ext_credentials;

/* Since minor 2: the same, asked with the request like the other services. */
#define EW_EXT_CREDENTIALS_2 "credentials/2"
typedef struct ew_ext_credentials_2 {
    uint32_t struct_bytes;
    uint32_t reserved;
    /* As credentials/1. `request` is NULL in create() and self_test(), where the pointers live
     * until the next get(). [the thread of handle(), or loader-thread] */
    ew_status (*get)(const ew_host* host, const ew_request* request, ew_string store,
                     ew_credentials* credentials);
} ew_ext_credentials_2;

/* What is remembered about a job: who did what. */
#define EW_EXT_AUDIT "audit/1"
typedef struct ew_ext_audit {
    uint32_t struct_bytes;
    uint32_t reserved;
    /* Remembers that the caller authorize/1 has established did `kind` ("link_minted": 1 to 32 of
     * [a-z_]) with the job. Never waits; under overload it may be dropped, which is counted. The
     * texts are copied. [the thread of handle()] */
    void (*record)(const ew_host* host, const ew_request* request, ew_string job_id,
                   ew_string kind);
} ew_ext_audit;

#ifdef __cplusplus
}
#endif
#endif
