#include "daemon/auth/key_store.hpp"

#include <algorithm>
#include <array>
#include <mutex>

#include "base/crypto/compare.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "base/text.hpp"
#include "daemon/auth/api_key.hpp"
#include "daemon/auth/limits.hpp"
#include "daemon/auth/role_policy.hpp"

namespace export_worker::auth {
namespace {

using sqlite::Connection;
using sqlite::Statement;

#define EW_KEY_COLUMNS "id, organization_id, name, permissions, created_us, revoked_us"

ApiKey read_key(const Statement& row) {
    return {row.string(0),  row.string(1),          row.string(2), split_words(row.text(3)),
            row.integer(4), row.optional_integer(5)};
}

Result<void> check_new_key(std::string_view organization_id, std::string_view name,
                           const std::vector<std::string>& permissions) {
    if (!is_organization_id(organization_id)) {
        return fail(ErrorCode::kInvalidArgument,
                    "organization: expected 1 to 64 of A-Z a-z 0-9 . _ -, found '" +
                        printable(organization_id) + "'");
    }
    if (name.size() > 200 || has_control_characters(name) || !is_valid_utf8(name)) {
        return fail(ErrorCode::kInvalidArgument, "name: expected at most 200 bytes of text");
    }
    if (permissions.empty())
        return fail(ErrorCode::kInvalidArgument, "permissions: expected at least one");
    return check_permissions(permissions);
}

}  // namespace

Result<std::unique_ptr<KeyStore>> KeyStore::open(sqlite::Database& database, const Clock& clock) {
    std::unique_ptr<KeyStore> store(new KeyStore(database, clock));
    EW_CHECK(store->load_active());
    return store;
}

Result<void> KeyStore::load_active() {
    return database_.read([&](Connection& connection) -> Result<void> {
        Statement rows = connection.statement("SELECT " EW_KEY_COLUMNS
                                              ", sha256 FROM api_key WHERE revoked_us IS NULL");
        for (;;) {
            EW_TRY(const bool more, rows.step());
            if (!more) return {};
            auto digest = from_hex(rows.text(6));
            if (!digest) return fail(ErrorCode::kDataLoss, "api_key: an unreadable digest");
            auto key = std::make_shared<const ApiKey>(read_key(rows));
            active_.emplace(key->id, Active{std::move(*digest), key});
        }
    });
}

Result<KeyStore::Created> KeyStore::create(std::string_view organization_id, std::string_view name,
                                           const std::vector<std::string>& permissions) {
    EW_CHECK(check_new_key(organization_id, name, permissions));
    NewApiKey made = make_api_key();
    auto key = std::make_shared<const ApiKey>(ApiKey{made.id, std::string(organization_id),
                                                     std::string(name), permissions,
                                                     clock_.unix_us(), std::nullopt});
    {
        const std::shared_lock lock(active_mutex_);
        if (active_.size() >= limits::kApiKeysMax) {
            return fail(ErrorCode::kResourceExhausted,
                        "keys: the limit is reached; revoke some first");
        }
    }
    const std::string digest_hex =
        to_hex({reinterpret_cast<const std::uint8_t*>(made.sha256.data()), made.sha256.size()});
    EW_CHECK(database_.write([&](Connection& connection) {
        return connection
            .statement(
                "INSERT INTO api_key (id, sha256, organization_id, name, permissions, created_us) "
                "VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
            .bind(key->id, digest_hex, key->organization_id, key->name, join_words(permissions),
                  key->created_us)
            .run();
    }));
    const std::unique_lock lock(active_mutex_);
    active_.emplace(key->id, Active{made.sha256, key});
    return Created{*key, std::move(made.text)};
}

Result<void> KeyStore::revoke(std::string_view id) {
    const std::int64_t now = clock_.unix_us();
    EW_CHECK(database_.write([&](Connection& connection) -> Result<void> {
        EW_CHECK(
            connection
                .statement("UPDATE api_key SET revoked_us = coalesce(revoked_us, ?2) WHERE id = ?1")
                .bind(id, now)
                .run());
        if (connection.changes() == 0)
            return fail(ErrorCode::kNotFound, "No key has the id '" + printable(id) + "'");
        return {};
    }));
    const std::unique_lock lock(active_mutex_);
    active_.erase(std::string(id));
    return {};
}

Result<std::vector<ApiKey>> KeyStore::list(std::string_view organization_id) {
    return database_.read([&](Connection& connection) -> Result<std::vector<ApiKey>> {
        std::vector<ApiKey> out;
        Statement rows = connection.statement(
            "SELECT " EW_KEY_COLUMNS
            " FROM api_key WHERE ?1 = '' OR organization_id = ?1 ORDER BY created_us, id");
        rows.bind(organization_id);
        for (;;) {
            EW_TRY(const bool more, rows.step());
            if (!more) return out;
            out.push_back(read_key(rows));
        }
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
    return found->second.key;
}

}  // namespace export_worker::auth
