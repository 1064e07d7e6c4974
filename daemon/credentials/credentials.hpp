// What signs for one store, as its source returned it.
#pragma once

#include <cstdint>
#include <string>

namespace export_worker::credentials {

struct Credentials {
    std::uint64_t version = 0;  // Never the same for two different ones in one process.
    std::string key_id;
    std::string secret;
    std::string session_token;
    std::int64_t expires_unix_us = 0;  // 0: no end.

    [[nodiscard]] bool same_material(const Credentials& other) const {
        return key_id == other.key_id && secret == other.secret &&
               session_token == other.session_token && expires_unix_us == other.expires_unix_us;
    }
};

}  // namespace export_worker::credentials
