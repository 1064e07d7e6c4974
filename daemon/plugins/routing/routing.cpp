#include "daemon/plugins/routing/routing.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "protocol/message/limits.hpp"

namespace export_worker::plugins {
namespace {

std::int64_t as_ns(SteadyTime time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

bool leads_to(const Routes& routes, const Generation& generation) {
    return std::ranges::any_of(routes, [&](const auto& entry) {
        return entry.second.generation == &generation || entry.second.fallback == &generation;
    });
}

}  // namespace

void PinSlot::describe(std::string_view request_id, SteadyTime since) {
    const std::uint32_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    since_ns_.store(as_ns(since), std::memory_order_release);
    for (std::size_t word = 0; word < request_id_.size(); ++word) {
        std::uint64_t bytes = 0;
        if (word * 8 < request_id.size()) {
            std::memcpy(&bytes, request_id.data() + word * 8,
                        std::min<std::size_t>(8, request_id.size() - word * 8));
        }
        request_id_[word].store(bytes, std::memory_order_release);
        if (bytes == 0) break;  // The reader stops at the first NUL.
    }
    version_.store(version + 2, std::memory_order_release);
}

RoutingTable::RoutingTable() {
    snapshots_.push_back(std::make_unique<const Routes>());
    routes_.store(snapshots_.back().get());
}

PinSlot& RoutingTable::take_slot(const std::string& holder) {
    const std::lock_guard lock(slots_mutex_);
    const auto free =
        std::ranges::find_if(slots_, [](const PinSlot& slot) { return slot.holder_.empty(); });
    EW_ASSERT(free != slots_.end());
    free->number_ = static_cast<std::size_t>(free - slots_.begin());
    free->holder_ = holder;
    return *free;
}

void RoutingTable::give_back(PinSlot& slot) {
    const std::lock_guard lock(slots_mutex_);
    slot.holder_.clear();
}

const Routes& RoutingTable::announce(PinSlot& slot) const {
    const Routes* routes = routes_.load(std::memory_order_acquire);
    for (;;) {
        // Sequentially consistent, both: either the loader sees this announcement, or this thread
        // sees the loader's new routes.
        slot.snapshot_.store(routes, std::memory_order_seq_cst);
        const Routes* const now = routes_.load(std::memory_order_seq_cst);
        if (now == routes) return *routes;
        routes = now;
    }
}

Pin RoutingTable::pin(std::string_view method, std::string_view request_id, SteadyTime since,
                      PinSlot& slot) {
    const Routes& routes = announce(slot);
    const auto found = routes.find(method);
    Route route;
    if (found != routes.end()) {
        route = found->second;
        slot.describe(request_id, since);
        slot.generation_.store(route.generation, std::memory_order_release);
        slot.fallback_.store(route.fallback, std::memory_order_release);
    }
    slot.snapshot_.store(nullptr, std::memory_order_release);
    return {slot, route};
}

void RoutingTable::publish(std::unique_ptr<const Routes> routes) {
    snapshots_.push_back(std::move(routes));
    routes_.store(snapshots_.back().get(), std::memory_order_seq_cst);
    reclaim();
}

void RoutingTable::reclaim() {
    const Routes* const current = snapshots_.back().get();
    std::erase_if(snapshots_, [&](const std::unique_ptr<const Routes>& snapshot) {
        return snapshot.get() != current && std::ranges::none_of(slots_, [&](const PinSlot& slot) {
                   return slot.snapshot_.load(std::memory_order_seq_cst) == snapshot.get();
               });
    });
}

bool RoutingTable::is_on_its_way(const PinSlot& slot, const Generation& generation) const {
    const Routes* const announced = slot.snapshot_.load(std::memory_order_seq_cst);
    return announced != nullptr && announced != snapshots_.back().get() &&
           std::ranges::any_of(snapshots_, [&](const auto& snapshot) {
               return snapshot.get() == announced && leads_to(*snapshot, generation);
           });
}

bool RoutingTable::is_running(const Generation& generation) const {
    // The snapshot first: a worker announces the generation before it lets go of the snapshot.
    return std::ranges::any_of(slots_, [&](const PinSlot& slot) {
        return is_on_its_way(slot, generation) ||
               slot.generation_.load(std::memory_order_acquire) == &generation;
    });
}

bool RoutingTable::is_pinned(const Generation& generation) const {
    return std::ranges::any_of(slots_, [&](const PinSlot& slot) {
        return is_on_its_way(slot, generation) ||
               slot.generation_.load(std::memory_order_acquire) == &generation ||
               slot.fallback_.load(std::memory_order_acquire) == &generation;
    });
}

std::vector<Holder> RoutingTable::holders(const Generation& generation, SteadyTime now) const {
    std::vector<Holder> out;
    const std::lock_guard lock(slots_mutex_);
    for (const PinSlot& slot : slots_) {
        const std::uint32_t before = slot.version_.load(std::memory_order_acquire);
        if (slot.generation_.load(std::memory_order_acquire) != &generation &&
            slot.fallback_.load(std::memory_order_acquire) != &generation)
            continue;
        const std::int64_t since = slot.since_ns_.load(std::memory_order_acquire);
        std::array<std::uint64_t, limits::kRequestIdBytesMax / 8 + 1> words{};
        for (std::size_t word = 0; word < slot.request_id_.size(); ++word)
            words[word] = slot.request_id_[word].load(std::memory_order_acquire);
        // It has moved on to another request meanwhile: this one no longer holds anything.
        if (slot.version_.load(std::memory_order_acquire) != before || before % 2 != 0) continue;
        std::array<char, sizeof words> id{};
        std::memcpy(id.data(), words.data(), sizeof words);
        out.push_back({slot.holder_, std::string(id.data()),
                       std::chrono::nanoseconds(std::max<std::int64_t>(as_ns(now) - since, 0))});
    }
    return out;
}

}  // namespace export_worker::plugins
