// Credentials as presented to a principal, or a refusal in the words of the public API.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "daemon/auth/key_store.hpp"
#include "daemon/model/principal.hpp"

namespace export_worker::auth {

// What the caller sent, verbatim; empty means absent.
struct Presented {
    std::string_view authorization;    // "Bearer mo_..."
    std::string_view organization_id;  // X-Organization-ID
    std::string_view session;          // The cookie; used only without an authorization header.
};

// [any-thread]
class Authenticator {
public:
    explicit Authenticator(const KeyStore& keys) : keys_(keys) {}

    // Fills `principal`, reusing its buffers. Errors: kUnauthenticated ("Not authenticated" without
    // credentials, "Invalid credentials" with bad ones), kPermissionDenied for an organization the
    // caller is not in.
    [[nodiscard]] Result<void> authenticate(const Presented& presented,
                                            model::Principal& principal) const;

private:
    const KeyStore& keys_;
};

}  // namespace export_worker::auth
