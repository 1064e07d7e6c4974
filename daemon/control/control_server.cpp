#include "daemon/control/control_server.hpp"

#include "base/json.hpp"
#include "base/shared_limits.hpp"
#include "base/thread_role.hpp"
#include "daemon/control/audit.hpp"
#include "daemon/control/refuse.hpp"
#include "protocol/message/reply.hpp"

namespace export_worker::control {

using nlohmann::json;
using transport::ReceiveOutcome;

ControlServer::ControlServer(transport::ServerSocket socket, const ControlParts& parts,
                             const server::Dispatcher& dispatcher)
    : socket_(std::move(socket)),
      parts_(parts),
      dispatcher_(dispatcher),
      thread_([this] { run(); }) {}

ControlServer::~ControlServer() {
    stopping_.store(true);
    wake_.signal();
    thread_.join();
}

void ControlServer::run() {
    set_thread_role(ThreadRole::kControl);
    transport::Envelope envelope;
    std::string body;
    std::string reply;
    server::WorkerScratch scratch = dispatcher_.make_scratch("control");
    while (!stopping_.load()) {
        socket_.wait(std::chrono::milliseconds(1000), wake_.fd());
        parts_.keys.record_uses();
        pending_audits_.write_ended();
        while (!stopping_.load()) {
            transport::PeerCredentials peer;
            const auto outcome = socket_.receive(envelope, body, &peer);
            if (outcome == ReceiveOutcome::kNothing) break;
            if (outcome != ReceiveOutcome::kRequest) continue;
            answer(body, peer, reply, scratch);
            // An operator who does not read the answer has gone away; nothing depends on it.
            (void)socket_.send(envelope, reply);
        }
    }
}

void ControlServer::answer(const std::string& body, const transport::PeerCredentials& peer,
                           std::string& reply, server::WorkerScratch& scratch) {
    const SteadyTime began = parts_.clock.steady();
    const auto request = message::decode_request(body);
    json params = json::object();
    if (!request) {
        message::encode_error(reply, request.error().id, request.error().error, nullptr);
    } else {
        params = parse_msgpack(request->params);
        run_method(*request, params, reply, scratch);
    }
    write_audit_line({peer, request ? &*request : nullptr, reply, parts_.clock.steady() - began},
                     params);
    pending_audits_.add(body, peer, reply, began);
    pending_audits_.write_ended();
}

void ControlServer::run_method(const message::Request& request, const json& params,
                               std::string& reply, server::WorkerScratch& scratch) {
    const ControlMethod method = find_control_method(request.method);
    if (method == nullptr) return dispatch(request, reply, scratch);
    const auto result = method(parts_, params);
    if (!result)
        return message::encode_error(reply, request.id, refuse(result.error()).value(), nullptr);
    const std::string bytes = dump_msgpack(*result);
    if (bytes.size() > limits::kReplyBytesMax) {
        auto error = message::make_error(message::WireCode::kTooLarge,
                                         "the answer is too large; ask for less");
        error.executed = message::Executed::kYes;
        return message::encode_error(reply, request.id, error, nullptr);
    }
    message::encode_result(reply, request.id, bytes, nullptr);
}

void ControlServer::dispatch(const message::Request& request, std::string& reply,
                             server::WorkerScratch& scratch) {
    model::Principal principal;
    principal.subject = "operator";
    principal.organization_id = request.credentials.organization_id;
    principal.is_operator = true;
    const SteadyTime now = parts_.clock.steady();
    const SteadyTime deadline = now + std::chrono::milliseconds(request.deadline_ms);
    const auto deadline_ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
    (void)dispatcher_.dispatch(request, now, deadline_ns, &principal, scratch, reply);
}

}  // namespace export_worker::control
