// Credentials of the configured stores, read at start. Secrets live in memory only and are wiped at
// the end.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/model/store_settings.hpp"

namespace export_worker::credentials {

struct Credentials {
    bool operator==(const Credentials&) const = default;
    std::uint64_t version = 1;
    std::string key_id;
    std::string secret;
    std::string session_token;
    std::int64_t expires_unix_us = 0;  // 0: no end.
};

// Constant after load(): [any-thread].
class CredentialStore {
public:
    // Errors: those of reading a secret file, and kInvalidArgument for what is in it; both name the
    // store and the file, never the content.
    [[nodiscard]] static Result<CredentialStore> load(
        const std::vector<model::StoreSettings>& stores);
    // Made by the caller, by store name: for a process that was handed them.
    explicit CredentialStore(std::map<std::string, Credentials, std::less<>> by_store)
        : by_store_(std::move(by_store)) {}
    CredentialStore(CredentialStore&&) noexcept = default;
    ~CredentialStore();

    // nullptr when no store has that name. Valid as long as this object.
    [[nodiscard]] const Credentials* find(std::string_view store) const;
    [[nodiscard]] const std::map<std::string, Credentials, std::less<>>& all() const {
        return by_store_;
    }

private:
    CredentialStore() = default;
    std::map<std::string, Credentials, std::less<>> by_store_;
};

}  // namespace export_worker::credentials
