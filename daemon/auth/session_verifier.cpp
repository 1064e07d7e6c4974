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
           token.size() <= limits::kSessionTokenBytesMax &&
           std::ranges::all_of(token, is_token_character) && !looks_like_jwt(token) &&
           !has_api_key(token) && !MemberStore::has_own_token(token);
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

Result<std::shared_ptr<const Identity>> SessionVerifier::verify(std::string_view token,
                                                                std::string_view client_address) {
    if (token.empty() || token.size() > limits::kCredentialBytesMax)
        return fail(ErrorCode::kUnauthenticated, "session: expected a token");
    const crypto::Sha256Digest digest = crypto::sha256(token);
    if (looks_like_jwt(token)) return verify_jwt_session(token, digest);
    // Not in the cache: an operator who ends one expects it to be over.
    if (auto own = members_.find_session(token))
        return std::make_shared<const Identity>(std::move(*own));
    if (!provider_ || !may_leave(token)) return unknown_session();
    if (auto known = find_known(digest)) return known;
    if (is_fresh(digest)) return unknown_session();
    if (!provider_->is_paused() && budget_.is_spent(client_address))
        return fail(ErrorCode::kRateLimited,
                    "Too many unknown sessions from this address; try again later");
    return fail(ErrorCode::kUnavailable, "Sessions cannot be checked right now; try again");
}

Result<std::shared_ptr<const Identity>> SessionVerifier::verify_jwt_session(
    std::string_view token, const crypto::Sha256Digest& digest) {
    if (const auto cached = jwts_.find(digest, now_s(clock_))) return cached->identity;
    if (!keys_) return fail(ErrorCode::kUnauthenticated, "session: no keys are configured");
    const std::uint64_t epoch = jwts_.epoch();
    auto verified = verify_jwt(token, *keys_->keys(), rules_, now_s(clock_));
    if (!verified && verified.error().code == ErrorCode::kNotFound) keys_->miss_key();
    if (!verified) return fail(ErrorCode::kUnauthenticated, verified.error().message);
    const auto identity = std::make_shared<const Identity>(std::move(*verified));
    jwts_.put(digest, {identity}, identity->expires_unix_s, epoch);
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

bool SessionVerifier::needs_introspection(std::string_view token,
                                          const crypto::Sha256Digest& digest) const {
    return may_leave(token) && !provider_->is_paused() && !is_fresh(digest) &&
           !members_.find_session(token);
}

bool SessionVerifier::begin_introspection(std::string_view token, std::string_view client_address) {
    if (!provider_) return false;
    const crypto::Sha256Digest digest = crypto::sha256(token);
    return needs_introspection(token, digest) &&
           (find_known(digest) != nullptr || budget_.take(client_address));
}

void SessionVerifier::introspect(std::string_view token) {
    const crypto::Sha256Digest digest = crypto::sha256(token);
    if (!provider_ || !needs_introspection(token, digest))
        return;  // Another request has asked the same.
    auto answer = provider_->ask(token);
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
