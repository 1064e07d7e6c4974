// Credentials as presented to a principal, or a refusal in the words of the public API.
//
// A bearer token is a server API key ("mo_...") or a session's JWT; the cookie is a session, JWT or
// opaque. The header wins over the cookie, good or bad. What a caller may do is looked up for every
// call: permissions are never read from a token.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/crypto/sha256.hpp"
#include "base/result.hpp"
#include "daemon/auth/key_store.hpp"
#include "daemon/auth/member_store.hpp"
#include "daemon/auth/role_policy.hpp"
#include "daemon/auth/session_verifier.hpp"
#include "daemon/model/principal.hpp"

namespace export_worker::auth {

// What the caller sent, verbatim; empty means absent.
struct Presented {
    std::string_view authorization;        // "Bearer mo_..."
    std::string_view organization_id;      // X-Organization-ID
    std::string_view session;              // The cookie; used only without an authorization header.
    std::string_view client_address = {};  // Session lookups are limited by it.
    // The hash of the session token; nullopt: begin_introspection() did not need it.
    std::optional<crypto::Sha256Digest> token_sha256 = {};
};

// Calls that authenticate() has refused since the start. [any-thread]
struct RefusalCounts {
    std::atomic<std::uint64_t> missing{0};       // No credentials.
    std::atomic<std::uint64_t> invalid{0};       // Bad ones, or of a member who is not active.
    std::atomic<std::uint64_t> organization{0};  // Good ones, and not in that organization.
    std::atomic<std::uint64_t> unavailable{0};   // The check was unavailable.
    std::atomic<std::uint64_t> rate_limited{0};
};

// [any-thread]
class Authenticator {
public:
    // All outlive it. `may_answer`: whether what is in memory may be answered from
    // (AuthStore::is_current()); null: always. [any-thread]
    Authenticator(const KeyStore& keys, const MemberStore& members, SessionVerifier& sessions,
                  RolePolicy roles, std::function<bool()> may_answer = {});

    // Fills `principal`, reusing its buffers. Errors: kUnauthenticated ("Not authenticated" without
    // credentials, "Invalid credentials" with bad ones and for a member who is not active),
    // kPermissionDenied for an organization the caller is not in and for a caller of several who
    // names none, kUnavailable when credentials cannot be checked, kRateLimited when too many
    // unknown ones have come from its address.
    [[nodiscard]] Result<void> authenticate(const Presented& presented,
                                            model::Principal& principal) const;

    // Whose call it is, for what is bounded by organization before authenticate(); empty: unknown.
    [[nodiscard]] std::string organization_of(const Presented& presented) const;

    [[nodiscard]] const RefusalCounts& refused() const { return refused_; }

    // See SessionVerifier: authenticate() would have to wait for the identity provider. Costs
    // nothing but comparisons for a key or a JWT. Leaves the token's SHA-256 in `presented` where
    // it was needed, for the two functions that follow.
    [[nodiscard]] bool begin_introspection(Presented& presented) const;
    void introspect(const Presented& presented) const;

    // Effective for every call that begins after it.
    void set_roles(RolePolicy roles);
    // As RolePolicy::check_roles() of the roles that count now.
    [[nodiscard]] Result<void> check_roles(std::span<const std::string> roles) const;

private:
    [[nodiscard]] Result<void> judge(const Presented& presented, model::Principal& principal) const;
    void count_refusal(ErrorCode code, bool with_credentials) const;
    [[nodiscard]] std::shared_ptr<const RolePolicy> roles_now() const;
    [[nodiscard]] bool may_answer() const { return !may_answer_ || may_answer_(); }
    [[nodiscard]] Result<void> act_as_key(std::string_view token, std::string_view organization_id,
                                          model::Principal& principal) const;
    [[nodiscard]] Result<void> act_as_member(const Identity& identity,
                                             std::string_view organization_id,
                                             model::Principal& principal) const;

    const KeyStore& keys_;
    const MemberStore& members_;
    SessionVerifier& sessions_;
    const std::function<bool()> may_answer_;
    mutable RefusalCounts refused_;
    mutable std::mutex roles_mutex_;
    // Shared with calls that use them while they are replaced. Guarded by roles_mutex_.
    std::shared_ptr<const RolePolicy> roles_;
};

}  // namespace export_worker::auth
