// The operators' audit trail: one event "audit" of the log for each request on the control socket.
//
// At info, and at debug for those that only look. Refused requests leave one, too. Never a secret:
// of the parameters only those named here are written, and no text that contains a key or a token.
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
};

void write_audit_line(const Audited& audited, const nlohmann::json& params);

}  // namespace export_worker::control
