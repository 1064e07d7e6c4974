// The API keys: durable in KeyRecords, and complete in memory, where requests look them up.
//
// When a key was last used is kept in memory and written once a minute, many keys at once: requests
// never wait for it, and a crash loses the last minute of it.
//
// Where several daemons share the records, AuthFeed has the memory follow them: a key that another
// daemon has made is accepted here within about a second, and one that it has revoked is refused
// here when its revoke() returns.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/text_hash.hpp"
#include "daemon/auth/auth_changes.hpp"
#include "daemon/auth/key_records.hpp"
#include "daemon/auth/page.hpp"

namespace export_worker::auth {

// [any-thread]
class KeyStore {
public:
    // Reads every key that is neither revoked nor expired. Both outlive the store.
    [[nodiscard]] static Result<std::unique_ptr<KeyStore>> open(KeyRecords& records,
                                                                const Clock& clock);
    ~KeyStore();  // Has the last uses written.
    KeyStore(const KeyStore&) = delete;
    KeyStore& operator=(const KeyStore&) = delete;

    struct Created {
        ApiKey key;
        std::string text;  // The only time it exists outside its holder's hands.
    };
    // `length`: 1 s to kKeyLengthMax; nullopt: it does not expire. Errors: kInvalidArgument
    // (organization, name, permission, length), kResourceExhausted (kApiKeysMax).
    [[nodiscard]] Result<Created> create(std::string_view organization_id, std::string_view name,
                                         const std::vector<std::string>& permissions,
                                         std::optional<std::chrono::seconds> length = {});
    // A new key with the organization, name and permissions of the key `id`, which expires after
    // `overlap` (0 s to kKeyOverlapMax), or at its own end if that is sooner. `length` is that of
    // the new key, and required when the old one expires. Errors: kNotFound for an unknown id,
    // kConflict for a revoked or expired key, kInvalidArgument (overlap, length),
    // kResourceExhausted.
    [[nodiscard]] Result<Created> rotate(std::string_view id, std::chrono::seconds overlap,
                                         std::optional<std::chrono::seconds> length);
    // From its return on the key is refused, after in_memory_error() until the store is opened
    // again. Returns the key. kNotFound for an unknown id; revoking twice is fine.
    [[nodiscard]] Result<ApiKey> revoke(std::string_view id);
    // Revoked and expired ones too, oldest first. `organization_id` empty: every organization's.
    [[nodiscard]] Result<Page<ApiKey>> list(std::string_view organization_id,
                                            const PageRequest& page = {});

    // The key whose text this is, when it counts: known, not revoked, not expired, with at least
    // one permission. The comparison takes the same time wherever the texts differ.
    [[nodiscard]] std::shared_ptr<const ApiKey> verify(std::string_view text) const;

    // Begins to write which keys were used, when the last time is kKeyUseInterval ago; does not
    // wait for the disk. To be called every few seconds.
    void record_uses();

    // Takes over what has changed in the records. From the first call on nothing else adds to
    // memory. What is revoked in memory only stays so.
    void apply(const AuthChanges& changes);

private:
    struct Active {
        Active(std::string digest, std::shared_ptr<const ApiKey> of)
            : sha256(std::move(digest)), key(std::move(of)) {}

        const std::string sha256;
        // Shared with requests that are using it while it is revoked.
        std::shared_ptr<const ApiKey> key;             // Replaced when it ends sooner.
        mutable std::atomic<std::int64_t> used_us{0};  // 0: not since recorded_us.
    };
    KeyStore(KeyRecords& records, const Clock& clock) : records_(records), clock_(clock) {}
    [[nodiscard]] Result<void> load_active();
    // Stores `key`, less its id and its times, as a new one. `rotated`: the key that it follows,
    // with its new end; nullptr: none.
    [[nodiscard]] Result<Created> insert(ApiKey key, std::optional<std::chrono::seconds> length,
                                         const ApiKey* rotated);
    // The key, when it is neither revoked nor expired.
    [[nodiscard]] Result<ApiKey> find_counting(std::string_view id);
    void write_uses();
    // With active_mutex_ held: `stored` as it counts by now, in `keys`.
    void put(ByText<Active>& keys, const StoredKey& stored);

    KeyRecords& records_;
    const Clock& clock_;
    mutable std::shared_mutex active_mutex_;
    // By id, looked up by string_view so that a request allocates nothing. Guarded by
    // active_mutex_.
    ByText<Active> active_;
    bool is_fed_ = false;  // By apply(). Guarded by active_mutex_.
    std::mutex uses_mutex_;
    SteadyTime uses_due_{};  // Guarded by uses_mutex_.
};

}  // namespace export_worker::auth
