// Roles to permissions, from a file of the operator's:
//
//   [role.Editor]
//   permissions = product:read job:read job:create
//
// Roles add up. A role the file does not name gives nothing.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker::auth {

// Errors: kInvalidArgument for a permission that is not in kPermissions, so that a typing error is
// not a silent refusal later.
[[nodiscard]] Result<void> check_permissions(const std::vector<std::string>& permissions);
// Words with single blanks between them, as the databases and the policy file have them.
[[nodiscard]] std::string join_words(const std::vector<std::string>& words);
[[nodiscard]] std::vector<std::string> split_words(std::string_view text);

class RolePolicy {
public:
    RolePolicy() = default;
    // Errors: those of a configuration file; kInvalidArgument naming file, section and key.
    [[nodiscard]] static Result<RolePolicy> read(const std::string& path);

    // Each once, sorted.
    [[nodiscard]] std::vector<std::string> permissions_of(std::span<const std::string> roles) const;
    // Errors: kInvalidArgument for a role that the file does not name. Without a file every role is
    // accepted.
    [[nodiscard]] Result<void> check_roles(std::span<const std::string> roles) const;

private:
    std::map<std::string, std::vector<std::string>> roles_;
};

}  // namespace export_worker::auth
