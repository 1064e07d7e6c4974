#include "daemon/control/backup_store.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/crypto/sha256.hpp"
#include "base/crypto/uuid.hpp"
#include "base/fault_point.hpp"
#include "base/hex.hpp"
#include "base/io.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "daemon/control/limits.hpp"

namespace export_worker::control {
namespace {

void delete_tree(const std::string& path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) log_warn("{}", errno_error("delete " + path, error.value()).message);
}

Result<BackupFile> hash_file(const std::string& path, const std::string& name,
                             const std::function<bool()>& keep_going) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return fail(errno_error("open " + path, errno));
    crypto::Sha256 digest;
    BackupFile out{name, 0, {}};
    std::string piece(limits::kBackupPieceBytes, '\0');
    for (;;) {
        if (!keep_going()) return fail(ErrorCode::kCancelled, "hash " + path + ": stopped");
        const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("read " + path, errno));
        if (got == 0) break;
        digest.update(std::string_view(piece.data(), static_cast<std::size_t>(got)));
        out.bytes += got;
    }
    out.sha256 = to_hex(digest.finish());
    return out;
}

Result<std::string> read_piece(const std::string& path, std::int64_t offset,
                               std::size_t bytes_max) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return fail(errno_error("open " + path, errno));
    std::string out(bytes_max, '\0');
    const ssize_t got = ::pread(fd.get(), out.data(), out.size(), offset);
    if (got < 0) return fail(errno_error("read " + path, errno));
    out.resize(static_cast<std::size_t>(got));
    return out;
}

}  // namespace

BackupStore::BackupStore(std::string directory, const Clock& clock)
    : directory_(std::move(directory)), clock_(clock) {
    delete_tree(directory_);
}

BackupStore::~BackupStore() {
    delete_tree(directory_);
}

std::string BackupStore::path_of(const std::string& id, const std::string& name) const {
    return directory_ + "/" + id + (name.empty() ? "" : "/") + name;
}

// A descriptor of the process: unlike its number it never means another one.
void BackupStore::set_client(std::int64_t pid) {
    if (pid <= 0) return;
    const std::lock_guard lock(mutex_);
    if (!current_) return;
    current_->client = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    current_->is_abandoned = !current_->client && errno == ESRCH;
}

bool BackupStore::Current::has_lost_client() const {
    pollfd ended{client.get(), POLLIN, 0};
    return is_abandoned || (client && ::poll(&ended, 1, 0) == 1);
}

std::string BackupStore::why_over(const Current& current, SteadyTime now) {
    if (current.has_lost_client()) return "its exportctl has ended";
    if (current.is_complete && now - current.used > limits::kBackupIdleMax)
        return "it was not fetched for " + std::to_string(limits::kBackupIdleMax.count()) + " s";
    if (now - current.began >= limits::kBackupTimeMax)
        return "it took more than " + std::to_string(limits::kBackupTimeMax.count()) + " s";
    return {};
}

Result<std::string> BackupStore::begin() {
    expire();
    const std::lock_guard lock(mutex_);
    if (current_) {
        const auto age = clock_.steady() - current_->began;
        return fail(
            ErrorCode::kConflict,
            "a backup is under way since " +
                std::to_string(std::chrono::duration_cast<std::chrono::seconds>(age).count()) +
                " s; wait until it has ended");
    }
    Current next{crypto::make_uuid7(clock_.unix_us()), clock_.steady(), clock_.steady(), false, {}};
    EW_CHECK(make_directories(path_of(next.id, std::string(kBackupPluginsDirectory)), 0700));
    current_ = std::move(next);
    return current_->id;
}

bool BackupStore::is_wanted(const std::string& id) const {
    const std::lock_guard lock(mutex_);
    return current_ && current_->id == id && why_over(*current_, clock_.steady()).empty();
}

Result<void> BackupStore::add(const std::string& id, const std::string& name,
                              const std::function<Result<void>(const std::string&)>& copy,
                              const std::function<bool()>& keep_going) {
    const std::string path = path_of(id, name);
    EW_CHECK(copy(path));
    EW_TRY(BackupFile file, hash_file(path, name, keep_going));
    const std::lock_guard lock(mutex_);
    if (!current_ || current_->id != id) return fail(ErrorCode::kCancelled, "backup: given up");
    current_->manifest.files.push_back(std::move(file));
    return {};
}

Result<BackupManifest> BackupStore::complete(const std::string& id, const std::string& version) {
    const std::lock_guard lock(mutex_);
    if (!current_ || current_->id != id) return fail(ErrorCode::kCancelled, "backup: given up");
    current_->manifest.version = version;
    current_->manifest.created_at = to_iso8601(clock_.unix_us());
    current_->used = clock_.steady();
    current_->is_complete = true;
    return current_->manifest;
}

Result<BackupManifest> BackupStore::manifest(const std::string& id) {
    const std::lock_guard lock(mutex_);
    if (!current_ || current_->id != id || !current_->is_complete)
        return fail(ErrorCode::kNotFound, "no backup with this id: it has ended, or waited " +
                                              std::to_string(limits::kBackupIdleMax.count()) +
                                              " s for its next request; begin another one");
    current_->used = clock_.steady();
    return current_->manifest;
}

Result<std::string> BackupStore::read(const std::string& id, const std::string& name,
                                      std::int64_t offset, std::size_t bytes_max) {
    EW_TRY(const BackupManifest known, manifest(id));
    if (std::ranges::find(known.files, name, &BackupFile::name) == known.files.end())
        return fail(ErrorCode::kNotFound, "the backup has no file '" + printable(name) + "'");
    fault_point("backup.before_read");
    return read_piece(path_of(id, name), offset, bytes_max);
}

void BackupStore::end(const std::string& id) {
    {
        const std::lock_guard lock(mutex_);
        if (current_ && current_->id == id) current_.reset();
    }
    delete_copies(id);
}

// A thread that still makes copies finds its directory gone, and calls end() itself.
void BackupStore::delete_copies(const std::string& id) const {
    const bool is_id =
        !id.empty() && id.find_first_not_of("0123456789abcdef-") == std::string::npos;
    if (is_id) delete_tree(path_of(id, ""));
}

void BackupStore::expire() {
    std::string expired;
    std::string why;
    {
        const std::lock_guard lock(mutex_);
        if (!current_) return;
        why = why_over(*current_, clock_.steady());
        if (why.empty()) return;
        expired = current_->id;
    }
    log_warn("backup: {}; its copies are deleted", why);
    end(expired);
}

}  // namespace export_worker::control
