#include "daemon/auth/key_store.hpp"

#include <algorithm>
#include <utility>

#include "base/crypto/compare.hpp"
#include "base/crypto/sha256.hpp"
#include "base/in_memory_error.hpp"
#include "base/text.hpp"
#include "daemon/auth/api_key.hpp"
#include "daemon/auth/limits.hpp"
#include "daemon/auth/role_policy.hpp"

namespace export_worker::auth {
namespace {

bool has_expired(const ApiKey& key, std::int64_t now_us) {
    return key.expires_us && *key.expires_us <= now_us;
}

std::int64_t as_us(std::chrono::seconds length) {
    return std::chrono::microseconds(length).count();
}

Result<void> check_new_key(const ApiKey& key, std::optional<std::chrono::seconds> length) {
    if (!is_organization_id(key.organization_id)) {
        return fail(ErrorCode::kInvalidArgument,
                    "organization: expected 1 to 64 of A-Z a-z 0-9 . _ -, found '" +
                        printable(key.organization_id) + "'");
    }
    if (key.name.size() > 200 || has_control_characters(key.name) || !is_valid_utf8(key.name)) {
        return fail(ErrorCode::kInvalidArgument, "name: expected at most 200 bytes of text");
    }
    if (length && (length->count() < 1 || *length > limits::kKeyLengthMax)) {
        return fail(ErrorCode::kInvalidArgument, "expires_in_seconds: expected 1 to " +
                                                     std::to_string(limits::kKeyLengthMax.count()) +
                                                     ", found " + std::to_string(length->count()));
    }
    if (key.permissions.empty())
        return fail(ErrorCode::kInvalidArgument, "permissions: expected at least one");
    return check_permissions(key.permissions);
}

tl::unexpected<Error> unknown_key(std::string_view id) {
    if (has_api_key(id))
        return fail(ErrorCode::kNotFound,
                    "id: expected a key's id, found a key; the id is what is between its two '_'");
    return fail(ErrorCode::kNotFound, "No key has the id '" + printable(id) + "'");
}

}  // namespace

Result<std::unique_ptr<KeyStore>> KeyStore::open(KeyRecords& records, const Clock& clock) {
    std::unique_ptr<KeyStore> store(new KeyStore(records, clock));
    EW_CHECK(store->load_active());
    return store;
}

KeyStore::~KeyStore() {
    write_uses();
}

Result<void> KeyStore::load_active() {
    EW_TRY(std::vector<StoredKey> stored, records_.active(clock_.unix_us()));
    for (StoredKey& each : stored) {
        const auto key = std::make_shared<const ApiKey>(std::move(each.key));
        active_.try_emplace(key->id, std::move(each.sha256), key);
    }
    return {};
}

Result<KeyStore::Created> KeyStore::create(std::string_view organization_id, std::string_view name,
                                           const std::vector<std::string>& permissions,
                                           std::optional<std::chrono::seconds> length) {
    ApiKey key;
    key.organization_id = organization_id;
    key.name = name;
    key.permissions = permissions;
    return insert(std::move(key), length, nullptr);
}

Result<KeyStore::Created> KeyStore::insert(ApiKey wanted,
                                           std::optional<std::chrono::seconds> length,
                                           const ApiKey* rotated) {
    EW_CHECK(check_new_key(wanted, length));
    NewApiKey made = make_api_key();
    const std::int64_t now = clock_.unix_us();
    wanted.id = made.id;
    wanted.created_us = now;
    wanted.expires_us = length ? std::optional(now + as_us(*length)) : std::nullopt;
    wanted.last_used_us.reset();
    const auto key = std::make_shared<const ApiKey>(std::move(wanted));
    {
        const std::unique_lock lock(active_mutex_);
        std::erase_if(active_,
                      [&](const auto& each) { return has_expired(*each.second.key, now); });
        if (active_.size() >= limits::kApiKeysMax) {
            return fail(ErrorCode::kResourceExhausted,
                        "keys: the limit is reached; revoke some first");
        }
    }
    const StoredKey stored{*key, std::move(made.sha256)};
    EW_CHECK(rotated == nullptr
                 ? records_.insert(stored)
                 : records_.insert_successor(stored, rotated->id, *rotated->expires_us));
    const std::unique_lock lock(active_mutex_);
    // By now the feed may have told that another daemon has revoked it.
    if (!is_fed_) active_.try_emplace(key->id, stored.sha256, key);
    return Created{*key, std::move(made.text)};
}

Result<KeyStore::Created> KeyStore::rotate(std::string_view id, std::chrono::seconds overlap,
                                           std::optional<std::chrono::seconds> length) {
    if (overlap.count() < 0 || overlap > limits::kKeyOverlapMax)
        return fail(ErrorCode::kInvalidArgument,
                    "overlap_seconds: expected 0 to " +
                        std::to_string(limits::kKeyOverlapMax.count()) + ", found " +
                        std::to_string(overlap.count()));
    EW_TRY(ApiKey old, find_counting(id));
    if (old.expires_us && !length)
        return fail(ErrorCode::kInvalidArgument,
                    "expires_in_seconds: required, because the key expires at " +
                        to_iso8601(*old.expires_us));
    const std::int64_t end = clock_.unix_us() + as_us(overlap);
    old.expires_us = std::min(old.expires_us.value_or(end), end);
    EW_TRY(Created created, insert(old, length, &old));
    const std::unique_lock lock(active_mutex_);
    if (const auto found = active_.find(id); found != active_.end() && !is_fed_)
        found->second.key = std::make_shared<const ApiKey>(std::move(old));
    return created;
}

Result<ApiKey> KeyStore::find_counting(std::string_view id) {
    EW_TRY(std::optional<ApiKey> key, records_.find(id));
    if (!key) return unknown_key(id);
    const std::shared_lock lock(active_mutex_);
    const auto active = active_.find(id);
    const bool revoked =
        key->revoked_us || (active != active_.end() && active->second.key->revoked_us);
    if (revoked || has_expired(*key, clock_.unix_us()))
        return fail(ErrorCode::kConflict, "The key '" + key->id + "' is revoked or expired");
    return std::move(*key);
}

Result<ApiKey> KeyStore::revoke(std::string_view id) {
    const std::int64_t now = clock_.unix_us();
    std::int64_t used_us = 0;
    {
        const std::shared_lock lock(active_mutex_);
        if (const auto found = active_.find(id); found != active_.end())
            used_us = found->second.used_us.load();
    }
    auto revoked = records_.revoke(id, now, used_us);
    if (revoked && !*revoked) return unknown_key(id);
    const std::unique_lock lock(active_mutex_);
    const auto found = active_.find(id);
    if (revoked) {
        if (found != active_.end()) active_.erase(found);
        return std::move(**revoked);
    }
    if (found == active_.end()) return fail(revoked.error());
    ApiKey refused = *found->second.key;
    refused.revoked_us = refused.revoked_us.value_or(now);
    found->second.key = std::make_shared<const ApiKey>(std::move(refused));
    return fail(in_memory_error("The key '" + std::string(id) + "' is revoked", revoked.error()));
}

Result<Page<ApiKey>> KeyStore::list(std::string_view organization_id, const PageRequest& page) {
    EW_CHECK(check_page(page));
    EW_TRY(const AgeCursor after, AgeCursor::parse(page.after));
    EW_TRY(std::vector<ApiKey> keys, records_.list(organization_id, after, page.rows_max + 1));
    {
        const std::shared_lock lock(active_mutex_);
        for (ApiKey& key : keys) {
            const auto found = active_.find(key.id);
            if (found == active_.end()) continue;
            const std::int64_t used = found->second.used_us.load();
            if (used > key.last_used_us.value_or(0)) key.last_used_us = used;
            if (!key.revoked_us) key.revoked_us = found->second.key->revoked_us;
        }
    }
    return make_page(std::move(keys), page.rows_max, [](const ApiKey& key) {
        return AgeCursor{key.created_us, key.id}.text();
    });
}

std::shared_ptr<const ApiKey> KeyStore::verify(std::string_view text) const {
    const auto id = api_key_id(text);
    if (!id) return nullptr;
    const crypto::Sha256Digest digest = crypto::sha256(text);
    const std::shared_lock lock(active_mutex_);
    const auto found = active_.find(*id);
    if (found == active_.end() ||
        !crypto::equal_constant_time(found->second.sha256, crypto::as_bytes(digest))) {
        return nullptr;
    }
    const Active& active = found->second;
    const std::int64_t now = clock_.unix_us();
    const ApiKey& key = *active.key;
    if (key.permissions.empty() || key.revoked_us || has_expired(key, now)) return nullptr;
    // Not at every request: threads would take the cache line from each other.
    if (now - active.used_us.load(std::memory_order_relaxed) >= 1'000'000)
        active.used_us.store(now, std::memory_order_relaxed);
    return active.key;
}

void KeyStore::apply(const AuthChanges& changes) {
    ByText<Active> before;  // Ends without the lock.
    const std::unique_lock lock(active_mutex_);
    is_fed_ = true;
    if (!changes.is_whole) {
        for (const StoredKey& each : changes.keys) put(active_, each);
        return;
    }
    for (const StoredKey& each : changes.keys) put(before, each);
    before.swap(active_);
}

void KeyStore::put(ByText<Active>& keys, const StoredKey& stored) {
    const std::string& id = stored.key.id;
    if (stored.key.revoked_us || has_expired(stored.key, clock_.unix_us())) {
        keys.erase(id);
        return;
    }
    const auto known = active_.find(id);
    ApiKey fresh = stored.key;
    if (known != active_.end()) fresh.revoked_us = known->second.key->revoked_us;
    auto key = std::make_shared<const ApiKey>(std::move(fresh));
    const auto [entry, is_new] = keys.try_emplace(id, stored.sha256, key);
    if (!is_new) entry->second.key = std::move(key);
    if (is_new && known != active_.end()) entry->second.used_us.store(known->second.used_us.load());
}

void KeyStore::record_uses() {
    {
        const std::lock_guard lock(uses_mutex_);
        const SteadyTime now = clock_.steady();
        if (now < uses_due_) return;
        uses_due_ = now + limits::kKeyUseInterval;
    }
    write_uses();
}

void KeyStore::write_uses() {
    std::vector<KeyUse> uses;
    const auto write = [&] {
        if (!uses.empty()) records_.begin_record_uses(std::exchange(uses, {}));
    };
    const std::shared_lock lock(active_mutex_);
    for (const auto& [id, active] : active_) {
        if (const std::int64_t used_us = active.used_us.exchange(0); used_us != 0)
            uses.push_back({id, used_us});
        if (uses.size() == limits::kKeyUsesPerWrite) write();
    }
    write();
}

}  // namespace export_worker::auth
