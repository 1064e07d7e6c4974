#include "daemon/auth/jwks_source.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <mutex>

#include "base/base64.hpp"
#include "base/crypto/sha256.hpp"
#include "base/json.hpp"
#include "base/shared_limits.hpp"
#include "daemon/auth/json_object.hpp"
#include "daemon/auth/jwt.hpp"
#include "daemon/auth/limits.hpp"
#include "tests/unit/support/cost.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/http_server.hpp"
#include "tests/unit/support/log.hpp"
#include "tests/unit/support/sessions.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::auth {
namespace {

using nlohmann::json;

TEST(JwksUrl, AnAnswerThatIsNoKeySetChangesNothing) {
    const testing::TempDir dir;
    std::atomic<int> fetched = 0;
    testing::HttpServer provider([&](const testing::HttpServer::Request&) {
        ++fetched;
        return testing::HttpServer::Response{500, testing::jwks_of({"two"}), {}};
    });
    model::AuthSettings settings;
    settings.jwks_url = provider.url() + "/jwks";
    settings.jwks_file = dir.write("jwks.json", testing::jwks_of({"one"}));
    settings.jwks_refresh = std::chrono::hours(1'000'000);
    testing::FakeClock clock;
    auto source = JwksSource::open(settings, clock, [] {});
    ASSERT_TRUE(source) << source.error().message;
    ASSERT_TRUE(testing::eventually([&] { return fetched > 0; }));
    ASSERT_TRUE(
        testing::eventually([] { return testing::has_logged("expected status 200, found 500"); }));
    EXPECT_NE((*source)->keys()->find("one"), nullptr);
    EXPECT_EQ((*source)->keys()->find("two"), nullptr);
    EXPECT_EQ(testing::read_text(settings.jwks_file), testing::jwks_of({"one"}));
}

TEST(JwksUrl, IsFetchedKeptInTheFileAndAskedAgainForAnUnknownKey) {
    const testing::TempDir dir;
    std::atomic<int> fetched = 0;
    testing::HttpServer provider([&](const testing::HttpServer::Request&) {
        ++fetched;
        return testing::HttpServer::Response{200, testing::jwks_of({"one"}), {}};
    });
    model::AuthSettings settings;
    settings.jwks_url = provider.url() + "/jwks";
    settings.jwks_file = dir / "jwks.json";
    settings.jwks_refresh = std::chrono::hours(1'000'000);
    std::atomic<int> changes = 0;
    testing::FakeClock clock;
    auto source = JwksSource::open(settings, clock, [&] { ++changes; });
    ASSERT_TRUE(source) << source.error().message;
    ASSERT_TRUE(testing::eventually([&] { return changes > 0; }));
    EXPECT_NE((*source)->keys()->find("one"), nullptr);
    EXPECT_EQ(testing::read_text(dir / "jwks.json"), testing::jwks_of({"one"}));
    for (int count = 0; count < 100; ++count) (*source)->miss_key();
    EXPECT_EQ(fetched, 1) << "unknown keys must not become a load on the provider";
    // More than once: the source may still be about to note when it has fetched.
    EXPECT_TRUE(testing::eventually([&] {
        clock.advance(limits::kJwksRefreshSoonest);
        return fetched == 2;
    }));
    source->reset();
    // Without the network the file has them.
    settings.jwks_url = "http://127.0.0.1:1/";
    EXPECT_NE((*JwksSource::open(settings, clock, [] {}))->keys()->find("one"), nullptr);
    settings.jwks_url.clear();
    settings.jwks_file = dir / "nope.json";
    EXPECT_EQ(JwksSource::open(settings, clock, [] {}).error().code, ErrorCode::kNotFound);
}

TEST(JwksUrl, IsLeftAloneAfterA429ForAsLongAsItSays) {
    testing::FakeClock clock;
    std::array<SteadyTime, 2> fetched_at{};
    std::atomic<std::size_t> fetched = 0;
    testing::HttpServer provider([&](const testing::HttpServer::Request&) {
        if (fetched < fetched_at.size()) fetched_at.at(fetched) = clock.steady();
        ++fetched;
        return testing::HttpServer::Response{429, "{}", {{"Retry-After", "50"}}};
    });
    model::AuthSettings settings;
    settings.jwks_url = provider.url() + "/jwks";
    auto source = JwksSource::open(settings, clock, [] {});
    ASSERT_TRUE(source) << source.error().message;
    ASSERT_TRUE(testing::eventually([&] { return fetched > 0; }));
    ASSERT_TRUE(testing::eventually([&] {
        clock.advance(std::chrono::milliseconds(100));
        (*source)->miss_key();
        return fetched > 1;
    }));
    EXPECT_GE(fetched_at[1] - fetched_at[0], std::chrono::seconds(50));
}

}  // namespace
}  // namespace export_worker::auth
