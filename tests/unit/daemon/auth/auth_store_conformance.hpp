// What every store of keys, members and sessions does, whatever its database. An implementation
// brings itself: INSTANTIATE_TEST_SUITE_P(NAME, AuthStoreConformance,
// Values(AuthStoreUnderTest{...})).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/auth/auth_store.hpp"
#include "tests/unit/daemon/auth/auth_store_under_test.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::auth {

class AuthStoreConformance : public ::testing::TestWithParam<AuthStoreUnderTest> {
protected:
    using Strings = std::vector<std::string>;
    static constexpr std::int64_t kNow = 1'700'000'000'000'000;
    static constexpr std::size_t kAll = 100;

    void SetUp() override {
        if (const std::string why_not = GetParam().why_not(); !why_not.empty())
            GTEST_SKIP() << why_not;
        reopen();
    }
    void reopen() {
        store_.reset();
        store_ = GetParam().open(dir_.path());
        ASSERT_NE(store_, nullptr);
    }
    // 32 bytes of which none is like the next: zero, and what is no UTF-8, among them.
    static std::string digest(char first) {
        std::string out;
        for (int index = 0; index < 32; ++index)
            out.push_back(static_cast<char>(first + 8 * index));
        return out;
    }
    static StoredKey key(const std::string& id, std::int64_t created_us = kNow,
                         std::optional<std::int64_t> expires_us = {},
                         const std::string& organization = "acme") {
        StoredKey out;
        out.key.id = id;
        out.key.organization_id = organization;
        out.key.name = "Zoë's \"key\"";
        out.key.permissions = {"product:read", "job:read"};
        out.key.created_us = created_us;
        out.key.expires_us = expires_us;
        out.sha256 = digest(id[0]);
        return out;
    }
    static StoredSession session(const std::string& id, std::int64_t created_us,
                                 std::int64_t expires_us) {
        return {{id, "ann", created_us, expires_us}, digest(id[0])};
    }
    ApiKey find(const std::string& id) {
        const auto found = store_->keys().find(id);
        EXPECT_TRUE(found && *found) << id;
        return found && *found ? **found : ApiKey();
    }
    Strings active_keys(std::int64_t now_us = kNow) {
        const auto keys = store_->keys().active(now_us);
        EXPECT_TRUE(keys) << keys.error().message;
        Strings out;
        for (const StoredKey& each : *keys) out.push_back(each.key.id);
        std::ranges::sort(out);
        return out;
    }
    Strings listed_keys(const std::string& organization, const AgeCursor& after = {},
                        std::size_t rows_max = kAll) {
        const auto keys = store_->keys().list(organization, after, rows_max);
        EXPECT_TRUE(keys) << keys.error().message;
        Strings out;
        for (const ApiKey& each : *keys) out.push_back(each.id);
        return out;
    }
    // "ORGANIZATION/SUBJECT"
    Strings listed_members(const std::string& organization, const MemberCursor& after = {},
                           std::size_t rows_max = kAll) {
        const auto members = store_->members().list(organization, after, rows_max);
        EXPECT_TRUE(members) << members.error().message;
        Strings out;
        for (const Member& each : *members)
            out.push_back(each.organization_id + "/" + each.subject);
        return out;
    }
    static Strings ids_of(const Result<std::vector<StoredSession>>& sessions) {
        EXPECT_TRUE(sessions) << sessions.error().message;
        Strings out;
        for (const StoredSession& each : *sessions) out.push_back(each.session.id);
        return out;
    }
    Strings active_sessions(std::int64_t now_us) {
        Strings out = ids_of(store_->sessions().active(now_us));
        std::ranges::sort(out);
        return out;
    }

    const testing::TempDir dir_;
    std::unique_ptr<AuthStore> store_;
};

TEST_P(AuthStoreConformance, AKeyComesBackAsItWasKept) {
    const StoredKey kept = key("k", kNow, kNow + 5);
    ASSERT_TRUE(store_->keys().insert(kept));
    reopen();
    const auto active = store_->keys().active(kNow);
    ASSERT_TRUE(active) << active.error().message;
    ASSERT_EQ(active->size(), 1U);
    EXPECT_EQ(active->at(0).sha256, kept.sha256);
    for (const ApiKey& found : {active->at(0).key, find("k")}) {
        EXPECT_EQ(found.id, "k");
        EXPECT_EQ(found.organization_id, "acme");
        EXPECT_EQ(found.name, kept.key.name);
        EXPECT_EQ(found.permissions, kept.key.permissions);
        EXPECT_EQ(found.created_us, kNow);
        EXPECT_EQ(found.expires_us, kNow + 5);
        EXPECT_FALSE(found.revoked_us);
        EXPECT_FALSE(found.last_used_us);
    }
    EXPECT_FALSE(*store_->keys().find("unknown"));
}

TEST_P(AuthStoreConformance, KeysAreActiveUntilTheyExpireOrAreRevoked) {
    ASSERT_TRUE(store_->keys().insert(key("a")));
    ASSERT_TRUE(store_->keys().insert(key("b", kNow, kNow + 1)));
    ASSERT_TRUE(store_->keys().insert(key("c")));
    ASSERT_TRUE(store_->keys().revoke("c", kNow, 0));
    EXPECT_EQ(active_keys(kNow), (Strings{"a", "b"}));
    EXPECT_EQ(active_keys(kNow + 1), Strings{"a"});
    EXPECT_EQ(listed_keys("acme"), (Strings{"a", "b", "c"}));
}

TEST_P(AuthStoreConformance, AnIdOfAnotherKeyIsRefused) {
    ASSERT_TRUE(store_->keys().insert(key("k")));
    StoredKey other = key("k", kNow, {}, "umbrella");
    other.sha256 = digest('x');
    EXPECT_FALSE(store_->keys().insert(other));
    EXPECT_EQ(find("k").organization_id, "acme");
}

TEST_P(AuthStoreConformance, AKeyAndTheEndOfTheOneBeforeAreOneWrite) {
    ASSERT_TRUE(store_->keys().insert(key("a")));
    ASSERT_TRUE(store_->keys().insert_successor(key("b"), "a", kNow + 7));
    EXPECT_EQ(find("a").expires_us, kNow + 7);
    EXPECT_EQ(active_keys(kNow + 7), Strings{"b"});
    EXPECT_FALSE(store_->keys().insert_successor(key("a"), "b", kNow + 8)) << "the id is taken";
    EXPECT_FALSE(find("b").expires_us);
}

TEST_P(AuthStoreConformance, ARevocationKeepsItsFirstTimeAndTheLastUse) {
    ASSERT_TRUE(store_->keys().insert(key("k")));
    const auto first = store_->keys().revoke("k", kNow + 1, 0);
    ASSERT_TRUE(first && *first);
    EXPECT_EQ((*first)->revoked_us, kNow + 1);
    EXPECT_FALSE((*first)->last_used_us);
    const auto second = store_->keys().revoke("k", kNow + 2, kNow);
    ASSERT_TRUE(second && *second);
    EXPECT_EQ((*second)->revoked_us, kNow + 1);
    EXPECT_EQ((*second)->last_used_us, kNow);
    EXPECT_EQ((*store_->keys().revoke("k", kNow + 3, kNow - 1))->last_used_us, kNow);
    EXPECT_EQ(find("k").last_used_us, kNow);
    const auto unknown = store_->keys().revoke("unknown", kNow, 0);
    ASSERT_TRUE(unknown) << unknown.error().message;
    EXPECT_FALSE(*unknown);
    reopen();
    EXPECT_TRUE(active_keys().empty());
    EXPECT_EQ(find("k").revoked_us, kNow + 1);
}

TEST_P(AuthStoreConformance, UsesOnlyMoveForward) {
    ASSERT_TRUE(store_->keys().insert(key("a")));
    ASSERT_TRUE(store_->keys().insert(key("b")));
    store_->keys().begin_record_uses({{"a", kNow + 5}, {"unknown", kNow}, {"b", kNow + 1}});
    store_->keys().begin_record_uses({{"a", kNow + 4}, {"b", kNow + 2}});
    reopen();  // What was begun is written before the end.
    EXPECT_EQ(find("a").last_used_us, kNow + 5);
    EXPECT_EQ(find("b").last_used_us, kNow + 2);
    EXPECT_FALSE(*store_->keys().find("unknown"));
}

TEST_P(AuthStoreConformance, KeysAreListedByAgeInPages) {
    ASSERT_TRUE(store_->keys().insert(key("c", kNow + 1)));
    ASSERT_TRUE(store_->keys().insert(key("b", kNow + 2)));
    ASSERT_TRUE(store_->keys().insert(key("a", kNow + 2)));
    ASSERT_TRUE(store_->keys().insert(key("B", kNow + 2)));
    ASSERT_TRUE(store_->keys().insert(key("d", kNow, {}, "umbrella")));
    EXPECT_EQ(listed_keys(""), (Strings{"d", "c", "B", "a", "b"}));
    EXPECT_EQ(listed_keys("acme"), (Strings{"c", "B", "a", "b"}));
    EXPECT_EQ(listed_keys("acme", {}, 2), (Strings{"c", "B"}));
    EXPECT_EQ(listed_keys("acme", {kNow + 2, "B"}, 2), (Strings{"a", "b"}));
    EXPECT_EQ(listed_keys("nobody"), Strings());
}

TEST_P(AuthStoreConformance, AMemberIsTheLastThatWasPut) {
    ASSERT_TRUE(store_->members().put({"ann", "acme", {"Editor", "Viewer"}, true}, kNow));
    ASSERT_TRUE(store_->members().put({"ann", "umbrella", {}, true}, kNow));
    ASSERT_TRUE(store_->members().put({"ann", "acme", {"Viewer"}, false}, kNow + 1));
    reopen();
    auto all = *store_->members().all();
    ASSERT_EQ(all.size(), 2U);
    std::ranges::sort(all, {}, &Member::organization_id);
    EXPECT_EQ(all[0].subject, "ann");
    EXPECT_EQ(all[0].organization_id, "acme");
    EXPECT_EQ(all[0].roles, Strings{"Viewer"});
    EXPECT_FALSE(all[0].active);
    EXPECT_EQ(all[1].organization_id, "umbrella");
    EXPECT_TRUE(all[1].roles.empty());
    EXPECT_TRUE(all[1].active);
}

TEST_P(AuthStoreConformance, MembersAreListedByTheirBytesInPages) {
    const std::vector<std::pair<const char*, const char*>> members{
        {"umbrella", "ann"}, {"acme", "zoe"}, {"acme", "Zoe"}, {"acme", "ä b"}, {"ACME", "ann"}};
    for (const auto& [organization, subject] : members)
        ASSERT_TRUE(store_->members().put({subject, organization, {}, true}, kNow));
    EXPECT_EQ(listed_members(""),
              (Strings{"ACME/ann", "acme/Zoe", "acme/zoe", "acme/ä b", "umbrella/ann"}));
    EXPECT_EQ(listed_members("acme", {}, 2), (Strings{"acme/Zoe", "acme/zoe"}));
    EXPECT_EQ(listed_members("acme", {"acme", "zoe"}, 2), Strings{"acme/ä b"});
    EXPECT_EQ(listed_members("", {"acme", "zoe"}, 2), (Strings{"acme/ä b", "umbrella/ann"}));
}

TEST_P(AuthStoreConformance, ASessionComesBackAsItWasKept) {
    const StoredSession kept = session("s", kNow, kNow + 10);
    ASSERT_TRUE(store_->sessions().insert(kept));
    reopen();
    for (const auto& sessions :
         {store_->sessions().active(kNow), store_->sessions().list(kNow, {}, kAll)}) {
        ASSERT_TRUE(sessions) << sessions.error().message;
        ASSERT_EQ(sessions->size(), 1U);
        EXPECT_EQ(sessions->at(0).sha256, kept.sha256);
        EXPECT_EQ(sessions->at(0).session.id, "s");
        EXPECT_EQ(sessions->at(0).session.subject, "ann");
        EXPECT_EQ(sessions->at(0).session.created_us, kNow);
        EXPECT_EQ(sessions->at(0).session.expires_us, kNow + 10);
    }
}

TEST_P(AuthStoreConformance, SessionsAreActiveUntilTheyExpireOrAreRevoked) {
    ASSERT_TRUE(store_->sessions().insert(session("a", kNow, kNow + 10)));
    ASSERT_TRUE(store_->sessions().insert(session("b", kNow, kNow + 20)));
    ASSERT_TRUE(store_->sessions().insert(session("c", kNow, kNow + 20)));
    EXPECT_EQ(**store_->sessions().revoke("c", kNow + 1), digest('c'));
    EXPECT_EQ(**store_->sessions().revoke("c", kNow + 2), digest('c')) << "ending it twice is fine";
    EXPECT_FALSE(*store_->sessions().revoke("unknown", kNow));
    EXPECT_EQ(active_sessions(kNow + 9), (Strings{"a", "b"}));
    EXPECT_EQ(active_sessions(kNow + 10), Strings{"b"});
    EXPECT_EQ(ids_of(store_->sessions().list(kNow + 10, {}, kAll)), Strings{"b"});
    reopen();
    EXPECT_EQ(active_sessions(kNow), (Strings{"a", "b"}));
}

TEST_P(AuthStoreConformance, ExpiredSessionsAreForgottenWithTheNextOne) {
    ASSERT_TRUE(store_->sessions().insert(session("a", kNow, kNow + 10)));
    ASSERT_TRUE(store_->sessions().insert(session("b", kNow + 9, kNow + 20)));
    EXPECT_TRUE(*store_->sessions().revoke("a", kNow));
    ASSERT_TRUE(store_->sessions().insert(session("c", kNow + 10, kNow + 20)));
    EXPECT_FALSE(*store_->sessions().revoke("a", kNow));
    EXPECT_EQ(active_sessions(kNow), (Strings{"b", "c"}));
}

TEST_P(AuthStoreConformance, AnIdOfAnotherSessionIsRefused) {
    ASSERT_TRUE(store_->sessions().insert(session("s", kNow, kNow + 10)));
    StoredSession other = session("s", kNow, kNow + 10);
    other.sha256 = digest('x');
    EXPECT_FALSE(store_->sessions().insert(other));
    EXPECT_EQ(store_->sessions().active(kNow)->at(0).sha256, digest('s'));
}

TEST_P(AuthStoreConformance, SessionsAreListedByAgeInPages) {
    ASSERT_TRUE(store_->sessions().insert(session("c", kNow + 1, kNow + 100)));
    ASSERT_TRUE(store_->sessions().insert(session("b", kNow + 2, kNow + 100)));
    ASSERT_TRUE(store_->sessions().insert(session("a", kNow + 2, kNow + 100)));
    const auto page = [&](const AgeCursor& after, std::size_t rows_max) {
        return ids_of(store_->sessions().list(kNow, after, rows_max));
    };
    EXPECT_EQ(page({}, kAll), (Strings{"c", "a", "b"}));
    EXPECT_EQ(page({}, 2), (Strings{"c", "a"}));
    EXPECT_EQ(page({kNow + 2, "a"}, 2), Strings{"b"});
}

TEST_P(AuthStoreConformance, NothingIsWrongWithAStoreThatWasWritten) {
    ASSERT_TRUE(store_->members().put({"ann", "acme", {}, true}, kNow));
    EXPECT_EQ(store_->problem().cause, "");
    EXPECT_EQ(store_->write_errors(), 0U);
}

}  // namespace export_worker::auth
