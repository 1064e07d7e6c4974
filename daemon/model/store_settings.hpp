// One configured store: where links point to, and what signs them.
#pragma once

#include <map>
#include <string>

namespace export_worker::model {

struct StoreSettings {
    bool operator==(const StoreSettings&) const = default;

    std::string name;
    std::string kind;  // "local", "s3", "gcs", "azure" or "cloudfront".
    // Keys of the section as plugins may see them: kind, prefix, region, root, base_url, ... No
    // secrets.
    std::map<std::string, std::string> values;
    // Where the credentials come from, and the keys that say more about it: paths and names, never
    // a secret. Only daemon/credentials reads these.
    std::string credentials_source;
    std::map<std::string, std::string> credentials;
    bool is_shared_root = false;  // A local root is one for every daemon of the database.
    // How large a part of an upload is.
    std::size_t part_bytes = 0;
};

}  // namespace export_worker::model
