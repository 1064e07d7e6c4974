#include "daemon/control/control_server.hpp"

#include "base/assert.hpp"
#include "base/json.hpp"
#include "base/shared_limits.hpp"
#include "base/thread_role.hpp"
#include "daemon/control/audit.hpp"
#include "daemon/control/backup_methods.hpp"
#include "daemon/control/limits.hpp"
#include "daemon/control/params.hpp"
#include "daemon/control/plugin_file_methods.hpp"
#include "protocol/message/reply.hpp"

namespace export_worker::control {

using nlohmann::json;
using transport::ReceiveOutcome;

namespace {

model::Principal operator_of(const message::Request& request) {
    model::Principal out;
    out.subject = "operator";
    out.organization_id = request.credentials.organization_id;
    out.is_operator = true;
    return out;
}

Result<void> check_peer(std::string_view method, const transport::PeerCredentials& peer) {
    if (find_plugin_file_method(method) == nullptr) return {};
    return check_sender(peer.uid);
}

}  // namespace

ControlServer::ControlServer(transport::ServerSocket socket, const ControlDeps& deps,
                             const server::Dispatcher& dispatcher)
    : socket_(std::move(socket)),
      deps_(deps),
      dispatcher_(dispatcher),
      plugin_calls_([this](const message::Request& request, SteadyTime deadline,
                           std::string& reply) { run_plugin(request, deadline, reply); },
                    deps.clock, wake_),
      thread_([this] { run(); }) {}

ControlServer::~ControlServer() {
    const unsigned stuck_calls = stop();
    EW_ASSERT(stuck_calls == 0);
}

unsigned ControlServer::stop() {
    if (thread_.joinable()) {
        stopping_.store(true);
        wake_.signal();
        thread_.join();
    }
    const unsigned stuck_calls = plugin_calls_.stop(limits::kOperatorCallsEndTimeout);
    for (const OperatorRequest& answered : plugin_calls_.take_answered()) finish(answered);
    return stuck_calls;
}

void ControlServer::run() {
    set_thread_role(ThreadRole::kControl);
    const server::WorkerScratch scratch = dispatcher_.make_scratch("control");
    while (!stopping_.load()) {
        socket_.wait(plugin_calls_.wait_timeout(std::chrono::milliseconds(1000)), wake_.fd());
        if (!stopping_.load()) wake_.clear();
        deps_.keys.record_uses();
        pending_audits_.write_ended();
        deps_.backups.expire();
        deps_.sent_files.expire();
        for (const OperatorRequest& answered : plugin_calls_.take_answered()) finish(answered);
        receive_requests(scratch.slot);
    }
}

void ControlServer::receive_requests(plugins::PinSlot& slot) {
    OperatorRequest request;
    while (!stopping_.load()) {
        const auto outcome = socket_.receive(request.envelope, request.body, &request.peer);
        if (outcome == ReceiveOutcome::kNothing) return;
        if (outcome != ReceiveOutcome::kRequest) continue;
        request.began = deps_.clock.steady();
        answer(request, slot);
    }
}

void ControlServer::answer(OperatorRequest& request, plugins::PinSlot& slot) {
    const auto decoded = message::decode_request(request.body);
    if (!decoded) {
        message::encode_error(request.reply, decoded.error().id, decoded.error().error, nullptr);
    } else if (const auto may = check_peer(decoded->method, request.peer); !may) {
        message::encode_error(request.reply, decoded->id, wire_error(may.error()).value(), nullptr);
    } else if (find_control_method(decoded->method) == nullptr &&
               is_for_plugin(decoded->method, slot)) {
        const auto refused = plugin_calls_.begin(request);
        if (!refused) return;
        message::encode_error(request.reply, decoded->id, *refused, nullptr);
    } else {
        run_method(*decoded, request.peer, request.reply);
    }
    finish(request);
}

void ControlServer::finish(const OperatorRequest& request) {
    const auto decoded = message::decode_request(request.body);
    write_audit_line({request.peer, decoded ? &*decoded : nullptr, request.reply,
                      deps_.clock.steady() - request.began},
                     decoded ? parse_msgpack(decoded->params) : json::object());
    pending_audits_.add(request.body, request.peer, request.reply, request.began);
    pending_audits_.write_ended();
    // An operator who does not read the answer has gone away; nothing depends on it.
    (void)socket_.send(request.envelope, request.reply);
}

bool ControlServer::is_for_plugin(std::string_view method, plugins::PinSlot& slot) const {
    server::Provider provider;
    dispatcher_.find_provider(method, slot, provider);
    return !provider.plugin.empty();
}

void ControlServer::run_method(const message::Request& request,
                               const transport::PeerCredentials& peer, std::string& reply) {
    const ControlMethod method = find_control_method(request.method);
    if (method == nullptr) return run_own(request, reply);
    const auto result = method(deps_, parse_msgpack(request.params));
    if (!result)
        return message::encode_error(reply, request.id, wire_error(result.error()).value(),
                                     nullptr);
    if (request.method == kBackupBegin) deps_.backups.set_client(peer.pid);
    const std::string bytes = dump_msgpack(*result);
    if (bytes.size() > limits::kReplyBytesMax) {
        auto error = message::make_error(message::WireCode::kTooLarge,
                                         "the answer is too large; ask for less");
        error.executed = message::Executed::kYes;
        return message::encode_error(reply, request.id, error, nullptr);
    }
    message::encode_result(reply, request.id, bytes, nullptr);
}

void ControlServer::run_own(const message::Request& request, std::string& reply) const {
    const model::Principal principal = operator_of(request);
    (void)dispatcher_.begin_own(request, &principal)(reply);
}

void ControlServer::run_plugin(const message::Request& request, SteadyTime deadline,
                               std::string& reply) const {
    const model::Principal principal = operator_of(request);
    server::WorkerScratch scratch = dispatcher_.make_scratch("operator");
    (void)dispatcher_.dispatch(
        request, deps_.clock.steady(),
        std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count(),
        &principal, scratch, reply);
}

}  // namespace export_worker::control
