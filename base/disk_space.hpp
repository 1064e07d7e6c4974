// How much room the file system of a path has.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace export_worker {

struct DiskSpace {
    std::uint64_t free_bytes = 0;  // For users other than root.
    std::uint64_t total_bytes = 0;
    std::uint64_t free_inodes = 0;   // The same.
    std::uint64_t total_inodes = 0;  // 0: the file system does not count them.
    unsigned long file_system = 0;   // The same for all paths on one.

    // False: the next file cannot be made.
    [[nodiscard]] bool has_inodes() const { return total_inodes == 0 || free_inodes > 0; }
    // Fewer free bytes are an alarm: kDiskFreeBytesMin, or a twentieth of a small file system.
    [[nodiscard]] std::uint64_t wanted_bytes() const;
    // What is wrong with it, such as "3 MiB are free, expected 256 MiB"; empty: nothing.
    [[nodiscard]] std::string problem() const;
};

// Errors: those of statvfs(). Blocks as long as the file system does. [any-thread]
[[nodiscard]] Result<DiskSpace> read_disk_space(const std::string& path);

}  // namespace export_worker
