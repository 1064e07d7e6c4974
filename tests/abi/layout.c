/* The layout of ABI version 1 on 64-bit machines. A line that stops compiling is a broken promise
 * to every plugin that exists; members may only be added at the end of a struct, with a line of
 * their own here. */
#include "protocol/plugin_abi/plugin.h"

#ifndef __cplusplus
#define static_assert _Static_assert
#endif

#define AT(type, member, offset) \
    static_assert(offsetof(type, member) == (offset), #type "." #member)
#define SIZE(type, bytes) static_assert(sizeof(type) >= (bytes), #type)

AT(ew_string, data, 0);
AT(ew_string, size, 8);
AT(ew_config_entry, value, 16);
AT(ew_request, struct_bytes, 0);
AT(ew_request, id, 8);
AT(ew_request, method, 24);
AT(ew_request, params, 40);
AT(ew_request, trace, 56);
AT(ew_request, deadline_steady_ns, 72);
AT(ew_request, call, 80);
SIZE(ew_request, 88);
AT(ew_writer, bytes_max, 8);
AT(ew_writer, append, 16);
AT(ew_writer, set_error, 24);
AT(ew_method, idempotent, 4);
AT(ew_method, name, 8);
AT(ew_method, summary, 24);
AT(ew_description, add_method, 8);
AT(ew_host, abi_minor, 4);
AT(ew_host, get_extension, 8);
AT(ew_create_args, reason, 4);
AT(ew_create_args, config, 8);
AT(ew_create_args, config_count, 16);
AT(ew_create_args, error, 24);
AT(ew_plugin, abi_major, 4);
AT(ew_plugin, abi_minor, 8);
AT(ew_plugin, name, 16);
AT(ew_plugin, version, 32);
AT(ew_plugin, create, 48);
AT(ew_plugin, describe, 56);
AT(ew_plugin, self_test, 64);
AT(ew_plugin, handle, 72);
AT(ew_plugin, quiesce, 80);
AT(ew_plugin, destroy, 88);
SIZE(ew_plugin, 96);
AT(ew_note, owner, 12);
AT(ew_note, descriptor, 28);
AT(ew_note_descriptor, abi_major, 4);
AT(ew_note_descriptor, abi_minor, 8);
AT(ew_note_descriptor, host_minor_min, 12);
AT(ew_note_descriptor, name, 16);
AT(ew_note_descriptor, version, 80);
AT(ew_ext_log, write, 8);
AT(ew_ext_clock, unix_us, 8);
AT(ew_ext_clock, steady_ns, 16);
AT(ew_ext_metrics, register_counter, 8);
AT(ew_ext_metrics, add, 16);
AT(ew_principal, subject, 8);
AT(ew_principal, organization_id, 24);
AT(ew_ext_authorize, require, 8);
AT(ew_job, is_export, 4);
AT(ew_job, status, 8);
AT(ew_job, organization_id, 24);
AT(ew_job, file_url, 40);
AT(ew_job, filename, 56);
AT(ew_job, content_type, 72);
AT(ew_job, sha256, 88);
AT(ew_ext_job_lookup, find, 8);
AT(ew_credentials, version, 8);
AT(ew_credentials, key_id, 16);
AT(ew_credentials, secret, 32);
AT(ew_credentials, session_token, 48);
AT(ew_credentials, expires_unix_us, 64);
AT(ew_ext_credentials, get, 8);
AT(ew_ext_credentials_2, get, 8);
AT(ew_ext_audit, record, 8);
static_assert(EW_ABI_MAJOR == 1, "a new major is a new symbol and new headers");
