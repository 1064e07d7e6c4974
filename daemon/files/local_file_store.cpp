#include "daemon/files/local_file_store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/io.hpp"
#include "base/limits.hpp"

namespace export_worker::files {

namespace fs = std::filesystem;

Result<LocalFileStore> LocalFileStore::open(const std::string& root) {
    if (!root.starts_with('/'))
        return fail(ErrorCode::kInvalidArgument, "files: expected an absolute path, found " + root);
    EW_CHECK(make_directories(root, 0750));
    std::string normal = fs::path(root).lexically_normal().string();
    while (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
    LocalFileStore store(std::move(normal));
    std::error_code error;
    for (fs::recursive_directory_iterator it(store.root_, error), end; !error && it != end;
         it.increment(error)) {
        if (it->path().extension() != ".part" || !it->is_regular_file()) continue;
        if (::unlink(it->path().c_str()) != 0)
            return fail(errno_error("delete " + it->path().string(), errno));
        ++store.parts_swept_;
    }
    if (error) return fail(errno_error("list " + store.root_, error.value()));
    return store;
}

Result<std::string> LocalFileStore::path_of(const model::FileKey& key) const {
    const fs::path relative(key);
    bool safe = !key.empty() && key.size() <= limits::kFileKeyBytesMax && relative.is_relative();
    for (const fs::path& part : relative)
        safe = safe && part != ".." && part != "." && !part.empty();
    if (!safe)
        return fail(ErrorCode::kInvalidArgument,
                    "file key: expected a relative path below the store");
    return (fs::path(root_) / relative).string();
}

Result<PendingFile> LocalFileStore::create(const model::FileKey& key) const {
    EW_TRY(std::string path, path_of(key));
    EW_CHECK(make_directories(fs::path(path).parent_path().string(), 0750));
    const std::string part = path + ".part";
    UniqueFd fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (!fd) return fail(errno_error("create " + part, errno));
    return PendingFile(std::move(fd), key, std::move(path));
}

Result<bool> LocalFileStore::remove(const model::FileKey& key) const {
    EW_TRY(const std::string path, path_of(key));
    if (::unlink(path.c_str()) != 0) {
        if (errno == ENOENT) return false;
        return fail(errno_error("delete " + path, errno));
    }
    EW_CHECK(sync_directory(fs::path(path).parent_path().string()));
    return true;
}

}  // namespace export_worker::files
