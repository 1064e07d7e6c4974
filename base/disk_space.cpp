#include "base/disk_space.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>

#include "base/limits.hpp"

namespace export_worker {

std::uint64_t DiskSpace::wanted_bytes() const {
    return std::min(limits::kDiskFreeBytesMin, total_bytes / 20);
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
