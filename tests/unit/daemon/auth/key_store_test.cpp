#include "daemon/auth/key_store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/crypto/sha256.hpp"
#include "base/in_memory_error.hpp"
#include "base/permissions.hpp"
#include "daemon/auth/limits.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/sessions.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::auth {
namespace {

using std::chrono::seconds;

class KeyStoreTest : public ::testing::Test {
protected:
    KeyStore& keys() { return *identity_->keys; }
    KeyStore::Created create(std::optional<seconds> length = {}) {
        return *keys().create("acme", "ci", {"product:read", "job:read"}, length);
    }
    bool counts(const KeyStore::Created& key) { return keys().verify(key.text) != nullptr; }
    ApiKey listed(const std::string& id) {
        const auto page = keys().list("");
        for (const ApiKey& key : page->rows) {
            if (key.id == id) return key;
        }
        return {};
    }
    void restart() {
        identity_.reset();
        identity_.emplace(dir_ / "auth.db", clock_);
    }
    // What auth.db has, whatever is in memory.
    std::int64_t last_used_in_file(const std::string& id) {
        return identity_->store->keys().find(id)->value().last_used_us.value_or(0);
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::optional<testing::Identity> identity_{std::in_place, dir_ / "auth.db", clock_};
};

TEST_F(KeyStoreTest, EveryPermissionCanBeGranted) {
    const std::vector<std::string> all(kPermissions.begin(), kPermissions.end());
    const auto made = keys().create("acme", "", all);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(keys().verify(made->text)->permissions, all);
}

TEST_F(KeyStoreTest, AKeyEndsWithItsTimeAndAfterARestart) {
    const auto key = create(seconds(60));
    const auto lasting = create();
    EXPECT_EQ(key.key.expires_us, clock_.unix_us() + 60'000'000);
    clock_.advance(std::chrono::milliseconds(59'999));
    EXPECT_TRUE(counts(key));
    clock_.advance(std::chrono::milliseconds(1));
    EXPECT_FALSE(counts(key));
    EXPECT_TRUE(counts(lasting));
    restart();
    EXPECT_FALSE(counts(key));
    EXPECT_TRUE(counts(lasting));
    EXPECT_EQ(listed(key.key.id).expires_us, key.key.expires_us) << "it stays listed";
}

TEST_F(KeyStoreTest, LengthsAreBounded) {
    for (const seconds bad : {seconds(0), seconds(-1), limits::kKeyLengthMax + seconds(1),
                              seconds::max(), seconds::min()})
        EXPECT_EQ(keys().create("acme", "", {"job:read"}, bad).error().code,
                  ErrorCode::kInvalidArgument);
    EXPECT_TRUE(keys().create("acme", "", {"job:read"}, limits::kKeyLengthMax));
}

TEST_F(KeyStoreTest, ARotatedKeyWorksUntilTheOverlapEnds) {
    const auto old = create();
    const auto fresh = keys().rotate(old.key.id, seconds(3'600), {});
    ASSERT_TRUE(fresh) << fresh.error().message;
    EXPECT_NE(fresh->key.id, old.key.id);
    EXPECT_EQ(fresh->key.organization_id, "acme");
    EXPECT_EQ(fresh->key.name, "ci");
    EXPECT_EQ(fresh->key.permissions, old.key.permissions);
    EXPECT_FALSE(fresh->key.expires_us);
    EXPECT_EQ(listed(old.key.id).expires_us, clock_.unix_us() + 3'600'000'000);
    clock_.advance(seconds(3'599));
    EXPECT_TRUE(counts(old));
    EXPECT_TRUE(counts(*fresh));
    restart();
    EXPECT_TRUE(counts(old));
    clock_.advance(seconds(1));
    EXPECT_FALSE(counts(old));
    EXPECT_TRUE(counts(*fresh));
}

TEST_F(KeyStoreTest, AnOverlapOfZeroEndsTheOldKeyAtOnce) {
    const auto old = create();
    const auto fresh = keys().rotate(old.key.id, seconds(0), {});
    EXPECT_FALSE(counts(old));
    EXPECT_TRUE(counts(*fresh));
}

TEST_F(KeyStoreTest, NoRotationMakesAKeyLiveLonger) {
    const auto old = create(seconds(60));
    EXPECT_EQ(keys().rotate(old.key.id, seconds(3'600), {}).error().code,
              ErrorCode::kInvalidArgument);
    const auto fresh = keys().rotate(old.key.id, seconds(3'600), seconds(120));
    ASSERT_TRUE(fresh) << fresh.error().message;
    EXPECT_EQ(listed(old.key.id).expires_us, old.key.expires_us);
    EXPECT_EQ(fresh->key.expires_us, clock_.unix_us() + 120'000'000);
}

TEST_F(KeyStoreTest, OnlyAKeyThatCountsIsRotated) {
    const auto revoked = create();
    ASSERT_TRUE(keys().revoke(revoked.key.id));
    const auto expired = create(seconds(1));
    clock_.advance(seconds(1));
    for (const auto& key : {revoked, expired})
        EXPECT_EQ(keys().rotate(key.key.id, seconds(60), seconds(60)).error().code,
                  ErrorCode::kConflict);
    EXPECT_EQ(keys().rotate("nope", seconds(60), {}).error().code, ErrorCode::kNotFound);
    const auto good = create();
    for (const seconds bad : {seconds(-1), limits::kKeyOverlapMax + seconds(1), seconds::min()})
        EXPECT_EQ(keys().rotate(good.key.id, bad, {}).error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(counts(good));
    EXPECT_EQ(keys().list("")->rows.size(), 3U) << "no key was made";
}

TEST_F(KeyStoreTest, UsesAreWrittenOnceAMinute) {
    const auto key = create();
    const auto unused = create();
    keys().record_uses();
    ASSERT_TRUE(counts(key));
    const std::int64_t used = clock_.unix_us();
    EXPECT_EQ(listed(key.key.id).last_used_us, used) << "operators see it at once";
    EXPECT_FALSE(listed(unused.key.id).last_used_us);
    clock_.advance(limits::kKeyUseInterval - std::chrono::milliseconds(1));
    keys().record_uses();
    EXPECT_EQ(last_used_in_file(key.key.id), 0);
    clock_.advance(std::chrono::milliseconds(1));
    keys().record_uses();
    (void)create();  // Durable, and so is what was begun before it.
    EXPECT_EQ(last_used_in_file(key.key.id), used);
    EXPECT_EQ(last_used_in_file(unused.key.id), 0);
}

TEST_F(KeyStoreTest, UsesSurviveAStopAndARevocation) {
    const auto key = create();
    ASSERT_TRUE(counts(key));
    const std::int64_t used = clock_.unix_us();
    restart();
    EXPECT_EQ(listed(key.key.id).last_used_us, used);
    clock_.advance(seconds(5));
    ASSERT_TRUE(counts(key));
    ASSERT_TRUE(keys().revoke(key.key.id));
    EXPECT_EQ(listed(key.key.id).last_used_us, used + 5'000'000);
}

TEST_F(KeyStoreTest, AWrongSecretIsNoUse) {
    const auto key = create();
    std::string wrong = key.text;
    wrong.back() = wrong.back() == '0' ? '1' : '0';
    EXPECT_FALSE(keys().verify(wrong));
    EXPECT_FALSE(listed(key.key.id).last_used_us);
}

TEST_F(KeyStoreTest, ListsComeInPages) {
    std::vector<std::string> made;
    for (int count = 0; count < 5; ++count) {
        made.push_back(create().key.id);
        if (count % 2 == 0) clock_.advance(seconds(1));  // Some are of one instant.
    }
    std::vector<std::string> seen;
    PageRequest request{{}, 2};
    std::string after;
    for (int pages = 0; pages < 10; ++pages) {
        const auto page = keys().list("acme", request);
        ASSERT_TRUE(page) << page.error().message;
        EXPECT_LE(page->rows.size(), 2U);
        for (const ApiKey& key : page->rows) seen.push_back(key.id);
        if (page->next.empty()) break;
        after = page->next;
        request.after = after;
    }
    std::ranges::sort(made);
    EXPECT_EQ(seen.size(), 5U);
    std::ranges::sort(seen);
    EXPECT_EQ(seen, made);
}

TEST_F(KeyStoreTest, PagesRefuseWrongBounds) {
    for (const std::size_t rows_max : {std::size_t{0}, limits::kPageRowsMax + 1})
        EXPECT_EQ(keys().list("", {{}, rows_max}).error().code, ErrorCode::kInvalidArgument);
    for (const char* after : {"x", " ", "1", "-1 a", "99999999999999999999 a"})
        EXPECT_EQ(keys().list("", {after, 10}).error().code, ErrorCode::kInvalidArgument) << after;
}

// One text for all of them, so that the answer does not tell whether a key exists.
TEST_F(KeyStoreTest, EveryKeyThatDoesNotCountIsRefusedWithOneText) {
    const auto revoked = create();
    ASSERT_TRUE(keys().revoke(revoked.key.id));
    const auto expired = create(seconds(1));
    clock_.advance(seconds(1));
    const auto emptied = create();
    testing::execute_in(dir_ / "auth.db",
                        "UPDATE api_key SET permissions = '' WHERE id = '" + emptied.key.id + "'");
    restart();
    std::string unknown = create().text;
    unknown.back() = unknown.back() == '0' ? '1' : '0';
    for (const std::string& text : {revoked.text, expired.text, emptied.text, unknown}) {
        model::Principal principal;
        const std::string header = "Bearer " + text;
        const auto known = identity_->authenticator.authenticate({header, "", ""}, principal);
        ASSERT_FALSE(known);
        EXPECT_EQ(known.error().code, ErrorCode::kUnauthenticated);
        EXPECT_EQ(known.error().message, "Invalid credentials");
        const auto elsewhere =
            identity_->authenticator.authenticate({header, "umbrella", ""}, principal);
        EXPECT_EQ(elsewhere.error().message, "Invalid credentials");
    }
}

TEST_F(KeyStoreTest, ARevocationThatCannotBeWrittenHoldsUntilTheRestart) {
    const auto key = create();
    testing::refuse_writes(dir_ / "auth.db", "api_key");
    for (int time = 0; time < 2; ++time) {
        const auto refused = keys().revoke(key.key.id);
        ASSERT_FALSE(refused);
        EXPECT_TRUE(is_in_memory_error(refused.error()));
        EXPECT_TRUE(refused.error().message.starts_with("The key '" + key.key.id +
                                                        "' is revoked at once, but only until"))
            << refused.error().message;
    }
    EXPECT_FALSE(counts(key));
    EXPECT_TRUE(listed(key.key.id).revoked_us);
    EXPECT_EQ(keys().rotate(key.key.id, seconds(0), {}).error().code, ErrorCode::kConflict);
    EXPECT_FALSE(is_in_memory_error(keys().revoke("unknown").error()));
    testing::allow_writes(dir_ / "auth.db");
    restart();
    EXPECT_TRUE(counts(key));
    ASSERT_TRUE(keys().revoke(key.key.id));
    restart();
    EXPECT_FALSE(counts(key));
}

TEST_F(KeyStoreTest, AKeyThatIsRevokedAlreadyHasNothingToHoldInMemory) {
    const auto key = create();
    ASSERT_TRUE(keys().revoke(key.key.id));
    testing::refuse_writes(dir_ / "auth.db", "api_key");
    const auto again = keys().revoke(key.key.id);
    ASSERT_FALSE(again);
    EXPECT_FALSE(is_in_memory_error(again.error())) << again.error().message;
}

TEST_F(KeyStoreTest, ARevocationIsWrittenWhenItIsRepeated) {
    const auto key = create();
    testing::refuse_writes(dir_ / "auth.db", "api_key");
    ASSERT_FALSE(keys().revoke(key.key.id));
    testing::allow_writes(dir_ / "auth.db");
    ASSERT_TRUE(keys().revoke(key.key.id));
    restart();
    EXPECT_FALSE(counts(key));
    EXPECT_TRUE(listed(key.key.id).revoked_us);
}

// What another daemon has done, as the feed tells it.
AuthChanges changes_of(std::vector<StoredKey> keys, bool is_whole = false) {
    return {.is_whole = is_whole, .keys = std::move(keys), .members = {}, .sessions = {}};
}

class FedKeyStoreTest : public KeyStoreTest {
protected:
    // As it is in the records.
    StoredKey stored(const KeyStore::Created& created) {
        const crypto::Sha256Digest digest = crypto::sha256(created.text);
        return {created.key, std::string(crypto::as_bytes(digest))};
    }
};

TEST_F(FedKeyStoreTest, MemoryGoesByWhatIsTold) {
    const auto known = create();
    StoredKey changed = stored(known);
    changed.key.expires_us = clock_.unix_us() + 5'000'000;
    keys().apply(changes_of({changed}));
    EXPECT_TRUE(counts(known));
    clock_.advance(seconds(5));
    EXPECT_FALSE(counts(known));
    changed.key.expires_us.reset();
    keys().apply(changes_of({changed}));
    EXPECT_TRUE(counts(known));
    changed.key.revoked_us = clock_.unix_us();
    keys().apply(changes_of({changed}));
    EXPECT_FALSE(counts(known));
}

TEST_F(FedKeyStoreTest, AKeyThatIsMadeIsAddedByTheFeedAlone) {
    keys().apply({});
    const auto made = create();
    EXPECT_FALSE(counts(made)) << "the feed may have told already that it is revoked";
    keys().apply(changes_of({stored(made)}));
    EXPECT_TRUE(counts(made));
}

TEST_F(FedKeyStoreTest, EverythingReplacesWhatWasKnownAndKeepsTheUses) {
    const auto kept = create();
    const auto gone = create();
    ASSERT_TRUE(counts(kept));
    keys().apply(changes_of({stored(kept)}, true));
    EXPECT_TRUE(counts(kept));
    EXPECT_FALSE(counts(gone));
    EXPECT_EQ(listed(kept.key.id).last_used_us, clock_.unix_us());
}

TEST_F(FedKeyStoreTest, ARevocationInMemoryOutlivesWhatIsTold) {
    const auto key = create();
    testing::refuse_writes(dir_ / "auth.db", "api_key");
    ASSERT_FALSE(keys().revoke(key.key.id));
    keys().apply(changes_of({stored(key)}));
    EXPECT_FALSE(counts(key));
    keys().apply(changes_of({stored(key)}, true));
    EXPECT_FALSE(counts(key));
}

}  // namespace
}  // namespace export_worker::auth
