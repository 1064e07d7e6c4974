#include "plugins/download_url/store_signer.hpp"

#include <mutex>

#include "plugins/download_url/abi_text.hpp"
#include "signing/signing_time.hpp"

namespace export_worker::download_url {

Result<StoreSigner::KeyPointer> StoreSigner::key_for(const ew_credentials& credentials,
                                                     std::int64_t unix_s) {
    const signing::SigningTime time(unix_s);
    {
        const std::shared_lock lock(mutex_);
        const bool fits = key_ != nullptr && version_ == credentials.version &&
                          (key_->day.empty() || key_->day == time.day());
        if (fits) return key_;
    }
    const signing::StoreCredentials material{view_of(credentials.key_id),
                                             view_of(credentials.secret),
                                             view_of(credentials.session_token)};
    EW_TRY(signing::SigningKey made, signing::make_signing_key(store_, material, unix_s));
    auto key = std::make_shared<const signing::SigningKey>(std::move(made));
    const std::unique_lock lock(mutex_);
    version_ = credentials.version;
    key_ = key;
    return key;
}

Result<signing::StoreLink> StoreSigner::sign(const signing::StoreLinkRequest& request,
                                             const ew_credentials& credentials) {
    EW_TRY(const KeyPointer key, key_for(credentials, request.times.signed_unix_s));
    return signing::sign_store_link(store_, *key, request);
}

}  // namespace export_worker::download_url
