#include "daemon/auth/role_policy.hpp"

#include <algorithm>
#include <set>
#include <sstream>

#include "base/options/config_file.hpp"
#include "base/permissions.hpp"
#include "base/text.hpp"

namespace export_worker::auth {

Result<void> check_permissions(const std::vector<std::string>& permissions) {
    for (const std::string& permission : permissions) {
        if (std::ranges::find(kPermissions, permission) == kPermissions.end()) {
            return fail(ErrorCode::kInvalidArgument,
                        "permission: expected one of " +
                            join_words({kPermissions.begin(), kPermissions.end()}) + ", found '" +
                            printable(permission) + "'");
        }
    }
    return {};
}

std::string join_words(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
    return out;
}

std::vector<std::string> split_words(std::string_view text) {
    std::vector<std::string> out;
    std::istringstream words{std::string(text)};
    for (std::string word; words >> word;) out.push_back(std::move(word));
    return out;
}

Result<RolePolicy> RolePolicy::read(const std::string& path) {
    EW_TRY(const options::ConfigFile file, options::ConfigFile::read(path));
    constexpr std::string_view kFamily = "role";
    EW_CHECK(file.check_sections({}, std::span(&kFamily, 1)));
    RolePolicy out;
    for (options::Section& section : file.sections(kFamily)) {
        std::vector<std::string> permissions;
        section.words("permissions", permissions);
        if (auto good = check_permissions(permissions); !good)
            section.add_error("permissions", good.error().message);
        EW_CHECK(section.finish());
        out.roles_.emplace(section.name().substr(kFamily.size() + 1), std::move(permissions));
    }
    return out;
}

std::vector<std::string> RolePolicy::permissions_of(std::span<const std::string> roles) const {
    std::set<std::string> all;
    for (const std::string& role : roles) {
        if (const auto found = roles_.find(role); found != roles_.end())
            all.insert(found->second.begin(), found->second.end());
    }
    return {all.begin(), all.end()};
}

Result<void> RolePolicy::check_roles(std::span<const std::string> roles) const {
    if (roles_.empty()) return {};
    std::vector<std::string> known;
    for (const auto& entry : roles_) known.push_back(entry.first);
    for (const std::string& role : roles) {
        if (!roles_.contains(role))
            return fail(ErrorCode::kInvalidArgument, "roles: expected one of " + join_words(known) +
                                                         ", found '" + printable(role) + "'");
    }
    return {};
}

}  // namespace export_worker::auth
