#include "base/descriptor_use.hpp"

#include <dirent.h>
#include <sys/resource.h>

#include <mutex>

namespace export_worker {

std::optional<DescriptorUse> read_descriptor_use() {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    static DIR* const open = ::opendir("/proc/self/fd");
    rlimit bound{};
    if (open == nullptr || ::getrlimit(RLIMIT_NOFILE, &bound) != 0) return std::nullopt;
    ::rewinddir(open);
    DescriptorUse out{0, bound.rlim_cur};
    while (const dirent* const entry = ::readdir(open)) {
        if (entry->d_name[0] != '.') ++out.open;
    }
    return out;
}

}  // namespace export_worker
