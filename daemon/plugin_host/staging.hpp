// A private copy of a plugin file, under a name that is never used again.
//
// The dynamic loader knows libraries by path and inode, and a file that changes under a running
// library takes the process down; so what is loaded is a copy nobody else can reach, and its hash
// is of exactly those bytes.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace export_worker::plugin_host {

struct StagedFile {
    std::string path;    // DIRECTORY/SHORT_HASH-NUMBER.so, mode 0500.
    std::string sha256;  // 64 hex digits, of the bytes in the copy.
    std::string bytes;   // The content, for inspection.
};

// Creates `directory` (0700) and deletes what an earlier process staged there.
[[nodiscard]] Result<void> prepare_staging(const std::string& directory);

// Copies `source`. `number` is unique in this process. Refused: a symbolic link, anything but a
// regular file, an empty or over-long one, one that others than root and this user own, or that
// group or others may write, and the same for the directory it lies in.
[[nodiscard]] Result<StagedFile> stage(const std::string& source, const std::string& directory,
                                       std::uint64_t number);

}  // namespace export_worker::plugin_host
