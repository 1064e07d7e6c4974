#include "daemon/auth/back_off.hpp"

#include <gtest/gtest.h>

#include "daemon/auth/limits.hpp"

namespace export_worker::auth {
namespace {

TEST(BackOff, IsWhatTheProviderSaysWithinBounds) {
    using std::chrono::seconds;
    EXPECT_EQ(back_off_of("7"), seconds(7));
    EXPECT_EQ(back_off_of("0"), limits::kProviderBackOffMin);
    EXPECT_EQ(back_off_of("86400"), limits::kProviderBackOffMax);
    for (const char* text :
         {"", "-5", "soon", "1.5", "99999999999999999999999", "Wed, 21 Oct 2015 07:28:00 GMT"})
        EXPECT_EQ(back_off_of(text), limits::kProviderBackOffDefault) << text;
}

}  // namespace
}  // namespace export_worker::auth
