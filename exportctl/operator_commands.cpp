// status, metrics, drain, key.

#include <cstdio>
#include <nlohmann/json.hpp>

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
    std::printf("\n");
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
    for (const json& alarm : status["alarms"]) std::printf("ALARM: %s\n", cell(alarm).c_str());
    std::printf("\n");
    show_stores(status["stores"]);
    show_plugins(status["plugins"]);
}

void show_keys(const json& answer) {
    std::vector<std::vector<std::string>> rows;
    for (const json& key : answer["items"]) {
        std::string permissions;
        for (const json& permission : key["permissions"])
            permissions += (permissions.empty() ? "" : " ") + cell(permission);
        rows.push_back({cell(key["id"]), cell(key["organization"]), cell(key["name"]), permissions,
                        cell(key["created_at"]), cell(key["revoked_at"])});
    }
    print_table({"ID", "ORGANIZATION", "NAME", "PERMISSIONS", "CREATED", "REVOKED"}, rows);
}

}  // namespace

int run_status(const Context& context, const Arguments&) {
    return call_and_show(context, "control.status", json::object(), show_status);
}

int run_drain(const Context& context, const Arguments&) {
    return call_and_show(context, "control.drain", json::object(), [](const json&) {
        std::printf("draining: new requests are refused from now on\n");
    });
}

int run_key_create(const Context& context, const Arguments& arguments) {
    const json params = {
        {"organization", arguments.get("organization")},
        {"name", arguments.get("name")},
        {"permissions", split_commas(arguments.get("permission", "product:read"))}};
    return call_and_show(context, "control.key_create", params, [](const json& key) {
        std::printf("%s\n", cell(key["key"]).c_str());
        std::fprintf(stderr, "key %s of organization %s: copy it now, it is not shown again\n",
                     cell(key["id"]).c_str(), cell(key["organization"]).c_str());
    });
}

int run_key_list(const Context& context, const Arguments& arguments) {
    return call_and_show(context, "control.key_list",
                         {{"organization", arguments.get("organization")}}, show_keys);
}

int run_key_revoke(const Context& context, const Arguments& arguments) {
    return call_and_show(
        context, "control.key_revoke", {{"id", arguments.words[0]}}, [](const json& key) {
            std::printf("key %s is refused from now on\n", cell(key["id"]).c_str());
        });
}

int run_metrics(const Context& context, const Arguments&) {
    return call_and_show(context, "control.metrics", json::object(), [](const json& answer) {
        std::printf("%s", answer["text"].get_ref<const std::string&>().c_str());
    });
}

}  // namespace export_worker::exportctl
