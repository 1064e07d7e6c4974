#include "base/user_name.hpp"

#include <pwd.h>

namespace export_worker {

std::string user_name(uid_t uid) {
    const passwd* const user = ::getpwuid(uid);
    return user == nullptr ? "#" + std::to_string(uid) : user->pw_name;
}

}  // namespace export_worker
