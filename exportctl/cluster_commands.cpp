// cluster: the daemons that share one database.

#include <array>
#include <cstdio>

#include "base/json.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/control_client.hpp"
#include "exportctl/output.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
using options::Arguments;

std::string seconds(const json& value) {
    if (value.is_null()) return "-";
    std::array<char, 32> text{};
    (void)std::snprintf(text.data(), text.size(), "%.1f s", value.get<double>());
    return text.data();
}

void show_instances(const json& answer) {
    std::vector<std::vector<std::string>> rows;
    for (const json& each : answer["items"]) {
        const bool is_over = each["lease_left_seconds"].get<double>() <= 0;
        rows.push_back({cell(each["name"]) + (each["is_asked"] == true ? " (asked)" : ""),
                        cell(each["instance"]), cell(each["version"]), cell(each["started_at"]),
                        is_over ? "OVER" : seconds(each["lease_left_seconds"]),
                        each["leads"] == true ? "leads" : "",
                        seconds(each["clock_offset_seconds"])});
    }
    print_table({"NAME", "INSTANCE", "VERSION", "STARTED", "LEASE", "", "CLOCK OFF BY"}, rows);
    for (const json& name : answer["differing_files"])
        print_line("DIFFERS: " + cell(name) + " is not the same on every daemon");
}

}  // namespace

int run_cluster_status(const Context& context, const Arguments&) {
    return call_and_show(context, "control.cluster_status", json::object(), show_instances);
}

int run_cluster_evict(const Context& context, const Arguments& arguments) {
    return call_and_show(context, "control.cluster_evict", {{"instance", arguments.words.at(0)}},
                         [](const json&) {
                             print_line(
                                 "its lease has ended; its jobs run elsewhere within seconds. A "
                                 "daemon that is alive enters again under a new id");
                         });
}

}  // namespace export_worker::exportctl
