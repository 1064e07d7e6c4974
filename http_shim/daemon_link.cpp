#include "http_shim/daemon_link.hpp"

#include <memory>
#include <boost/asio/post.hpp>

#include "protocol/client/limits.hpp"

namespace export_worker::http_shim {

namespace asio = boost::asio;
using boost::system::error_code;

DaemonLink::DaemonLink(asio::io_context& context, client::DaemonPool& pool)
    : context_(context), pool_(pool), timer_(context) {
    for (const int fd : pool.descriptors()) watch(descriptors_.emplace_back(context, fd));
    tick();
}

DaemonLink::~DaemonLink() {
    for (Descriptor& descriptor : descriptors_) descriptor.release();
}

// Asio arms the descriptor anew for each wait: what became readable meanwhile is not missed.
void DaemonLink::watch(Descriptor& descriptor) {
    descriptor.async_wait(Descriptor::wait_read, [this, &descriptor](const error_code& error) {
        if (error) return;
        pool_.poll();
        watch(descriptor);
    });
}

void DaemonLink::tick() {
    timer_.expires_after(limits::kPoolScanInterval);
    timer_.async_wait([this](const error_code& error) {
        if (error) return;
        pool_.poll();
        tick();
    });
}

void DaemonLink::call(std::string id, std::string message, std::chrono::milliseconds timeout,
                      client::DaemonPool::Done done) {
    pool_.call(std::move(id), std::move(message), timeout, std::move(done));
    if (turn_posted_) return;
    turn_posted_ = true;  // One for all that this round of events sends.
    asio::post(context_, [this] {
        turn_posted_ = false;
        pool_.poll();
    });
}

Awaitable<Result<std::string>> DaemonLink::ask(std::string id, std::string message,
                                               std::chrono::milliseconds timeout) {
    auto begin = [this, id = std::move(id), message = std::move(message),
                  timeout](auto handler) mutable {
        // Shared, because a std::function wants to be copied. Posted, because the coroutine must be
        // asleep before it can be woken.
        const auto waiter = std::make_shared<decltype(handler)>(std::move(handler));
        call(std::move(id), std::move(message), timeout,
             [&context = context_, waiter](Result<std::string> reply) {
                 asio::post(context, [waiter, reply = std::move(reply)]() mutable {
                     (*waiter)(std::move(reply));
                 });
             });
    };
    return asio::async_initiate<const asio::use_awaitable_t<Executor>&, void(Result<std::string>)>(
        std::move(begin), use_awaitable);
}

void DaemonLink::tell(std::string id, std::string message, std::chrono::milliseconds timeout) {
    call(std::move(id), std::move(message), timeout, [](const Result<std::string>&) {});
}

}  // namespace export_worker::http_shim
