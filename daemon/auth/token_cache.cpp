#include "daemon/auth/token_cache.hpp"

#include <cstring>
#include <mutex>

namespace export_worker::auth {

std::size_t TokenCache::DigestHash::operator()(const crypto::Sha256Digest& digest) const {
    std::size_t out = 0;
    std::memcpy(&out, digest.data(), sizeof out);
    return out;
}

std::optional<TokenCache::Known> TokenCache::find(const crypto::Sha256Digest& token,
                                                  std::int64_t now_unix_s) const {
    const std::shared_lock lock(mutex_);
    const auto found = entries_.find(token);
    if (found == entries_.end() || found->second.expires_unix_s <= now_unix_s) return std::nullopt;
    return found->second.known;
}

std::uint64_t TokenCache::epoch() const {
    const std::shared_lock lock(mutex_);
    return epoch_;
}

void TokenCache::put(const crypto::Sha256Digest& token, Known known, std::int64_t expires_unix_s,
                     std::uint64_t epoch) {
    const std::unique_lock lock(mutex_);
    if (epoch != epoch_) return;
    const auto [entry, is_new] =
        entries_.insert_or_assign(token, Entry{std::move(known), expires_unix_s});
    if (is_new) order_.push_back(token);
    if (entries_.size() <= entries_max_) return;
    entries_.erase(order_.front());
    order_.pop_front();
}

void TokenCache::clear() {
    const std::unique_lock lock(mutex_);
    ++epoch_;
    entries_.clear();
    order_.clear();
}

std::size_t TokenCache::size() const {
    const std::shared_lock lock(mutex_);
    return entries_.size();
}

}  // namespace export_worker::auth
