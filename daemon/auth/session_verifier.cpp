#include "daemon/auth/session_verifier.hpp"

#include <algorithm>

#include "base/io.hpp"
#include "base/shared_limits.hpp"
#include "daemon/auth/api_key.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {
namespace {

std::int64_t now_s(const Clock& clock) {
    return clock.unix_us() / 1'000'000;
}

tl::unexpected<Error> unknown_session() {
    return fail(ErrorCode::kUnauthenticated, "session: unknown or expired token");
}

// Whether the provider may see the text: RFC 6750's b64token, and nothing of ours.
bool may_leave(std::string_view token) {
    const auto is_token_character = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("-._~+/=").find(c) != std::string_view::npos;
    };
    return token.size() >= limits::kSessionTokenBytesMin &&
           token.size() <= limits::kSessionTokenBytesMax && !looks_like_jwt(token) &&
           std::ranges::all_of(token, is_token_character) && !has_api_key(token) &&
           !MemberStore::has_own_token(token);
}

}  // namespace

Result<std::unique_ptr<SessionVerifier>> SessionVerifier::open(const model::AuthSettings& settings,
                                                               const MemberStore& members,
                                                               const Clock& clock) {
    if (!settings.ca_file.empty()) EW_CHECK(check_trusted_file(settings.ca_file));
    std::unique_ptr<SessionVerifier> out(new SessionVerifier(settings, members, clock));
    if (!settings.session_url.empty()) {
        EW_TRY(out->provider_, SessionProvider::open(settings, clock));
    }
    if (settings.takes_jwt()) {
        EW_TRY(out->keys_, JwksSource::open(settings, clock,
                                            [verifier = out.get()] { verifier->jwts_.clear(); }));
    }
    return out;
}

SessionVerifier::SessionVerifier(const model::AuthSettings& settings, const MemberStore& members,
                                 const Clock& clock)
    : settings_(settings),
      rules_{settings.issuer, settings.audience, settings.clock_tolerance},
      members_(members),
      clock_(clock),
      jwts_(limits::kTokensCachedMax),
      known_(limits::kTokensCachedMax),
      unknown_(limits::kTokensCachedMax),
      budget_(clock) {}

Result<std::shared_ptr<const Identity>> SessionVerifier::verify(SessionToken& token,
                                                                std::string_view client_address) {
    const std::string_view text = token.text();
    if (text.empty() || text.size() > limits::kCredentialBytesMax)
        return fail(ErrorCode::kUnauthenticated, "session: expected a token");
    if (looks_like_jwt(text)) return verify_jwt_session(token);
    // Not in the cache: an operator who ends one expects it to be over.
    if (auto own = members_.find_session(token.sha256()))
        return std::make_shared<const Identity>(std::move(*own));
    if (!provider_) return unknown_session();
    // begin_introspection() has looked it up already. The second lookup costs 15 ns of a link's
    // 10 us, and refuses a session that ended while its request waited.
    if (auto known = find_known(token.sha256())) return known;
    if (!may_leave(text) || is_fresh(token.sha256())) return unknown_session();
    if (!provider_->is_paused() && budget_.is_spent(client_address))
        return fail(ErrorCode::kRateLimited,
                    "Too many unknown sessions from this address; try again later");
    return fail(ErrorCode::kUnavailable, "Sessions cannot be checked right now; try again");
}

Result<std::shared_ptr<const Identity>> SessionVerifier::verify_jwt_session(SessionToken& token) {
    if (const auto cached = jwts_.find(token.sha256(), now_s(clock_))) return cached->identity;
    if (!keys_) return fail(ErrorCode::kUnauthenticated, "session: no keys are configured");
    const std::uint64_t epoch = jwts_.epoch();
    auto verified = verify_jwt(token.text(), *keys_->keys(), rules_, now_s(clock_));
    if (!verified && verified.error().code == ErrorCode::kNotFound) keys_->miss_key();
    if (!verified) return fail(ErrorCode::kUnauthenticated, verified.error().message);
    const auto identity = std::make_shared<const Identity>(std::move(*verified));
    jwts_.put(token.sha256(), {identity}, identity->expires_unix_s, epoch);
    return identity;
}

std::shared_ptr<const Identity> SessionVerifier::find_known(
    const crypto::Sha256Digest& digest) const {
    const std::int64_t now = now_s(clock_);
    const auto known = known_.find(digest, now - limits::kSessionStaleMax.count());
    if (!known || known->identity == nullptr || known->identity->expires_unix_s <= now)
        return nullptr;
    return known->identity;
}

bool SessionVerifier::is_fresh(const crypto::Sha256Digest& digest) const {
    const std::int64_t now = now_s(clock_);
    return known_.find(digest, now) || unknown_.find(digest, now);
}

bool SessionVerifier::may_ask(std::string_view token) const {
    return provider_ && may_leave(token) && !provider_->is_paused();
}

bool SessionVerifier::begin_introspection(SessionToken& token, std::string_view client_address) {
    // In this order: a JWT and every other text that the provider never sees costs no hash.
    if (!may_ask(token.text()) || is_fresh(token.sha256()) || members_.find_session(token.sha256()))
        return false;
    return find_known(token.sha256()) != nullptr || budget_.take(client_address);
}

void SessionVerifier::introspect(SessionToken& token) {
    // Fresh: another request has asked the same meanwhile.
    if (!may_ask(token.text()) || is_fresh(token.sha256())) return;
    const crypto::Sha256Digest& digest = token.sha256();
    auto answer = provider_->introspect(token.text());
    if (!answer) return;
    const std::int64_t cached_until = now_s(clock_) + settings_.session_cache.count();
    if (*answer) {
        const auto identity = std::make_shared<const Identity>(std::move(**answer));
        return known_.put(digest, {identity}, std::min(cached_until, identity->expires_unix_s),
                          known_.epoch());
    }
    // A session that was known and is over must not be found any more.
    TokenCache& cache = known_.find(digest, 0) ? known_ : unknown_;
    cache.put(digest, {}, cached_until, cache.epoch());
}

void SessionVerifier::stop() {
    if (provider_) provider_->stop();
}

}  // namespace export_worker::auth
