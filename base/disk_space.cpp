#include "base/disk_space.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>

#include "base/limits.hpp"

namespace export_worker {
namespace {

constexpr std::uint64_t kKibibyte = 1024;
constexpr std::uint64_t kMebibyte = 1024 * kKibibyte;

}  // namespace

std::uint64_t DiskSpace::wanted_bytes() const {
    return std::min(limits::kDiskFreeBytesMin, total_bytes / 20);
}

std::string DiskSpace::problem() const {
    if (!has_inodes()) return "no inode is free";
    const std::uint64_t wanted = wanted_bytes();
    if (free_bytes >= wanted) return {};
    // On a small disk the two would be the same number of MiB.
    const bool is_small = wanted < 10 * kMebibyte;
    const std::uint64_t unit = is_small ? kKibibyte : kMebibyte;
    const char* const name = is_small ? " KiB" : " MiB";
    return std::to_string(free_bytes / unit) + name + " are free, expected " +
           std::to_string(wanted / unit) + name;
}

Result<DiskSpace> read_disk_space(const std::string& path) {
    struct statvfs disk {};
    if (::statvfs(path.c_str(), &disk) != 0)
        return fail(errno_error("look at the free space of " + path, errno));
    const std::uint64_t unit = disk.f_frsize;
    return DiskSpace{disk.f_bavail * unit, disk.f_blocks * unit, disk.f_favail, disk.f_files,
                     disk.f_fsid};
}

}  // namespace export_worker
