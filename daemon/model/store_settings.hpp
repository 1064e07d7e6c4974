// One configured store: where links point to, and what signs them.
#pragma once

#include <map>
#include <string>

namespace export_worker::model {

struct StoreSettings {
    std::string name;
    std::string kind;  // "local" or "s3".
    // Keys of the section as plugins may see them: kind, prefix, region, root, base_url, ... No
    // secrets.
    std::map<std::string, std::string> values;
    // --- credentials; only daemon/credentials reads these ---
    std::string key_file;            // local: lines "ID HEX".
    std::string credentials_source;  // s3: "static" or "environment".
    std::string access_key_id;       // s3, static.
    std::string secret_key_file;     // s3, static.
    std::string session_token_file;  // s3, static, optional.
};

}  // namespace export_worker::model
