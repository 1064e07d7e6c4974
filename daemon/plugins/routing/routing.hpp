// Which generation answers which method, and who is inside which generation right now.
//
// Routes are an immutable snapshot behind one atomic pointer. A worker pins what it uses: it
// announces the snapshot, checks that it is still the current one, announces the generation it
// found there, and lets go of the snapshot (hazard pointers: M. Michael, "Hazard Pointers: Safe
// Memory Reclamation for Lock-Free Objects", IEEE TPDS 15(6), 2004). Neither waits: not
// the worker for a reload, not the reload for a worker.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/text_hash.hpp"
#include "daemon/plugins/routing/limits.hpp"
#include "protocol/message/limits.hpp"

namespace export_worker::plugins {

class Generation;

struct Route {
    Generation* generation = nullptr;
    // While `generation` bakes: the one before it, which answers an idempotent request that the new
    // one faulted on. nullptr otherwise.
    Generation* fallback = nullptr;
    bool idempotent = false;
};

using Routes = ByText<Route>;

// One per thread that runs plugin methods; the thread writes it, the loader reads it.
class alignas(64) PinSlot {
public:
    [[nodiscard]] std::size_t number() const { return number_; }

private:
    friend class RoutingTable;
    friend class Pin;
    void describe(std::string_view request_id, SteadyTime since);

    std::atomic<const Routes*> snapshot_{nullptr};
    std::atomic<Generation*> generation_{nullptr};
    std::atomic<Generation*> fallback_{nullptr};
    // For explaining who holds a generation. Even while stable (a sequence lock).
    std::atomic<std::uint32_t> version_{0};
    std::atomic<std::int64_t> since_ns_{0};
    std::array<std::atomic<std::uint64_t>, limits::kRequestIdBytesMax / 8> request_id_{};
    std::size_t number_ = 0;
    std::string holder_;  // Guarded by the table's mutex; empty: the slot is free.
};

// The right to run one request in one generation; gives it back at the end of its life.
class Pin {
public:
    Pin(PinSlot& slot, const Route& route) : slot_(&slot), route_(route) {}
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    ~Pin() {
        if (route_.generation == nullptr) return;
        slot_->fallback_.store(nullptr, std::memory_order_release);
        slot_->generation_.store(nullptr, std::memory_order_release);
    }
    // No plugin answers the method when generation is nullptr.
    [[nodiscard]] const Route& route() const { return route_; }

private:
    PinSlot* slot_;
    Route route_;
};

// A thread inside a generation.
struct Holder {
    std::string who;  // "worker 2"
    std::string request_id;
    std::chrono::nanoseconds running{0};
};

class RoutingTable {
public:
    RoutingTable();

    // A slot for a thread named `holder`, until it is given back. Aborts when there are more than
    // kPinSlotsMax. [any-thread]
    [[nodiscard]] PinSlot& take_slot(const std::string& holder);
    void give_back(PinSlot& slot);

    // `since` is when the thread began with the request: holders() counts from then.
    // [any-thread], each with its own slot, one pin at a time.
    [[nodiscard]] Pin pin(std::string_view method, std::string_view request_id, SteadyTime since,
                          PinSlot& slot);

    // Calls `use` with the route of `method`, if there is one; its generations do not end before
    // `use` returns. holders() does not show it. [any-thread], each with its own slot and without a
    // pin in it.
    template <typename Use>
    void look_up(std::string_view method, PinSlot& slot, Use use) {
        const Routes& routes = announce(slot);
        if (const auto found = routes.find(method); found != routes.end()) use(found->second);
        slot.snapshot_.store(nullptr, std::memory_order_release);
    }

    // From its return on every new pin sees `routes`. [loader-thread]
    void publish(std::unique_ptr<const Routes> routes);
    // Frees snapshots that no worker announces any more. [loader-thread]
    void reclaim();
    // Whether a thread is in `generation` or may still get there. Call after publishing routes
    // without it; once false, it stays false. [loader-thread]
    [[nodiscard]] bool is_pinned(const Generation& generation) const;
    // Whether a request is still in `generation`, or about to be, that came while it was the one
    // that answers. Call after publishing others. [loader-thread]
    [[nodiscard]] bool is_running(const Generation& generation) const;
    // [any-thread]
    [[nodiscard]] std::vector<Holder> holders(const Generation& generation, SteadyTime now) const;
    // Copies of the current routes' names. [loader-thread]
    [[nodiscard]] const Routes& current() const { return *snapshots_.back(); }

private:
    // The current routes, which stay while the slot announces them.
    [[nodiscard]] const Routes& announce(PinSlot& slot) const;
    // Some slot announces an old snapshot that leads to `generation`.
    [[nodiscard]] bool is_on_its_way(const PinSlot& slot, const Generation& generation) const;

    std::atomic<const Routes*> routes_{nullptr};
    std::vector<std::unique_ptr<const Routes>> snapshots_;  // The last one is current.
    std::array<PinSlot, limits::kPinSlotsMax> slots_;
    mutable std::mutex slots_mutex_;
};

}  // namespace export_worker::plugins
