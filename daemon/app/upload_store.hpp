// The store exports are written to, put together from configuration and credentials.
#pragma once

#include <atomic>
#include <memory>

#include "base/result.hpp"
#include "daemon/config/config.hpp"
#include "daemon/credentials/credential_store.hpp"
#include "daemon/files/file_store.hpp"

namespace export_worker::app {

// Where the credentials of now are. A SIGHUP may put another store of them in the place.
class CurrentCredentials {
public:
    explicit CurrentCredentials(std::shared_ptr<const credentials::CredentialStore> store)
        : store_(std::move(store)) {}
    // [any-thread]
    [[nodiscard]] std::shared_ptr<const credentials::CredentialStore> get() const;
    void set(std::shared_ptr<const credentials::CredentialStore> store);

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const credentials::CredentialStore> store_;  // Guarded by mutex_.
};

// `credentials` and `stopping` outlive the store; once the latter is set, what waits for a network
// ends. Errors: those of LocalFileStore::open() and signing::parse_store().
[[nodiscard]] Result<std::unique_ptr<files::FileStore>> open_export_store(
    const config::Config& config, const CurrentCredentials& credentials,
    const std::atomic<bool>& stopping);

}  // namespace export_worker::app
