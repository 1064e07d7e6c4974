// A full disk, or no descriptor left, for as long as this lives. Holds for the whole process.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstddef>
#include <vector>

#include "base/unique_fd.hpp"

namespace export_worker::testing {

class ResourceLimit {
public:
    // RLIMIT_FSIZE: bytes of a file; what would be longer fails with EFBIG. RLIMIT_NOFILE: the
    // first descriptor that cannot be had.
    ResourceLimit(__rlimit_resource resource, rlim_t max) : resource_(resource) {
        EXPECT_EQ(::getrlimit(resource_, &before_), 0);
        const rlimit now{max, before_.rlim_max};
        EXPECT_EQ(::setrlimit(resource_, &now), 0);
    }
    ResourceLimit(const ResourceLimit&) = delete;
    ResourceLimit& operator=(const ResourceLimit&) = delete;
    ~ResourceLimit() {
        (void)::setrlimit(resource_, &before_);
        (void)std::signal(SIGXFSZ, signal_before_);
    }

private:
    const __rlimit_resource resource_;
    rlimit before_{};
    void (*signal_before_)(int) = std::signal(SIGXFSZ, SIG_IGN);  // The write fails instead.
};

// The bound of RLIMIT_NOFILE with which so many descriptors (at least one) can be had, whatever
// numbers are taken.
inline rlim_t descriptors_leaving(std::size_t free) {
    std::vector<UniqueFd> next;
    while (next.size() < free) next.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return static_cast<rlim_t>(next.back().get()) + 1;
}

}  // namespace export_worker::testing
