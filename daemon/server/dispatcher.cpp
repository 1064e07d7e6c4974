#include "daemon/server/dispatcher.hpp"

#include "base/assert.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/log.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/server/limits.hpp"
#include "protocol/message/methods.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/trace.hpp"

namespace export_worker::server {
namespace {

using message::WireCode;
using nlohmann::json;

auth::Presented presented_by(const message::Request& request) {
    return {request.credentials.authorization, request.credentials.organization_id,
            request.credentials.session, request.credentials.client_address,
            request.credentials.token_sha256};
}

// Whom a request was answered as; its outcome and duration are in the line "request" of the same
// id.
void log_caller(const message::Request& request, const model::Principal& principal) {
    if (!logs(LogLevel::kDebug)) return;
    const std::string_view subject = principal.subject;
    log_event(LogLevel::kDebug, "caller",
              {{"method", request.method},
               {"key_id", principal.by_key ? subject : std::string_view()},
               {"subject", principal.by_key ? std::string_view() : subject},
               {"organization", principal.organization_id},
               {"request_id", request.id},
               {"trace_id", message::trace_id_of(request.trace)}});
}

tl::unexpected<message::WireError> wire_error(WireCode code, std::string message) {
    return tl::unexpected(message::make_error(code, std::move(message)));
}

// True: a result.
bool encode(const message::Request& request, const MethodResult& result, std::string& reply) {
    if (!result) {
        message::encode_error(reply, request.id, result.error(), nullptr);
        return false;
    }
    const std::string bytes = dump_msgpack(*result);
    if (bytes.size() > limits::kReplyBytesMax) {
        message::WireError error =
            message::make_error(WireCode::kTooLarge, "the answer is too large; ask for less");
        error.executed = message::Executed::kYes;
        message::encode_error(reply, request.id, error, nullptr);
        return false;
    }
    message::encode_result(reply, request.id, bytes, nullptr);
    return true;
}

}  // namespace

bool Dispatcher::dispatch(const message::Request& request, SteadyTime started,
                          std::int64_t deadline_steady_ns,
                          const model::Principal* operator_principal, WorkerScratch& scratch,
                          std::string& reply) const {
    {
        const plugins::Pin pin =
            deps_.routing.pin(request.method, request.id, started, scratch.slot);
        if (pin.route().generation != nullptr) {
            return run_plugin(pin.route(), request, started, deadline_steady_ns, operator_principal,
                              scratch, reply);
        }
    }
    return begin_own(request, operator_principal)(reply);
}

void Dispatcher::find_provider(std::string_view method, plugins::PinSlot& slot,
                               Provider& provider) const {
    provider.plugin.clear();
    provider.generation = 0;
    deps_.routing.look_up(method, slot, [&provider](const plugins::Route& route) {
        provider.plugin = route.generation->manifest().name;
        provider.generation = route.generation->number();
    });
}

bool Dispatcher::must_identify(message::Request& request) const {
    auth::Presented presented = presented_by(request);
    const bool must = deps_.authenticator.begin_introspection(presented);
    request.credentials.token_sha256 = presented.token_sha256;
    return must;
}

void Dispatcher::identify(const message::Request& request) const {
    deps_.authenticator.introspect(presented_by(request));
}

std::string Dispatcher::organization_of(const message::Request& request) const {
    return deps_.authenticator.organization_of(presented_by(request));
}

Dispatcher::Finish Dispatcher::begin_own(const message::Request& request,
                                         const model::Principal* operator_principal) const {
    return [&request, wait = begin_method(request, operator_principal)](std::string& reply) {
        return encode(request, wait(), reply);
    };
}

bool Dispatcher::run_plugin(const plugins::Route& route, const message::Request& request,
                            SteadyTime started, std::int64_t deadline_steady_ns,
                            const model::Principal* operator_principal, WorkerScratch& scratch,
                            std::string& reply) const {
    scratch.call.reset();
    scratch.call.presented = presented_by(request);
    scratch.call.preset_principal = operator_principal;
    const auto run_in = [&](plugins::Generation& generation) {
        scratch.call.begin_attempt();
        if (scratch.entered != nullptr)
            scratch.entered->store(generation.number(), std::memory_order_relaxed);
        started = generation.handle(request, started, deadline_steady_ns, scratch.slot.number(),
                                    scratch.call);
    };
    const plugins::ResultWriter& writer = scratch.call.writer;
    const plugins::Generation* answered_by = route.generation;
    run_in(*route.generation);
    // A generation that still bakes failed where its predecessor may not: the caller need not know.
    const bool bakes = route.fallback != nullptr && route.idempotent;
    const bool failed = writer.has_error && (writer.error.code == WireCode::kPluginFault ||
                                             writer.error.code == WireCode::kInternal);
    if (bakes && failed) {
        answered_by = route.fallback;
        run_in(*route.fallback);
    }
    if (scratch.call.authorized) log_caller(request, scratch.call.principal);
    const plugins::Manifest& manifest = answered_by->manifest();
    const message::ServedBy served_by{manifest.name, manifest.version, answered_by->number(),
                                      manifest.build_id};
    const bool has_result = !writer.has_error;
    if (has_result)
        message::encode_result(reply, request.id, writer.result, &served_by);
    else
        message::encode_error(reply, request.id, writer.error, &served_by);
    if (bakes && !failed && route.generation->shadow().take())
        compare_answers(route, request, deadline_steady_ns, scratch);
    return has_result;
}

void Dispatcher::compare_answers(const plugins::Route& route, const message::Request& request,
                                 std::int64_t deadline_steady_ns, WorkerScratch& scratch) const {
    const plugins::ShadowAnswer answer(scratch.call.writer);
    const auto ask = [&](plugins::Generation& generation) {
        scratch.call.begin_attempt();
        scratch.call.is_copy = true;
        (void)generation.handle(request, SteadyTime(), deadline_steady_ns, scratch.slot.number(),
                                scratch.call);
        return plugins::ShadowAnswer(scratch.call.writer);
    };
    const plugins::ShadowAnswer before = ask(*route.fallback);
    route.generation->shadow().compare(request.method, answer, ask(*route.generation), before);
}

Unfinished Dispatcher::begin_method(const message::Request& request,
                                    const model::Principal* operator_principal) const {
    const message::WireMethod* method = message::find_method(request.method);
    if (method == nullptr || method->provider == message::Provider::kPlugin)
        return ended(tl::unexpected(no_such_method(request.method)));
    const BeginMethod begin = begin_of(method->id);
    if (begin == nullptr) return ended(run_public(method->id, request));
    model::Principal principal;
    if (operator_principal != nullptr) {
        principal = *operator_principal;
    } else if (auto known = deps_.authenticator.authenticate(presented_by(request), principal);
               !known) {
        return ended(tl::unexpected(message::from_error(known.error())));
    }
    log_caller(request, principal);
    if (operator_principal == nullptr) {
        if (const auto admitted = deps_.organizations.admit_request(principal.organization_id);
            !admitted)
            return ended(tl::unexpected(message::from_error(admitted.error())));
    }
    if (!principal.may(method->permission)) {
        return ended(wire_error(WireCode::kPermissionDenied,
                                "Missing required permission: " + std::string(method->permission)));
    }
    // The bytes passed the codec's checks, so this cannot blow up in size or depth.
    const json params = parse_msgpack(request.params);
    if (!params.is_object())
        return ended(
            wire_error(WireCode::kBadRequest, "params: expected a map, found " + kind_of(params)));
    return begin(deps_.jobs, principal, params, message::trace_id_of(request.trace));
}

message::WireError Dispatcher::no_such_method(std::string_view method) const {
    std::optional<std::string> plugin;
    if (deps_.left_out) plugin = deps_.left_out(method);
    // A method of the table is some plugin's: perhaps that of the one whose methods are unknown.
    if (deps_.left_out && !plugin && message::find_method(method) != nullptr)
        plugin = deps_.left_out("");
    if (!plugin) {
        return message::make_error(
            WireCode::kUnknownMethod,
            "method: unknown method '" + printable(method) + "'; sys.methods lists what there is");
    }
    message::WireError error =
        message::make_error(WireCode::kPluginUnavailable,
                            "plugin " + *plugin + " is not loaded, so '" + printable(method) +
                                "' is unavailable; try again later (operators: exportctl "
                                "status says why)");
    error.retry_after_ms = limits::kPluginAwayRetryMs;
    return error;
}

MethodResult Dispatcher::run_public(message::MethodId id, const message::Request& request) const {
    if (id == message::MethodId::kPing) {
        const auto& names = deps_.alarm_names;
        return json{{"pong", true},
                    {"many_per_message", true},
                    {"registry", deps_.jobs.reader.registry_id()},
                    {"alarms", names ? names() : std::vector<std::string>()}};
    }
    if (id == message::MethodId::kReportDownload) return report_download(request);
    EW_ASSERT(id == message::MethodId::kListMethods);
    return list_methods();
}

// From whoever serves local files. Needs no credentials of its own: what it reports is a link that
// only this system can have signed.
MethodResult Dispatcher::report_download(const message::Request& request) const {
    const json params = parse_msgpack(request.params);
    const auto target = params.is_object() ? params.find("target") : params.end();
    if (!params.is_object() || target == params.end() || !target->is_string())
        return wire_error(WireCode::kInvalidArgument, "target: expected the link's path and query");
    if (!deps_.record_download || !deps_.record_download(target->get_ref<const std::string&>()))
        return wire_error(WireCode::kPermissionDenied, "target: expected a link signed here");
    return json{{"noted", true}};
}

MethodResult Dispatcher::list_methods() const {
    json out = json::array();
    for (const message::WireMethod& method : message::kMethods) {
        if (method.provider == message::Provider::kPlugin) continue;
        json row = {{"name", method.name}, {"provider", "daemon"}};
        if (!method.permission.empty()) row["permission"] = method.permission;
        out.push_back(std::move(row));
    }
    for (const auto& [method, plugin] : deps_.plugin_methods())
        out.push_back({{"name", method}, {"provider", plugin}});
    return json{{"methods", std::move(out)}};
}

}  // namespace export_worker::server
