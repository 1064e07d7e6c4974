// What control methods are tested against: real stores in a directory of the test's own, the
// methods called as the control socket calls them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/json.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/control/control_methods.hpp"
#include "daemon/control/params.hpp"
#include "daemon/files/local_file_store.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"
#include "tests/unit/support/sessions.hpp"

namespace export_worker::control {

using nlohmann::json;

class ControlFixture : public ::testing::Test {
protected:
    server::MethodResult run(std::string_view name, const json& params) {
        const ControlMethod method = find_control_method(name);
        EXPECT_NE(method, nullptr) << name;
        auto result = method(deps_, parse_msgpack(dump_msgpack(params)));
        if (!result) return wire_error(result.error());
        return std::move(*result);
    }
    // The result of a method that must succeed.
    json call(std::string_view name, const json& params = json::object()) {
        auto result = run(name, params);
        EXPECT_TRUE(result) << name << ": " << result.error().message;
        return result ? std::move(*result) : json::object();
    }
    // "invalid_argument: lines: ..." of a method that must refuse.
    std::string refusal(std::string_view name, const json& params = json::object()) {
        const auto result = run(name, params);
        if (result) return "accepted: " + dump_json(*result);
        return std::string(message::to_string(result.error().code)) + ": " + result.error().message;
    }
    // Of the long task, once it has ended.
    json ended_task() {
        json state;
        EXPECT_TRUE(testing::eventually([&] {
            state = call("control.task");
            return state["running"] == false;
        }));
        return state;
    }
    std::string submit(const std::string& organization = "acme") {
        jobs::NewJob job;
        job.organization_id = organization;
        job.job_type = model::kExportJobType;
        return jobs_->requests().create(job)->job.job_id;
    }

    plugins::HostOptions host_options() {
        auto out = testing::host_options(dir_, {&clock_,
                                                &identity_.authenticator,
                                                &jobs_->reader(),
                                                &jobs_->organizations(),
                                                nullptr,
                                                {}});
        out.ledger = &ledger_;
        return out;
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    testing::Identity identity_{dir_ / "auth.db", clock_};
    std::unique_ptr<jobs::JobStore> jobs_ =
        std::move(*jobs::open_sqlite_job_store(dir_ / "jobs.db", clock_));
    std::unique_ptr<catalog::CatalogStore> catalog_ =
        std::move(*catalog::open_sqlite_catalog_store(dir_ / "catalog.db", clock_));
    std::unique_ptr<files::LocalFileStore> files_ =
        std::move(*files::LocalFileStore::open(dir_ / "exports"));
    model::Ledger ledger_;
    std::unique_ptr<plugins::PluginHost> plugins_ =
        std::move(*plugins::PluginHost::open(host_options()));
    int wakes_ = 0;
    exports::ExportService exports_{jobs_->requests(), catalog_->reader(), catalog_->templates(),
                                    std::chrono::seconds(0), [] {}};
    server::Dispatcher dispatcher_{{identity_.authenticator,
                                    plugins_->routing(),
                                    {jobs_->reader(), jobs_->requests(), exports_},
                                    jobs_->organizations(),
                                    {},
                                    [this] { return plugins_->methods(); },
                                    {},
                                    {}}};
    server::DataServer data_server_{
        std::move(*transport::ServerSocket::open("ipc://" + dir_.path() + "/data.sock", 0600)),
        dispatcher_, system_clock(), 1, ledger_};
    exports::ExportDeps export_deps_{
        &clock_, jobs_.get(), &catalog_->reader(), files_.get(), dir_ / "tmp", "test", {}};
    std::vector<credentials::CredentialState> credentials_;
    AlarmList alarms_{clock_};
    jobs::Housekeeper housekeeper_{jobs_->retention(), jobs_->queue(), clock_, {}};
    BackupStore backups_{dir_ / "backup", clock_};
    SentFiles sent_files_{dir_ / "plugins/artifacts", clock_};
    LongTask task_;
    ControlDeps deps_{*identity_.store,
                      *identity_.keys,
                      *identity_.members,
                      *catalog_,
                      *jobs_,
                      *plugins_,
                      data_server_,
                      ledger_,
                      clock_,
                      dir_.path(),
                      "1.2.3",
                      "ipc:///data.sock",
                      clock_.unix_us(),
                      [this] { return credentials_; },
                      alarms_,
                      [](metrics::Page&) {},
                      [this] { ++wakes_; },
                      housekeeper_,
                      &export_deps_,
                      std::chrono::seconds(3600),
                      task_,
                      backups_,
                      sent_files_};
};

}  // namespace export_worker::control
