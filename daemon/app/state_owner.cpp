#include "daemon/app/state_owner.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/io.hpp"
#include "base/user_name.hpp"

namespace export_worker::app {

Result<StateOwner> owner_of(const std::string& state_dir) {
    struct stat info {};
    if (::stat(state_dir.c_str(), &info) != 0)
        return fail(errno_error("stat " + state_dir, errno).code,
                    errno_error("stat " + state_dir, errno).message +
                        "; make it for the daemon's user first: install -d -m 0750 -o USER -g "
                        "GROUP " +
                        state_dir);
    EW_CHECK(check_trusted_file(state_dir, info.st_uid));
    if (::geteuid() == 0 || ::geteuid() == info.st_uid) return StateOwner{info.st_uid, info.st_gid};
    return fail(ErrorCode::kFailedPrecondition,
                state_dir + ": expected one of the user that runs this (" + user_name(::geteuid()) +
                    "), found one of " + user_name(info.st_uid) + "; run this as root or as " +
                    user_name(info.st_uid));
}

Result<void> become(const StateOwner& owner) {
    if (::geteuid() == owner.uid) return {};
    const passwd* const user = ::getpwuid(owner.uid);
    const int groups =
        user == nullptr ? ::setgroups(1, &owner.gid) : ::initgroups(user->pw_name, owner.gid);
    if (groups == 0 && ::setresgid(owner.gid, owner.gid, owner.gid) == 0 &&
        ::setresuid(owner.uid, owner.uid, owner.uid) == 0)
        return {};
    return fail(errno_error("become " + user_name(owner.uid), errno));
}

}  // namespace export_worker::app
