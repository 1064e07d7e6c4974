// The API keys as they are kept, for KeyStore. [any-thread], durable when they return.
//
// Times are the caller's: it compares them with its own clock, too.
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

struct ApiKey {
    std::string id;
    std::string organization_id;
    std::string name;  // What the operator calls it.
    std::vector<std::string> permissions;
    std::int64_t created_us = 0;
    std::optional<std::int64_t> revoked_us;
    std::optional<std::int64_t> expires_us;    // Refused from then on. nullopt: never.
    std::optional<std::int64_t> last_used_us;  // nullopt: never, or before this was recorded.
};

struct StoredKey {
    ApiKey key;
    std::string sha256;  // 32 bytes, of the key's text.
};

struct KeyUse {
    std::string id;
    std::int64_t used_us = 0;
};

// Errors: those of auth_store.hpp.
class KeyRecords {
public:
    virtual ~KeyRecords() = default;

    // Those neither revoked nor expired at `now_us`, in any order. kDataLoss: one is unreadable.
    [[nodiscard]] virtual Result<std::vector<StoredKey>> active(std::int64_t now_us) = 0;
    // Its id is new, it is not revoked and was never used.
    [[nodiscard]] virtual Result<void> insert(const StoredKey& key) = 0;
    // insert(), and in the same transaction the key `old_id` expires at `old_expires_us`.
    [[nodiscard]] virtual Result<void> insert_successor(const StoredKey& key,
                                                        std::string_view old_id,
                                                        std::int64_t old_expires_us) = 0;
    // nullopt: unknown.
    [[nodiscard]] virtual Result<std::optional<ApiKey>> find(std::string_view id) = 0;
    // Revoked at `now_us` unless it was before, and used at `used_us` if that is later than what is
    // known (0: not used). Returns once every daemon that shares the records refuses the key, with
    // the key as it is then; nullopt: unknown.
    [[nodiscard]] virtual Result<std::optional<ApiKey>> revoke(std::string_view id,
                                                               std::int64_t now_us,
                                                               std::int64_t used_us) = 0;
    // By age, at most `rows_max`. `organization_id` empty: every organization's.
    [[nodiscard]] virtual Result<std::vector<ApiKey>> list(std::string_view organization_id,
                                                           const AgeCursor& after,
                                                           std::size_t rows_max) = 0;
    // Begins to write the uses that are later than what is known. Does not wait: a crash or a full
    // disk costs them.
    virtual void begin_record_uses(std::vector<KeyUse> uses) = 0;
};

}  // namespace export_worker::auth
