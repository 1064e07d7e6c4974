#include "base/user_name.hpp"

#include <pwd.h>

#include <array>
#include <cerrno>

namespace export_worker {
namespace {

struct Lookup {
    bool has_failed = false;
    std::string name = {};  // Empty: there is no such user.
};

Lookup look_up(uid_t uid) {
    passwd user{};
    passwd* found = nullptr;
    std::array<char, 16 * 1024> texts{};
    const int status = ::getpwuid_r(uid, &user, texts.data(), texts.size(), &found);
    if (found != nullptr) return {false, user.pw_name};
    // The numbers by which a source of users says that it has none of them.
    const bool is_unknown =
        status == 0 || status == ENOENT || status == ESRCH || status == EBADF || status == EPERM;
    return {!is_unknown};
}

}  // namespace

bool is_user(uid_t uid) {
    const Lookup found = look_up(uid);
    return found.has_failed || !found.name.empty();
}

std::string user_name(uid_t uid) {
    const Lookup found = look_up(uid);
    return found.name.empty() ? "#" + std::to_string(uid) : found.name;
}

}  // namespace export_worker
