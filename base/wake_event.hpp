// Wakes a thread that waits for file descriptors: an eventfd.
#pragma once

#include "base/unique_fd.hpp"

namespace export_worker {

class WakeEvent {
public:
    WakeEvent();

    // Makes fd() readable until clear(). [any-thread]
    void signal() const;
    // By the thread that waits.
    void clear() const;
    [[nodiscard]] int fd() const { return fd_.get(); }

private:
    UniqueFd fd_;
};

}  // namespace export_worker
