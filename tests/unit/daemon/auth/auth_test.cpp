#include <gtest/gtest.h>

#include "daemon/auth/api_key.hpp"
#include "daemon/auth/limits.hpp"
#include "tests/unit/daemon/auth/auth_store_conformance.hpp"
#include "tests/unit/daemon/auth/postgres/postgres_auth_under_test.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/sessions.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::auth {
namespace {

AuthStoreUnderTest sqlite_auth_store() {
    return {.name = "SQLite", .open = [](const std::string& directory) {
                auto store = open_sqlite_auth_store(directory + "/auth.db",
                                                    sqlite::Durability::kUnsyncedForTest);
                EXPECT_TRUE(store) << store.error().message;
                return store ? std::move(*store) : nullptr;
            }};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Sqlite, AuthStoreConformance, ::testing::Values(sqlite_auth_store()));
INSTANTIATE_TEST_SUITE_P(Postgres, AuthStoreConformance, ::testing::Values(postgres_auth_store()));

namespace {

class AuthTest : public ::testing::Test {
protected:
    std::string error_of(const Presented& presented) {
        model::Principal principal;
        const auto known = identity_->authenticator.authenticate(presented, principal);
        return known ? ""
                     : std::string(to_string(known.error().code)) + ": " + known.error().message;
    }
    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::optional<testing::Identity> identity_{std::in_place, dir_ / "auth.db", clock_};
    KeyStore::Created created_ = *identity_->keys->create("acme", "ci", {"product:read"});
};

TEST_F(AuthTest, AKeyOpensItsOwnOrganizationWithItsOwnPermissions) {
    model::Principal principal;
    const std::string header = "Bearer " + created_.text;
    ASSERT_TRUE(identity_->authenticator.authenticate({header, "", ""}, principal));
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
    ASSERT_TRUE(identity_->keys->revoke(created_.key.id));
    ASSERT_TRUE(identity_->keys->revoke(created_.key.id));
    EXPECT_EQ(error_of({header, "", ""}), "unauthenticated: Invalid credentials");
    identity_.reset();
    identity_.emplace(dir_ / "auth.db", clock_);
    EXPECT_EQ(error_of({header, "", ""}), "unauthenticated: Invalid credentials");
    EXPECT_EQ(identity_->keys->revoke("nope").error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(identity_->keys->list("")->rows[0].revoked_us);
}

TEST_F(AuthTest, KeysSurviveARestartAndAreNotStoredInTheClear) {
    identity_.reset();
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
        const std::string bytes = testing::read_text(entry.path().string());
        EXPECT_EQ(bytes.find(created_.text.substr(20)), std::string::npos) << entry.path();
    }
    identity_.emplace(dir_ / "auth.db", clock_);
    EXPECT_EQ(error_of({"Bearer " + created_.text, "", ""}), "");
}

TEST_F(AuthTest, BadKeysAreNotMade) {
    EXPECT_FALSE(identity_->keys->create("../x", "", {"product:read"}));
    EXPECT_FALSE(identity_->keys->create("acme", "", {}));
    const auto misspelt = identity_->keys->create("acme", "", {"product:raed"});
    EXPECT_NE(misspelt.error().message.find("product:read"), std::string::npos);
    EXPECT_FALSE(identity_->keys->create("acme", "a\nb", {"product:read"}));
    EXPECT_EQ(identity_->keys->list("acme")->rows.size(), 1U);
    EXPECT_EQ(identity_->keys->list("umbrella")->rows.size(), 0U);
}

TEST_F(AuthTest, TheNumberOfKeysIsBounded) {
    testing::execute_in(
        dir_ / "auth.db",
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < " +
            std::to_string(limits::kApiKeysMax) +
            ") INSERT INTO api_key (id, sha256, organization_id, name, permissions, created_us) "
            "SELECT printf('%016x', i), printf('%064x', i), 'acme', '', "
            "'product:read', 0 FROM n");
    identity_.reset();
    identity_.emplace(dir_ / "auth.db", clock_);
    const auto refused = identity_->keys->create("acme", "one more", {"product:read"});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
    EXPECT_EQ(refused.error().message, "keys: the limit is reached; revoke some first");
    ASSERT_TRUE(identity_->keys->revoke(created_.key.id));
    EXPECT_TRUE(identity_->keys->create("acme", "one more", {"product:read"}));
}

TEST_F(AuthTest, NothingIsAnsweredFromAMemoryThatMayBeOutOfDate) {
    bool may_answer = true;
    const Authenticator authenticator(*identity_->keys, *identity_->members, *identity_->sessions,
                                      RolePolicy(), [&] { return may_answer; });
    const std::string header = "Bearer " + created_.text;
    model::Principal principal;
    EXPECT_TRUE(authenticator.authenticate({header, "", ""}, principal));
    may_answer = false;
    for (const Presented& presented :
         {Presented{header, "", ""}, Presented{"Bearer mo_unknown", "", ""},
          Presented{"", "", "some-session"}}) {
        const auto refused = authenticator.authenticate(presented, principal);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
    }
    EXPECT_EQ(authenticator.refused().unavailable, 3U);
    EXPECT_EQ(authenticator.organization_of({header, "", ""}), "");
    EXPECT_EQ(authenticator.authenticate({"", "", ""}, principal).error().code,
              ErrorCode::kUnauthenticated);
}

}  // namespace
}  // namespace export_worker::auth
