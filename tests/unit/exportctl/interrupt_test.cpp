#include "exportctl/interrupt.hpp"

#include <gtest/gtest.h>

namespace export_worker::exportctl {
namespace {

TEST(InterruptGuard, TheFirstInterruptIsKeptAndTheSecondIsNot) {
    {
        const InterruptGuard guard;
        EXPECT_FALSE(interrupted());
        std::raise(SIGINT);
        EXPECT_TRUE(interrupted());
        struct sigaction now {};
        ::sigaction(SIGINT, nullptr, &now);
        EXPECT_EQ(now.sa_handler, SIG_DFL);
    }
    const InterruptGuard next;
    EXPECT_FALSE(interrupted());
}

TEST(InterruptGuard, AnIgnoredInterruptStaysIgnored) {
    const auto before = std::signal(SIGINT, SIG_IGN);
    {
        const InterruptGuard guard;
        std::raise(SIGINT);
        EXPECT_FALSE(interrupted());
    }
    std::signal(SIGINT, before);
}

}  // namespace
}  // namespace export_worker::exportctl
