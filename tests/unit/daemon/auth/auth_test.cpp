#include <gtest/gtest.h>

#include "daemon/auth/api_key.hpp"
#include "daemon/auth/authenticator.hpp"
#include "daemon/auth/key_store.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::auth {
namespace {

class AuthTest : public ::testing::Test {
protected:
    std::string error_of(const Presented& presented) {
        model::Principal principal;
        const auto known = Authenticator(*keys_).authenticate(presented, principal);
        return known ? ""
                     : std::string(to_string(known.error().code)) + ": " + known.error().message;
    }
    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<KeyStore> keys_ = std::move(*KeyStore::open(dir_ / "auth.db", clock_));
    KeyStore::Created created_ = *keys_->create("acme", "ci", {"product:read"});
};

TEST_F(AuthTest, AKeyOpensItsOwnOrganizationWithItsOwnPermissions) {
    model::Principal principal;
    const std::string header = "Bearer " + created_.text;
    ASSERT_TRUE(Authenticator(*keys_).authenticate({header, "", ""}, principal));
    EXPECT_EQ(principal.organization_id, "acme");
    EXPECT_EQ(principal.subject, created_.key.id);
    EXPECT_TRUE(principal.may("product:read"));
    EXPECT_FALSE(principal.may("job:create"));
    EXPECT_FALSE(principal.is_operator);
}

TEST_F(AuthTest, EveryRefusalHasItsWords) {
    const std::string good = "Bearer " + created_.text;
    EXPECT_EQ(error_of({"", "", ""}), "unauthenticated: Not authenticated");
    EXPECT_EQ(error_of({"", "acme", ""}), "unauthenticated: Not authenticated");
    std::string tampered = good;
    tampered.back() = tampered.back() == '0' ? '1' : '0';
    for (const std::string& bad :
         {std::string("Bearer "), std::string("Bearer"), std::string("Basic YTpi"),
          "Bearer mo_" + created_.key.id, tampered, created_.text, good + "x",
          std::string("Bearer eyJhbGciOiJub25lIn0.e30.")}) {
        EXPECT_EQ(error_of({bad, "", ""}), "unauthenticated: Invalid credentials") << bad;
    }
    EXPECT_EQ(error_of({"", "", "some-session"}), "unauthenticated: Invalid credentials");
    EXPECT_EQ(error_of({good, "umbrella", ""}),
              "permission_denied: Not a member of this organization");
    EXPECT_EQ(error_of({good, "acme", "ignored-session"}), "");
    EXPECT_EQ(error_of({"bEaReR  " + created_.text, "", ""}), "");
}

TEST_F(AuthTest, ARevokedKeyIsRefusedAtOnceAndAfterARestart) {
    const std::string header = "Bearer " + created_.text;
    ASSERT_TRUE(keys_->revoke(created_.key.id));
    ASSERT_TRUE(keys_->revoke(created_.key.id));
    EXPECT_EQ(error_of({header, "", ""}), "unauthenticated: Invalid credentials");
    keys_.reset();
    keys_ = std::move(*KeyStore::open(dir_ / "auth.db", clock_));
    EXPECT_EQ(error_of({header, "", ""}), "unauthenticated: Invalid credentials");
    EXPECT_EQ(keys_->revoke("nope").error().code, ErrorCode::kNotFound);
    EXPECT_TRUE((*keys_->list(""))[0].revoked_us);
}

TEST_F(AuthTest, KeysSurviveARestartAndAreNotStoredInTheClear) {
    keys_.reset();
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
        const std::string bytes = testing::read_text(entry.path().string());
        EXPECT_EQ(bytes.find(created_.text.substr(20)), std::string::npos) << entry.path();
    }
    keys_ = std::move(*KeyStore::open(dir_ / "auth.db", clock_));
    EXPECT_EQ(error_of({"Bearer " + created_.text, "", ""}), "");
}

TEST_F(AuthTest, BadKeysAreNotMade) {
    EXPECT_FALSE(keys_->create("../x", "", {"product:read"}));
    EXPECT_FALSE(keys_->create("acme", "", {}));
    const auto misspelt = keys_->create("acme", "", {"product:raed"});
    EXPECT_NE(misspelt.error().message.find("product:read"), std::string::npos);
    EXPECT_FALSE(keys_->create("acme", "a\nb", {"product:read"}));
    EXPECT_EQ(keys_->list("acme")->size(), 1U);
    EXPECT_EQ(keys_->list("umbrella")->size(), 0U);
}

}  // namespace
}  // namespace export_worker::auth
