// Files, the careful way: whole reads with a bound, whole writes, syncs that are checked.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker {

// Reads a regular file of at most `bytes_max` bytes. Errors name the path, never the content.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t bytes_max);
// The same for files that decide who or what is trusted: refuses one that group or others may
// write, one of another user (is_trusted_owner()), and one below a directory that others may change
// (check_directories_above()). kFailedPrecondition then.
[[nodiscard]] Result<std::string> read_trusted_file(const std::string& path, std::size_t bytes_max);
// The same for secrets: refuses one that others may read, too. `also`: another trusted owner.
[[nodiscard]] Result<std::string> read_secret_file(const std::string& path, std::size_t bytes_max,
                                                   std::optional<uid_t> also = {});
// Whether group or others may write it. Not counted is a sticky directory such as /tmp: others can
// add names there, not replace ours.
[[nodiscard]] bool is_writable_by_others(const struct stat& info);
// The check of read_trusted_file() alone, for a directory, and for a file that a library reads. A
// sticky directory is refused: others could add what we look for in it. `also` as above.
[[nodiscard]] Result<void> check_trusted_file(const std::string& path,
                                              std::optional<uid_t> also = {});
// Of that only that group and others may not write it: for a directory of data, whoever owns it.
[[nodiscard]] Result<void> check_unshared(const std::string& path);
// Whether `path` is a directory or, unless it `must_exist`, nothing yet. Errors: kNotFound,
// kFailedPrecondition for anything else that has the name.
[[nodiscard]] Result<void> check_directory(const std::string& path, bool must_exist);
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
// Creates the file `path`, empty, when it is missing. Only its owner may read and write it then,
// and the regular file that was there before.
[[nodiscard]] Result<void> make_private_file(const std::string& path);
// Takes the rights of group and others away from a regular file; a missing one is fine.
[[nodiscard]] Result<void> make_private(const std::string& path);
// Creates `path` and its parents with exactly `mode`, whatever the umask; an existing directory is
// fine and keeps its mode.
[[nodiscard]] Result<void> make_directories(const std::string& path, mode_t mode);

}  // namespace export_worker
