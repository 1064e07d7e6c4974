#include "base/user_name.hpp"

#include <pwd.h>

#include <array>

namespace export_worker {

std::optional<std::string> find_user_name(uid_t uid) {
    passwd user{};
    passwd* found = nullptr;
    std::array<char, 16 * 1024> texts{};
    if (::getpwuid_r(uid, &user, texts.data(), texts.size(), &found) != 0 || found == nullptr)
        return std::nullopt;
    return std::string(user.pw_name);
}

std::string user_name(uid_t uid) {
    return find_user_name(uid).value_or("#" + std::to_string(uid));
}

}  // namespace export_worker
