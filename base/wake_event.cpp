#include "base/wake_event.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/assert.hpp"

namespace export_worker {

WakeEvent::WakeEvent() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    EW_ASSERT(static_cast<bool>(fd_));
}

void WakeEvent::signal() const {
    const std::uint64_t one = 1;
    // EAGAIN means the counter is full: the thread is being woken anyway.
    if (::write(fd_.get(), &one, sizeof one) < 0) EW_ASSERT(errno == EAGAIN);
}

void WakeEvent::clear() const {
    std::uint64_t signals = 0;
    const ssize_t size = ::read(fd_.get(), &signals, sizeof signals);
    EW_ASSERT(size > 0 || errno == EAGAIN || errno == EINTR);
}

}  // namespace export_worker
