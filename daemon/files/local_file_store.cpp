#include "daemon/files/local_file_store.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/crypto/sha256.hpp"
#include "base/fault_point.hpp"
#include "base/hex.hpp"
#include "base/io.hpp"
#include "base/log.hpp"
#include "base/store_mark.hpp"
#include "base/unique_fd.hpp"
#include "daemon/model/limits.hpp"
#include "signing/limits.hpp"
#include "signing/object_key.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::files {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartSuffix = ".part";

bool exists(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

std::string normal_root(const std::string& root) {
    std::string normal = fs::path(root).lexically_normal().string();
    while (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
    return normal;
}

std::string mark_of(const std::string& root, const RootOwner& owner) {
    return owner.registry_id.empty() ? std::string() : store_mark_path(root, owner.registry_id);
}

// A root of before version 0.2, or one that was copied without its mark, has the files: all but a
// tenth, which is what fsck withdraws without being told to. One stray file says nothing.
bool has_files_of(const std::string& root, const RootOwner& owner) {
    const auto missing = std::ranges::count_if(
        owner.published, [&](const model::FileKey& key) { return !exists(root + "/" + key); });
    return static_cast<std::size_t>(missing) * 10 <= owner.published.size();
}

// Why a root without our mark is not ours, as far as its entries say it.
std::string found_instead(const std::string& root, const std::string& mark) {
    struct stat info {};
    if (::lstat(mark.c_str(), &info) == 0)
        return "expected a regular file, found something else. Once that is moved away";
    const auto others = marked_registries(root);
    if (others && !others->empty())
        return root + " has the mark of another registry (" + others->front() +
               "): exports of another daemon are there, or state_dir is not the one that made "
               "them; mount the right volume, restore the right state_dir, or give each daemon a "
               "root of its own. If this registry takes the directory over";
    return root +
           " is not where exports were written to, or its volume is not mounted; mount it. If it "
           "is right and its files are gone for good";
}

// How an operator says that the root is right.
std::string how_to_mark(const std::string& root, const std::string& mark) {
    const bool is_read_only = ::faccessat(AT_FDCWD, root.c_str(), W_OK, AT_EACCESS) != 0;
    return (is_read_only ? ", make it writable (mount -o remount,rw, or ReadWritePaths= of the "
                           "unit), then touch "
                         : ": touch ") +
           mark;
}

// Of a store that is not mounted every file looks lost.
std::string why_away(const std::string& root, const std::string& mark) {
    if (exists(root))
        return "open " + mark + ": " + found_instead(root, mark) + how_to_mark(root, mark);
    const int number = errno;
    return "open " + root + ": " + std::strerror(number) +
           (number == ELOOP ? "; correct the symbolic link, or name the directory itself in root"
                            : "; mount it, or put it back");
}

tl::unexpected<Error> not_a_file(const std::string& path, const char* found) {
    return fail(ErrorCode::kFailedPrecondition, path + ": expected a regular file, found " + found);
}

class LocalPendingFile final : public PendingFile {
public:
    LocalPendingFile(UniqueFd fd, model::FileKey key, std::string final_path)
        : fd_(std::move(fd)), key_(std::move(key)), final_path_(std::move(final_path)) {
        buffer_.reserve(limits::kFileWriteBufferBytes);
    }
    ~LocalPendingFile() override {
        if (owns_part_ && ::unlink(part_path().c_str()) != 0 && errno != ENOENT)
            log_warn("delete {}: {}", part_path(), errno_error("unlink", errno).message);
    }

    // Whole blocks, wherever in a row or a character they end.
    Result<void> append(std::string_view bytes) override {
        digest_.update(bytes);
        bytes_ += bytes.size();
        while (buffer_.size() + bytes.size() >= limits::kFileWriteBufferBytes) {
            const std::size_t room = limits::kFileWriteBufferBytes - buffer_.size();
            buffer_.append(bytes.substr(0, room));
            bytes.remove_prefix(room);
            EW_CHECK(flush());
        }
        buffer_.append(bytes);
        return {};
    }

    Result<model::FileReceipt> commit() override {
        EW_CHECK(flush());
        fault_point("file.before_sync");
        // One failed sync is final: the kernel may have dropped the pages, and a second sync would
        // lie.
        if (::fsync(fd_.get()) != 0) return fail(errno_error("sync " + part_path(), errno));
        fault_point("file.before_rename");
        if (::renameat2(AT_FDCWD, part_path().c_str(), AT_FDCWD, final_path_.c_str(),
                        RENAME_NOREPLACE) != 0)
            return fail(errno_error("publish " + final_path_, errno));
        owns_part_ = false;
        fault_point("file.before_directory_sync");
        EW_CHECK(sync_directory(fs::path(final_path_).parent_path().string()));
        std::string file_url = "file://";
        signing::append_percent_encoded_path(file_url, final_path_);
        return model::FileReceipt{key_, std::move(file_url), bytes_, to_hex(digest_.finish())};
    }

private:
    Result<void> flush() {
        EW_CHECK(write_all(fd_.get(), buffer_, part_path()));
        // Starts write-back of what is there now, so that the sync at the end is short. Advisory.
        (void)::sync_file_range(fd_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
        buffer_.clear();
        fault_point("file.block_written");
        return {};
    }
    std::string part_path() const { return final_path_ + std::string(kPartSuffix); }

    UniqueFd fd_;
    model::FileKey key_;
    std::string final_path_;
    std::string buffer_;  // Less than kFileWriteBufferBytes.
    crypto::Sha256 digest_;
    std::uint64_t bytes_ = 0;
    bool owns_part_ = true;  // The .part file is ours to delete.
};

}  // namespace

bool is_root_of(const std::string& root, const RootOwner& owner) {
    if (owner.registry_id.empty()) return true;
    const std::string normal = normal_root(root);
    const std::string mark = mark_of(normal, owner);
    struct stat info {};
    if (::lstat(mark.c_str(), &info) == 0) return S_ISREG(info.st_mode);
    const auto others = marked_registries(normal);
    if (others && !others->empty()) return false;
    return has_files_of(normal, owner);
}

std::string root_problem(const std::string& root, const RootOwner& owner) {
    if (is_root_of(root, owner)) return {};
    const std::string normal = normal_root(root);
    return why_away(normal, mark_of(normal, owner));
}

Result<std::unique_ptr<LocalFileStore>> LocalFileStore::open(const std::string& root,
                                                             const RootOwner& owner) {
    if (!root.starts_with('/'))
        return fail(ErrorCode::kInvalidArgument, "files: expected an absolute path, found " + root);
    std::string normal = normal_root(root);
    std::string mark = mark_of(normal, owner);
    if (!is_root_of(root, owner))
        return std::unique_ptr<LocalFileStore>(
            new LocalFileStore(std::move(normal), std::move(mark), owner.is_shared));
    EW_CHECK(make_directories(normal, 0750));
    EW_CHECK(check_unshared(normal));
    // Here and not at the first export: somebody has to change something.
    if (::faccessat(AT_FDCWD, normal.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0)
        return fail(
            errno_error("files: expected a directory to write exports to, " + normal, errno));
    if (!mark.empty()) EW_CHECK(make_store_mark(mark));
    std::unique_ptr<LocalFileStore> store(
        new LocalFileStore(std::move(normal), std::move(mark), owner.is_shared));
    if (!owner.is_shared) EW_CHECK(store->sweep_parts());
    return store;
}

Result<void> LocalFileStore::sweep_parts() {
    std::error_code error;
    for (fs::recursive_directory_iterator it(root_, error), end; !error && it != end;
         it.increment(error)) {
        if (it->path().extension() != kPartSuffix || !it->is_regular_file()) continue;
        if (::unlink(it->path().c_str()) != 0)
            return fail(errno_error("delete " + it->path().string(), errno));
        ++parts_swept_;
    }
    if (error) return fail(errno_error("list " + root_, error.value()));
    return {};
}

Result<void> LocalFileStore::check_present() const {
    if (mark_.empty() ? exists(root_) : is_store_mark(mark_)) return {};
    return fail(ErrorCode::kUnavailable, why_away(root_, mark_));
}

std::string LocalFileStore::problem() const {
    const auto present = check_present();
    return present ? std::string() : present.error().message;
}

Result<std::string> LocalFileStore::path_of(const model::FileKey& key) const {
    const bool safe = !key.empty() && key.size() <= limits::kFileKeyBytesMax &&
                      !key.starts_with('/') && !key.ends_with('/') &&
                      key.find("//") == std::string::npos && !signing::has_dot_segment(key);
    if (!safe)
        return fail(ErrorCode::kInvalidArgument,
                    "file key: expected a relative path below the store");
    return root_ + "/" + key;
}

Result<std::unique_ptr<PendingFile>> LocalFileStore::create(const NewFile& file) {
    EW_TRY(std::string path, path_of(file.key));
    EW_CHECK(check_present());
    EW_CHECK(make_directories(fs::path(path).parent_path().string(), 0750));
    const std::string part = path + std::string(kPartSuffix);
    UniqueFd fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (!fd) return fail(errno_error("create " + part, errno));
    // The group is the shim's; the umask may have taken its right away.
    if (::fchmod(fd.get(), 0640) != 0) return fail(errno_error("chmod " + part, errno));
    return std::make_unique<LocalPendingFile>(std::move(fd), file.key, std::move(path));
}

Result<bool> LocalFileStore::remove_path(const std::string& path) {
    if (::unlink(path.c_str()) == 0) return true;
    if (errno != ENOENT) return fail(errno_error("delete " + path, errno));
    return false;
}

Result<bool> LocalFileStore::remove(const model::FileKey& key) {
    EW_TRY(const std::string path, path_of(key));
    bool existed = false;
    // The part first: its writer cannot publish it any more once this returns.
    if (is_shared_) {
        EW_TRY(existed, remove_path(path + std::string(kPartSuffix)));
    }
    EW_TRY(const bool was_whole, remove_path(path));
    if (!existed && !was_whole) {
        EW_CHECK(check_present());
        return false;
    }
    EW_CHECK(sync_directory(fs::path(path).parent_path().string()));
    return true;
}

Result<std::optional<FileFacts>> LocalFileStore::inspect(const model::FileKey& key,
                                                         bool with_hash) {
    EW_TRY(const std::string path, path_of(key));
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd && errno == ENOENT) {
        EW_CHECK(check_present());
        return std::optional<FileFacts>();
    }
    if (!fd && errno == ELOOP) return not_a_file(path, "a symbolic link");
    if (!fd) return fail(errno_error("open " + path, errno));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return fail(errno_error("stat " + path, errno));
    if (!S_ISREG(info.st_mode))
        return not_a_file(path, S_ISDIR(info.st_mode) ? "a directory" : "another kind of file");
    FileFacts facts;
    facts.bytes = static_cast<std::uint64_t>(info.st_size);
    if (!with_hash) return std::optional(facts);
    crypto::Sha256 digest;
    std::string block(limits::kFileWriteBufferBytes, '\0');
    for (;;) {
        const ssize_t got = ::read(fd.get(), block.data(), block.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("read " + path, errno));
        if (got == 0) break;
        digest.update(std::string_view(block).substr(0, static_cast<std::size_t>(got)));
    }
    facts.sha256 = to_hex(digest.finish());
    return std::optional(std::move(facts));
}

Result<void> LocalFileStore::list(const std::function<Result<void>(const ListedFile&)>& visit) {
    EW_CHECK(check_present());
    Result<void> listed;
    std::vector<std::string> directories{root_};
    while (!directories.empty()) {
        const std::string directory = std::move(directories.back());
        directories.pop_back();
        std::error_code error;
        for (fs::directory_iterator it(directory, error), end; !error && it != end;
             it.increment(error)) {
            struct stat info {};
            std::string path = it->path().string();
            const bool is_part = path.ends_with(kPartSuffix);
            // Gone since it was listed, or nothing an export ever is.
            if (::lstat(path.c_str(), &info) != 0 || (is_part && !is_shared_)) continue;
            if (S_ISDIR(info.st_mode)) directories.push_back(path);
            const bool is_mark =
                directory == root_ && has_mark_name(it->path().filename().string());
            if (!S_ISREG(info.st_mode) || is_mark) continue;
            if (is_part) path.resize(path.size() - kPartSuffix.size());
            EW_CHECK(visit({path.substr(root_.size() + 1), info.st_mtim.tv_sec}));
        }
        if (error && listed) listed = fail(errno_error("list " + directory, error.value()));
    }
    return listed;
}

}  // namespace export_worker::files
