// Who is calling, as the daemon established it. Never filled in from what the caller claims.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace export_worker::model {

struct Principal {
    std::string subject;  // Key id, member id, or "operator" on the control socket.
    std::string
        organization_id;  // The one this call acts for; empty only for an operator who named none.
    std::vector<std::string> permissions;
    bool is_operator = false;  // Came in over the control socket: everything is allowed.
    bool by_key = false;       // `subject` is the id of an API key.

    [[nodiscard]] bool may(std::string_view permission) const {
        return is_operator || std::ranges::find(permissions, permission) != permissions.end();
    }
};

}  // namespace export_worker::model
