#include "daemon/plugins/routing/routing.hpp"
#include "daemon/plugins/routing/limits.hpp"
#include "protocol/message/limits.hpp"

#include <gtest/gtest.h>

#include <atomic>

namespace export_worker::plugins {
namespace {

// Never looked into: routing only compares addresses.
Generation& generation(int number) {
    static std::array<char, 16> places{};
    return *reinterpret_cast<Generation*>(&places[static_cast<std::size_t>(number)]);
}

constexpr SteadyTime kStart{std::chrono::hours(1)};

std::unique_ptr<const Routes> routes_to(Generation& target, Generation* fallback = nullptr) {
    auto out = std::make_unique<Routes>();
    out->emplace("a.b", Route{&target, fallback, true});
    return out;
}

TEST(RoutingTable, APinHoldsItsGenerationUntilItEnds) {
    RoutingTable table;
    PinSlot& slot = table.take_slot("worker 1");
    table.publish(routes_to(generation(1)));
    {
        const Pin pin = table.pin("a.b", "request-1", kStart, slot);
        EXPECT_EQ(pin.route().generation, &generation(1));
        table.publish(routes_to(generation(2)));
        EXPECT_TRUE(table.is_pinned(generation(1)));
        EXPECT_TRUE(table.is_running(generation(1)));
        EXPECT_FALSE(table.is_pinned(generation(2)));
        const auto holders = table.holders(generation(1), kStart);
        ASSERT_EQ(holders.size(), 1U);
        EXPECT_EQ(holders[0].who, "worker 1");
        EXPECT_EQ(holders[0].request_id, "request-1");
    }
    EXPECT_FALSE(table.is_pinned(generation(1)));
    EXPECT_TRUE(table.holders(generation(1), kStart).empty());
    const Pin pin = table.pin("a.b", "", kStart, slot);
    EXPECT_EQ(pin.route().generation, &generation(2));
}

TEST(RoutingTable, ALookUpKeepsTheGenerationAndShowsNoHolder) {
    RoutingTable table;
    PinSlot& slot = table.take_slot("loop");
    table.publish(routes_to(generation(1)));
    int calls = 0;
    table.look_up("a.b", slot, [&](const Route& route) {
        ++calls;
        EXPECT_EQ(route.generation, &generation(1));
        table.publish(routes_to(generation(2)));
        EXPECT_TRUE(table.is_pinned(generation(1)));
        EXPECT_TRUE(table.holders(generation(1), kStart).empty());
    });
    EXPECT_FALSE(table.is_pinned(generation(1)));
    table.look_up("no.such", slot, [&](const Route&) { ++calls; });
    EXPECT_EQ(calls, 1);
}

TEST(RoutingTable, AMethodNobodyHasPinsNothing) {
    RoutingTable table;
    PinSlot& slot = table.take_slot("worker 1");
    table.publish(routes_to(generation(1)));
    const Pin pin = table.pin("no.such", "r", kStart, slot);
    EXPECT_EQ(pin.route().generation, nullptr);
    EXPECT_FALSE(table.is_pinned(generation(1)));
}

TEST(RoutingTable, TheWarmGenerationIsHeldToo) {
    RoutingTable table;
    PinSlot& slot = table.take_slot("worker 1");
    table.publish(routes_to(generation(2), &generation(1)));
    {
        const Pin pin = table.pin("a.b", "r", kStart, slot);
        table.publish(routes_to(generation(2)));
        EXPECT_TRUE(table.is_pinned(generation(1)));
        EXPECT_FALSE(table.is_running(generation(1)));
    }
    EXPECT_FALSE(table.is_pinned(generation(1)));
}

TEST(RoutingTable, ALongRequestIdIsShownWhole) {
    RoutingTable table;
    PinSlot& slot = table.take_slot("worker 1");
    table.publish(routes_to(generation(1)));
    const std::string id(limits::kRequestIdBytesMax, 'x');
    const Pin pin = table.pin("a.b", id, kStart, slot);
    EXPECT_EQ(table.holders(generation(1), kStart)[0].request_id, id);
}

TEST(RoutingTable, AHolderIsTimedFromTheBeginningOfItsRequest) {
    RoutingTable table;
    PinSlot& slot = table.take_slot("worker 1");
    table.publish(routes_to(generation(1)));
    const Pin pin = table.pin("a.b", "r", kStart, slot);
    const auto running = [&](SteadyTime now) {
        return table.holders(generation(1), now).at(0).running;
    };
    EXPECT_EQ(running(kStart + std::chrono::seconds(5)), std::chrono::seconds(5));
    // A loader that read the clock before the worker did.
    EXPECT_EQ(running(kStart - std::chrono::seconds(1)), std::chrono::seconds(0));
}

TEST(RoutingTable, SlotsAreReused) {
    RoutingTable table;
    for (std::size_t round = 0; round < 3 * limits::kPinSlotsMax; ++round)
        table.give_back(table.take_slot("worker"));
}

// What the loader believes to be unused is unused: a pin never returns a generation after
// is_pinned() said nobody has it and its routes were replaced.
TEST(RoutingTable, NobodyGetsAGenerationThatWasGivenUp) {
    RoutingTable table;
    constexpr std::size_t kWorkers = 3;
    std::array<std::atomic<bool>, 2> given_up{};
    std::atomic<bool> stopping{false};
    std::atomic<std::uint64_t> wrong{0};
    std::atomic<std::uint64_t> pins{0};
    table.publish(routes_to(generation(0)));
    given_up[1] = true;
    std::vector<std::thread> workers;
    for (std::size_t index = 0; index < kWorkers; ++index) {
        workers.emplace_back([&, index] {
            PinSlot& slot = table.take_slot("worker " + std::to_string(index));
            while (!stopping.load()) {
                {
                    const Pin pin = table.pin("a.b", "r", kStart, slot);
                    const std::size_t which = pin.route().generation == &generation(0) ? 0 : 1;
                    if (given_up[which].load()) wrong.fetch_add(1);
                    pins.fetch_add(1);
                }
                // A worker that loses its processor inside a pin holds up the loop below for whole
                // time slices: it gives the processor away between two pins.
                std::this_thread::yield();
            }
        });
    }
    // Until the workers have met enough swaps: a fixed number may be over before the first of them
    // runs. On a busy machine, where this takes long, until some time has passed.
    const SteadyTime end = system_clock().steady() + std::chrono::seconds(1);
    const auto is_enough = [&] {
        return pins.load() >= 50'000 || (pins.load() > 0 && system_clock().steady() >= end);
    };
    for (int swap = 0; !is_enough(); ++swap) {
        const int next = 1 - swap % 2;
        given_up[static_cast<std::size_t>(next)] = false;
        table.publish(routes_to(generation(next)));
        while (table.is_pinned(generation(1 - next))) std::this_thread::yield();
        given_up[static_cast<std::size_t>(1 - next)] = true;
        table.reclaim();
    }
    stopping = true;
    for (std::thread& worker : workers) worker.join();
    EXPECT_EQ(wrong.load(), 0U);
}

}  // namespace
}  // namespace export_worker::plugins
