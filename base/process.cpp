#include "base/process.hpp"

#include <sys/resource.h>

#include <string>
#include <utility>

#include "base/log.hpp"

namespace export_worker {

Result<void> raise_descriptor_limit(std::uint64_t needed) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
    const rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        limit.rlim_cur = before;
        log_warn("the limit of open files stays at its soft value");
    }
    if (limit.rlim_cur >= needed) return {};
    return fail(ErrorCode::kResourceExhausted, "open files: expected a limit of " +
                                                   std::to_string(needed) + " or more, found " +
                                                   std::to_string(limit.rlim_cur) +
                                                   "; raise it (LimitNOFILE of the unit, ulimit "
                                                   "-n)");
}

void forbid_core_files() {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_CORE, &none) != 0) log_warn("core files stay allowed");
}

}  // namespace export_worker
