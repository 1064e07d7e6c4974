// Files, the careful way: whole reads with a bound, whole writes, syncs that are checked.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker {

// Reads a regular file of at most `bytes_max` bytes. Errors name the path, never the content.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t bytes_max);
// The same, but refuses a file that others may read or the group may write: for secrets.
// kFailedPrecondition then.
[[nodiscard]] Result<std::string> read_secret_file(const std::string& path, std::size_t bytes_max);
// What the file looks like from outside: another text after every replacement and every write;
// "none" when it is not there.
[[nodiscard]] std::string file_version(const std::string& path);
// Writes all of `bytes` at the current offset; retries short writes and EINTR.
[[nodiscard]] Result<void> write_all(int fd, std::string_view bytes,
                                     std::string_view path_for_errors);
// Makes the entry of a created, renamed or deleted file durable.
[[nodiscard]] Result<void> sync_directory(const std::string& path);
// Syncs the file `part`, gives it the name `path` (replacing what has it) and makes that durable.
[[nodiscard]] Result<void> publish_file(const std::string& part, const std::string& path);
// Creates `path` and its parents with exactly `mode`, whatever the umask; an existing directory is
// fine and keeps its mode.
[[nodiscard]] Result<void> make_directories(const std::string& path, mode_t mode);

}  // namespace export_worker
