// The permissions there are: the one list for the daemon, the plugins and exportctl. A test
// compares docs/identity.md with it. Append-only: keys and roles name them.
#pragma once

#include <array>
#include <string_view>

namespace export_worker {

inline constexpr std::array<std::string_view, 5> kPermissions{
    "product:read", "job:read", "job:create", "template:write", "link:explain"};

}  // namespace export_worker
