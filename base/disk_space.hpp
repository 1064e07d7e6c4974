// How much room the file system of a path has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace export_worker {

struct DiskSpace {
    std::uint64_t free_bytes = 0;  // For users other than root.
    std::uint64_t total_bytes = 0;
    bool has_inodes = true;         // False: the next file cannot be made.
    unsigned long file_system = 0;  // The same for all paths on one.
};

// nullopt: the path is not there, or the file system does not answer with numbers. Blocks as long
// as the file system does. [any-thread]
[[nodiscard]] std::optional<DiskSpace> read_disk_space(const std::string& path);

}  // namespace export_worker
