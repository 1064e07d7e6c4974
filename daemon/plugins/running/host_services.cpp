#include "daemon/plugins/running/host_services.hpp"

#include <cstring>

#include "base/log.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/plugins/running/abi_members.hpp"
#include "daemon/plugins/running/limits.hpp"
#include "daemon/plugins/running/plugin_call.hpp"
#include "protocol/message/validate.hpp"

namespace export_worker::plugins {
namespace {

std::string_view view_of(ew_string text) {
    return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
ew_string abi_string(std::string_view text) {
    return {text.data(), text.size()};
}

const HostServices& services_of(const ew_host* host) {
    return *static_cast<const HostServices*>(host);
}

// A struct for an answer: struct_bytes tells how much of it may be filled in.
template <typename Struct>
bool is_sized(const ew_host* host, const Struct& made, std::string_view type) {
    if (made.struct_bytes >= kAbiHeadBytes) return true;
    log_error(
        "plugin {}: {}.struct_bytes: expected at least {}, found {}; set it to sizeof({}) before "
        "the call",
        services_of(host).plugin_name, type, kAbiHeadBytes, made.struct_bytes, type);
    return false;
}

// Null: the request is not one the host made.
PluginCall* call_of(const ew_request& request) {
    return static_cast<PluginCall*>(member_or(request, &ew_request::call, nullptr));
}

// --- writer ---

ew_status writer_append(ew_writer* base, const void* data, std::uint64_t size) noexcept {
    auto& writer = *static_cast<ResultWriter*>(base);
    // Not `bytes_max`, which is in the plugin's reach.
    if (size > limits::kReplyBytesMax || writer.result.size() > limits::kReplyBytesMax - size) {
        writer.misuse = "a result over the size limit";
        return EW_FAILED;
    }
    writer.result.append(static_cast<const char*>(data), size);
    return EW_OK;
}

ew_status writer_set_error(ew_writer* base, std::uint32_t code, ew_string message,
                           std::uint32_t executed, ew_string details) noexcept {
    auto& writer = *static_cast<ResultWriter*>(base);
    if (writer.has_error) {
        writer.misuse = "set_error called twice";
        return EW_MISUSE;
    }
    writer.has_error = true;
    if (code == 0 || code > message::kWireCodeLast || executed > EW_EXECUTED_UNKNOWN) {
        writer.misuse = "set_error with an unknown code";
        return EW_MISUSE;
    }
    writer.error = message::make_error(static_cast<message::WireCode>(code),
                                       printable(view_of(message), limits::kPluginErrorBytesMax));
    writer.error.executed = static_cast<message::Executed>(executed);
    if (details.size > limits::kReplyBytesMax) {
        writer.misuse = "details over the size limit";
        return EW_MISUSE;
    }
    if (details.size > 0) {
        if (!message::validate_object(view_of(details))) {
            writer.misuse = "set_error with details that are not msgpack";
            return EW_MISUSE;
        }
        writer.error.details.assign(details.data, details.size);
    }
    return EW_OK;
}

void set_wire_error(ew_writer* base, message::WireError error) {
    auto& writer = *static_cast<ResultWriter*>(base);
    writer.has_error = true;
    writer.error = std::move(error);
}

// --- log/1, clock/1 ---

void log_write(const ew_host* host, std::uint32_t level, ew_string message) noexcept {
    const auto text = printable(view_of(message), limits::kPluginErrorBytesMax);
    const LogLevel to = level >= EW_LOG_ERROR  ? LogLevel::kError
                        : level == EW_LOG_WARN ? LogLevel::kWarn
                        : level == EW_LOG_INFO ? LogLevel::kInfo
                                               : LogLevel::kDebug;
    const std::string from = "plugin " + services_of(host).plugin_name + ": " + text;
    log_event(to, from, {});
}

std::int64_t clock_unix_us(const ew_host* host) noexcept {
    return services_of(host).parts.clock->unix_us();
}

std::int64_t clock_steady_ns(const ew_host* host) noexcept {
    const auto since = services_of(host).parts.clock->steady().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

// --- metrics/1 ---

std::int32_t metrics_register(const ew_host* host, ew_string name, ew_string help) noexcept {
    // Plugins get the host as const; the counters are the one thing they may add to.
    auto& services = const_cast<HostServices&>(services_of(host));
    const std::int32_t index = services.counter_count.load();
    if (static_cast<std::size_t>(index) >= services.counter_slots.size()) return -1;
    auto& slot = services.counter_slots[static_cast<std::size_t>(index)];
    slot.name = printable(view_of(name), limits::kPluginNameBytesMax);
    slot.help = printable(view_of(help), limits::kPluginErrorBytesMax);
    services.counter_count.store(index + 1);
    return index;
}

void metrics_add(const ew_host* host, std::int32_t counter, std::uint64_t amount) noexcept {
    auto& services = const_cast<HostServices&>(services_of(host));
    if (counter < 0 || counter >= services.counter_count.load(std::memory_order_relaxed)) return;
    services.counter_slots[static_cast<std::size_t>(counter)].value.fetch_add(
        amount, std::memory_order_relaxed);
}

// --- authorize/1 ---

Result<void> establish_principal(const HostServices& services, PluginCall& call) {
    if (call.identified) return {};
    if (call.preset_principal != nullptr) {
        call.principal = *call.preset_principal;
    } else if (services.parts.authenticator == nullptr) {
        return fail(ErrorCode::kUnauthenticated, "Not authenticated");
    } else {
        EW_CHECK(services.parts.authenticator->authenticate(call.presented, call.principal));
        if (services.parts.jobs != nullptr)
            EW_CHECK(services.parts.jobs->admit_request(call.principal.organization_id));
    }
    call.identified = true;
    return {};
}

ew_status authorize_require(const ew_host* host, const ew_request* request, ew_string permission,
                            ew_writer* writer, ew_principal* principal) noexcept {
    PluginCall* const made = call_of(*request);
    if (made == nullptr || !is_sized(host, *principal, "ew_principal")) return EW_MISUSE;
    PluginCall& call = *made;
    if (auto established = establish_principal(services_of(host), call); !established) {
        set_wire_error(writer, message::from_error(established.error()));
        return EW_FAILED;
    }
    call.authorized = true;
    if (!call.principal.may(view_of(permission))) {
        set_wire_error(writer, message::make_error(message::WireCode::kPermissionDenied,
                                                   "Missing required permission: " +
                                                       std::string(view_of(permission))));
        return EW_FAILED;
    }
    set_member(*principal, &ew_principal::subject, abi_string(call.principal.subject));
    set_member(*principal, &ew_principal::organization_id,
               abi_string(call.principal.organization_id));
    return EW_OK;
}

// --- job_lookup/1 ---

Result<void> find_file(const HostServices& services, PluginCall& call,
                       const model::OrganizationScope& scope, std::string_view job_id) {
    if (services.parts.jobs != nullptr)
        return services.parts.jobs->find_file(scope, job_id, call.job);
    const bool known = call.golden_job_id == job_id &&
                       call.golden_job.organization_id == call.principal.organization_id;
    if (!known) return fail(ErrorCode::kNotFound, "no such job among the golden requests");
    call.job = call.golden_job;
    return {};
}

void fill_job(const model::JobFile& from, ew_job& job) {
    set_member(job, &ew_job::is_export, model::is_export_type(from.job_type) ? 1 : 0);
    set_member(job, &ew_job::status, abi_string(from.status));
    set_member(job, &ew_job::organization_id, abi_string(from.organization_id));
    set_member(job, &ew_job::file_url, abi_string(from.file_url));
    set_member(job, &ew_job::filename, abi_string(from.filename));
    set_member(job, &ew_job::content_type, abi_string(from.content_type));
    set_member(job, &ew_job::sha256, abi_string(from.sha256));
}

ew_status job_find(const ew_host* host, const ew_request* request, ew_string job_id,
                   ew_writer* writer, ew_job* job) noexcept {
    PluginCall* const call = call_of(*request);
    if (call == nullptr || !call->authorized || !is_sized(host, *job, "ew_job")) return EW_MISUSE;
    const bool every = call->principal.is_operator && call->principal.organization_id.empty();
    const auto scope = every ? model::OrganizationScope::every()
                             : model::OrganizationScope::one(call->principal.organization_id);
    auto found = find_file(services_of(host), *call, scope, view_of(job_id));
    if (!found && found.error().code == ErrorCode::kNotFound) return EW_NOT_FOUND;
    if (!found) {
        log_error("job lookup: {}", found.error().message);
        set_wire_error(writer, message::from_error(found.error()));
        return EW_FAILED;
    }
    fill_job(call->job, *job);
    return EW_OK;
}

// --- credentials/1, credentials/2 ---

void fill_credentials(const credentials::Credentials& from, ew_credentials& out) {
    set_member(out, &ew_credentials::version, from.version);
    set_member(out, &ew_credentials::key_id, abi_string(from.key_id));
    set_member(out, &ew_credentials::secret, abi_string(from.secret));
    set_member(out, &ew_credentials::session_token, abi_string(from.session_token));
    set_member(out, &ew_credentials::expires_unix_us, from.expires_unix_us);
}

// `call` is null in self_test().
ew_status give_credentials(const ew_host* host, PluginCall* call, std::string_view store,
                           ew_credentials* out) {
    if (!is_sized(host, *out, "ew_credentials")) return EW_MISUSE;
    const HostServices& services = services_of(host);
    const auto& credentials = services.parts.credentials;
    if (!credentials) return EW_NOT_FOUND;
    auto& kept = call != nullptr ? call->credentials : services.loader_credentials;
    if (!kept || kept->sequence != credentials->sequence()) kept = credentials->snapshot();
    const auto found = kept->by_store.find(store);
    if (found == kept->by_store.end()) return credentials->knows(store) ? EW_FAILED : EW_NOT_FOUND;
    fill_credentials(found->second, *out);
    return EW_OK;
}

ew_status credentials_get(const ew_host* host, void* call, ew_string store,
                          ew_credentials* out) noexcept {
    return give_credentials(host, static_cast<PluginCall*>(call), view_of(store), out);
}

ew_status credentials_get_2(const ew_host* host, const ew_request* request, ew_string store,
                            ew_credentials* out) noexcept {
    if (request == nullptr) return give_credentials(host, nullptr, view_of(store), out);
    PluginCall* const call = call_of(*request);
    return call == nullptr ? EW_MISUSE : give_credentials(host, call, view_of(store), out);
}

// --- audit/1 ---

void audit_record(const ew_host* host, const ew_request* request, ew_string job_id,
                  ew_string kind) noexcept {
    const PluginCall* const call = call_of(*request);
    jobs::EventRecorder* events = services_of(host).parts.events;
    if (events == nullptr || call == nullptr || !call->authorized || call->is_copy) return;
    const std::string_view name = view_of(kind);
    const bool good = !name.empty() && name.size() <= 32 &&
                      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == name.npos;
    if (good) events->record(view_of(job_id), name, call->principal.subject);
}

constexpr ew_ext_log kLog{sizeof(ew_ext_log), 0, log_write};
constexpr ew_ext_clock kClock{sizeof(ew_ext_clock), 0, clock_unix_us, clock_steady_ns};
constexpr ew_ext_metrics kMetrics{sizeof(ew_ext_metrics), 0, metrics_register, metrics_add};
constexpr ew_ext_authorize kAuthorize{sizeof(ew_ext_authorize), 0, authorize_require};
constexpr ew_ext_job_lookup kJobLookup{sizeof(ew_ext_job_lookup), 0, job_find};
constexpr ew_ext_credentials kCredentials{sizeof(ew_ext_credentials), 0, credentials_get};
constexpr ew_ext_credentials_2 kCredentials2{sizeof(ew_ext_credentials_2), 0, credentials_get_2};
constexpr ew_ext_audit kAudit{sizeof(ew_ext_audit), 0, audit_record};

const void* find_extension(const ew_host*, ew_string name) noexcept {
    const std::string_view wanted = view_of(name);
    if (wanted == EW_EXT_LOG) return &kLog;
    if (wanted == EW_EXT_CLOCK) return &kClock;
    if (wanted == EW_EXT_METRICS) return &kMetrics;
    if (wanted == EW_EXT_AUTHORIZE) return &kAuthorize;
    if (wanted == EW_EXT_JOB_LOOKUP) return &kJobLookup;
    if (wanted == EW_EXT_CREDENTIALS) return &kCredentials;
    if (wanted == EW_EXT_CREDENTIALS_2) return &kCredentials2;
    if (wanted == EW_EXT_AUDIT) return &kAudit;
    return nullptr;
}

}  // namespace

ResultWriter::ResultWriter()
    : ew_writer{sizeof(ew_writer), 0, limits::kReplyBytesMax, writer_append, writer_set_error} {}

void ResultWriter::reset() {
    result.clear();
    error.details.clear();
    has_error = false;
    misuse = nullptr;
}

HostServices::HostServices(std::string name, const HostParts& host_parts)
    : ew_host{sizeof(ew_host), EW_ABI_MINOR, find_extension},
      plugin_name(std::move(name)),
      parts(host_parts) {}

std::vector<CounterValue> HostServices::counters() const {
    std::vector<CounterValue> out;
    const auto count = static_cast<std::size_t>(counter_count.load());
    for (std::size_t index = 0; index < count; ++index) {
        out.push_back({counter_slots[index].name, counter_slots[index].help,
                       counter_slots[index].value.load()});
    }
    return out;
}

}  // namespace export_worker::plugins
