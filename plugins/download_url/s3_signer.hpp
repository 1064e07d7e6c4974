// Presigning for one S3 store, with the derived key kept from request to request.
//
// The key depends on secret, day, region and service; region and service are the store's, so it
// changes with the credentials' version and the day. Readers share a lock; it is taken alone once a
// day.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "plugins/download_url/store.hpp"
#include "protocol/plugin_abi/extensions.h"

namespace export_worker::download_url {

// [any-thread]
class S3Signer {
public:
    // `store` outlives the signer.
    explicit S3Signer(const Store& store) : store_(store) {}

    // `bucket` and `key` as in the file_url; `disposition` is the value of Content-Disposition.
    [[nodiscard]] Result<std::string> sign(std::string_view bucket, std::string_view key,
                                           std::string_view disposition,
                                           const ew_credentials& credentials,
                                           std::int64_t now_unix_s, std::int64_t expires_seconds);

private:
    [[nodiscard]] signing::SigV4Key key_for(const ew_credentials& credentials,
                                            std::string_view day);

    const Store& store_;
    std::shared_mutex mutex_;
    std::uint64_t version_ = 0;  // Of the credentials. Guarded by mutex_, like the two below.
    std::string day_;
    signing::SigV4Key key_{};
};

}  // namespace export_worker::download_url
