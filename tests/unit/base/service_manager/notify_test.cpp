#include "base/service_manager/notify.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <chrono>
#include <string>

#include "base/unique_fd.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::service_manager {
namespace {

// The socket of systemd that services write to.
class NotifySocket {
public:
    NotifySocket() : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
        const std::string path = dir_ / "notify";
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
        ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    }
    ~NotifySocket() { ::unsetenv("NOTIFY_SOCKET"); }
    NotifySocket(const NotifySocket&) = delete;
    NotifySocket& operator=(const NotifySocket&) = delete;

    // The next message; empty: none.
    [[nodiscard]] std::string next() const {
        std::array<char, 256> text{};
        const ssize_t got = ::recv(fd_.get(), text.data(), text.size(), 0);
        return got < 0 ? std::string() : std::string(text.data(), static_cast<std::size_t>(got));
    }

private:
    testing::TempDir dir_;
    UniqueFd fd_;
};

TEST(Notify, EachStateIsOneMessage) {
    const NotifySocket socket;
    notify_ready();
    EXPECT_EQ(socket.next(), "READY=1");
    notify_reloading();
    EXPECT_TRUE(socket.next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    notify_alive();
    EXPECT_EQ(socket.next(), "WATCHDOG=1");
    notify_stopping();
    EXPECT_EQ(socket.next(), "STOPPING=1");
    EXPECT_EQ(socket.next(), "");
}

TEST(Notify, WithoutSystemdNothingHappens) {
    notify_ready();
    EXPECT_FALSE(watchdog_timeout());
}

TEST(Notify, TheWatchdogHasTheTimeThatSystemdSets) {
    ::setenv("WATCHDOG_USEC", "20000000", 1);
    EXPECT_EQ(watchdog_timeout(), std::chrono::seconds(20));
    ::unsetenv("WATCHDOG_USEC");
}

}  // namespace
}  // namespace export_worker::service_manager
