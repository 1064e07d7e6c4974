#include "base/store_mark.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/io.hpp"
#include "base/unique_fd.hpp"

namespace export_worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = ".export-worker-";

}  // namespace

std::string store_mark_path(const std::string& root, const std::string& registry_id) {
    return root + "/" + std::string(kPrefix) + registry_id;
}

bool is_store_mark(const std::string& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool has_mark_name(const std::string& file_name) {
    return file_name.starts_with(kPrefix) && file_name.size() > kPrefix.size();
}

Result<std::vector<std::string>> marked_registries(const std::string& root) {
    std::vector<std::string> out;
    std::error_code error;
    for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        if (has_mark_name(name) && is_store_mark(it->path().string()))
            out.push_back(name.substr(kPrefix.size()));
    }
    if (error) return fail(errno_error("list " + root, error.value()));
    std::ranges::sort(out);
    return out;
}

Result<void> make_store_mark(const std::string& path) {
    const UniqueFd fd(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (!fd && errno == EEXIST) {
        if (is_store_mark(path)) return {};
        return fail(ErrorCode::kFailedPrecondition,
                    path + ": expected a regular file, found something else; move it away");
    }
    if (!fd) return fail(errno_error("create " + path, errno));
    if (::fchmod(fd.get(), 0640) != 0) return fail(errno_error("chmod " + path, errno));
    EW_CHECK(write_all(fd.get(),
                       "Exports of an export-worker are here. Without this file the daemon takes "
                       "the directory for one whose volume is not mounted.\n",
                       path));
    if (::fsync(fd.get()) != 0) return fail(errno_error("sync " + path, errno));
    return sync_directory(fs::path(path).parent_path().string());
}

bool is_no_file(int error) {
    return error == ENOENT || error == ENOTDIR || error == ELOOP || error == EXDEV ||
           error == ENAMETOOLONG || error == ENXIO;
}

bool is_root_away(const std::string& root, std::optional<std::string_view> registry_id) {
    struct stat info {};
    if (::stat(root.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return true;
    if (registry_id && !registry_id->empty())
        return !is_store_mark(store_mark_path(root, std::string(*registry_id)));
    if (registry_id) {
        const auto marks = marked_registries(root);
        return marks && marks->empty();
    }
    std::error_code error;
    return fs::is_empty(root, error) && !error;
}

}  // namespace export_worker
