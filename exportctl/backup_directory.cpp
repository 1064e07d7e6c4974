#include "exportctl/backup_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/hex.hpp"
#include "base/io.hpp"
#include "base/text.hpp"

namespace export_worker::exportctl {
namespace {

namespace fs = std::filesystem;

bool has_backup_name(const std::string& name) {
    return std::ranges::find(kBackupDatabases, name) != kBackupDatabases.end() ||
           name == "plugins" || name.starts_with(kBackupManifestFile);
}

Result<void> check_empty(const std::string& path) {
    std::error_code error;
    std::string other;  // An entry that no backup has.
    bool is_empty = true;
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
        is_empty = false;
        const std::string name = it->path().filename().string();
        if (!has_backup_name(name)) other = name;
    }
    if (error) return fail(errno_error("open directory " + path, error.value()));
    if (is_empty) return {};
    std::string found = other.empty()
                            ? "a backup that was cut off; delete it (rm -r " + path + ") or"
                            : "one with " + printable(other) + ";";
    if (fs::exists(path + "/" + kBackupManifestFile, error)) found = "a backup;";
    return fail(ErrorCode::kConflict, path + ": expected a new or empty directory, found " + found +
                                          " name another directory");
}

// The daemon empties and replaces what is below its state directory.
Result<void> check_outside_of_state(const std::string& path) {
    std::error_code error;
    for (fs::path each = fs::weakly_canonical(path, error); !error && each.has_relative_path();
         each = each.parent_path()) {
        std::error_code ignored;
        if (!fs::exists(each / "jobs.db", ignored) || !fs::exists(each / "lock", ignored)) continue;
        return fail(ErrorCode::kConflict,
                    path + ": expected a directory outside of a daemon's state_dir, found one in " +
                        each.string() + "; name another directory");
    }
    return {};
}

// An empty one that is there becomes private.
Result<void> take(const std::string& path) {
    EW_CHECK(check_empty(path));
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return fail(errno_error("stat " + path, errno));
    if (info.st_uid != ::geteuid())
        return fail(ErrorCode::kConflict,
                    path + ": expected a directory of the user that runs this, found one of uid " +
                        std::to_string(info.st_uid) + "; name another directory");
    if (::chmod(path.c_str(), 0700) != 0) return fail(errno_error("chmod " + path, errno));
    return {};
}

// Its parents are not made: below the mount point of a volume that is not mounted they would fill
// another disk.
Result<void> make(const std::string& path) {
    fs::path parent = fs::path(path).parent_path();
    if (path.ends_with('/')) parent = parent.parent_path();
    std::error_code ignored;
    if (fs::exists(parent, ignored)) return make_directories(path, 0700);
    return fail(ErrorCode::kFailedPrecondition,
                path + ": expected a directory to make it in, found no " + parent.string() +
                    "; mount its volume, correct the path, or make it first (mkdir -p)");
}

}  // namespace

Result<BackupDirectory> BackupDirectory::create(const std::string& path) {
    EW_CHECK(check_outside_of_state(path));
    std::error_code ignored;
    const bool is_there = fs::exists(path, ignored);
    EW_CHECK(is_there ? take(path) : make(path));
    return BackupDirectory(path, !is_there);
}

BackupDirectory::BackupDirectory(BackupDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      is_made_(other.is_made_),
      file_(std::move(other.file_)),
      written_(other.written_),
      digest_(std::move(other.digest_)),
      fd_(std::move(other.fd_)) {}

BackupDirectory::~BackupDirectory() {
    if (path_.empty()) return;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(path_, ignored))
        fs::remove_all(entry.path(), ignored);
    if (is_made_) fs::remove(path_, ignored);
}

Result<void> BackupDirectory::begin_file(const BackupFile& file) {
    const std::string path = path_ + "/" + file.name;
    EW_CHECK(make_directories(fs::path(path).parent_path(), 0700));
    fd_ =
        UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd_) return fail(errno_error("create " + path, errno));
    if (::fchmod(fd_.get(), 0600) != 0) return fail(errno_error("chmod " + path, errno));
    file_ = file;
    written_ = 0;
    digest_ = crypto::Sha256();
    return {};
}

Result<void> BackupDirectory::append(std::string_view bytes) {
    written_ += static_cast<std::int64_t>(bytes.size());
    if (written_ > file_.bytes)
        return fail(ErrorCode::kDataLoss, "the daemon sent more of " + file_.name + " than the " +
                                              std::to_string(file_.bytes) +
                                              " bytes it has; try again");
    digest_.update(bytes);
    return write_all(fd_.get(), bytes, path_ + "/" + file_.name);
}

Result<void> BackupDirectory::end_file() {
    const std::string path = path_ + "/" + file_.name;
    const std::string sha256 = to_hex(digest_.finish());
    if (written_ != file_.bytes || sha256 != file_.sha256)
        return fail(ErrorCode::kDataLoss, path + ": expected " + std::to_string(file_.bytes) +
                                              " bytes with SHA-256 " + file_.sha256 + ", found " +
                                              std::to_string(written_) + " with " + sha256 +
                                              "; try again");
    if (::fsync(fd_.get()) != 0) return fail(errno_error("sync " + path, errno));
    fd_ = UniqueFd();
    return {};
}

Result<void> BackupDirectory::commit(const BackupManifest& manifest) {
    const std::string path = path_ + "/" + kBackupManifestFile;
    const std::string part = path + ".part";
    EW_CHECK(make_private_file(part));
    const UniqueFd fd(::open(part.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return fail(errno_error("open " + part, errno));
    EW_CHECK(write_all(fd.get(), encode_backup_manifest(manifest), part));
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(path_, ignored)) {
        if (entry.is_directory()) EW_CHECK(sync_directory(entry.path()));
    }
    EW_CHECK(sync_directory(path_));
    EW_CHECK(publish_file(part, path));
    path_.clear();
    return {};
}

}  // namespace export_worker::exportctl
