#include "daemon/app/upload_store.hpp"

#include <algorithm>
#include <optional>

#include "base/log.hpp"
#include "daemon/files/local_file_store.hpp"
#include "daemon/files/object_file_store.hpp"
#include "signing/signing_time.hpp"
#include "signing/store_link.hpp"

namespace export_worker::app {
namespace {

// Signing keys for one store, made anew when its credentials or the day change. [any-thread]
class UploadKeys {
public:
    UploadKeys(signing::Store store, const CurrentCredentials& credentials)
        : store_(std::move(store)), credentials_(credentials) {}

    Result<signing::SigningKey> now() {
        const auto set = credentials_.get()->snapshot();
        const auto found = set->by_store.find(store_.name);
        const std::int64_t unix_us = system_clock().unix_us();
        if (found == set->by_store.end() ||
            (found->second.expires_unix_us != 0 && found->second.expires_unix_us <= unix_us)) {
            return fail(ErrorCode::kUnavailable,
                        "store " + store_.name + ": there are no credentials now");
        }
        const signing::SigningTime time(unix_us / 1'000'000);
        const std::lock_guard lock(mutex_);
        const bool fits = key_ && version_ == found->second.version &&
                          (key_->day.empty() || key_->day == time.day());
        if (!fits) {
            const credentials::Credentials& of = found->second;
            EW_TRY(key_, signing::make_signing_key(store_, {of.key_id, of.secret, of.session_token},
                                                   unix_us / 1'000'000));
            version_ = of.version;
        }
        return *key_;
    }

private:
    const signing::Store store_;
    const CurrentCredentials& credentials_;
    std::mutex mutex_;
    std::optional<signing::SigningKey> key_;  // Guarded by mutex_, like its version.
    std::uint64_t version_ = 0;
};

Result<std::unique_ptr<files::FileStore>> open_local(const model::StoreSettings& settings) {
    EW_TRY(std::unique_ptr<files::LocalFileStore> opened,
           files::LocalFileStore::open(settings.values.at("root")));
    if (opened->parts_swept() > 0)
        log_warn("deleted {} half-written export files", opened->parts_swept());
    return std::unique_ptr<files::FileStore>(std::move(opened));
}

}  // namespace

std::shared_ptr<const credentials::CredentialStore> CurrentCredentials::get() const {
    const std::lock_guard lock(mutex_);
    return store_;
}

void CurrentCredentials::set(std::shared_ptr<const credentials::CredentialStore> store) {
    const std::lock_guard lock(mutex_);
    store_ = std::move(store);
}

Result<std::unique_ptr<files::FileStore>> open_export_store(const config::Config& config,
                                                            const CurrentCredentials& credentials,
                                                            const std::atomic<bool>& stopping) {
    const auto settings =
        std::ranges::find(config.stores, config.exports.store, &model::StoreSettings::name);
    if (settings == config.stores.end())
        return fail(ErrorCode::kInvalidArgument, "[export] store: there is none");
    if (settings->kind == "local") return open_local(*settings);
    files::ObjectStoreParts parts;
    EW_TRY(parts.store, signing::parse_store(settings->name, settings->values));
    parts.part_bytes = settings->part_bytes;
    parts.clock = &system_clock();
    parts.stopping = &stopping;
    auto keys = std::make_shared<UploadKeys>(parts.store, credentials);
    parts.signing_key = [keys] { return keys->now(); };
    return std::unique_ptr<files::FileStore>(
        std::make_unique<files::ObjectFileStore>(std::move(parts)));
}

}  // namespace export_worker::app
