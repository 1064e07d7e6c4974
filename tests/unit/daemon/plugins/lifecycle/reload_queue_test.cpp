#include "daemon/plugins/lifecycle/reload_queue.hpp"

#include <gtest/gtest.h>

namespace export_worker::plugins {
namespace {

ReloadReport report(std::uint64_t id, Action action, const std::string& trigger,
                    const std::string& plugin = "p") {
    ReloadReport out;
    out.id = id;
    out.request.action = action;
    out.request.trigger = trigger;
    out.request.plugin = plugin;
    return out;
}

bool always(const ReloadRequest&) {
    return true;
}

TEST(ReloadQueue, WhatAnOperatorAsksForGoesFirst) {
    ReloadReport watch = report(1, Action::kReload, "watch");
    ReloadReport sighup = report(2, Action::kStart, "SIGHUP");
    ReloadReport load = report(3, Action::kReload, "operator");
    ReloadReport back = report(4, Action::kRollback, "operator");
    ReloadReport commit = report(5, Action::kCommit, "operator");
    ReloadQueue queue;
    for (ReloadReport* each : {&watch, &sighup, &load, &back, &commit}) queue.add(*each);
    std::vector<std::uint64_t> order;
    while (const ReloadReport* next = queue.take(always)) order.push_back(next->id);
    EXPECT_EQ(order, (std::vector<std::uint64_t>{4, 5, 3, 1, 2}));
}

TEST(ReloadQueue, WhatMayNotBeginHoldsUpNobody) {
    ReloadReport first = report(1, Action::kReload, "operator", "bakes");
    ReloadReport second = report(2, Action::kReload, "operator", "other");
    ReloadQueue queue;
    queue.add(first);
    queue.add(second);
    const auto may_begin = [](const ReloadRequest& request) { return request.plugin != "bakes"; };
    EXPECT_EQ(queue.take(may_begin), &second);
    EXPECT_EQ(queue.take(may_begin), nullptr);
    EXPECT_EQ(queue.take(always), &first);
}

TEST(ReloadQueue, FindsTheSameAgainAndAnOperatorsRequest) {
    ReloadReport watch = report(1, Action::kReload, "watch");
    ReloadReport dry = report(2, Action::kReload, "operator");
    dry.request.dry_run = true;
    ReloadReport load = report(3, Action::kReload, "operator");
    ReloadQueue queue;
    queue.add(watch);
    queue.add(dry);
    EXPECT_EQ(queue.same_as(watch.request), &watch);
    EXPECT_EQ(queue.same_as(load.request), nullptr);
    EXPECT_EQ(queue.operators("p"), nullptr);
    queue.add(load);
    EXPECT_EQ(queue.operators("p"), &load);
    EXPECT_EQ(queue.operators("other"), nullptr);
}

TEST(ReloadQueue, DropsWhatCameByItselfOfOnePlugin) {
    ReloadReport watch = report(1, Action::kReload, "watch");
    ReloadReport other = report(2, Action::kReload, "watch", "other");
    ReloadReport load = report(3, Action::kReload, "operator");
    ReloadQueue queue;
    for (ReloadReport* each : {&watch, &other, &load}) queue.add(*each);
    EXPECT_EQ(queue.drop_automatic("p"), std::vector<ReloadReport*>{&watch});
    EXPECT_EQ(queue.take(always), &load);
    EXPECT_EQ(queue.take(always), &other);
}

}  // namespace
}  // namespace export_worker::plugins
