#include "daemon/plugins/staging/trust.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/io.hpp"

namespace export_worker::plugins {
namespace {

constexpr const char* kStage = "staging";

Verdict<void> check_trust(const struct stat& info, const std::string& path) {
    if (info.st_uid != 0 && info.st_uid != ::geteuid()) {
        return refuse({"ownership", kStage,
                       "a file and directories owned by root or the daemon's user",
                       path + " owned by user " + std::to_string(info.st_uid),
                       "install it as root: install -o root -m 0755"});
    }
    if (is_writable_by_others(info)) {
        return refuse({"ownership", kStage, "a file or directory that only its owner may write",
                       path + " is writable by group or others", "run chmod go-w " + path});
    }
    return {};
}

// Opens the directory component by component without following anything, checking each.
Verdict<UniqueFd> open_resolved_directory(const std::filesystem::path& directory) {
    UniqueFd at(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    std::filesystem::path so_far = "/";
    for (const auto& part : directory.relative_path()) {
        so_far /= part;
        UniqueFd next(
            ::openat(at.get(), part.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        struct stat info {};
        if (!next || ::fstat(next.get(), &info) != 0)
            return refuse(refusal_of(kStage, errno_error("open " + so_far.string(), errno)));
        EW_CHECK(check_trust(info, so_far.string()));
        at = std::move(next);
    }
    return at;
}

// Every directory as the operator wrote it: a link among them is as safe as the one it lies in.
Verdict<void> check_as_written(const std::filesystem::path& directory) {
    for (std::filesystem::path at = directory;; at = at.parent_path()) {
        struct stat info {};
        if (::stat(at.c_str(), &info) != 0) {
            if (errno == ENOENT) {
                return refuse({"io", kStage, "a plugin file", "nothing at " + at.string(),
                               "check the path: [plugin.NAME] file, or --file"});
            }
            return refuse(refusal_of(kStage, errno_error("stat " + at.string(), errno)));
        }
        EW_CHECK(check_trust(info, at.string()));
        if (at == at.root_path()) return {};
    }
}

}  // namespace

Verdict<UniqueFd> open_trusted(const std::string& source) {
    const std::filesystem::path path(source);
    if (!path.is_absolute() || !path.has_filename()) {
        return refuse({"io", kStage, "the absolute path of a file", "'" + source + "'",
                       "name the .so with its whole path"});
    }
    EW_CHECK(check_as_written(path.parent_path()));
    std::error_code error;
    const auto resolved = std::filesystem::canonical(path.parent_path(), error);
    if (error) return refuse(refusal_of(kStage, errno_error("resolve " + source, error.value())));
    EW_TRY(const UniqueFd directory, open_resolved_directory(resolved));
    UniqueFd fd(::openat(directory.get(), path.filename().c_str(),
                         O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd && errno == ELOOP) {
        return refuse({"ownership", kStage, "a regular file", source + " is a symbolic link",
                       "name the file itself"});
    }
    if (!fd && errno == ENOENT) {
        return refuse({"io", kStage, "a plugin file", "nothing at " + source,
                       "check the path: [plugin.NAME] file, or --file"});
    }
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0)
        return refuse(refusal_of(kStage, errno_error("open " + source, errno)));
    if (!S_ISREG(info.st_mode)) {
        return refuse({"not_elf", kStage, "a regular file", source + " is something else",
                       "name the .so file"});
    }
    EW_CHECK(check_trust(info, source));
    return fd;
}

}  // namespace export_worker::plugins
