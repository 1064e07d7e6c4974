// [auth] of the configuration: whose sessions count, and what their roles may do.
#pragma once

#include <chrono>
#include <string>

#include "daemon/model/limits.hpp"

namespace export_worker::model {

struct AuthSettings {
    bool operator==(const AuthSettings&) const = default;

    std::string roles_file;  // Absolute; empty: roles give nothing.
    // Session JWTs: both, or one of them; with both the file is what the URL said last.
    std::string jwks_file;  // Absolute.
    std::string jwks_url;
    std::chrono::seconds jwks_refresh = limits::kJwksRefreshDefault;
    std::string issuer;
    std::string audience;
    std::chrono::seconds clock_tolerance = limits::kClockToleranceDefault;
    // Absolute; certificates (PEM) that vouch for jwks_url and session_url. Empty: the system's.
    std::string ca_file;
    // Opaque sessions: provider to ask about those that are not in the table; empty: none.
    std::string session_url;
    std::string session_user;         // The project id.
    std::string session_secret_file;  // Absolute.
    std::chrono::seconds session_cache = limits::kSessionCacheDefault;

    [[nodiscard]] bool takes_jwt() const { return !jwks_file.empty() || !jwks_url.empty(); }
};

}  // namespace export_worker::model
