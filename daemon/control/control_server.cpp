#include "daemon/control/control_server.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.hpp"
#include "base/json.hpp"
#include "base/thread_role.hpp"
#include "protocol/message/reply.hpp"

namespace export_worker::control {

using nlohmann::json;
using transport::ReceiveOutcome;

ControlServer::ControlServer(transport::ServerSocket socket, const ControlParts& parts,
                             const server::Dispatcher& dispatcher)
    : socket_(std::move(socket)),
      parts_(parts),
      dispatcher_(dispatcher),
      wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { run(); }) {
    EW_ASSERT(static_cast<bool>(wake_fd_));
}

ControlServer::~ControlServer() {
    stopping_.store(true);
    const std::uint64_t one = 1;
    EW_ASSERT(::write(wake_fd_.get(), &one, sizeof one) == sizeof one);
    thread_.join();
}

void ControlServer::run() {
    set_thread_role(ThreadRole::kControl);
    transport::Envelope envelope;
    std::string body;
    std::string reply;
    server::WorkerScratch scratch = dispatcher_.make_scratch("control");
    while (!stopping_.load()) {
        socket_.wait(std::chrono::milliseconds(1000), wake_fd_.get());
        parts_.keys.record_uses();
        while (!stopping_.load()) {
            const auto outcome = socket_.receive(envelope, body);
            if (outcome == ReceiveOutcome::kNothing) break;
            if (outcome != ReceiveOutcome::kRequest) continue;
            answer(body, reply, scratch);
            // An operator who does not read the answer has gone away; nothing depends on it.
            (void)socket_.send(envelope, reply);
        }
    }
}

void ControlServer::answer(const std::string& body, std::string& reply,
                           server::WorkerScratch& scratch) {
    const auto request = message::decode_request(body);
    if (!request)
        return message::encode_error(reply, request.error().id, request.error().error, nullptr);
    const ControlMethod method = find_control_method(request->method);
    if (method == nullptr) {
        model::Principal principal;
        principal.subject = "operator";
        principal.organization_id = request->credentials.organization_id;
        principal.is_operator = true;
        const SteadyTime now = parts_.clock.steady();
        const SteadyTime deadline = now + std::chrono::milliseconds(request->deadline_ms);
        const auto deadline_ns =
            std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch())
                .count();
        (void)dispatcher_.dispatch(*request, now, deadline_ns, &principal, scratch, reply);
        return;
    }
    const json params = parse_msgpack(request->params);
    const auto result = method(parts_, params);
    if (!result) return message::encode_error(reply, request->id, result.error(), nullptr);
    const std::string bytes = dump_msgpack(*result);
    message::encode_result(reply, request->id, bytes, nullptr);
}

}  // namespace export_worker::control
