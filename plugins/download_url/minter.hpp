// The whole decision from "a caller wants job J's file" to a signed URL, in the order it is made.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/download_url/s3_signer.hpp"
#include "plugins/download_url/store.hpp"
#include "protocol/plugin_abi/extensions.h"

namespace export_worker::download_url {

// The host services the plugin uses. Valid as long as the host.
struct Services {
    const ew_host* host = nullptr;
    const ew_ext_log* log = nullptr;
    const ew_ext_clock* clock = nullptr;
    const ew_ext_authorize* authorize = nullptr;
    const ew_ext_job_lookup* jobs = nullptr;
    const ew_ext_credentials* credentials = nullptr;
    const ew_ext_metrics* metrics = nullptr;
};

// [any-thread]
class Minter {
public:
    Minter(const Services& services, std::vector<Store> stores);

    // Exactly one outcome in `writer`.
    void mint(const ew_request& request, ew_writer& writer);
    // Every store has usable credentials: signs one made-up key per store. Errors:
    // kFailedPrecondition, naming the store.
    [[nodiscard]] Result<void> self_test();

private:
    // Where a file_url points within its store, after every check that it may be signed for this
    // organization.
    struct Location {
        const Store* store = nullptr;
        S3Signer* signer = nullptr;  // For kS3.
        std::string_view bucket;     // For kS3; a view into the file_url.
        std::string key;             // Decoded; relative to the root (local) or the bucket (s3).
    };
    [[nodiscard]] Result<Location> locate(std::string_view file_url,
                                          std::string_view organization_id);
    [[nodiscard]] Result<std::string> sign(const Location& location, std::string_view filename,
                                           const ew_credentials& credentials,
                                           std::int64_t now_unix_s, std::int64_t expires_seconds);
    void count(std::int32_t counter) const;

    const Services services_;
    const std::vector<Store> stores_;
    std::deque<S3Signer> signers_;  // One per store, same order; the local ones are unused.
    std::int32_t minted_ = -1;
    std::int32_t refused_ = -1;
};

}  // namespace export_worker::download_url
