#include "daemon/app/user_name.hpp"

#include <pwd.h>

namespace export_worker::app {

std::string user_name(uid_t uid) {
    const passwd* const user = ::getpwuid(uid);
    return user == nullptr ? "#" + std::to_string(uid) : user->pw_name;
}

}  // namespace export_worker::app
