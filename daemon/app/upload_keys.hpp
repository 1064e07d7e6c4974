// Keys that uploads to one store are signed with, from the credentials of now.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/credentials/credential_store.hpp"
#include "signing/store_link.hpp"

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

// [any-thread]
class UploadKeys {
public:
    // `credentials` and `clock` outlive the keys.
    UploadKeys(signing::Store store, const CurrentCredentials& credentials, const Clock& clock)
        : store_(std::move(store)), credentials_(credentials), clock_(clock) {}

    // Made anew when the store's credentials or the day have changed. Errors: kUnavailable while
    // there are no credentials or they have expired; those of signing::make_signing_key().
    [[nodiscard]] Result<signing::SigningKey> now();

private:
    const signing::Store store_;
    const CurrentCredentials& credentials_;
    const Clock& clock_;
    std::mutex mutex_;
    std::optional<signing::SigningKey> key_;  // Guarded by mutex_, like its version.
    std::uint64_t version_ = 0;
};

}  // namespace export_worker::app
