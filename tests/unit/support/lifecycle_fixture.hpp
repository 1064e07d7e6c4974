// A plugin host with one configured plugin, "broken", for tests of its life.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/plugins/lifecycle/plugin_host.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {

using std::chrono::milliseconds;
using testing::eventually;

class LifecycleTest : public ::testing::Test {
protected:
    void SetUp() override {
        ASSERT_EQ(::setenv("BROKEN_BEGUN", begun_.c_str(), 1), 0);  // Before there are threads.
        file_ = install("broken_nothing");
        config_.plugins = {{"broken", file_, "", {}}};
        config_.policy.bake = milliseconds(0);
        config_.policy.drain = milliseconds(400);
    }
    void start() {
        const auto started = try_start();
        ASSERT_TRUE(started) << started.error().message;
    }
    Result<void> try_start() {
        open_host();
        return host_->start(config_);
    }
    void open_host() {
        host_.reset();
        HostOptions options =
            testing::host_options(dir_, {host_clock_, nullptr, nullptr, nullptr, nullptr, {}});
        options.ledger = &ledger_;
        options.probe_program = probe_program_;
        host_ = std::move(*PluginHost::open(options));
        slot_ = &host_->routing().take_slot("test worker");
    }
    // The fixture, under the configured name.
    std::string install(const std::string& fixture) {
        const std::string from = testing::install_plugin(dir_, fixture);
        const std::string to = dir_ / "plugin.so";
        std::filesystem::rename(from, to);
        return to;
    }
    ReloadReport wait(std::uint64_t id, bool to_the_end = true) {
        std::optional<ReloadReport> report;
        const bool there = eventually([&] {
            report = host_->report(id);
            return report && report->outcome != "running" &&
                   (!to_the_end || report->outcome != "baking");
        });
        if (there) return *report;
        ADD_FAILURE() << "report " << id << " does not end";
        return {};
    }
    ReloadReport act(ReloadRequest request, bool to_the_end = true) {
        request.plugin = "broken";
        const auto id = host_->submit(request);
        if (!id) {
            ADD_FAILURE() << id.error().message;
            return {};
        }
        return wait(*id, to_the_end);
    }
    ReloadReport reload(const std::string& fixture, bool to_the_end = true) {
        install(fixture);
        return act({}, to_the_end);
    }
    // For broken_create_hangs, once it is in its probe: lets time pass until the action has ended.
    ReloadReport act_until_time_out(ReloadRequest request) {
        request.plugin = "broken";
        const auto id = host_->submit(request);
        if (!id) {
            ADD_FAILURE() << id.error().message;
            return {};
        }
        EXPECT_TRUE(eventually([&] { return std::filesystem::exists(begun_); }));
        std::filesystem::remove(begun_);
        EXPECT_TRUE(eventually([&] {
            clock_.advance(config_.policy.probe_timeout);
            return host_->report(*id)->ended();
        }));
        return *host_->report(*id);
    }
    // The report of a dry run that stays in its probe until the clock has passed probe_timeout.
    std::uint64_t begin_a_hanging_probe() { return begin_a_probe("broken_create_hangs"); }
    std::uint64_t begin_a_probe(const std::string& fixture) {
        ReloadRequest dry;
        dry.plugin = "broken";
        dry.dry_run = true;
        dry.file = testing::install_plugin(dir_, fixture);
        const std::uint64_t id = *host_->submit(dry);
        EXPECT_TRUE(eventually([&] { return host_->report(id)->steps.size() == 2; }));
        return id;
    }
    // The outcome of one request, answered as the dispatcher would; `answered_by` says by which
    // generation, `took` is how long it takes by the host's clock.
    std::string call(PinSlot& slot, std::uint64_t* answered_by = nullptr,
                     milliseconds took = milliseconds(0)) {
        const SteadyTime started = host_clock_->steady() - took;
        const Pin pin = host_->routing().pin("broken.do", "r1", started, slot);
        if (pin.route().generation == nullptr) return "nobody";
        message::Request request;
        request.id = "r1";
        request.method = "broken.do";
        request.params = "\x80";
        PluginCall call;
        call.reset();
        pin.route().generation->handle(request, started, 0, slot.number(), call);
        if (answered_by != nullptr) *answered_by = pin.route().generation->number();
        return call.writer.has_error ? std::string(to_string(call.writer.error.code)) : "ok";
    }
    std::string call() { return call(*slot_); }
    PluginStatus status() { return host_->list().at(0); }
    std::vector<std::string> states() {
        std::vector<std::string> out;
        for (const auto& generation : status().generations) out.push_back(generation.state);
        return out;
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    const Clock* host_clock_ = &clock_;
    model::Ledger ledger_;
    std::string probe_program_ = testing::probe_program();
    const std::string begun_ = dir_ / "begun";
    std::string file_;
    HostConfig config_;
    std::unique_ptr<PluginHost> host_;
    PinSlot* slot_ = nullptr;
};

}  // namespace export_worker::plugins
