#include "daemon/auth/session_verifier.hpp"

#include <algorithm>

#include "base/io.hpp"
#include "base/shared_limits.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {
namespace {

std::int64_t now_s(const Clock& clock) {
    return clock.unix_us() / 1'000'000;
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
                                            [verifier = out.get()] { verifier->cache_.clear(); }));
    }
    return out;
}

SessionVerifier::SessionVerifier(const model::AuthSettings& settings, const MemberStore& members,
                                 const Clock& clock)
    : settings_(settings),
      rules_{settings.issuer, settings.audience, settings.clock_tolerance},
      members_(members),
      clock_(clock),
      cache_(limits::kTokensCachedMax) {}

Result<std::shared_ptr<const Identity>> SessionVerifier::verify(std::string_view token) {
    if (token.empty() || token.size() > limits::kCredentialBytesMax)
        return fail(ErrorCode::kUnauthenticated, "session: expected a token");
    const crypto::Sha256Digest digest = crypto::sha256(token);
    if (const auto known = cache_.find(digest, now_s(clock_))) {
        if (known->identity) return known->identity;
        return fail(ErrorCode::kUnauthenticated, "session: nobody's");
    }
    return verify_unknown(token, digest);
}

Result<std::shared_ptr<const Identity>> SessionVerifier::verify_unknown(
    std::string_view token, const crypto::Sha256Digest& digest) {
    if (looks_like_jwt(token)) {
        if (!keys_) return fail(ErrorCode::kUnauthenticated, "session: no keys are configured");
        const std::uint64_t epoch = cache_.epoch();
        auto verified = verify_jwt(token, *keys_->keys(), rules_, now_s(clock_));
        if (!verified && verified.error().code == ErrorCode::kNotFound) keys_->miss_key();
        if (!verified) return fail(ErrorCode::kUnauthenticated, verified.error().message);
        const auto identity = std::make_shared<const Identity>(std::move(*verified));
        cache_.put(digest, {identity}, identity->expires_unix_s, epoch);
        return identity;
    }
    // Not in the cache: an operator who ends one expects it to be over.
    if (auto own = members_.find_session(token))
        return std::make_shared<const Identity>(std::move(*own));
    if (provider_)
        return fail(ErrorCode::kUnavailable, "Sessions cannot be checked right now; try again");
    return fail(ErrorCode::kUnauthenticated, "session: nobody's");
}

bool SessionVerifier::must_ask(std::string_view token) const {
    return provider_ && !token.empty() && token.size() <= limits::kCredentialBytesMax &&
           !looks_like_jwt(token) && !cache_.find(crypto::sha256(token), now_s(clock_)) &&
           !members_.find_session(token);
}

void SessionVerifier::ask(std::string_view token) {
    if (!must_ask(token)) return;  // The one before has asked the same.
    const std::uint64_t epoch = cache_.epoch();
    auto answer = provider_->ask(token);
    if (!answer) return;
    const std::int64_t cached_until = now_s(clock_) + settings_.session_cache.count();
    const crypto::Sha256Digest digest = crypto::sha256(token);
    if (!*answer) return cache_.put(digest, {}, cached_until, epoch);
    const auto identity = std::make_shared<const Identity>(std::move(**answer));
    cache_.put(digest, {identity}, std::min(cached_until, identity->expires_unix_s), epoch);
}

void SessionVerifier::stop() {
    if (provider_) provider_->stop();
}

}  // namespace export_worker::auth
