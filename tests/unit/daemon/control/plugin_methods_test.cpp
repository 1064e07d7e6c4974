#include "daemon/control/plugin_methods.hpp"

#include "base/base64.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "tests/unit/daemon/control/control_fixture.hpp"

namespace export_worker::control {
namespace {

class PluginMethodsTest : public ControlFixture {
protected:
    // The report of an action, once it is no longer under way.
    json report(std::string_view method, const json& params) {
        const json begun = call(method, params);
        json report;
        EXPECT_TRUE(begun.contains("report") && testing::eventually([&] {
                        report = call("control.plugin_report", {{"report", begun["report"]}});
                        return report["outcome"] != "running";
                    }));
        return report;
    }
    // The id of a file that was sent.
    std::string send(const std::string& bytes) {
        const json id =
            call("control.plugin_file_begin",
                 {{"bytes", bytes.size()}, {"sha256", to_hex(crypto::sha256(bytes))}})["id"];
        call("control.plugin_file_append",
             {{"id", id}, {"offset", 0}, {"base64", to_base64(bytes)}});
        return id;
    }
    // Parameters that name a plugin of the fixtures, which was sent.
    json sent(const std::string& fixture) {
        const std::string path = testing::install_plugin(dir_, fixture);
        return {{"file", path}, {"sent", send(testing::read_text(path))}};
    }
    json load(const std::string& fixture, const json& more = json::object()) {
        json params = sent(fixture);
        params.update(more);
        return report("control.plugin_load", params);
    }
    [[nodiscard]] bool has_sent_files() const {
        for (const auto& entry : std::filesystem::directory_iterator(dir_ / "plugins/artifacts")) {
            if (entry.path().filename().string().starts_with("sent-")) return true;
        }
        return false;
    }
};

TEST_F(PluginMethodsTest, ALoadedPluginIsListed) {
    const json loaded = load("minimal_c", {{"no_bake", true}});
    EXPECT_EQ(loaded["outcome"], "committed") << dump_json(loaded["refusal"]);
    EXPECT_EQ(loaded["plugin"], "minimal");
    EXPECT_EQ(loaded["trigger"], "operator");
    EXPECT_TRUE(loaded["refusal"].is_null());
    EXPECT_FALSE(loaded["steps"].empty());
    const json items = call("control.plugin_list")["items"];
    ASSERT_EQ(items.size(), 1U);
    EXPECT_EQ(items[0]["name"], "minimal");
    EXPECT_EQ(items[0]["version"], "1.2.3");
    EXPECT_EQ(items[0]["sha256"], loaded["sha256"]);
    EXPECT_EQ(items[0]["file"], dir_ / "minimal_c.so");
    EXPECT_FALSE(has_sent_files());
    EXPECT_EQ(items[0]["methods"][0]["name"], "minimal.echo");
    EXPECT_EQ(items[0]["generations"][0]["state"], "active");
    EXPECT_EQ(call("control.status")["plugins"], items);
}

TEST_F(PluginMethodsTest, ADryRunPublishesNothing) {
    const json tried = load("minimal_c", {{"dry_run", true}});
    EXPECT_EQ(tried["outcome"], "would_publish");
    EXPECT_EQ(tried["dry_run"], true);
    EXPECT_EQ(call("control.plugin_list")["items"], json::array());
}

TEST_F(PluginMethodsTest, ARefusalSaysWhatWasExpectedAndFound) {
    const json refused = load("broken_missing_handle");
    EXPECT_EQ(refused["outcome"], "refused");
    for (const char* field : {"code", "stage", "expected", "found", "hint", "text"})
        EXPECT_FALSE(refused["refusal"][field].get<std::string>().empty()) << field;
    const json history = call("control.plugin_history");
    ASSERT_FALSE(history["items"].empty());
    EXPECT_EQ(history["items"][0]["outcome"], "refused");
    EXPECT_TRUE(history["quarantined"].is_array());
}

TEST_F(PluginMethodsTest, HistoryIsOfThePluginAskedFor) {
    load("minimal_c", {{"no_bake", true}});
    EXPECT_FALSE(call("control.plugin_history", {{"plugin", "minimal"}})["items"].empty());
    for (const char* name : {"other", "' OR 1=1 --", "\xff"})
        EXPECT_TRUE(refusal("control.plugin_history", {{"plugin", name}}).starts_with("not_found"));
    plugins::HostConfig config;
    config.plugins = {{"other", dir_ / "none.so", "", {}}};
    plugins_->reconfigure(config, "SIGHUP");  // Configured: at most what the SIGHUP has come to.
    EXPECT_LE(call("control.plugin_history", {{"plugin", "other"}})["items"].size(), 1U);
}

TEST_F(PluginMethodsTest, AQuarantinedFileIsListedAndLifted) {
    const std::string sha256 = "0123456789" + std::string(54, 'a');
    ASSERT_TRUE(plugins_->history().quarantine("minimal", sha256, "it hung"));
    const json items = call("control.plugin_quarantine_list")["items"];
    ASSERT_EQ(items.size(), 1U);
    EXPECT_EQ(items[0]["sha256"], sha256);
    EXPECT_EQ(items[0]["plugin"], "minimal");
    EXPECT_EQ(items[0]["reason"], "it hung");
    for (const json& digits : std::initializer_list<json>{nullptr, 5, "", "0123456", "\xff"}) {
        EXPECT_TRUE(refusal("control.plugin_quarantine_lift", {{"sha256", digits}})
                        .starts_with("invalid_argument: hash: expected 8 to 64"));
    }
    EXPECT_EQ(call("control.plugin_quarantine_lift", {{"sha256", "01234567"}}), items[0]);
    EXPECT_EQ(call("control.plugin_quarantine_list")["items"], json::array());
    EXPECT_EQ(call("control.plugin_history")["items"][0]["outcome"], "quarantine_lifted");
    EXPECT_TRUE(refusal("control.plugin_quarantine_lift", {{"sha256", "01234567"}})
                    .starts_with("not_found: hash: "));
}

TEST_F(PluginMethodsTest, LoadAndReloadWantAbsolutePaths) {
    for (const char* const file : {"minimal.so", "./minimal.so", "../x"}) {
        const std::string complaint =
            std::string("invalid_argument: file: expected an absolute path, found '") + file + "'";
        EXPECT_EQ(refusal("control.plugin_load", {{"file", file}}), complaint);
        EXPECT_EQ(refusal("control.plugin_reload", {{"plugin", "minimal"}, {"file", file}}),
                  complaint);
    }
    EXPECT_TRUE(refusal("control.plugin_load", {{"file", "\xff"}})
                    .starts_with("invalid_argument: file: expected an absolute path, found '"));
    for (const json& file : std::initializer_list<json>{nullptr, 5, "", json::array({"/x"})}) {
        EXPECT_EQ(refusal("control.plugin_load", {{"file", file}}),
                  "invalid_argument: file: expected an absolute path, found ''");
    }
}

TEST_F(PluginMethodsTest, APathAloneIsRefused) {
    const std::string path = testing::install_plugin(dir_, "minimal_c");
    EXPECT_TRUE(refusal("control.plugin_load", {{"file", path}})
                    .starts_with("invalid_argument: sent: expected the id of a file"));
    EXPECT_TRUE(refusal("control.plugin_reload", {{"plugin", "minimal"}, {"file", path}})
                    .starts_with("invalid_argument: sent: expected the id of a file"));
    EXPECT_TRUE(refusal("control.plugin_load", {{"file", path}, {"sent", "unknown"}})
                    .starts_with("not_found: "));
}

TEST_F(PluginMethodsTest, WhatIsNoPluginIsRefusedInTheReport) {
    const json refused =
        report("control.plugin_load", {{"file", "/home/ann/text.so"}, {"sent", send("text")}});
    EXPECT_EQ(refused["outcome"], "refused");
    EXPECT_EQ(refused["refusal"]["code"], "not_elf");
    EXPECT_EQ(refused["file"], "/home/ann/text.so");
    EXPECT_FALSE(has_sent_files());
}

TEST_F(PluginMethodsTest, ARefusedActionKeepsNoFile) {
    json params = sent("minimal_c");
    params["plugin"] = "ghost";
    EXPECT_TRUE(refusal("control.plugin_reload", params).starts_with("not_found: "));
    EXPECT_FALSE(has_sent_files());
}

TEST_F(PluginMethodsTest, GoldenRequestsAreSentWithTheFile) {
    load("minimal_c", {{"no_bake", true}});
    json params = sent("minimal_cpp");
    params["plugin"] = "minimal";
    params["sent_golden"] = send("no golden request\n");
    const json refused = report("control.plugin_reload", params);
    EXPECT_EQ(refused["outcome"], "refused");
    EXPECT_EQ(refused["refusal"]["code"], "probe_failed") << dump_json(refused["refusal"]);
    EXPECT_FALSE(has_sent_files());
}

TEST_F(PluginMethodsTest, UnknownPluginsAreNotFound) {
    for (const char* method : {"control.plugin_reload", "control.plugin_rollback",
                               "control.plugin_commit", "control.plugin_unpin"}) {
        for (const json& name : std::initializer_list<json>{nullptr, 5, "", "ghost", "\xff"})
            EXPECT_TRUE(refusal(method, {{"plugin", name}}).starts_with("not_found: ")) << method;
    }
}

TEST_F(PluginMethodsTest, ARollbackToNothingIsRefused) {
    load("minimal_c", {{"no_bake", true}});
    EXPECT_TRUE(refusal("control.plugin_rollback", {{"plugin", "minimal"}, {"to", ""}})
                    .starts_with("invalid_argument: to: expected"));
}

TEST_F(PluginMethodsTest, ReportsAreAskedForByNumber) {
    for (const json& id : std::initializer_list<json>{nullptr, "1", -1, 1.5, true})
        EXPECT_TRUE(refusal("control.plugin_report", {{"report", id}})
                        .starts_with("invalid_argument: report: "));
    EXPECT_TRUE(refusal("control.plugin_report").starts_with("invalid_argument: report: "));
    for (const json& id : std::initializer_list<json>{0U, 99U, UINT64_MAX})
        EXPECT_TRUE(refusal("control.plugin_report", {{"report", id}}).starts_with("not_found: "));
}

TEST_F(PluginMethodsTest, AllowedChangesThatAreNoTextsAreLeftOut) {
    for (const json& allow : std::initializer_list<json>{nullptr, 5, json::array({1, nullptr})}) {
        const json tried = load("minimal_c", {{"dry_run", true}, {"allow", allow}});
        EXPECT_EQ(tried["outcome"], "would_publish") << allow;
    }
}

TEST_F(PluginMethodsTest, ANewerBuildBakesAndIsCommittedAndTakenBack) {
    load("minimal_c", {{"no_bake", true}});
    json params = sent("minimal_cpp");
    params["plugin"] = "minimal";
    const json baking = report("control.plugin_reload", params);
    EXPECT_EQ(baking["outcome"], "baking") << dump_json(baking["refusal"]);
    EXPECT_TRUE(baking["window"].is_object());
    EXPECT_TRUE(call("control.plugin_list")["items"][0]["bake_left_ms"].is_number());
    report("control.plugin_commit", {{"plugin", "minimal"}});
    EXPECT_TRUE(call("control.plugin_list")["items"][0]["bake_left_ms"].is_null());
    const json back = report("control.plugin_rollback", {{"plugin", "minimal"}, {"no_bake", true}});
    EXPECT_EQ(back["outcome"], "committed") << dump_json(back["refusal"]);
    EXPECT_EQ(back["from_sha256"], baking["sha256"]);
    // It is not configured: there is no file to keep it against.
    EXPECT_TRUE(call("control.plugin_list")["items"][0]["pinned"].is_null());
    EXPECT_EQ(report("control.plugin_unpin", {{"plugin", "minimal"}})["outcome"], "unchanged");
}

}  // namespace
}  // namespace export_worker::control
