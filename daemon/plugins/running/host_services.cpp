#include "daemon/plugins/running/host_services.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/plugins/running/abi_checks.hpp"
#include "daemon/plugins/running/abi_members.hpp"
#include "daemon/plugins/running/limits.hpp"
#include "daemon/plugins/running/plugin_call.hpp"

namespace export_worker::plugins {
namespace {

const HostServices& services_of(const ew_host* host) {
    return *static_cast<const HostServices*>(host);
}

// A struct for an answer: struct_bytes tells how much of it may be filled in.
template <typename Struct>
bool is_sized(const char* function, const Struct* made, const std::string& type) {
    if (!is_pointer(function, type.c_str(), made)) return false;
    if (made->struct_bytes >= kAbiHeadBytes) return true;
    log_misuse(function, type + ".struct_bytes: expected at least " +
                             std::to_string(kAbiHeadBytes) + ", found " +
                             std::to_string(made->struct_bytes) + "; set it to sizeof(" + type +
                             ") before the call");
    return false;
}

// The call that this thread is in handle() with; null: `call` is another one, which is logged.
PluginCall* known_call(const char* function, const void* call) {
    PluginCall* const own = plugin_place().call;
    if (own != nullptr && call == own) return own;
    log_misuse(function,
               "request: expected the one of the handle() that runs on this thread, found another "
               "one; services that take a request are for its thread, until handle() returns");
    return nullptr;
}

PluginCall* call_of(const char* function, const ew_request* request) {
    if (!is_pointer(function, "request", request)) return nullptr;
    return known_call(function, member_or(*request, &ew_request::call, nullptr));
}

bool is_authorized(const char* function, const PluginCall& call) {
    if (call.authorized) return true;
    log_misuse(function, "request: expected a caller that authorize/1 require() has established");
    return false;
}

void set_wire_error(ew_writer* base, message::WireError error) {
    auto& writer = *static_cast<ResultWriter*>(base);
    writer.has_error = true;
    writer.error = std::move(error);
}

// --- log/1, clock/1 ---

void log_write(const ew_host* host, std::uint32_t level, ew_string message) noexcept {
    constexpr const char* kFunction = "log/1 write()";
    if (!is_host(kFunction, host) || !is_text(kFunction, "message", message)) return;
    const auto text = printable(view_of(message), limits::kPluginErrorBytesMax);
    const LogLevel to = level >= EW_LOG_ERROR  ? LogLevel::kError
                        : level == EW_LOG_WARN ? LogLevel::kWarn
                        : level == EW_LOG_INFO ? LogLevel::kInfo
                                               : LogLevel::kDebug;
    const std::string from = "plugin " + services_of(host).plugin_name + ": " + text;
    log_event(to, from, {});
}

std::int64_t clock_unix_us(const ew_host* host) noexcept {
    return is_host("clock/1 unix_us()", host) ? services_of(host).deps.clock->unix_us() : 0;
}

std::int64_t clock_steady_ns(const ew_host* host) noexcept {
    if (!is_host("clock/1 steady_ns()", host)) return 0;
    const auto since = services_of(host).deps.clock->steady().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

// --- metrics/1 ---

bool may_register(const char* function, std::string_view name) {
    if (plugin_place().step != PluginStep::kCreate) {
        log_misuse(function, "expected in create(), on its thread; found elsewhere");
        return false;
    }
    const bool good = !name.empty() && name.size() <= limits::kPluginNameBytesMax &&
                      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos;
    if (!good) {
        log_misuse(function, "name: expected 1 to " + std::to_string(limits::kPluginNameBytesMax) +
                                 " of a-z 0-9 _, found '" + printable(name) + "'");
    }
    return good;
}

std::int32_t metrics_register(const ew_host* host, ew_string name, ew_string help) noexcept {
    constexpr const char* kFunction = "metrics/1 register_counter()";
    if (!is_host(kFunction, host) || !is_text(kFunction, "name", name) ||
        !is_text(kFunction, "help", help) || !may_register(kFunction, view_of(name)))
        return -1;
    // Plugins get the host as const; the counters are the one thing they may add to.
    auto& services = const_cast<HostServices&>(services_of(host));
    const std::int32_t index = services.counter_count.load();
    if (static_cast<std::size_t>(index) >= services.counter_slots.size()) return -1;
    auto& slot = services.counter_slots[static_cast<std::size_t>(index)];
    slot.name = view_of(name);
    slot.help = printable(view_of(help), limits::kPluginErrorBytesMax);
    services.counter_count.store(index + 1);
    return index;
}

void metrics_add(const ew_host* host, std::int32_t counter, std::uint64_t amount) noexcept {
    if (!is_host("metrics/1 add()", host)) return;
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
    } else if (services.deps.authenticator == nullptr) {
        return fail(ErrorCode::kUnauthenticated, "Not authenticated");
    } else {
        EW_CHECK(services.deps.authenticator->authenticate(call.presented, call.principal));
        if (services.deps.jobs != nullptr)
            EW_CHECK(services.deps.organizations->admit_request(call.principal.organization_id));
    }
    call.identified = true;
    return {};
}

ew_status require_permission(const HostServices& services, PluginCall& call,
                             std::string_view permission, ew_writer* writer) {
    if (auto established = establish_principal(services, call); !established) {
        set_wire_error(writer, message::from_error(established.error()));
        return EW_FAILED;
    }
    call.authorized = true;
    if (call.principal.may(permission)) return EW_OK;
    set_wire_error(writer,
                   message::make_error(message::WireCode::kPermissionDenied,
                                       "Missing required permission: " + std::string(permission)));
    return EW_FAILED;
}

ew_status authorize_require(const ew_host* host, const ew_request* request, ew_string permission,
                            ew_writer* writer, ew_principal* principal) noexcept {
    constexpr const char* kFunction = "authorize/1 require()";
    if (!is_host(kFunction, host) || !is_text(kFunction, "permission", permission))
        return EW_MISUSE;
    PluginCall* const call = call_of(kFunction, request);
    if (call == nullptr || !is_writer(kFunction, writer) ||
        !is_sized(kFunction, principal, "ew_principal"))
        return EW_MISUSE;
    const ew_status status =
        require_permission(services_of(host), *call, view_of(permission), writer);
    if (status != EW_OK) return status;
    set_member(*principal, &ew_principal::subject, abi_string(call->principal.subject));
    set_member(*principal, &ew_principal::organization_id,
               abi_string(call->principal.organization_id));
    return EW_OK;
}

// --- job_lookup/1 ---

Result<void> find_file(const HostServices& services, PluginCall& call,
                       const model::OrganizationScope& scope, std::string_view job_id) {
    if (services.deps.jobs != nullptr)
        return services.deps.jobs->find_file(scope, job_id, call.job);
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
    constexpr const char* kFunction = "job_lookup/1 find()";
    if (!is_host(kFunction, host) || !is_text(kFunction, "job_id", job_id)) return EW_MISUSE;
    PluginCall* const call = call_of(kFunction, request);
    if (call == nullptr || !is_writer(kFunction, writer) || !is_authorized(kFunction, *call) ||
        !is_sized(kFunction, job, "ew_job"))
        return EW_MISUSE;
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

// Without a request: only one thread at a time may ask.
bool is_on_loader(const char* function) {
    const PluginStep step = plugin_place().step;
    if (step == PluginStep::kCreate || step == PluginStep::kSelfTest) return true;
    log_misuse(function, "request: expected NULL in create() and self_test() only");
    return false;
}

// `call` is null in create() and self_test().
ew_status give_credentials(const ew_host* host, PluginCall* call, std::string_view store,
                           ew_credentials* out) {
    const HostServices& services = services_of(host);
    const auto& credentials = services.deps.credentials;
    if (!credentials) return EW_NOT_FOUND;
    auto& kept = call != nullptr ? call->credentials : services.loader_credentials;
    if (!kept || kept->sequence != credentials->sequence()) kept = credentials->snapshot();
    const auto found = kept->by_store.find(store);
    if (found == kept->by_store.end()) return credentials->knows(store) ? EW_FAILED : EW_NOT_FOUND;
    fill_credentials(found->second, *out);
    return EW_OK;
}

bool may_have_credentials(const char* function, const ew_host* host, ew_string store,
                          const ew_credentials* out) {
    return is_host(function, host) && is_text(function, "store", store) &&
           is_sized(function, out, "ew_credentials");
}

ew_status credentials_get(const ew_host* host, void* call, ew_string store,
                          ew_credentials* out) noexcept {
    constexpr const char* kFunction = "credentials/1 get()";
    if (!may_have_credentials(kFunction, host, store, out)) return EW_MISUSE;
    if (call == nullptr) {
        if (!is_on_loader(kFunction)) return EW_MISUSE;
        return give_credentials(host, nullptr, view_of(store), out);
    }
    PluginCall* const known = known_call(kFunction, call);
    return known == nullptr ? EW_MISUSE : give_credentials(host, known, view_of(store), out);
}

ew_status credentials_get_2(const ew_host* host, const ew_request* request, ew_string store,
                            ew_credentials* out) noexcept {
    constexpr const char* kFunction = "credentials/2 get()";
    if (!may_have_credentials(kFunction, host, store, out)) return EW_MISUSE;
    if (request == nullptr) {
        if (!is_on_loader(kFunction)) return EW_MISUSE;
        return give_credentials(host, nullptr, view_of(store), out);
    }
    PluginCall* const call = call_of(kFunction, request);
    return call == nullptr ? EW_MISUSE : give_credentials(host, call, view_of(store), out);
}

// --- audit/1 ---

bool is_kind(const char* function, std::string_view kind) {
    const bool good = !kind.empty() && kind.size() <= 32 &&
                      kind.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == kind.npos;
    if (!good)
        log_misuse(function, "kind: expected 1 to 32 of a-z _, found '" + printable(kind) + "'");
    return good;
}

void audit_record(const ew_host* host, const ew_request* request, ew_string job_id,
                  ew_string kind) noexcept {
    constexpr const char* kFunction = "audit/1 record()";
    if (!is_host(kFunction, host) || !is_text(kFunction, "job_id", job_id) ||
        !is_text(kFunction, "kind", kind))
        return;
    const PluginCall* const call = call_of(kFunction, request);
    if (call == nullptr || !is_authorized(kFunction, *call) || !is_kind(kFunction, view_of(kind)))
        return;
    jobs::EventRecorder* const events = services_of(host).deps.events;
    if (events == nullptr || call->is_copy) return;
    events->record(view_of(job_id), view_of(kind), call->principal.subject);
}

constexpr ew_ext_log kLog{sizeof(ew_ext_log), 0, log_write};
constexpr ew_ext_clock kClock{sizeof(ew_ext_clock), 0, clock_unix_us, clock_steady_ns};
constexpr ew_ext_metrics kMetrics{sizeof(ew_ext_metrics), 0, metrics_register, metrics_add};
constexpr ew_ext_authorize kAuthorize{sizeof(ew_ext_authorize), 0, authorize_require};
constexpr ew_ext_job_lookup kJobLookup{sizeof(ew_ext_job_lookup), 0, job_find};
constexpr ew_ext_credentials kCredentials{sizeof(ew_ext_credentials), 0, credentials_get};
constexpr ew_ext_credentials_2 kCredentials2{sizeof(ew_ext_credentials_2), 0, credentials_get_2};
constexpr ew_ext_audit kAudit{sizeof(ew_ext_audit), 0, audit_record};

const void* find_extension(const ew_host* host, ew_string name) noexcept {
    constexpr const char* kFunction = "ew_host get_extension()";
    if (!is_host(kFunction, host) || !is_text(kFunction, "name", name)) return nullptr;
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

HostServices::HostServices(std::string name, const HostDeps& host_parts)
    : ew_host{sizeof(ew_host), EW_ABI_MINOR, find_extension},
      plugin_name(std::move(name)),
      deps(host_parts) {
    add_live_host(*this);
}

HostServices::~HostServices() {
    end();
}

void HostServices::end() const {
    remove_live_host(*this);
}

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
