#include "base/trust.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/io.hpp"
#include "base/user_name.hpp"

namespace export_worker {
namespace {

namespace fs = std::filesystem;

Result<void> check_directory(const std::string& directory, const std::string& path,
                             std::optional<uid_t> also) {
    struct stat info {};
    if (::stat(directory.c_str(), &info) != 0) return {};
    const std::string found = "open " + path + ": expected directories above it that only " +
                              root_or(::geteuid()) + " may change, found " + directory;
    if (!is_trusted_owner(info.st_uid, also))
        return fail(ErrorCode::kFailedPrecondition,
                    found + " of " + user_name(info.st_uid) + "; run chown root " + directory);
    if (is_writable_by_others(info))
        return fail(ErrorCode::kFailedPrecondition,
                    found + ", which group or others may write; run chmod go-w " + directory);
    return {};
}

}  // namespace

bool is_trusted_owner(uid_t owner, std::optional<uid_t> also) {
    return owner == 0 || owner == ::geteuid() || owner == also || !is_user(owner);
}

std::string root_or(uid_t user) {
    return user == 0 ? "root" : "root or " + user_name(user);
}

Result<void> check_directories_above(const std::string& path, std::optional<uid_t> also) {
    std::error_code error;
    const fs::path written = fs::absolute(path, error);
    const fs::path resolved = fs::canonical(path, error);
    for (const fs::path& start : {written, resolved}) {
        for (fs::path at = start; at.has_relative_path();) {
            at = at.parent_path();
            EW_CHECK(check_directory(at.string(), path, also));
        }
    }
    return {};
}

}  // namespace export_worker
