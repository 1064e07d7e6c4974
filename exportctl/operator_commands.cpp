// status, metrics, drain.

#include "base/json.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/control_client.hpp"
#include "exportctl/output.hpp"
#include "exportctl/plugin_output.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
using options::Arguments;

void show_stores(const json& stores) {
    std::vector<std::vector<std::string>> rows;
    for (const json& store : stores) {
        const std::string error = store["error"].is_null() ? "" : cell(store["error"]);
        rows.push_back({cell(store["name"]), cell(store["credentials"]),
                        store["usable"].get<bool>() ? "usable" : "NOT USABLE",
                        store["expires_at"].is_null() ? "never" : cell(store["expires_at"]),
                        error});
    }
    if (rows.empty()) return;
    print_table({"STORE", "CREDENTIALS", "STATE", "END", "LAST ERROR"}, rows);
    print_line("");
}

// "disk /var/lib/x: 3 MiB are free, ...; make room (since ...)"
std::string alarm_line(const json& alarm) {
    const std::string subject = cell(alarm["subject"]);
    const std::string remedy = cell(alarm["remedy"]);
    return cell(alarm["name"]) + (subject.empty() ? "" : " " + subject) + ": " +
           cell(alarm["cause"]) + (remedy.empty() ? "" : "; " + remedy) + " (since " +
           cell(alarm["since"]) + ")";
}

void show_status(const json& status) {
    const json& requests = status["requests"];
    const json& jobs = status["jobs"];
    print_fields(
        {{"daemon", "export-workerd " + cell(status["version"]) + ", pid " + cell(status["pid"]) +
                        (status["draining"].get<bool>() ? ", draining" : "")},
         {"up since", cell(status["started_at"]) + " (" + cell(status["uptime_seconds"]) + " s)"},
         {"data socket", cell(status["data_endpoint"])},
         {"requests", cell(requests["accepted"]) + " accepted = " + cell(requests["replied"]) +
                          " answered + " + cell(requests["error_replied"]) + " refused + " +
                          cell(requests["client_gone"]) + " client gone + " +
                          cell(requests["in_flight"]) + " in flight"},
         {"jobs", cell(jobs["pending"]) + " pending, " + cell(jobs["in_progress"]) +
                      " in progress, " + cell(jobs["completed"]) + " completed, " +
                      cell(jobs["failed"]) + " failed, " + cell(jobs["cancelled"]) +
                      " cancelled"}});
    for (const json& alarm : status["alarms"]) print_line("ALARM: " + alarm_line(alarm));
    print_line("");
    show_stores(status["stores"]);
    show_plugins(status["plugins"]);
}

}  // namespace

int run_status(const Context& context, const Arguments&) {
    return call_and_show(context, "control.status", json::object(), show_status);
}

int run_drain(const Context& context, const Arguments&) {
    return call_and_show(context, "control.drain", json::object(), [](const json&) {
        print_line("draining: new requests are refused from now on");
    });
}

int run_retention_resume(const Context& context, const Arguments&) {
    return call_and_show(
        context, "control.retention_resume", json::object(), [](const json& answer) {
            std::printf(answer["was_paused"] == true ? "retention goes on within a minute\n"
                                                     : "retention was not paused\n");
        });
}

int run_metrics(const Context& context, const Arguments&) {
    return call_and_show(context, "control.metrics", json::object(), [](const json& answer) {
        print_lines(answer["text"].get_ref<const std::string&>());
    });
}

}  // namespace export_worker::exportctl
