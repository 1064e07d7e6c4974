// A session's token with its SHA-256, the key of every cache and table of sessions.
#pragma once

#include <optional>
#include <string_view>

#include "base/crypto/sha256.hpp"

namespace export_worker::auth {

// [one-owner]
class SessionToken {
public:
    // Borrows `text`. `sha256`: that of `text`, where an earlier step has computed it.
    explicit SessionToken(std::string_view text,
                          const std::optional<crypto::Sha256Digest>& sha256 = {})
        : text_(text), sha256_(sha256) {}

    [[nodiscard]] std::string_view text() const { return text_; }
    // Computed by the first call.
    [[nodiscard]] const crypto::Sha256Digest& sha256() {
        if (!sha256_) sha256_ = crypto::sha256(text_);
        return *sha256_;
    }
    // nullopt: nothing has needed it yet.
    [[nodiscard]] const std::optional<crypto::Sha256Digest>& computed_sha256() const {
        return sha256_;
    }

private:
    std::string_view text_;
    std::optional<crypto::Sha256Digest> sha256_;
};

}  // namespace export_worker::auth
