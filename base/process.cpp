#include "base/process.hpp"

#include <sys/resource.h>

#include "base/log.hpp"

namespace export_worker {

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("the limit of open files stays at its soft value");
}

void forbid_core_files() {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_CORE, &none) != 0) log_warn("core files stay allowed");
}

}  // namespace export_worker
