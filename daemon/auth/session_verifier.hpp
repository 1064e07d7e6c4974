// A session token to whose it is: from the cache, the table of sessions, the key set, or the
// identity provider.
//
// The provider may take seconds, so it is asked where nobody else waits: whoever takes requests in
// looks with must_ask() and calls ask() on a thread for that; verify() never waits for the network.
#pragma once

#include <memory>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/auth/jwks_source.hpp"
#include "daemon/auth/jwt.hpp"
#include "daemon/auth/member_store.hpp"
#include "daemon/auth/session_provider.hpp"
#include "daemon/auth/token_cache.hpp"
#include "daemon/model/auth_settings.hpp"

namespace export_worker::auth {

// [any-thread]
class SessionVerifier {
public:
    // Both references outlive it. Errors: those of the files that `settings` names.
    [[nodiscard]] static Result<std::unique_ptr<SessionVerifier>> open(
        const model::AuthSettings& settings, const MemberStore& members, const Clock& clock);

    // Errors: kUnauthenticated with the reason, for operators; kUnavailable when only the provider
    // knows and could not be asked.
    [[nodiscard]] Result<std::shared_ptr<const Identity>> verify(std::string_view token);
    // Only the provider can know the token.
    [[nodiscard]] bool must_ask(std::string_view token) const;
    // Asks it, so that verify() knows. Blocks for at most kSessionAskTimeout.
    void ask(std::string_view token);
    // No question is under way or begins after it.
    void stop();

private:
    SessionVerifier(const model::AuthSettings& settings, const MemberStore& members,
                    const Clock& clock);
    [[nodiscard]] Result<std::shared_ptr<const Identity>> verify_unknown(
        std::string_view token, const crypto::Sha256Digest& digest);

    const model::AuthSettings settings_;
    const JwtRules rules_;
    const MemberStore& members_;
    const Clock& clock_;
    TokenCache cache_;
    std::unique_ptr<SessionProvider> provider_;
    std::unique_ptr<JwksSource> keys_;  // Last: its thread clears the cache.
};

}  // namespace export_worker::auth
