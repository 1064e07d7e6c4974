// Session tokens: a signed JWT (RFC 7519, in the compact form of RFC 7515), RS256 only.
//
// The algorithm is ours to choose, not the token's: `none`, HS256 with a public key as the secret,
// and everything else that is not RS256 is refused before a key is looked up (RFC 8725, 3.1).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"
#include "daemon/auth/identity.hpp"
#include "daemon/auth/jwks.hpp"

namespace export_worker::auth {

struct JwtRules {
    std::string issuer;
    std::string audience;
    std::chrono::seconds tolerance{0};  // For exp and nbf.
};

// Three parts with points between them: worth verifying.
[[nodiscard]] bool looks_like_jwt(std::string_view token);

// Who the token speaks of. Errors: kUnauthenticated with the reason, which is for operators and not
// for callers; kNotFound when the set has no key of the token's kid.
[[nodiscard]] Result<Identity> verify_jwt(std::string_view token, const Jwks& keys,
                                          const JwtRules& rules, std::int64_t now_unix_s);

// The claims of a verified token: `sub`; "https://stytch.com/session" {"roles"} and
// "https://stytch.com/organization" {"organization_id"}, the claims of a Stytch B2B session; or
// "organizations": [{"organization_id", "roles"}] for a member of several. Errors:
// kUnauthenticated.
[[nodiscard]] Result<Identity> identity_of(const nlohmann::json& claims);

}  // namespace export_worker::auth
