#include "base/file_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <set>
#include <utility>

#include "base/io.hpp"
#include "base/unique_fd.hpp"

namespace export_worker {
namespace {

using FileId = std::pair<dev_t, ino_t>;

// To the kernel all locks of a process have one owner, and to close any descriptor of a file drops
// its lock. So a file that this process has locked is not opened again.
struct LockedFiles {
    std::mutex mutex;
    std::set<FileId> ids;  // Guarded by mutex.
};

LockedFiles& locked_files() {
    static LockedFiles files;
    return files;
}

tl::unexpected<Error> in_use(const std::string& path, const std::string& holder) {
    return fail(ErrorCode::kUnavailable, "lock " + path + ": held by another running process" +
                                             (holder.empty() ? "" : " (pid " + holder + ")") +
                                             "; stop it first, or give this one its own directory");
}

tl::unexpected<Error> not_a_file(const std::string& path) {
    return fail(ErrorCode::kFailedPrecondition,
                "lock " + path +
                    ": expected a regular file or nothing, found something else; "
                    "remove it");
}

std::string read_holder(int fd) {
    std::array<char, 64> text{};
    const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
    return got > 0 ? std::string(text.data(), static_cast<std::size_t>(got)) : std::string();
}

Result<void> lock_whole(const UniqueFd& fd, const std::string& path) {
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(fd.get(), F_SETLK, &whole) == 0) return {};
    if (errno != EACCES && errno != EAGAIN) return fail(errno_error("lock " + path, errno));
    return in_use(path, read_holder(fd.get()));
}

}  // namespace

struct FileLock::Held {
    UniqueFd fd;
    FileId id;

    Held(UniqueFd locked, FileId of) : fd(std::move(locked)), id(of) {}
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() {
        LockedFiles& files = locked_files();
        const std::lock_guard guard(files.mutex);
        fd.reset();
        files.ids.erase(id);
    }
};

FileLock::FileLock(std::unique_ptr<Held> held) : held_(std::move(held)) {}
FileLock::FileLock(FileLock&&) noexcept = default;
FileLock::~FileLock() = default;

Result<FileLock> FileLock::acquire(const std::string& path) {
    LockedFiles& files = locked_files();
    const std::lock_guard guard(files.mutex);
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0 && files.ids.contains({info.st_dev, info.st_ino}))
        return in_use(path, std::to_string(::getpid()));
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd && errno == EISDIR) return not_a_file(path);
    if (!fd) return fail(errno_error("open " + path, errno));
    if (::fstat(fd.get(), &info) != 0) return fail(errno_error("stat " + path, errno));
    if (!S_ISREG(info.st_mode)) return not_a_file(path);
    EW_CHECK(lock_whole(fd, path));
    if (::ftruncate(fd.get(), 0) != 0) return fail(errno_error("truncate " + path, errno));
    EW_CHECK(write_all(fd.get(), std::to_string(::getpid()), path));
    const FileId id{info.st_dev, info.st_ino};
    files.ids.insert(id);
    return FileLock(std::make_unique<Held>(std::move(fd), id));
}

bool FileLock::is_held(const std::string& path) {
    LockedFiles& files = locked_files();
    const std::lock_guard guard(files.mutex);
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0 || files.ids.contains({info.st_dev, info.st_ino}))
        return false;
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    return fd && ::fcntl(fd.get(), F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

}  // namespace export_worker
