#include "daemon/jobs/unresolved_claims.hpp"

#include <array>
#include <cstdint>
#include <utility>

#include "base/crypto/random.hpp"
#include "base/hex.hpp"

namespace export_worker::jobs {

std::string new_claim_token() {
    std::array<std::uint8_t, 8> bytes{};
    crypto::fill_id(bytes);
    return to_hex(bytes);
}

std::optional<std::string> UnresolvedClaims::take() {
    const std::lock_guard lock(mutex_);
    if (tokens_.empty()) return std::nullopt;
    std::string token = std::move(tokens_.back());
    tokens_.pop_back();
    return token;
}

void UnresolvedClaims::keep(std::string claim_token) {
    const std::lock_guard lock(mutex_);
    tokens_.push_back(std::move(claim_token));
}

}  // namespace export_worker::jobs
