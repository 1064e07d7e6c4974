#include "http_shim/connections.hpp"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "http_shim/limits.hpp"

namespace export_worker::http_shim {
namespace {

using Places = std::vector<std::unique_ptr<Connections::Place>>;

Places fill(Connections& connections, std::size_t count, bool is_proxy = true) {
    Places places;
    for (std::size_t index = 0; index < count; ++index)
        places.push_back(connections.admit("127.0.0.1", is_proxy));
    return places;
}

TEST(Connections, AnAddressHasSoManyAndNobodyElseFeelsIt) {
    Connections connections(2);
    auto first = connections.admit("192.0.2.1", false);
    auto second = connections.admit("192.0.2.1", false);
    EXPECT_TRUE(second);
    EXPECT_FALSE(connections.admit("192.0.2.1", false));
    EXPECT_EQ(connections.refused(), 1U);
    EXPECT_TRUE(connections.admit("192.0.2.2", false));
    EXPECT_TRUE(connections.admit("192.0.2.1", true)) << "a proxy speaks for many";
    first.reset();
    EXPECT_TRUE(connections.admit("192.0.2.1", false));
    // Households of IPv6 have 64 bits of addresses.
    const auto one = connections.admit("2001:db8::1", false);
    const auto two = connections.admit("2001:db8::2", false);
    EXPECT_FALSE(connections.admit("2001:db8::3", false));
    EXPECT_EQ(connections.open(), 3U);
}

TEST(Connections, WhenAllAreTakenTheLongestIdleGoes) {
    Connections connections(0);
    Places places = fill(connections, limits::kHttpConnectionsMax);
    std::vector<int> closed;
    for (int index = 0; index < 3; ++index)
        places[static_cast<std::size_t>(index)]->on_close([&, index] { closed.push_back(index); });
    places[0]->begin_request();  // Not idle.
    places[1]->begin_request();
    places[1]->end_request();  // The last to become idle.
    const auto next = connections.admit("192.0.2.1", false);
    ASSERT_TRUE(next);
    EXPECT_FALSE(next->is_reserve());
    EXPECT_EQ(closed, (std::vector<int>{2}));
    EXPECT_EQ(connections.closed_idle(), 1U);
}

TEST(Connections, WithoutAnIdleOneThereIsAReserve) {
    Connections connections(0);
    const Places places = fill(connections, limits::kHttpConnectionsMax);
    for (const auto& place : places) place->begin_request();
    Places reserve = fill(connections, limits::kHttpReserveMax);
    for (const auto& place : reserve) {
        ASSERT_TRUE(place);
        EXPECT_TRUE(place->is_reserve());
    }
    EXPECT_FALSE(connections.admit("192.0.2.1", false));
    EXPECT_EQ(connections.refused(), 1U);
    reserve.pop_back();
    EXPECT_TRUE(connections.admit("192.0.2.1", false));
    places[7]->end_request();
    const auto next = connections.admit("192.0.2.1", false);
    ASSERT_TRUE(next);
    EXPECT_FALSE(next->is_reserve());
}

TEST(Connections, AConnectionIsFreshUntilItsFirstRequest) {
    Connections connections(0);
    auto first = connections.admit("192.0.2.1", false);
    auto second = connections.admit("192.0.2.1", false);
    EXPECT_EQ(connections.fresh(), 2U);
    first->begin_request();
    first->end_request();
    EXPECT_EQ(connections.fresh(), 1U) << "an idle one has had its request";
    second.reset();
    EXPECT_EQ(connections.fresh(), 0U);
}

using Held = Connections::Held;
const std::string kFirst = "192.0.2.1";
const std::string kSecond = "192.0.2.2";

TEST(Connections, WhatOneHoldsIsBoundedByAddressAndInAll) {
    Connections connections(0);
    for (const auto& [kind, share, all] :
         {std::tuple(Held::Kind::kBody, limits::kHttpBodiesHeldPerAddressBytesMax,
                     limits::kHttpBodiesHeldBytesMax),
          std::tuple(Held::Kind::kAnswer, limits::kHttpAnswersHeldPerAddressBytesMax,
                     limits::kHttpAnswersHeldBytesMax)}) {
        {
            Held held(connections, kind, {kFirst});
            EXPECT_TRUE(held.add(limits::kHttpBytesFree));
            EXPECT_EQ(connections.bytes_held(), 0U) << "small requests cost nothing";
            EXPECT_TRUE(held.share_has_room());
            EXPECT_TRUE(held.add(share));
            EXPECT_FALSE(held.share_has_room());
            EXPECT_FALSE(held.add(1));
            Held small(connections, kind, {kFirst});
            EXPECT_TRUE(small.add(limits::kHttpBytesFree)) << "they go on";
            Held elsewhere(connections, kind, {kSecond});
            EXPECT_TRUE(elsewhere.add(share));
            EXPECT_EQ(connections.bytes_held(), 2 * share - limits::kHttpBytesFree);
        }
        EXPECT_EQ(connections.bytes_held(), 0U);
        Held of_proxy(connections, kind, {kFirst, true});
        EXPECT_TRUE(of_proxy.add(limits::kHttpBytesFree + all));
        EXPECT_FALSE(of_proxy.share_has_room());
        Held more(connections, kind, {kSecond});
        EXPECT_FALSE(more.add(limits::kHttpBytesFree + 1));
    }
}

TEST(Connections, BodiesTakeNoRoomOfAnswers) {
    Connections connections(0);
    Held bodies(connections, Held::Kind::kBody, {kFirst, true});
    ASSERT_TRUE(bodies.add(limits::kHttpBytesFree + limits::kHttpBodiesHeldBytesMax));
    Held answer(connections, Held::Kind::kAnswer, {kFirst});
    EXPECT_TRUE(answer.add(limits::kHttpAnswersHeldPerAddressBytesMax));
}

TEST(Connections, WhatMustNotBeDroppedIsHeldPastEveryBound) {
    Connections connections(0);
    {
        Held answers(connections, Held::Kind::kAnswer, {kFirst, true});
        answers.add_anyway(limits::kHttpBytesFree + limits::kHttpAnswersHeldBytesMax + 1);
        EXPECT_EQ(connections.bytes_held(), limits::kHttpAnswersHeldBytesMax + 1);
        Held other(connections, Held::Kind::kAnswer, {kSecond});
        EXPECT_FALSE(other.add(limits::kHttpBytesFree + 1));
        EXPECT_TRUE(other.share_has_room()) << "it holds nothing";
    }
    EXPECT_EQ(connections.bytes_held(), 0U);
}

}  // namespace
}  // namespace export_worker::http_shim
