// One owner per directory: an exclusive lock on DIRECTORY/lock, held until destruction.
//
// The kernel drops the lock with the process, so a crash leaves only a file without meaning.
#pragma once

#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker {

class FileLock {
public:
    // Errors: kUnavailable when another process holds it, naming that process.
    [[nodiscard]] static Result<FileLock> acquire(const std::string& path);

private:
    explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace export_worker
