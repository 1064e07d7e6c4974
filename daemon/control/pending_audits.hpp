// Work that requests on the control socket have begun and whose end is not in the audit trail yet.
//
// A crash loses it: the line of the start stays the only one.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "daemon/control/control_methods.hpp"
#include "protocol/transport/server_socket.hpp"

namespace export_worker::control {

// Threads: [one-owner].
class PendingAudits {
public:
    // `deps` outlive it.
    explicit PendingAudits(const ControlDeps& deps);
    ~PendingAudits();  // Writes the line of each; "unknown" is the outcome of what still runs.
    PendingAudits(const PendingAudits&) = delete;
    PendingAudits& operator=(const PendingAudits&) = delete;

    // Remembers the request `body` when `reply` says that it has begun work. In the order of the
    // requests.
    void add(std::string_view body, const transport::PeerCredentials& peer, std::string_view reply,
             SteadyTime began);
    // Writes a second audit line for each that has ended: "ok" or the code of the refusal.
    void write_ended();

private:
    struct Pending {
        std::string body;
        std::string reply;
        transport::PeerCredentials peer;
        SteadyTime began;
        std::uint64_t report_id = 0;  // 0: of a long task.
    };
    void write(const Pending& pending, std::string_view outcome) const;

    const ControlDeps& deps_;
    std::deque<Pending> tasks_;    // Oldest first, as LongTask ends them.
    std::deque<Pending> reports_;  // Of the plugin host.
};

}  // namespace export_worker::control
