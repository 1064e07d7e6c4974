// Session tokens for tests, and what verifies them.
#pragma once

#include <memory>
#include <string>

#include "base/base64.hpp"
#include "base/crypto/private_key.hpp"
#include "base/json.hpp"
#include "daemon/auth/authenticator.hpp"
#include "daemon/auth/sqlite/sqlite_auth_store.hpp"
#include "tests/unit/support/test_keys.hpp"

namespace export_worker::testing {

// The public half of kRsaKey.
inline constexpr const char* kRsaModulus =
    "xnYDV3ok0cqjuE3s5In6nsqPlEDjUIDAgqoGVCHW9Dglu-JJjC6VfEauU2wgWA8ayqWCPLgDIaqs1xmu"
    "qV0xUigvM4YJmtVunFk1lQlB3YOm-oADEFVEwt9TY8wizMdgSWbXsP7cmM0wyPBMg6hkpsT74k5jaNqO"
    "6NafozENYW0vyNxjvvJjeFxvf-amByye2hI4dOoz3U0ISNarnmW82ngUOyWRpk97qltYCFy4u1tOGJye"
    "5nrJ17Qoe-ChNbYK-lC52ipXg_N0OvJtLxweHvwbQAKkxfFMJcniLaNVpIi6hi3t6ufn_sobKNCAq84j"
    "n9RO3rwsihUTbjJ8Ymx71w";

inline std::string base64url(std::string_view bytes) {
    std::string out;
    append_base64url(out, bytes);
    return out;
}

// A key set with kRsaKey under these names.
inline std::string jwks_of(const std::vector<std::string>& kids) {
    nlohmann::json keys = nlohmann::json::array();
    for (const std::string& kid : kids)
        keys.push_back({{"kty", "RSA"},
                        {"use", "sig"},
                        {"alg", "RS256"},
                        {"kid", kid},
                        {"n", kRsaModulus},
                        {"e", "AQAB"}});
    return nlohmann::json{{"keys", keys}}.dump();
}

// Signed by kRsaKey, whatever the header says.
inline std::string make_jwt(const nlohmann::json& header, const nlohmann::json& claims) {
    static const crypto::PrivateKey key = std::move(*crypto::PrivateKey::parse(kRsaKey));
    const std::string text = base64url(header.dump()) + "." + base64url(claims.dump());
    return text + "." + base64url(key.sign(crypto::SignatureDigest::kSha256, text));
}

// Of a Stytch B2B session that is good at kTokenNow, in seconds since 1970.
inline constexpr std::int64_t kTokenNow = 1'700'000'000;
inline const nlohmann::json kTokenHeader = {{"alg", "RS256"}, {"typ", "JWT"}, {"kid", "one"}};

inline nlohmann::json stytch_claims() {
    return {{"iss", "stytch.com/project-test"},
            {"aud", {"project-test"}},
            {"sub", "member-test-1"},
            {"exp", kTokenNow + 300},
            {"iat", kTokenNow},
            {"nbf", kTokenNow},
            {"https://stytch.com/session", {{"id", "session-test-1"}, {"roles", {"Editor"}}}},
            {"https://stytch.com/organization", {{"organization_id", "acme"}, {"slug", "acme"}}}};
}

// Everything that authenticates, over one auth.db.
struct Identity {
    Identity(const std::string& path, const Clock& clock, const model::AuthSettings& settings = {})
        : store(
              std::move(*auth::open_sqlite_auth_store(path, sqlite::Durability::kUnsyncedForTest))),
          keys(std::move(*auth::KeyStore::open(store->keys(), clock))),
          members(std::move(*auth::MemberStore::open(store->members(), store->sessions(), clock))),
          sessions(std::move(*auth::SessionVerifier::open(settings, *members, clock))),
          authenticator(*keys, *members, *sessions,
                        settings.roles_file.empty()
                            ? auth::RolePolicy()
                            : std::move(*auth::RolePolicy::read(settings.roles_file))) {}

    std::unique_ptr<auth::AuthStore> store;
    std::unique_ptr<auth::KeyStore> keys;
    std::unique_ptr<auth::MemberStore> members;
    std::unique_ptr<auth::SessionVerifier> sessions;
    auth::Authenticator authenticator;
};

}  // namespace export_worker::testing
