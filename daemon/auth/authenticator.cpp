#include "daemon/auth/authenticator.hpp"

namespace export_worker::auth {
namespace {

// The token of "Bearer TOKEN"; the scheme's case does not matter (RFC 9110, section 11.1). Empty
// when it is another scheme.
std::string_view bearer_token(std::string_view header) {
    constexpr std::string_view kScheme = "bearer";
    if (header.size() <= kScheme.size() || header[kScheme.size()] != ' ') return {};
    for (std::size_t index = 0; index < kScheme.size(); ++index) {
        if ((header[index] | 0x20) != kScheme[index]) return {};
    }
    header.remove_prefix(kScheme.size());
    while (header.starts_with(' ')) header.remove_prefix(1);
    while (header.ends_with(' ')) header.remove_suffix(1);
    return header;
}

}  // namespace

Result<void> Authenticator::authenticate(const Presented& presented,
                                         model::Principal& principal) const {
    if (presented.authorization.empty() && presented.session.empty()) {
        return fail(ErrorCode::kUnauthenticated, "Not authenticated");
    }
    // The header wins over the cookie; sessions are not among the credentials this version can
    // check.
    const std::shared_ptr<const ApiKey> key = keys_.verify(bearer_token(presented.authorization));
    if (key == nullptr) return fail(ErrorCode::kUnauthenticated, "Invalid credentials");
    if (!presented.organization_id.empty() && presented.organization_id != key->organization_id) {
        return fail(ErrorCode::kPermissionDenied, "Not a member of this organization");
    }
    principal.subject = key->id;
    principal.organization_id = key->organization_id;
    principal.permissions = key->permissions;
    principal.is_operator = false;
    return {};
}

}  // namespace export_worker::auth
