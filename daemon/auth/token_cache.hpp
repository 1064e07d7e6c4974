// Verified tokens, by their SHA-256: what it cost to find out is paid once.
//
// Bounded: the oldest goes. Everything is forgotten at once when the keys or the roles change.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/crypto/sha256.hpp"
#include "daemon/auth/identity.hpp"

namespace export_worker::auth {

// [any-thread]
class TokenCache {
public:
    // What is known of a token: whose it is, or (nullptr) that it is unknown or expired.
    struct Known {
        std::shared_ptr<const Identity> identity;  // Shared with requests that use it.
    };

    explicit TokenCache(std::size_t entries_max) : entries_max_(entries_max) {}

    [[nodiscard]] std::optional<Known> find(const crypto::Sha256Digest& token,
                                            std::int64_t now_unix_s) const;
    // Raised by every clear(). Read it before a check whose result is remembered, so that what was
    // true under the old keys is not remembered under the new ones.
    [[nodiscard]] std::uint64_t epoch() const;
    // Nothing happens when the epoch is another one by now.
    void put(const crypto::Sha256Digest& token, Known known, std::int64_t expires_unix_s,
             std::uint64_t epoch);
    void clear();
    [[nodiscard]] std::size_t size() const;

private:
    struct Entry {
        Known known;
        std::int64_t expires_unix_s = 0;
    };
    struct DigestHash {
        std::size_t operator()(const crypto::Sha256Digest& digest) const;
    };

    const std::size_t entries_max_;
    mutable std::shared_mutex mutex_;
    std::unordered_map<crypto::Sha256Digest, Entry, DigestHash> entries_;  // Guarded by mutex_.
    std::uint64_t epoch_ = 0;                                              // Guarded by mutex_.
    std::deque<crypto::Sha256Digest> order_;  // Oldest first. Guarded by mutex_.
};

}  // namespace export_worker::auth
