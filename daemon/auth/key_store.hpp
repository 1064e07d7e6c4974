// The API keys: durable in a database, and complete in memory, where requests look them up.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/text_hash.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::auth {

struct ApiKey {
    std::string id;
    std::string organization_id;
    std::string name;  // What the operator calls it.
    std::vector<std::string> permissions;
    std::int64_t created_us = 0;
    std::optional<std::int64_t> revoked_us;
};

// [any-thread]
class KeyStore {
public:
    // Reads every key that is not revoked. Both outlive the store.
    [[nodiscard]] static Result<std::unique_ptr<KeyStore>> open(sqlite::Database& database,
                                                                const Clock& clock);

    struct Created {
        ApiKey key;
        std::string text;  // The only time it exists outside its holder's hands.
    };
    // Errors: kInvalidArgument (organization, name, permission), kResourceExhausted (kApiKeysMax).
    [[nodiscard]] Result<Created> create(std::string_view organization_id, std::string_view name,
                                         const std::vector<std::string>& permissions);
    // From its return on the key is refused. kNotFound for an unknown id; revoking twice is fine.
    [[nodiscard]] Result<void> revoke(std::string_view id);
    // All, revoked ones too, oldest first. `organization_id` empty: every organization's.
    [[nodiscard]] Result<std::vector<ApiKey>> list(std::string_view organization_id);

    // The key whose text this is, when it exists and is not revoked. The comparison takes the same
    // time wherever the texts differ.
    [[nodiscard]] std::shared_ptr<const ApiKey> verify(std::string_view text) const;

private:
    struct Active {
        std::string sha256;
        std::shared_ptr<const ApiKey>
            key;  // Shared with requests that are using it while it is revoked.
    };
    KeyStore(sqlite::Database& database, const Clock& clock) : database_(database), clock_(clock) {}
    [[nodiscard]] Result<void> load_active();

    sqlite::Database& database_;
    const Clock& clock_;
    mutable std::shared_mutex active_mutex_;
    // By id, looked up by string_view so that a request allocates nothing. Guarded by
    // active_mutex_.
    ByText<Active> active_;
};

}  // namespace export_worker::auth
