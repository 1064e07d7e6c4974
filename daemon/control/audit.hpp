// The operators' audit trail: one event "audit" of the log for each request on the control socket.
//
// At info, and at debug for those that only look. Refused requests leave one, too. Never a secret:
// only the parameters named here are written, and never a text that contains a key or a token.
#pragma once

#include <chrono>
#include <string_view>
#include <nlohmann/json_fwd.hpp>

#include "protocol/message/request.hpp"
#include "protocol/transport/server_socket.hpp"

namespace export_worker::control {

struct Audited {
    transport::PeerCredentials peer;
    // Null when the request could not be decoded.
    const message::Request* request = nullptr;
    std::string_view reply;  // The whole message.
    std::chrono::steady_clock::duration taken{};
    // How the work ended that the request began; empty: not known yet, or there is none.
    std::string_view work_outcome{};
};

// Whether the reply says only that work has begun: a long task, or a plugin action with a report.
[[nodiscard]] bool begins_work(const message::Request& request, std::string_view reply);

// The outcome is "ok", the code of a refusal, or "started" for work that has begun.

void write_audit_line(const Audited& audited, const nlohmann::json& params);

}  // namespace export_worker::control
