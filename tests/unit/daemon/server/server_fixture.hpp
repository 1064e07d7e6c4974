// What the methods of the data socket are tested against: real stores in a directory of the test's
// own, a dispatcher, no socket.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "daemon/server/dispatcher.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"
#include "tests/unit/support/sessions.hpp"

namespace export_worker::server {

using nlohmann::json;

// The rows of the methods that need a permission, plugins' not among them.
inline std::vector<message::WireMethod> job_methods() {
    std::vector<message::WireMethod> out;
    std::ranges::copy_if(message::kMethods, std::back_inserter(out),
                         [](const auto& method) { return begin_of(method.id) != nullptr; });
    return out;
}

class ServerFixture : public ::testing::Test {
protected:
    // Of every request that run() sends.
    static constexpr std::string_view kTraceId = "4bf92f3577b34da6a3ce929d0e0e4736";

    static model::Principal principal(const std::string& organization) {
        return {"key-" + organization, organization, {}, false};
    }
    MethodResult run(std::string_view name, const json& params,
                     const std::string& organization = "acme") {
        const message::WireMethod* method = message::find_method(name);
        const BeginMethod begin = method == nullptr ? nullptr : begin_of(method->id);
        if (begin != nullptr)
            return begin({jobs_->reader(), jobs_->requests(), exports_}, principal(organization),
                         parse_msgpack(dump_msgpack(params)), kTraceId)();
        ADD_FAILURE() << "no method " << name;
        return json();
    }
    // The result of a method that must succeed.
    json call(std::string_view name, const json& params, const std::string& organization = "acme") {
        auto result = run(name, params, organization);
        EXPECT_TRUE(result) << name << ": " << result.error().message;
        return result ? std::move(*result) : json::object();
    }
    // "invalid_argument: job_id: ..." of a method that must refuse.
    std::string refusal(std::string_view name, const json& params,
                        const std::string& organization = "acme") {
        const auto result = run(name, params, organization);
        if (result) return "accepted: " + dump_json(*result);
        return std::string(message::to_string(result.error().code)) + ": " + result.error().message;
    }
    std::string create(const std::string& organization = "acme") {
        return call("jobs.create", {{"job_type", "export"}, {"total_items", 2}},
                    organization)["job_id"]
            .get<std::string>();
    }
    std::string submit(const std::string& organization = "acme") {
        return call("exports.submit", {{"format", "csv"}}, organization)["job_id"]
            .get<std::string>();
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    testing::Identity identity_{dir_ / "auth.db", clock_};
    std::unique_ptr<jobs::JobStore> jobs_ =
        std::move(*jobs::open_sqlite_job_store(dir_ / "jobs.db", clock_));
    std::unique_ptr<catalog::CatalogStore> catalog_ =
        std::move(*catalog::open_sqlite_catalog_store(dir_ / "catalog.db", clock_));
    std::unique_ptr<plugins::PluginHost> plugins_ =
        std::move(*plugins::PluginHost::open(testing::host_options(dir_, {&clock_,
                                                                          &identity_.authenticator,
                                                                          &jobs_->reader(),
                                                                          &jobs_->organizations(),
                                                                          nullptr,
                                                                          {}})));
    int wakes_ = 0;
    exports::ExportService exports_{jobs_->requests(), catalog_->reader(), catalog_->templates(),
                                    std::chrono::seconds(0), [this] { ++wakes_; }};
    std::string downloaded_;  // The target of the last download that was told of.
    std::map<std::string, std::string, std::less<>> left_out_;  // Plugins by method.
    Dispatcher dispatcher_{{identity_.authenticator,
                            plugins_->routing(),
                            {jobs_->reader(), jobs_->requests(), exports_},
                            jobs_->organizations(),
                            [this](std::string_view target) {
                                downloaded_ = target;
                                return target.starts_with("/exports/");
                            },
                            [this] { return plugins_->methods(); },
                            [this](std::string_view method) {
                                const auto found = left_out_.find(method);
                                return found == left_out_.end() ? std::optional<std::string>()
                                                                : found->second;
                            },
                            {}}};
};

}  // namespace export_worker::server
