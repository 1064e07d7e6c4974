#include "daemon/server/fair_queue.hpp"

#include <bit>

namespace export_worker::server {

bool FairQueue::try_push(Call& call, std::size_t size_max) {
    const std::lock_guard lock(mutex_);
    if (size_ >= size_max) return false;
    Line& line = lines_[call.peer_class];
    call.next_queued = nullptr;
    (line.first == nullptr ? line.first : line.last->next_queued) = &call;
    line.last = &call;
    waiting_ |= std::uint64_t{1} << call.peer_class;
    if (++size_ == 1) changed_.notify_one();
    return true;
}

Call* FairQueue::pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || size_ > 0; });
    return closed_ ? nullptr : take();
}

Call* FairQueue::try_pop() {
    const std::lock_guard lock(mutex_);
    return size_ == 0 ? nullptr : take();
}

void FairQueue::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

Call* FairQueue::take() {
    const auto next =
        static_cast<std::size_t>(turn_ + std::countr_zero(std::rotr(waiting_, turn_))) %
        limits::kPeerClasses;
    Line& line = lines_[next];
    Call* const call = line.first;
    line.first = call->next_queued;
    if (line.first == nullptr) waiting_ &= ~(std::uint64_t{1} << next);
    turn_ = static_cast<int>((next + 1) % limits::kPeerClasses);
    if (--size_ > 0) changed_.notify_one();
    return call;
}

}  // namespace export_worker::server
