// One configured store, as the plugin sees it, and the match from a file_url to it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "signing/s3_presign.hpp"

namespace export_worker::download_url {

struct Store {
    enum class Kind { kLocal, kS3 };
    std::string name;
    Kind kind = Kind::kLocal;
    std::string prefix;  // file_urls that start with this are this store's; ends with a slash.
    std::int64_t link_lifetime_s = 0;
    bool organization_prefix = true;  // Sign only below PREFIX/ORGANIZATION/.
    // local
    std::string root;
    std::string base_url;
    // s3
    std::string region;
    std::string endpoint;  // The public one when configured; empty: AWS's.
    signing::S3Addressing addressing = signing::S3Addressing::kVirtual;
};

// From the entries "store.NAME.key" of the configuration. Errors: kInvalidArgument.
[[nodiscard]] Result<std::vector<Store>> read_stores(
    const std::map<std::string, std::string, std::less<>>& config);

// The store with the longest matching prefix; nullptr when there is none.
[[nodiscard]] const Store* match_store(const std::vector<Store>& stores, std::string_view file_url);

}  // namespace export_worker::download_url
