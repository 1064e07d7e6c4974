#include "base/disk_space.hpp"

#include <sys/statvfs.h>

namespace export_worker {

std::optional<DiskSpace> read_disk_space(const std::string& path) {
    struct statvfs disk {};
    if (::statvfs(path.c_str(), &disk) != 0) return std::nullopt;
    const std::uint64_t unit = disk.f_frsize;
    return DiskSpace{disk.f_bavail * unit, disk.f_blocks * unit,
                     disk.f_files == 0 || disk.f_favail > 0, disk.f_fsid};
}

}  // namespace export_worker
