// One owner per directory: an exclusive lock on DIRECTORY/lock, held until destruction.
//
// The kernel drops the lock with the process, so a crash leaves only a file without meaning. A
// process that this one forks does not have it (a POSIX lock, not flock()), so nothing that a
// plugin leaves running keeps the directory locked. To open and close the file elsewhere in this
// process would drop the lock.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"

namespace export_worker {

class FileLock {
public:
    // Errors: kUnavailable when another process, or this one, holds it, naming that process;
    // kFailedPrecondition when `path` is no regular file; those of the file system. [any-thread]
    [[nodiscard]] static Result<FileLock> acquire(const std::string& path);
    // Whether another process holds it now; no when it cannot be opened. [any-thread]
    [[nodiscard]] static bool is_held(const std::string& path);
    FileLock(FileLock&&) noexcept;
    ~FileLock();

private:
    struct Held;
    explicit FileLock(std::unique_ptr<Held> held);
    std::unique_ptr<Held> held_;
};

}  // namespace export_worker
