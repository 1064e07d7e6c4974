#include "daemon/auth/member_store.hpp"

#include <gtest/gtest.h>

#include "base/in_memory_error.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/sessions.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::auth {
namespace {

class MemberStoreTest : public ::testing::Test {
protected:
    MemberStore& members() { return *identity_.members; }
    // As after a restart.
    std::unique_ptr<MemberStore> reopened() {
        return std::move(
            *MemberStore::open(identity_.store->members(), identity_.store->sessions(), clock_));
    }
    Error refusal(const Member& member) {
        const auto refused = members().put(member);
        return refused ? Error{ErrorCode::kInternal, "was written"} : refused.error();
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    testing::Identity identity_{dir_ / "auth.db", clock_};
    const Member ann_{"ann", "acme", {"Editor", "Viewer"}, true};
};

TEST_F(MemberStoreTest, ADeactivationThatCannotBeWrittenHoldsUntilTheRestart) {
    ASSERT_TRUE(members().put(ann_));
    testing::refuse_writes(dir_ / "auth.db", "member");
    const Error error = refusal({"ann", "acme", {"Editor", "Viewer"}, false});
    EXPECT_TRUE(is_in_memory_error(error));
    EXPECT_NE(error.message.find("only until the daemon restarts"), std::string::npos);
    EXPECT_FALSE(members().find("ann", "acme")->active);
    EXPECT_FALSE(members().list("acme")->rows.at(0).active);
    EXPECT_TRUE(reopened()->find("ann", "acme")->active);
    testing::allow_writes(dir_ / "auth.db");
    ASSERT_TRUE(members().put({"ann", "acme", {"Editor"}, false}));
    EXPECT_FALSE(reopened()->find("ann", "acme")->active);
}

TEST_F(MemberStoreTest, OnlyWhatIsTakenAwayHoldsWithoutBeingWritten) {
    ASSERT_TRUE(members().put(ann_));
    testing::refuse_writes(dir_ / "auth.db", "member");
    EXPECT_TRUE(is_in_memory_error(refusal({"ann", "acme", {"Viewer", "Admin"}, true})));
    EXPECT_EQ(members().find("ann", "acme")->roles, std::vector<std::string>{"Viewer"});
    EXPECT_FALSE(is_in_memory_error(refusal({"ann", "acme", {"Viewer", "Admin"}, true})));
    EXPECT_FALSE(is_in_memory_error(refusal({"bob", "acme", {"Viewer"}, true})));
    EXPECT_FALSE(members().find("bob", "acme"));
}

TEST_F(MemberStoreTest, AMemberKnownFromTokensIsShutOutWithoutBeingWritten) {
    testing::refuse_writes(dir_ / "auth.db", "member");
    EXPECT_TRUE(is_in_memory_error(refusal({"bob", "acme", {}, false})));
    ASSERT_TRUE(members().find("bob", "acme"));
    EXPECT_FALSE(members().find("bob", "acme")->active);
}

TEST_F(MemberStoreTest, ASessionThatCannotBeEndedOnDiskIsOverUntilTheRestart) {
    ASSERT_TRUE(members().put(ann_));
    const auto kept = *members().create_session("ann", std::chrono::seconds(60));
    const auto ended = *members().create_session("ann", std::chrono::seconds(60));
    testing::refuse_writes(dir_ / "auth.db", "session");
    const auto refused = members().revoke_session(ended.session.id);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(is_in_memory_error(refused.error()));
    EXPECT_FALSE(members().find_session(crypto::sha256(ended.token)));
    EXPECT_TRUE(members().find_session(crypto::sha256(kept.token)));
    EXPECT_EQ(members().list_sessions()->rows.size(), 1U);
    EXPECT_FALSE(is_in_memory_error(members().revoke_session("unknown").error()));
    const auto again = members().revoke_session(ended.session.id);
    ASSERT_FALSE(again);
    EXPECT_FALSE(is_in_memory_error(again.error())) << "it is over in memory already";
    testing::allow_writes(dir_ / "auth.db");
    ASSERT_TRUE(members().revoke_session(ended.session.id));
    EXPECT_FALSE(reopened()->find_session(crypto::sha256(ended.token)));
}

SessionChange session_change(const MemberStore::CreatedSession& created) {
    const crypto::Sha256Digest digest = crypto::sha256(created.token);
    return {std::string(crypto::as_bytes(digest)), created.session.subject,
            created.session.expires_us, false};
}

TEST_F(MemberStoreTest, MemoryGoesByWhatIsTold) {
    ASSERT_TRUE(members().put(ann_));
    const auto session = *members().create_session("ann", std::chrono::seconds(60));
    AuthChanges changes;
    changes.members = {{"ann", "acme", {}, false}, {"bob", "acme", {"Viewer"}, true}};
    changes.sessions = {session_change(session)};
    changes.sessions[0].revoked = true;
    members().apply(changes);
    EXPECT_FALSE(members().find("ann", "acme")->active);
    EXPECT_TRUE(members().find("bob", "acme")->active);
    EXPECT_FALSE(members().find_session(crypto::sha256(session.token)));
    // What is made from now on comes from the feed.
    const auto made = *members().create_session("bob", std::chrono::seconds(60));
    EXPECT_FALSE(members().find_session(crypto::sha256(made.token)));
    changes.sessions = {session_change(made)};
    members().apply(changes);
    EXPECT_TRUE(members().find_session(crypto::sha256(made.token)));
    changes.is_whole = true;
    changes.members.pop_back();
    changes.sessions.clear();
    members().apply(changes);
    EXPECT_FALSE(members().find("bob", "acme"));
    EXPECT_FALSE(members().find_session(crypto::sha256(made.token)));
}

TEST_F(MemberStoreTest, WhatWasTakenAwayInMemoryOutlivesEverythingThatIsReadAgain) {
    ASSERT_TRUE(members().put(ann_));
    const auto session = *members().create_session("ann", std::chrono::seconds(60));
    AuthChanges all;
    all.is_whole = true;
    all.members = {ann_};
    all.sessions = {session_change(session)};
    testing::refuse_writes(dir_ / "auth.db", "session");
    ASSERT_FALSE(members().revoke_session(session.session.id));
    testing::allow_writes(dir_ / "auth.db");
    testing::refuse_writes(dir_ / "auth.db", "member");
    ASSERT_TRUE(is_in_memory_error(refusal({"ann", "acme", {"Viewer"}, true})));
    ASSERT_TRUE(is_in_memory_error(refusal({"bob", "acme", {}, false})));
    members().apply(all);
    EXPECT_EQ(members().find("ann", "acme")->roles, std::vector<std::string>{"Viewer"});
    EXPECT_FALSE(members().find("bob", "acme")->active);
    EXPECT_FALSE(members().find_session(crypto::sha256(session.token)));
    // Another daemon's word on the member is newer.
    members().apply({.is_whole = false, .keys = {}, .members = {ann_}, .sessions = {}});
    EXPECT_EQ(members().find("ann", "acme")->roles, ann_.roles);
    members().apply(all);
    EXPECT_EQ(members().find("ann", "acme")->roles, ann_.roles);
}

}  // namespace
}  // namespace export_worker::auth
