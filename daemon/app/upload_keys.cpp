#include "daemon/app/upload_keys.hpp"

#include "signing/signing_time.hpp"

namespace export_worker::app {

std::shared_ptr<const credentials::CredentialStore> CurrentCredentials::get() const {
    const std::lock_guard lock(mutex_);
    return store_;
}

void CurrentCredentials::set(std::shared_ptr<const credentials::CredentialStore> store) {
    const std::lock_guard lock(mutex_);
    store_ = std::move(store);
}

Result<signing::SigningKey> UploadKeys::now() {
    const auto set = credentials_.get()->snapshot();
    const auto found = set->by_store.find(store_.name);
    const std::int64_t unix_us = clock_.unix_us();
    if (found == set->by_store.end() ||
        (found->second.expires_unix_us != 0 && found->second.expires_unix_us <= unix_us)) {
        return fail(ErrorCode::kUnavailable,
                    "store " + store_.name + ": there are no credentials now");
    }
    const signing::SigningTime time(unix_us / 1'000'000);
    const std::lock_guard lock(mutex_);
    const bool fits =
        key_ && version_ == found->second.version && (key_->day.empty() || key_->day == time.day());
    if (!fits) {
        const credentials::Credentials& of = found->second;
        EW_TRY(key_, signing::make_signing_key(store_, {of.key_id, of.secret, of.session_token},
                                               unix_us / 1'000'000));
        version_ = of.version;
    }
    return *key_;
}

}  // namespace export_worker::app
