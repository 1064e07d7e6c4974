#include "base/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/io.hpp"

namespace export_worker {

Result<FileLock> FileLock::acquire(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return fail(errno_error("open " + path, errno));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return fail(errno_error("lock " + path, errno));
        const auto holder = read_file(path, 64);
        return fail(ErrorCode::kUnavailable,
                    "lock " + path + ": held by another running process" +
                        (holder && !holder->empty() ? " (pid " + *holder + ")" : "") +
                        "; stop it first, or give this one its own directory");
    }
    if (::ftruncate(fd.get(), 0) != 0) return fail(errno_error("truncate " + path, errno));
    EW_CHECK(write_all(fd.get(), std::to_string(::getpid()), path));
    return FileLock(std::move(fd));
}

}  // namespace export_worker
