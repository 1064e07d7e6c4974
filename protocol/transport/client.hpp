// The client's end: one DEALER socket that notices when the server goes away and comes back.
//
// Nothing is queued for a server that is not there: send() says so at once, because work that waits
// for a restart is run long after its caller has given up. A lost reply costs one time-out and a
// new connection.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "protocol/transport/curve.hpp"

namespace export_worker::transport {

// [one-owner]
class Client {
public:
    // Starts connecting in the background. `curve`: required for tcp endpoints; null for
    // ipc. Errors: kInvalidArgument (endpoint).
    [[nodiscard]] static Result<Client> open(const std::string& endpoint,
                                             const CurveClient* curve = nullptr);
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;
    ~Client();  // Drops what is unsent.

    // Errors: kUnavailable when no server is connected or its queue is full; nothing was sent.
    [[nodiscard]] Result<void> send(std::string_view request);
    // Several in one message: only to a server whose sys.ping says "many_per_message".
    [[nodiscard]] Result<void> send(std::span<const std::string_view> requests);
    // The next reply that is already here.
    [[nodiscard]] std::optional<std::string> receive();
    // Sleeps until a reply is here, the connection changes, `wake_fd` (-1: none) is readable, or
    // the time is over.
    void wait(std::chrono::milliseconds time, int wake_fd);
    // The same for several.
    static void wait_any(std::span<Client* const> clients, std::chrono::milliseconds time,
                         int wake_fd);
    // For an owner with an event loop of its own: one of these becomes readable when there may be
    // something to see. Edge-triggered as ZMQ_FD is: each time, and after send(), too, look() and
    // then receive() until there is nothing.
    [[nodiscard]] std::array<int, 2> descriptors() const;
    void look();
    // As of the last wait() or look().
    [[nodiscard]] bool connected() const;
    // How often the connection was lost so far. A change means: what was sent before will not be
    // answered.
    [[nodiscard]] unsigned losses() const;
    // Waits until connected. False when the time ran out.
    [[nodiscard]] bool wait_connected(std::chrono::milliseconds time);
    // Drops the connection and everything in it, then starts anew: after a time-out, late replies
    // never show up.
    void reconnect();

private:
    struct State;
    explicit Client(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace export_worker::transport
