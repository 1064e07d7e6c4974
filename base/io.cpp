#include "base/io.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>

#include "base/trust.hpp"
#include "base/user_name.hpp"

namespace export_worker {
namespace {

Result<std::string> read_open_file(int fd, const std::string& path, std::size_t bytes_max) {
    std::string out;
    std::array<char, 16 * 1024> chunk{};
    for (;;) {
        const ssize_t got = ::read(fd, chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("read " + path, errno));
        if (got == 0) return out;
        if (out.size() + static_cast<std::size_t>(got) > bytes_max) {
            return fail(ErrorCode::kInvalidArgument, "read " + path + ": expected at most " +
                                                         std::to_string(bytes_max) +
                                                         " bytes, found more");
        }
        out.append(chunk.data(), static_cast<std::size_t>(got));
    }
}

enum class Guard { kNone, kTrusted, kSecret };

constexpr mode_t kWritableByOthers = S_IWGRP | S_IWOTH;

Result<void> check_mode(const struct stat& info, const std::string& path, Guard guard) {
    if (guard == Guard::kSecret && (info.st_mode & (kWritableByOthers | S_IROTH)) != 0) {
        return fail(ErrorCode::kFailedPrecondition,
                    "open " + path +
                        ": a secret that others may read or the group may write; run chmod 640 " +
                        path);
    }
    if (guard == Guard::kTrusted && (info.st_mode & kWritableByOthers) != 0) {
        return fail(ErrorCode::kFailedPrecondition,
                    "open " + path +
                        ": expected one that only its owner may write, found that group or others "
                        "may write it; run chmod go-w " +
                        path);
    }
    return {};
}

Result<void> check_owner(const struct stat& info, const std::string& path,
                         std::optional<uid_t> also) {
    if (is_trusted_owner(info.st_uid, also)) return {};
    return fail(ErrorCode::kFailedPrecondition, "open " + path + ": expected one of " +
                                                    root_or(::geteuid()) + ", found one of " +
                                                    user_name(info.st_uid) + "; run chown root " +
                                                    path + " if you trust what is in it");
}

Result<void> check_guard(const struct stat& info, const std::string& path, Guard guard,
                         std::optional<uid_t> also) {
    EW_CHECK(check_owner(info, path, also));
    EW_CHECK(check_mode(info, path, guard));
    return check_directories_above(path, also);
}

Result<std::string> read_regular_file(const std::string& path, std::size_t bytes_max, Guard guard,
                                      std::optional<uid_t> also = {}) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return fail(errno_error("open " + path, errno));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return fail(errno_error("stat " + path, errno));
    if (!S_ISREG(info.st_mode)) {
        return fail(ErrorCode::kInvalidArgument, "open " + path + ": expected a regular file");
    }
    if (guard != Guard::kNone) EW_CHECK(check_guard(info, path, guard, also));
    return read_open_file(fd.get(), path, bytes_max);
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
    return read_regular_file(path, bytes_max, Guard::kNone);
}

Result<std::string> read_trusted_file(const std::string& path, std::size_t bytes_max) {
    return read_regular_file(path, bytes_max, Guard::kTrusted);
}

Result<std::string> read_secret_file(const std::string& path, std::size_t bytes_max,
                                     std::optional<uid_t> also) {
    return read_regular_file(path, bytes_max, Guard::kSecret, also);
}

bool is_writable_by_others(const struct stat& info) {
    const bool sticky_directory = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
    return (info.st_mode & kWritableByOthers) != 0 && !sticky_directory;
}

Result<void> check_trusted_file(const std::string& path, std::optional<uid_t> also) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return fail(errno_error("stat " + path, errno));
    return check_guard(info, path, Guard::kTrusted, also);
}

Result<void> check_unshared(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return fail(errno_error("stat " + path, errno));
    return check_mode(info, path, Guard::kTrusted);
}

Result<void> check_directory(const std::string& path, bool must_exist) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
        if (errno == ENOENT && !must_exist) return {};
        return fail(errno_error("open " + path, errno));
    }
    if (S_ISLNK(info.st_mode) && ::stat(path.c_str(), &info) != 0) {
        const char* const where = errno == ELOOP ? "in a circle: " : "nowhere: ";
        return fail(
            ErrorCode::kFailedPrecondition,
            "expected a directory, found a symbolic link that leads " + std::string(where) + path);
    }
    if (S_ISDIR(info.st_mode)) return {};
    return fail(ErrorCode::kFailedPrecondition, "expected a directory, found a file: " + path);
}

Result<void> make_private_file(const std::string& path) {
    const UniqueFd fd(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd) return {};
    if (errno != EEXIST) return fail(errno_error("create " + path, errno));
    return make_private(path);
}

// By path: closing a descriptor would end the locks that SQLite holds on the file.
Result<void> make_private(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0)
        return errno == ENOENT ? Result<void>{} : fail(errno_error("stat " + path, errno));
    constexpr mode_t kOthers = S_IRWXG | S_IRWXO;
    if (!S_ISREG(info.st_mode) || (info.st_mode & kOthers) == 0) return {};
    if (::chmod(path.c_str(), info.st_mode & 0777U & ~kOthers) != 0)
        return fail(errno_error("chmod " + path, errno));
    return {};
}

std::string file_version(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return "none";
    std::string out;
    for (const auto value :
         {static_cast<std::int64_t>(info.st_dev), static_cast<std::int64_t>(info.st_ino),
          static_cast<std::int64_t>(info.st_size), static_cast<std::int64_t>(info.st_mtim.tv_sec),
          static_cast<std::int64_t>(info.st_mtim.tv_nsec),
          static_cast<std::int64_t>(info.st_ctim.tv_sec),
          static_cast<std::int64_t>(info.st_ctim.tv_nsec)}) {
        out += std::to_string(value);
        out += ' ';
    }
    return out;
}

Result<void> write_all(int fd, std::string_view bytes, std::string_view path_for_errors) {
    while (!bytes.empty()) {
        const ssize_t put = ::write(fd, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail(errno_error("write " + std::string(path_for_errors), errno));
        bytes.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

Result<void> sync_directory(const std::string& path) {
    const std::string name = path.empty() ? "." : path;
    const UniqueFd fd(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return fail(errno_error("open directory " + name, errno));
    if (::fsync(fd.get()) != 0) return fail(errno_error("sync directory " + name, errno));
    return {};
}

Result<void> publish_file(const std::string& part, const std::string& path) {
    const UniqueFd fd(::open(part.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(errno_error("open " + part, errno));
    if (::fsync(fd.get()) != 0) return fail(errno_error("sync " + part, errno));
    if (::rename(part.c_str(), path.c_str()) != 0)
        return fail(errno_error("rename " + part + " to " + path, errno));
    return sync_directory(std::filesystem::path(path).parent_path().string());
}

Result<void> make_directories(const std::string& path, mode_t mode) {
    std::filesystem::path made;
    for (const auto& part : std::filesystem::path(path)) {
        made /= part;
        if (::mkdir(made.c_str(), mode) == 0) {
            // The mode must not depend on the caller's umask.
            if (::chmod(made.c_str(), mode) != 0)
                return fail(errno_error("chmod " + made.string(), errno));
            const std::filesystem::path parent = made.parent_path();
            EW_CHECK(sync_directory(parent.string()));
        } else if (errno != EEXIST) {
            return fail(errno_error("create directory " + made.string(), errno));
        }
    }
    std::error_code ignored;
    if (!std::filesystem::is_directory(made, ignored)) {
        return fail(ErrorCode::kFailedPrecondition,
                    "create directory " + path + ": something else has that name");
    }
    return {};
}

}  // namespace export_worker
