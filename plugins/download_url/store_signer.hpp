// The signing key of one store, kept from request to request.
//
// What is derived from credentials is costly compared to a link: four HMACs for S3, the parsing of
// a private key for Google and CloudFront. It changes with the credentials' version and, where a
// key is good for a day, with the day. Readers share a lock; it is taken alone at a change.
#pragma once

#include <cstdint>
#include <memory>
#include <shared_mutex>

#include "base/result.hpp"
#include "protocol/plugin_abi/extensions.h"
#include "signing/store_link.hpp"

namespace export_worker::download_url {

// [any-thread]
class StoreSigner {
public:
    // `store` outlives the signer.
    explicit StoreSigner(const signing::Store& store) : store_(store) {}

    // Errors: those of make_signing_key() and sign_store_link().
    [[nodiscard]] Result<signing::StoreLink> sign(const signing::StoreLinkRequest& request,
                                                  const ew_credentials& credentials);

private:
    using KeyPointer = std::shared_ptr<const signing::SigningKey>;
    [[nodiscard]] Result<KeyPointer> key_for(const ew_credentials& credentials,
                                             std::int64_t unix_s);

    const signing::Store& store_;
    std::shared_mutex mutex_;
    std::uint64_t version_ = 0;  // Of the credentials. Guarded by mutex_, like the key.
    KeyPointer key_;
};

}  // namespace export_worker::download_url
