// A full disk, or no descriptor left, for as long as this lives. Holds for the whole process.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

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

}  // namespace export_worker::testing
