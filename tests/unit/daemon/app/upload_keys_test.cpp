#include "daemon/app/upload_keys.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/fake_clock.hpp"

namespace export_worker::app {
namespace {

using credentials::CredentialStore;
using ByStore = credentials::CredentialSet::ByStore;

std::shared_ptr<const CredentialStore> store_of(const ByStore& known) {
    return std::make_shared<const CredentialStore>(known);
}

TEST(UploadKeys, FollowTheCredentialsAndTheDay) {
    testing::FakeClock clock;
    const std::int64_t end_us = clock.unix_us() + 2 * std::int64_t{86'400'000'000};
    CurrentCredentials current(store_of({{"other", {1, "OTHER", "secret", "", 0}}}));
    UploadKeys keys(*signing::parse_store(
                        "bucket", {{"kind", "s3"}, {"prefix", "s3://merchant/"}, {"region", "r"}}),
                    current, clock);
    const auto refused = keys.now();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(refused.error().message, "store bucket: there are no credentials now");

    current.set(store_of({{"bucket", {2, "FIRST", "secret", "", 0}}}));
    EXPECT_EQ(keys.now()->key_id, "FIRST");
    current.set(store_of({{"bucket", {3, "SECOND", "secret", "", end_us}}}));
    const auto today = keys.now();
    EXPECT_EQ(today->key_id, "SECOND");
    clock.advance(std::chrono::hours(24));
    EXPECT_NE(keys.now()->day, today->day);
    clock.advance(std::chrono::hours(24));
    const auto expired = keys.now();
    ASSERT_FALSE(expired);
    EXPECT_EQ(expired.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace export_worker::app
