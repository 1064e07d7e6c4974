#include "daemon/auth/lookup_budget.hpp"

#include <gtest/gtest.h>

#include <string>

#include "daemon/auth/limits.hpp"
#include "tests/unit/support/fake_clock.hpp"

namespace export_worker::auth {
namespace {

class LookupBudgetTest : public ::testing::Test {
protected:
    std::uint64_t take_all(std::string_view address) {
        std::uint64_t count = 0;
        while (budget_.take(address)) ++count;
        return count;
    }
    testing::FakeClock clock_;
    LookupBudget budget_{clock_};
};

TEST_F(LookupBudgetTest, EachAddressHasItsOwn) {
    EXPECT_FALSE(budget_.is_spent("192.0.2.1"));
    EXPECT_EQ(take_all("192.0.2.1"), limits::kAddressLookupsBurst);
    EXPECT_TRUE(budget_.is_spent("192.0.2.1"));
    EXPECT_EQ(take_all("192.0.2.2"), limits::kAddressLookupsBurst);
    clock_.advance(std::chrono::seconds(1));
    EXPECT_FALSE(budget_.is_spent("192.0.2.1"));
    EXPECT_EQ(take_all("192.0.2.1"), limits::kAddressLookupsPerSecond);
}

TEST_F(LookupBudgetTest, ANetworkOf64BitsIsOneClient) {
    EXPECT_EQ(take_all("2001:db8::1"), limits::kAddressLookupsBurst);
    EXPECT_TRUE(budget_.is_spent("2001:db8::ffff:2"));
    EXPECT_FALSE(budget_.is_spent("2001:db8:0:1::1"));
}

TEST_F(LookupBudgetTest, ClientsWithoutAnAddressShareOne) {
    EXPECT_EQ(take_all(""), limits::kUnaddressedLookupsBurst);
    EXPECT_TRUE(budget_.is_spent("unix"));
    EXPECT_FALSE(budget_.is_spent("192.0.2.1"));
    clock_.advance(std::chrono::seconds(1));
    EXPECT_EQ(take_all("unix"), limits::kUnaddressedLookupsPerSecond);
}

}  // namespace
}  // namespace export_worker::auth
