#include "daemon/jobs/event_recorder.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

#include "base/log.hpp"
#include "base/text.hpp"
#include "base/this_thread.hpp"
#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs {
namespace {

template <std::size_t size>
std::uint8_t put(std::array<char, size>& target, std::string_view text) {
    static_assert(size < 256);
    const std::string_view fits = utf8_prefix(text, size);
    std::memcpy(target.data(), fits.data(), fits.size());
    return static_cast<std::uint8_t>(fits.size());
}

}  // namespace

EventRecorder::EventRecorder(JobAccesses& store)
    : store_(store), ring_(limits::kEventsQueuedMax), taken_(limits::kEventsQueuedMax) {
    threads_.start([this] { run(); });
}

void EventRecorder::record(std::string_view job_id, std::string_view kind, std::string_view actor) {
    const std::lock_guard lock(mutex_);
    if (used_ == ring_.size()) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    Slot& slot = ring_[used_++];
    slot.job_id_bytes = put(slot.job_id, job_id);
    slot.kind_bytes = put(slot.kind, kind);
    slot.actor_bytes = put(slot.actor, actor);
}

void EventRecorder::run() {
    name_this_thread("events");
    while (threads_.wait_for(limits::kEventsFlushInterval)) flush();
    flush();  // What came in since.
}

void EventRecorder::flush() {
    std::size_t count = 0;
    {
        const std::lock_guard lock(mutex_);
        count = std::exchange(used_, 0);
        ring_.swap(taken_);
    }
    if (count == 0) return;
    std::map<std::tuple<std::string_view, std::string_view, std::string_view>, std::int64_t> sums;
    for (std::size_t index = 0; index < count; ++index) {
        const Slot& slot = taken_[index];
        ++sums[{{slot.job_id.data(), slot.job_id_bytes},
                {slot.kind.data(), slot.kind_bytes},
                {slot.actor.data(), slot.actor_bytes}}];
    }
    std::vector<JobAccess> accesses;
    accesses.reserve(sums.size());
    for (const auto& [what, times] : sums) {
        accesses.push_back({std::string(std::get<0>(what)), std::string(std::get<1>(what)),
                            std::string(std::get<2>(what)), times});
    }
    if (auto added = store_.add(accesses); !added)
        log_warn("{} links and downloads may be missing from jobs' events: {}", count,
                 added.error().message);
}

}  // namespace export_worker::jobs
