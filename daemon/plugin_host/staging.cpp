#include "daemon/plugin_host/staging.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/unique_fd.hpp"
#include "daemon/plugin_host/refusal.hpp"

namespace export_worker::plugin_host {
namespace {

constexpr std::string_view kStage = "staging";

bool is_trusted_owner(uid_t owner) {
    return owner == 0 || owner == ::geteuid();
}

Result<void> check_trust(const struct stat& info, const std::string& path) {
    if (!is_trusted_owner(info.st_uid)) {
        const std::string found = path + " owned by user " + std::to_string(info.st_uid);
        return refuse(
            {kStage, "a file owned by root or the daemon's user", found, "install it as root"});
    }
    // A sticky directory such as /tmp lets others add names, not replace ours.
    const bool sticky_directory = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky_directory) {
        return refuse({kStage, "nobody but the owner may write it",
                       path + " is writable by group or others", "run chmod go-w " + path});
    }
    return {};
}

Result<UniqueFd> open_source(const std::string& source) {
    UniqueFd fd(::open(source.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd && errno == ELOOP) {
        return refuse(
            {kStage, "a regular file", source + " is a symbolic link", "name the file itself"});
    }
    if (!fd && errno == ENOENT) {
        return refuse({kStage, "a plugin file", "nothing at " + source,
                       "check the path in [plugin.NAME] file"});
    }
    if (!fd) return fail(errno_error("open " + source, errno));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return fail(errno_error("stat " + source, errno));
    if (!S_ISREG(info.st_mode)) {
        return refuse(
            {kStage, "a regular file", source + " is something else", "name the .so file"});
    }
    EW_CHECK(check_trust(info, source));
    const std::string parent = std::filesystem::path(source).parent_path().string();
    struct stat parent_info {};
    if (::stat(parent.empty() ? "." : parent.c_str(), &parent_info) != 0)
        return fail(errno_error("stat " + parent, errno));
    EW_CHECK(check_trust(parent_info, parent));
    return fd;
}

// Reads the whole file through the descriptor that was checked; the path is not looked at again.
Result<std::string> read_source(int fd, const std::string& source) {
    std::string bytes;
    std::string chunk(1 << 16, '\0');
    for (;;) {
        const ssize_t got = ::read(fd, chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("read " + source, errno));
        if (got == 0) break;
        bytes.append(chunk, 0, static_cast<std::size_t>(got));
        if (bytes.size() > limits::kPluginFileBytesMax) {
            return refuse({kStage, "at most 64 MiB", "a larger file",
                           "strip the debug information into a file of its own"});
        }
    }
    if (bytes.empty())
        return refuse({kStage, "a plugin file", source + " is empty", "copy it again"});
    return bytes;
}

}  // namespace

Result<void> prepare_staging(const std::string& directory) {
    EW_CHECK(make_directories(directory, 0700));
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
        if (::unlink(entry.path().c_str()) != 0)
            return fail(errno_error("delete " + entry.path().string(), errno));
    }
    if (error) return fail(errno_error("list " + directory, error.value()));
    return {};
}

Result<StagedFile> stage(const std::string& source, const std::string& directory,
                         std::uint64_t number) {
    EW_TRY(const UniqueFd from, open_source(source));
    StagedFile staged;
    EW_TRY(staged.bytes, read_source(from.get(), source));
    staged.sha256 = to_hex(crypto::sha256(staged.bytes));
    staged.path =
        directory + "/" + staged.sha256.substr(0, 16) + "-" + std::to_string(number) + ".so";
    const UniqueFd to(
        ::open(staged.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0500));
    if (!to) return fail(errno_error("create " + staged.path, errno));
    if (auto written = write_all(to.get(), staged.bytes, staged.path); !written) {
        (void)::unlink(staged.path.c_str());
        return fail(written.error());
    }
    return staged;
}

}  // namespace export_worker::plugin_host
