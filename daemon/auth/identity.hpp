// Who a session belongs to, once it has been verified.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace export_worker::auth {

struct Membership {
    bool operator==(const Membership&) const = default;

    std::string organization_id;
    std::vector<std::string> roles;
};

struct Identity {
    std::string subject;  // The member's id at the identity provider.
    std::vector<Membership> memberships;
    std::int64_t expires_unix_s = 0;
};

}  // namespace export_worker::auth
