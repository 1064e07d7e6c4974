#include "daemon/auth/session_verifier.hpp"

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
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/http_server.hpp"
#include "tests/unit/support/log.hpp"
#include "tests/unit/support/sessions.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::auth {
namespace {

using nlohmann::json;
using testing::kTokenHeader;
using testing::kTokenNow;
using testing::make_jwt;
using testing::stytch_claims;

class SessionsTest : public ::testing::Test {
protected:
    SessionsTest() {
        settings_.roles_file = dir_.write("roles.ini",
                                          "[role.Editor]\npermissions = product:read job:read "
                                          "job:create\n[role.Viewer]\npermissions = product:read "
                                          "job:read\n");
        settings_.jwks_file = dir_.write("jwks.json", testing::jwks_of({"one"}));
        settings_.issuer = "stytch.com/project-test";
        settings_.audience = "project-test";
        settings_.session_user = "project-test";
        settings_.session_secret_file = dir_.write("secret", "hush\n");
        ::chmod(settings_.session_secret_file.c_str(), 0600);
    }
    void open() { identity_.emplace(dir_ / "auth.db", clock_, settings_); }
    // "subject@organization: permissions", or the refusal.
    std::string who(const Presented& presented) {
        model::Principal principal;
        const auto known = identity_->authenticator.authenticate(presented, principal);
        if (!known) return known.error().message;
        std::string out = principal.subject + "@" + principal.organization_id + ":";
        for (const std::string& permission : principal.permissions) out += " " + permission;
        return out;
    }
    std::string who_after_asking(Presented presented) {
        if (identity_->authenticator.begin_introspection(presented))
            identity_->authenticator.introspect(presented);
        return who(presented);
    }
    bool needs_introspection(Presented presented) {
        return identity_->authenticator.begin_introspection(presented);
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    model::AuthSettings settings_;
    std::optional<testing::Identity> identity_;
};

TEST_F(SessionsTest, RolesBecomePermissionsAndTheTableCountsInsteadOfTheToken) {
    open();
    const std::string token = make_jwt(kTokenHeader, stytch_claims());
    const std::string header = "Bearer " + token;
    const std::string editor = "member-test-1@acme: job:create job:read product:read";
    EXPECT_EQ(who({header, "", ""}), editor);
    EXPECT_EQ(who({header, "acme", ""}), editor);
    EXPECT_EQ(who({"", "", token}), editor);
    EXPECT_EQ(who({"Bearer nonsense", "", token}), "Invalid credentials");
    EXPECT_EQ(who({header, "umbrella", ""}), "Not a member of this organization");

    ASSERT_TRUE(identity_->members->put({"member-test-1", "acme", {"Viewer", "Unheard"}, true}));
    EXPECT_EQ(who({header, "", ""}), "member-test-1@acme: job:read product:read");
    ASSERT_TRUE(identity_->members->put({"member-test-1", "umbrella", {"Editor"}, true}));
    EXPECT_EQ(who({header, "", ""}),
              "Member of several organizations: name one in X-Organization-ID");
    EXPECT_EQ(who({header, "umbrella", ""}),
              "member-test-1@umbrella: job:create job:read product:read");

    ASSERT_TRUE(identity_->members->put({"member-test-1", "acme", {"Viewer"}, false}));
    EXPECT_EQ(who({header, "acme", ""}), "Invalid credentials");
    EXPECT_EQ(who({header, "umbrella", ""}),
              "member-test-1@umbrella: job:create job:read product:read");
    // One active membership is left: none has to be named.
    EXPECT_EQ(who({header, "", ""}), "member-test-1@umbrella: job:create job:read product:read");
    identity_.reset();  // It is remembered.
    open();
    EXPECT_EQ(who({header, "acme", ""}), "Invalid credentials");
    ASSERT_TRUE(identity_->members->put({"member-test-1", "umbrella", {"Editor"}, false}));
    EXPECT_EQ(who({header, "", ""}), "Invalid credentials");
}

TEST_F(SessionsTest, ACachedTokenEndsWithItsTimeAndWithItsKeys) {
    open();
    const std::string header = "Bearer " + make_jwt(kTokenHeader, stytch_claims());
    ASSERT_NE(who({header, "", ""}), "Invalid credentials");
    clock_.advance(std::chrono::seconds(304));
    EXPECT_NE(who({header, "", ""}), "Invalid credentials");
    clock_.advance(std::chrono::seconds(1));
    EXPECT_EQ(who({header, "", ""}), "Invalid credentials");

    json claims = stytch_claims();
    claims["exp"] = kTokenNow + 10'000;
    const std::string longer = "Bearer " + make_jwt(kTokenHeader, claims);
    ASSERT_NE(who({longer, "", ""}), "Invalid credentials");
    dir_.write("jwks.json", testing::jwks_of({"two"}));
    EXPECT_TRUE(testing::eventually([&] {
        return who({longer, "", ""}) == "Invalid credentials";
    }));
    dir_.write("jwks.json", "{damaged");  // The keys before go on.
    dir_.write("jwks.json", testing::jwks_of({"one", "two"}));
    EXPECT_TRUE(testing::eventually([&] {
        return who({longer, "", ""}) != "Invalid credentials";
    }));
}

TEST_F(SessionsTest, NewRolesCountForTheNextCall) {
    open();
    const std::string header = "Bearer " + make_jwt(kTokenHeader, stytch_claims());
    ASSERT_EQ(who({header, "", ""}), "member-test-1@acme: job:create job:read product:read");
    const std::string file = dir_.write("roles.ini", "[role.Editor]\npermissions = job:read\n");
    identity_->authenticator.set_roles(std::move(*RolePolicy::read(file)));
    EXPECT_EQ(who({header, "", ""}), "member-test-1@acme: job:read");
    EXPECT_NE(RolePolicy::read(dir_.write("roles.ini", "[role.A]\npermissions = product:raed\n"))
                  .error()
                  .message.find("found 'product:raed'"),
              std::string::npos);
}

TEST_F(SessionsTest, OpaqueSessionsOfTheTable) {
    open();
    EXPECT_EQ(identity_->members->create_session("m", std::chrono::seconds(60)).error().code,
              ErrorCode::kNotFound);
    ASSERT_TRUE(identity_->members->put({"m", "acme", {"Viewer"}, true}));
    EXPECT_EQ(identity_->members->create_session("m", std::chrono::seconds(0)).error().code,
              ErrorCode::kInvalidArgument);
    const auto session = identity_->members->create_session("m", std::chrono::seconds(60));
    ASSERT_TRUE(session) << session.error().message;
    EXPECT_EQ(who({"", "", session->token}), "m@acme: job:read product:read");
    EXPECT_EQ(who({"Bearer " + session->token, "", ""}), "m@acme: job:read product:read");
    EXPECT_EQ(who({"", "", session->token + "x"}), "Invalid credentials");
    EXPECT_EQ(identity_->members->list_sessions()->rows.size(), 1U);
    identity_.reset();
    open();
    EXPECT_EQ(who({"", "", session->token}), "m@acme: job:read product:read");
    ASSERT_TRUE(identity_->members->revoke_session(session->session.id));
    ASSERT_TRUE(identity_->members->revoke_session(session->session.id));
    EXPECT_EQ(who({"", "", session->token}), "Invalid credentials");
    EXPECT_EQ(identity_->members->revoke_session("nope").error().code, ErrorCode::kNotFound);
    identity_.reset();  // That it is over is remembered.
    open();
    EXPECT_EQ(who({"", "", session->token}), "Invalid credentials");

    const auto second = identity_->members->create_session("m", std::chrono::seconds(60));
    clock_.advance(std::chrono::seconds(60));
    EXPECT_EQ(who({"", "", second->token}), "Invalid credentials");
    EXPECT_TRUE(identity_->members->list_sessions()->rows.empty());
}

TEST_F(SessionsTest, BadMembersAreNotMade) {
    open();
    for (const Member& bad : {Member{"", "acme", {}, true}, Member{"a\nb", "acme", {}, true},
                              Member{"m", "../x", {}, true}, Member{"m", "acme", {"a b"}, true},
                              Member{"m", "acme", std::vector<std::string>(33, "r"), true}})
        EXPECT_EQ(identity_->members->put(bad).error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(identity_->members->list("")->rows.empty());
}

TEST_F(SessionsTest, TheNumberOfMembersIsBoundedAndThoseThereAreCanBeChanged) {
    open();
    testing::execute_in(
        dir_ / "auth.db",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
            std::to_string(limits::kMembersMax) +
            ") INSERT INTO member SELECT 'm' || i, 'acme', 'Viewer', 1, 0 FROM n");
    identity_.reset();
    open();
    const auto refused = identity_->members->put({"one-more", "acme", {"Viewer"}, true});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
    EXPECT_EQ(refused.error().message, "members: the limit is reached");
    EXPECT_FALSE(identity_->members->put({"m1", "umbrella", {"Viewer"}, true}));
    const auto changed = identity_->members->put({"m1", "acme", {"Viewer"}, false});
    EXPECT_TRUE(changed) << changed.error().message;
}

TEST_F(SessionsTest, TheNumberOfSessionsIsBounded) {
    open();
    ASSERT_TRUE(identity_->members->put({"m", "acme", {"Viewer"}, true}));
    testing::execute_in(
        dir_ / "auth.db",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
            std::to_string(limits::kSessionsMax) +
            ") INSERT INTO session SELECT printf('%064x', i), printf('%016x', i), 'm', 0, " +
            std::to_string(clock_.unix_us() + 60'000'000) + ", NULL FROM n");
    identity_.reset();
    open();
    const auto refused = identity_->members->create_session("m", std::chrono::seconds(60));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
    EXPECT_EQ(refused.error().message, "sessions: the limit is reached");
    clock_.advance(std::chrono::seconds(60));
    EXPECT_TRUE(identity_->members->create_session("m", std::chrono::seconds(60)));
}

const char* const kAnswer = R"({
  "status_code": 200,
  "member": {"member_id": "member-9", "status": "active"},
  "member_session": {"member_id": "member-9", "organization_id": "acme", "roles": ["Viewer"],
                     "expires_at": "2023-11-14T23:00:00.123Z"},
  "organization": {"organization_id": "acme"}})";

TEST_F(SessionsTest, TheProviderIsAskedOnceWhileItsAnswerIsFresh) {
    std::atomic<int> asked = 0;
    testing::HttpServer provider([&](const testing::HttpServer::Request& request) {
        ++asked;
        const json body = parse_json(request.body);
        const bool ours = request.headers.at("authorization") == "Basic cHJvamVjdC10ZXN0Omh1c2g=" &&
                          body["session_token"] == "their-session-token";
        return testing::HttpServer::Response{ours ? 200 : 404, ours ? kAnswer : "{}", {}};
    });
    settings_.session_url = provider.url() + "/v1/b2b/sessions/authenticate";
    open();
    EXPECT_EQ(who({"", "", "their-session-token"}),
              "Sessions cannot be checked right now; try again");
    EXPECT_EQ(who_after_asking({"", "", "their-session-token"}),
              "member-9@acme: job:read product:read");
    EXPECT_EQ(who_after_asking({"", "", "their-session-token"}),
              "member-9@acme: job:read product:read");
    EXPECT_EQ(asked, 1);
    EXPECT_EQ(who_after_asking({"", "", "made-up-session-token"}), "Invalid credentials");
    EXPECT_EQ(who_after_asking({"", "", "made-up-session-token"}), "Invalid credentials");
    EXPECT_EQ(asked, 2);
    clock_.advance(settings_.session_cache);
    EXPECT_EQ(who_after_asking({"", "", "their-session-token"}),
              "member-9@acme: job:read product:read");
    EXPECT_EQ(asked, 3);
    EXPECT_FALSE(
        needs_introspection({"Bearer mo_0123456789abcdef_x", "", "their-session-token-2"}));
    EXPECT_FALSE(needs_introspection({"Bearer a.b.c", "", ""}));
    EXPECT_FALSE(needs_introspection({"", "", ""}));
    EXPECT_EQ(asked, 3);
}

TEST_F(SessionsTest, ATokenIsHashedOnceARequestAndOnlyWhereItHasToBe) {
    testing::HttpServer provider([&](const testing::HttpServer::Request&) {
        return testing::HttpServer::Response{200, kAnswer, {}};
    });
    settings_.session_url = provider.url() + "/";
    open();
    const std::string jwt = make_jwt(kTokenHeader, stytch_claims());
    ASSERT_TRUE(identity_->members->put({"m", "acme", {"Viewer"}, true}));
    const auto own = identity_->members->create_session("m", std::chrono::seconds(60));
    for (const std::string& token : {std::string("mo_0123456789abcdef_x"), jwt, own->token}) {
        const std::string header = "Bearer " + token;
        Presented presented{header, "", ""};
        EXPECT_FALSE(identity_->authenticator.begin_introspection(presented));
        EXPECT_EQ(presented.token_sha256, std::nullopt) << token;
    }
    Presented theirs{"", "", "their-session-token"};
    ASSERT_TRUE(identity_->authenticator.begin_introspection(theirs));
    EXPECT_EQ(theirs.token_sha256, crypto::sha256("their-session-token"));
    identity_->authenticator.introspect(theirs);
    // What the first step computed is believed: this text has another hash.
    const Presented carried{"", "", "another-session-token", "", theirs.token_sha256};
    EXPECT_EQ(who(carried), "member-9@acme: job:read product:read");
}

// A link asked for before the session ended is refused all the same, when its turn comes after.
TEST_F(SessionsTest, ASessionThatEndsWhileItsRequestWaitsIsRefused) {
    open();
    ASSERT_TRUE(identity_->members->put({"m", "acme", {"Viewer"}, true}));
    const auto own = identity_->members->create_session("m", std::chrono::seconds(60));
    Presented presented{"", "", own->token};
    EXPECT_FALSE(identity_->authenticator.begin_introspection(presented));
    ASSERT_TRUE(identity_->members->revoke_session(own->session.id));
    EXPECT_EQ(who(presented), "Invalid credentials");
}

TEST_F(SessionsTest, AProviderThatFailsIsLeftAlone) {
    std::atomic<int> asked = 0;
    std::atomic<int> status = 500;
    testing::HttpServer provider([&](const testing::HttpServer::Request&) {
        ++asked;
        return testing::HttpServer::Response{status.load(), "nonsense", {}};
    });
    settings_.session_url = provider.url() + "/";
    open();
    for (int count = 0; count < limits::kSessionAskFailuresMax + 3; ++count)
        EXPECT_EQ(who_after_asking({"", "", "session-token-number-" + std::to_string(count)}),
                  "Sessions cannot be checked right now; try again");
    EXPECT_EQ(asked, limits::kSessionAskFailuresMax);
    clock_.advance(limits::kSessionAskPause - std::chrono::milliseconds(1));
    who_after_asking({"", "", "session-token-too-early"});
    EXPECT_EQ(asked, limits::kSessionAskFailuresMax);
    // One failure after the pause starts the next one.
    clock_.advance(std::chrono::milliseconds(1));
    who_after_asking({"", "", "session-token-first"});
    who_after_asking({"", "", "session-token-second"});
    EXPECT_EQ(asked, limits::kSessionAskFailuresMax + 1);
}

TEST_F(SessionsTest, AProviderThatFailsIsAProblemUntilItAnswers) {
    std::atomic<int> status = 500;
    const testing::HttpServer server([&](const testing::HttpServer::Request&) {
        return testing::HttpServer::Response{status.load(), "{}", {}};
    });
    settings_.session_url = server.url() + "/";
    settings_.session_secret_file = dir_.write("provider_secret", "hush\n");
    const auto provider = std::move(*SessionProvider::open(settings_, clock_));
    for (int count = 0; count < limits::kSessionAskFailuresMax; ++count) {
        EXPECT_EQ(provider->problem(), "");
        EXPECT_FALSE(provider->introspect("session-token"));
    }
    EXPECT_NE(provider->problem().find("has failed 5 times in a row"), std::string::npos);
    const auto paused = provider->introspect("session-token");
    ASSERT_FALSE(paused);
    EXPECT_EQ(paused.error().message, "session provider: not asked for a while");
    clock_.advance(limits::kSessionAskPause);
    EXPECT_NE(provider->problem(), "") << "nobody has asked since";
    status = 404;
    EXPECT_TRUE(provider->introspect("session-token"));
    EXPECT_EQ(provider->problem(), "");
    status = 429;
    EXPECT_FALSE(provider->introspect("session-token"));
    EXPECT_NE(provider->problem().find("status 429"), std::string::npos);
}

TEST_F(SessionsTest, AMemberOfNothingMayDoNothing) {
    open();
    json claims = stytch_claims();
    claims.erase("https://stytch.com/organization");
    EXPECT_EQ(who({"Bearer " + make_jwt(kTokenHeader, claims), "", ""}),
              "Not a member of any organization");
    EXPECT_EQ(identity_->authenticator.refused().organization, 1U);
    EXPECT_EQ(who({"Bearer nonsense", "", ""}), "Invalid credentials");
    EXPECT_EQ(who({"", "", ""}), "Not authenticated");
    EXPECT_EQ(identity_->authenticator.refused().invalid, 1U);
    EXPECT_EQ(identity_->authenticator.refused().missing, 1U);
}

TEST_F(SessionsTest, OnlyFailuresInARowPauseAProvider) {
    std::atomic<int> asked = 0;
    std::atomic<int> status = 500;
    testing::HttpServer provider([&](const testing::HttpServer::Request&) {
        ++asked;
        return testing::HttpServer::Response{status.load(), "{}", {}};
    });
    settings_.session_url = provider.url() + "/";
    open();
    int tokens = 0;
    const auto ask = [&](int answer) {
        status = answer;
        who_after_asking({"", "", "session-token-number-" + std::to_string(tokens++)});
    };
    for (int round = 0; round < 3; ++round) {
        for (int count = 1; count < limits::kSessionAskFailuresMax; ++count) ask(500);
        ask(404);  // An answer: nobody's.
    }
    EXPECT_EQ(asked, tokens);
}

// Strangers choose their tokens, so no answer to a token is a failure of the provider.
TEST_F(SessionsTest, WhatAProviderSaysOfTokensDoesNotPauseIt) {
    std::atomic<int> asked = 0;
    std::atomic<int> status = 400;
    testing::HttpServer provider([&](const testing::HttpServer::Request&) {
        ++asked;
        return testing::HttpServer::Response{status.load(), "{}", {}};
    });
    settings_.session_url = provider.url() + "/";
    open();
    for (const int each : {400, 401, 403, 404, 413, 418, 422, 431}) {
        status = each;
        who_after_asking({"", "", "session-token-of-status-" + std::to_string(each)});
    }
    EXPECT_EQ(asked, 8);
}

class SharedProviderTest : public SessionsTest {
protected:
    SharedProviderTest() { settings_.session_url = provider_.url() + "/"; }

    static std::string token(int number) {
        return "session-token-number-" + std::to_string(number);
    }
    static constexpr const char* kTheirs = "their-session-token";
    static constexpr const char* kViewer = "member-9@acme: job:read product:read";
    static constexpr const char* kPaused = "Sessions cannot be checked right now; try again";
    static constexpr const char* kSpent =
        "Too many unknown sessions from this address; try again later";

    std::atomic<int> asked_ = 0;
    std::atomic<int> status_ = 200;
    std::string retry_after_ = "7";
    std::mutex mutex_;
    std::vector<std::string> seen_;  // Tokens. Guarded by mutex_.
    testing::HttpServer provider_{[this](const testing::HttpServer::Request& request) {
        ++asked_;
        const std::string token = parse_json(request.body)["session_token"].get<std::string>();
        const std::lock_guard lock(mutex_);
        seen_.push_back(token);
        if (status_ != 200)
            return testing::HttpServer::Response{
                status_.load(), "{}", {{"Retry-After", retry_after_}}};
        const bool known = token == kTheirs;
        return testing::HttpServer::Response{known ? 200 : 404, known ? kAnswer : "{}", {}};
    }};
};

TEST_F(SharedProviderTest, UnknownSessionsOfOneAddressUseUpItsOwnLookupsOnly) {
    open();
    const int burst = limits::kAddressLookupsBurst;
    for (int count = 0; count < burst; ++count)
        EXPECT_EQ(who_after_asking({"", "", token(count), "192.0.2.1"}), "Invalid credentials");
    for (int count = 0; count < 100; ++count)
        EXPECT_EQ(who_after_asking({"", "", token(1000 + count), "192.0.2.1"}), kSpent);
    EXPECT_EQ(asked_, burst);
    EXPECT_EQ(who({"", "", token(2000), "192.0.2.1"}), kSpent);
    EXPECT_EQ(who_after_asking({"", "", kTheirs, "192.0.2.2"}), kViewer);
    EXPECT_EQ(who_after_asking({"", "", token(3000)}), "Invalid credentials");
    EXPECT_EQ(asked_, burst + 2);

    // A session that was known before counts against no address, and what is cached is no lookup.
    EXPECT_EQ(who_after_asking({"", "", kTheirs, "192.0.2.1"}), kViewer);
    clock_.advance(settings_.session_cache);
    for (int count = 0; count < burst; ++count)
        who_after_asking({"", "", token(4000 + count), "192.0.2.1"});
    ASSERT_EQ(who_after_asking({"", "", token(5000), "192.0.2.1"}), kSpent);
    const int before = asked_;
    EXPECT_EQ(who_after_asking({"", "", kTheirs, "192.0.2.1"}), kViewer);
    EXPECT_EQ(asked_, before + 1);
}

TEST_F(SharedProviderTest, A429PausesTheLookupsAndKnownSessionsGoOn) {
    open();
    ASSERT_EQ(who_after_asking({"", "", kTheirs}), kViewer);
    status_ = 429;
    EXPECT_EQ(who_after_asking({"", "", token(1)}), kPaused);
    ASSERT_EQ(asked_, 2);
    clock_.advance(std::chrono::seconds(7) - std::chrono::milliseconds(1));
    for (int count = 0; count < 20; ++count)
        EXPECT_EQ(who_after_asking({"", "", token(count)}), kPaused);
    EXPECT_EQ(asked_, 2) << "Retry-After is kept";
    clock_.advance(std::chrono::milliseconds(1));
    EXPECT_EQ(who_after_asking({"", "", token(1)}), kPaused);
    EXPECT_EQ(asked_, 3);

    // Past the time an answer is kept, and while the provider goes on to refuse.
    clock_.advance(settings_.session_cache);
    EXPECT_EQ(who_after_asking({"", "", kTheirs}), kViewer);
    EXPECT_EQ(who_after_asking({"", "", kTheirs}), kViewer);
    EXPECT_EQ(asked_, 4);
    clock_.advance(settings_.session_cache + limits::kSessionStaleMax);
    EXPECT_EQ(who_after_asking({"", "", kTheirs}), kPaused) << "not for ever";

    status_ = 200;
    clock_.advance(limits::kProviderBackOffMax);
    EXPECT_EQ(who_after_asking({"", "", kTheirs}), kViewer);
}

TEST_F(SharedProviderTest, AKnownSessionThatWasEndedIsRefusedAtTheNextLookup) {
    open();
    ASSERT_EQ(who_after_asking({"", "", kTheirs}), kViewer);
    clock_.advance(settings_.session_cache);
    status_ = 404;
    EXPECT_EQ(who_after_asking({"", "", kTheirs}), "Invalid credentials");
    status_ = 429;
    clock_.advance(settings_.session_cache);
    EXPECT_EQ(who_after_asking({"", "", kTheirs}), kPaused);
}

TEST_F(SharedProviderTest, OnlyWhatMayBeATokenOfTheProviderIsSentToIt) {
    open();
    const std::string key = identity_->keys->create("acme", "", {"job:read"})->text;
    ASSERT_TRUE(identity_->members->put({"m", "acme", {"Viewer"}, true}));
    const auto own = identity_->members->create_session("m", std::chrono::seconds(60));
    ASSERT_TRUE(identity_->members->revoke_session(own->session.id));
    std::string upper = key;
    std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return std::toupper(c); });
    const std::vector<std::string> never{key,
                                         upper,
                                         key.substr(0, 20),
                                         "x" + key,
                                         "Bearer." + key,
                                         "\"" + key + "\"",
                                         "Bearer " + key,
                                         key + "; other=1",
                                         own->token,
                                         "a.b.c",
                                         std::string(limits::kSessionTokenBytesMin - 1, 'a'),
                                         std::string(limits::kSessionTokenBytesMax + 1, 'a'),
                                         "with a blank in the token",
                                         "with-\xc3\xa9-in-the-token",
                                         "with%20percent-encoding",
                                         "with-a-line\nend-in-it"};
    for (const std::string& token : never) {
        EXPECT_EQ(who_after_asking({"", "", token}), "Invalid credentials") << token;
        const std::string header = token == key ? "" : "Bearer " + token;
        EXPECT_EQ(who_after_asking({header, "", token}), "Invalid credentials") << token;
    }
    EXPECT_EQ(asked_, 0);
    for (const std::string& token : {std::string(limits::kSessionTokenBytesMin, 'a'),
                                     std::string(limits::kSessionTokenBytesMax, 'a'),
                                     std::string("mZAYn5aLEqKUlZ_Ad9U_fWr38GaAQ1oFAhT8ds245v7Q"),
                                     std::string("mo_t-a-key-but-a-token_of-theirs")})
        EXPECT_EQ(who_after_asking({"", "", token}), "Invalid credentials");
    EXPECT_EQ(asked_, 4);
}

TEST_F(SessionsTest, AProvidersSessionEndsWithItsTimeHoweverLongAnswersAreKept) {
    testing::HttpServer provider([&](const testing::HttpServer::Request&) {
        return testing::HttpServer::Response{200, kAnswer, {}};
    });
    settings_.session_url = provider.url() + "/";
    settings_.session_cache = std::chrono::hours(24);
    open();
    EXPECT_EQ(who_after_asking({"", "", "their-session-token"}),
              "member-9@acme: job:read product:read");
    clock_.advance(std::chrono::seconds(2'799));  // To 2023-11-14T22:59:59Z.
    EXPECT_EQ(who({"", "", "their-session-token"}), "member-9@acme: job:read product:read");
    clock_.advance(std::chrono::seconds(1));
    EXPECT_EQ(who({"", "", "their-session-token"}),
              "Sessions cannot be checked right now; try again");
    EXPECT_TRUE(needs_introspection({"", "", "their-session-token"}));
}

TEST(SessionProvider, AnswersThatAreNone) {
    ASSERT_TRUE(parse_session_answer(kAnswer));
    EXPECT_EQ((*parse_session_answer(kAnswer))->expires_unix_s, 1'700'002'800);
    json inactive = parse_json_or_throw(kAnswer);
    inactive["member"]["status"] = "deleted";
    EXPECT_FALSE(*parse_session_answer(inactive.dump()));
    for (const char* name : {"member_id", "organization_id", "expires_at"}) {
        json bad = parse_json_or_throw(kAnswer);
        bad["member_session"].erase(name);
        EXPECT_EQ(parse_session_answer(bad.dump()).error().code, ErrorCode::kUnavailable) << name;
    }
    EXPECT_FALSE(parse_session_answer("[]"));
}

TEST(SessionProvider, NeedsItsSecret) {
    const testing::TempDir dir;
    model::AuthSettings settings;
    settings.session_secret_file = dir.write("secret", "\n");
    const auto refused = SessionProvider::open(settings, system_clock());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().message,
              settings.session_secret_file + ": expected a secret, found nothing");
}

TEST(TokenCache, ForgetsTheOldestAndWhatWasTrueBefore) {
    TokenCache cache(2);
    const auto identity = std::make_shared<const Identity>();
    const auto digest = [](const char* text) { return crypto::sha256(text); };
    for (const char* token : {"a", "b", "c"})
        cache.put(digest(token), {identity}, 100, cache.epoch());
    EXPECT_FALSE(cache.find(digest("a"), 1));
    EXPECT_TRUE(cache.find(digest("c"), 99));
    EXPECT_FALSE(cache.find(digest("c"), 100));
    EXPECT_EQ(cache.size(), 2U);
    const std::uint64_t before = cache.epoch();
    cache.clear();
    cache.put(digest("d"), {identity}, 100, before);
    EXPECT_FALSE(cache.find(digest("d"), 1));
}

}  // namespace
}  // namespace export_worker::auth
