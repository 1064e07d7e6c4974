// plugin list, show, load, reload, rollback, commit, unpin, history, quarantine, check.
#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/json.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/control_client.hpp"
#include "exportctl/daemon_program.hpp"
#include "exportctl/input.hpp"
#include "exportctl/interrupt.hpp"
#include "exportctl/output.hpp"
#include "exportctl/plugin_file.hpp"
#include "exportctl/plugin_output.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
using options::Arguments;

constexpr std::chrono::milliseconds kPollInterval{50};

bool has_ended(const json& report, bool wait) {
    const std::string outcome = report["outcome"].get<std::string>();
    if (outcome == "running" || (wait && outcome == "baking")) return false;
    // With the swap window closed the account is complete; it stays open for moments.
    return report["window"].is_null() || report["window"]["closed"].get<bool>();
}

// Prints the stages as they end, until the report is complete or Ctrl-C ends the waiting.
tl::expected<json, message::WireError> follow(ControlClient& client, const json& id, bool wait,
                                              bool quiet) {
    const InterruptGuard guard;
    std::size_t shown = 0;
    for (;;) {
        auto report = client.call("control.plugin_report", {{"report", id}});
        if (!report) return report;
        for (; !quiet && shown < (*report)["steps"].size(); ++shown)
            show_reload_step((*report)["steps"][shown]);
        if (has_ended(*report, wait) || interrupted()) return report;
        std::this_thread::sleep_for(kPollInterval);
    }
}

// Starts an action and shows what comes of it. `file`: a plugin file to send first; empty: none.
int act(const Context& context, const char* method, json params, bool wait,
        const std::string& file = "") {
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    if (!file.empty()) {
        if (const auto sent = send_plugin_file(*client, file, params); !sent) return sent.error();
    }
    const auto started = client->call(method, params);
    if (!started) return complain(started.error());
    const auto report = follow(*client, (*started)["report"], wait, context.json);
    if (!report && !interrupted()) return complain(report.error());
    if (!report || !has_ended(*report, wait))
        return complain(kExitInterrupted,
                        "stopped waiting; the daemon goes on: exportctl plugin history shows how "
                        "it ends");
    if (context.json) {
        print_json(*report);
    } else {
        show_reload_end(*report);
    }
    const std::string outcome = (*report)["outcome"].get<std::string>();
    return outcome == "refused" || outcome == "rolled_back" ? kExitRefused : kExitOk;
}

int quarantine(const Context& context, const Arguments& arguments, std::vector<std::string> offline,
               const std::function<int()>& online) {
    if (!arguments.has("offline")) {
        for (const char* flag : {"state-dir", "daemon"}) {
            if (arguments.has(flag))
                return complain(kExitUsage, "--" + std::string(flag) + ": only with --offline");
        }
        return online();
    }
    if (arguments.has("state-dir")) {
        offline.insert(offline.end(), {"--state-dir", arguments.get("state-dir")});
    } else {
        offline.insert(offline.end(), {"--config", context.config_path});
    }
    return run_daemon_program(context, arguments, std::move(offline));
}

}  // namespace

int run_plugin_list(const Context& context, const Arguments&) {
    return call_and_show(context, "control.plugin_list", json::object(),
                         [](const json& answer) { show_plugins(answer["items"]); });
}

int run_plugin_show(const Context& context, const Arguments& arguments) {
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    const auto answer = client->call("control.plugin_list", json::object());
    if (!answer) return complain(answer.error());
    for (const json& plugin : (*answer)["items"]) {
        if (plugin["name"] != arguments.words[0]) continue;
        if (context.json) {
            print_json(plugin);
        } else {
            show_plugin(plugin);
        }
        return kExitOk;
    }
    return complain(kExitRefused,
                    "no plugin '" + arguments.words[0] + "'; exportctl plugin list names them");
}

int run_plugin_load(const Context& context, const Arguments& arguments) {
    const auto file = absolute_path(arguments.words[0], "plugin load");
    if (!file) return file.error();
    return act(context, "control.plugin_load", json::object(), false, *file);
}

int run_plugin_reload(const Context& context, const Arguments& arguments) {
    std::string file;
    if (arguments.has("file")) {
        const auto given = absolute_path(arguments.get("file"), "--file");
        if (!given) return given.error();
        file = *given;
    }
    const json params = {{"plugin", arguments.words[0]},
                         {"dry_run", arguments.has("dry-run")},
                         {"no_bake", arguments.has("no-bake")},
                         {"lift_quarantine", arguments.has("lift-quarantine")},
                         {"allow", split_commas(arguments.get("allow"))}};
    return act(context, "control.plugin_reload", params, arguments.has("wait"), file);
}

int run_plugin_rollback(const Context& context, const Arguments& arguments) {
    json params = {{"plugin", arguments.words[0]}};
    if (arguments.has("to")) {
        params["to"] = arguments.get("to");
        if (arguments.get("to").empty()) {
            return complain(kExitUsage,
                            "--to: expected the first digits of a committed SHA-256, found none; "
                            "exportctl plugin history lists them");
        }
    }
    return act(context, "control.plugin_rollback", params, true);
}

int run_plugin_commit(const Context& context, const Arguments& arguments) {
    return act(context, "control.plugin_commit", {{"plugin", arguments.words[0]}}, true);
}

int run_plugin_unpin(const Context& context, const Arguments& arguments) {
    return act(context, "control.plugin_unpin", {{"plugin", arguments.words[0]}}, false);
}

int run_plugin_history(const Context& context, const Arguments& arguments) {
    const std::string plugin = arguments.words.empty() ? "" : arguments.words[0];
    return call_and_show(context, "control.plugin_history", {{"plugin", plugin}}, show_history);
}

int run_plugin_quarantine_list(const Context& context, const Arguments& arguments) {
    return quarantine(context, arguments, {"--quarantine-list"}, [&] {
        return call_and_show(context, "control.plugin_quarantine_list", json::object(),
                             show_quarantine);
    });
}

int run_plugin_quarantine_lift(const Context& context, const Arguments& arguments) {
    const std::string& digits = arguments.words[0];
    return quarantine(context, arguments, {"--quarantine-lift", digits}, [&] {
        return call_and_show(context, "control.plugin_quarantine_lift", {{"sha256", digits}},
                             show_lifted);
    });
}

int run_plugin_check(const Context& context, const Arguments& arguments) {
    if (arguments.words[0].empty())
        return complain(kExitUsage, "plugin check: expected a path, found none");
    std::vector<std::string> words{"--check-plugin", arguments.words[0]};
    if (context.config_given) words.insert(words.end(), {"--config", context.config_path});
    return run_daemon_program(context, arguments, std::move(words));
}

}  // namespace export_worker::exportctl
