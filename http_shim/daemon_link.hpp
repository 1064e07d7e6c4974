// The daemons as the coroutines see them: a DaemonPool in the io thread's event loop.
#pragma once

#include <chrono>
#include <deque>
#include <string>
#include <vector>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "http_shim/coroutine.hpp"
#include "protocol/client/daemon_pool.hpp"

namespace export_worker::http_shim {

// [the io thread]
class DaemonLink {
public:
    // Both outlive this object.
    DaemonLink(boost::asio::io_context& context, client::DaemonPool& pool);
    ~DaemonLink();
    DaemonLink(const DaemonLink&) = delete;
    DaemonLink& operator=(const DaemonLink&) = delete;

    // As DaemonPool::call(); `id` is the one in `message`.
    [[nodiscard]] Awaitable<Result<std::string>> ask(std::string id, std::string message,
                                                     std::chrono::milliseconds timeout);
    // The same without a caller that waits for the answer.
    void tell(std::string id, std::string message, std::chrono::milliseconds timeout);
    [[nodiscard]] std::vector<client::DaemonPool::DaemonState> states() const {
        return pool_.states();
    }

private:
    using Descriptor = boost::asio::posix::basic_stream_descriptor<Executor>;
    void call(std::string id, std::string message, std::chrono::milliseconds timeout,
              client::DaemonPool::Done done);
    void watch(Descriptor& descriptor);
    void tick();

    boost::asio::io_context& context_;
    client::DaemonPool& pool_;
    std::deque<Descriptor> descriptors_;  // libzmq's, not ours to close.
    Timer timer_;
    bool turn_posted_ = false;
};

}  // namespace export_worker::http_shim
