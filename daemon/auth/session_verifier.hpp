// A session token to whose it is: from the cache, the table of sessions, the key set, or the
// identity provider.
//
// The provider may take seconds, so it is asked where nothing else waits: the thread that takes
// requests in calls begin_introspection() and has introspect() called on a thread for that;
// verify() never waits for the network.
//
// What strangers send costs the provider a bounded number of lookups (LookupBudget), and only a
// text that can be one of its tokens is sent to it: no API key, no JWT, no session of our own. A
// session it knew before counts against no budget and survives its pauses for kSessionStaleMax.
#pragma once

#include <memory>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/auth/jwks_source.hpp"
#include "daemon/auth/jwt.hpp"
#include "daemon/auth/lookup_budget.hpp"
#include "daemon/auth/member_store.hpp"
#include "daemon/auth/session_provider.hpp"
#include "daemon/auth/session_token.hpp"
#include "daemon/auth/token_cache.hpp"
#include "daemon/model/auth_settings.hpp"

namespace export_worker::auth {

// [any-thread]
class SessionVerifier {
public:
    // Both references outlive it. Errors: those of the files that `settings` names.
    [[nodiscard]] static Result<std::unique_ptr<SessionVerifier>> open(
        const model::AuthSettings& settings, const MemberStore& members, const Clock& clock);

    // `client_address` as for LookupBudget. Errors: kUnauthenticated with the reason, for
    // operators; kUnavailable when only the provider knows and could not be asked; kRateLimited
    // when its client's budget is spent.
    [[nodiscard]] Result<std::shared_ptr<const Identity>> verify(SessionToken& token,
                                                                 std::string_view client_address);
    // True: only the provider can know the token and it may be asked now; the lookup is counted,
    // and introspect() is to be called before verify().
    [[nodiscard]] bool begin_introspection(SessionToken& token, std::string_view client_address);
    // Asks the provider, so that verify() knows. Blocks for at most kSessionAskTimeout. Only for a
    // token that begin_introspection() has found in need of it.
    void introspect(SessionToken& token);
    // Why sessions may be refused that are good, in words; empty: nothing is known to be wrong with
    // the key set, or with the provider.
    [[nodiscard]] std::string keys_problem() const { return keys_ ? keys_->problem() : ""; }
    [[nodiscard]] std::int64_t keys_seen_us() const { return keys_ ? keys_->seen_us() : 0; }
    [[nodiscard]] std::string provider_problem() const {
        return provider_ ? provider_->problem() : "";
    }
    // No question is under way or begins after it.
    void stop();

private:
    SessionVerifier(const model::AuthSettings& settings, const MemberStore& members,
                    const Clock& clock);
    // The provider can be asked now, and may see the text.
    [[nodiscard]] bool may_ask(std::string_view token) const;
    [[nodiscard]] Result<std::shared_ptr<const Identity>> verify_jwt_session(SessionToken& token);
    // Whose the provider said the token is, kSessionStaleMax after session_cache_s at the latest;
    // nullptr: it has not said so, or the session is over.
    [[nodiscard]] std::shared_ptr<const Identity> find_known(
        const crypto::Sha256Digest& digest) const;
    // The provider's last word is younger than session_cache_s.
    [[nodiscard]] bool is_fresh(const crypto::Sha256Digest& digest) const;

    const model::AuthSettings settings_;
    const JwtRules rules_;
    const MemberStore& members_;
    const Clock& clock_;
    TokenCache jwts_;  // Cleared when the key set changes.
    // The provider's answers. The unknown tokens are kept apart, so that strangers evict no
    // session.
    TokenCache known_;
    TokenCache unknown_;
    LookupBudget budget_;
    std::unique_ptr<SessionProvider> provider_;
    std::unique_ptr<JwksSource> keys_;  // Last: its thread clears the cache.
};

}  // namespace export_worker::auth
