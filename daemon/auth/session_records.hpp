// The opaque sessions as they are kept, for MemberStore. [any-thread], durable when they return.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/auth/page.hpp"

namespace export_worker::auth {

struct OpaqueSession {
    std::string id;  // The first 16 hex digits of the token's SHA-256: names it, does not open it.
    std::string subject;
    std::int64_t created_us = 0;
    std::int64_t expires_us = 0;
};

struct StoredSession {
    OpaqueSession session;
    std::string sha256;  // 32 bytes, of the token.
};

// Errors: those of auth_store.hpp; kDataLoss: a session is unreadable.
class SessionRecords {
public:
    virtual ~SessionRecords() = default;

    // Those neither revoked nor expired at `now_us`, in any order.
    [[nodiscard]] virtual Result<std::vector<StoredSession>> active(std::int64_t now_us) = 0;
    // Its id is new. Forgets those that have expired when it begins.
    [[nodiscard]] virtual Result<void> insert(const StoredSession& session) = 0;
    // Revoked at `now_us` unless it was before. Returns once every daemon that shares the records
    // refuses it, with the SHA-256 of its token; nullopt: unknown.
    [[nodiscard]] virtual Result<std::optional<std::string>> revoke(std::string_view id,
                                                                    std::int64_t now_us) = 0;
    // Those that active() has, by age, at most `rows_max`.
    [[nodiscard]] virtual Result<std::vector<StoredSession>> list(std::int64_t now_us,
                                                                  const AgeCursor& after,
                                                                  std::size_t rows_max) = 0;
};

}  // namespace export_worker::auth
