#include "base/service_manager/listeners.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "base/unix_socket.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::service_manager {
namespace {

// Puts `fd` where systemd puts the first socket; gives descriptor 3 back at the end.
class Handed {
public:
    explicit Handed(int fd) : kept_(::dup(3)) {
        EXPECT_EQ(::dup2(fd, 3), 3);
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        ::setenv("LISTEN_FDS", "1", 1);
    }
    ~Handed() {
        if (kept_) {
            (void)::dup2(kept_.get(), 3);
        } else {
            (void)::close(3);
        }
    }
    Handed(const Handed&) = delete;
    Handed& operator=(const Handed&) = delete;

private:
    UniqueFd kept_;
};

TEST(InheritedListeners, WithoutSystemdThereAreNone) {
    const auto none = inherited_listeners();
    ASSERT_TRUE(none) << none.error().message;
    EXPECT_TRUE(none->empty());
}

TEST(InheritedListeners, AreTakenOnce) {
    const testing::TempDir dir;
    const auto listener = listen_on_unix(dir / "s", 0600);
    ASSERT_TRUE(listener) << listener.error().message;
    const Handed handed(listener->get());
    const auto taken = inherited_listeners();
    ASSERT_TRUE(taken) << taken.error().message;
    ASSERT_EQ(taken->size(), 1U);
    EXPECT_EQ(taken->front().get(), 3);
    EXPECT_EQ(::getenv("LISTEN_FDS"), nullptr);
}

TEST(InheritedListeners, RefusesDescriptorsThatAreNotOpen) {
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", "1000000", 1);
    const auto refused = inherited_listeners();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "LISTEN_FDS: Bad file descriptor");
}

TEST(InheritedListeners, RefusesADescriptorThatDoesNotListen) {
    const Handed handed(STDERR_FILENO);
    const auto refused = inherited_listeners();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(refused.error().message.find("something else in descriptor 3"), std::string::npos)
        << refused.error().message;
}

}  // namespace
}  // namespace export_worker::service_manager
