#include "exportctl/plugin_output.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/json.hpp"
#include "exportctl/output.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;

std::string join(const json& words) {
    std::string out;
    for (const json& word : words) out += (out.empty() ? "" : ", ") + cell(word);
    return out;
}

std::string ms(const json& microseconds) {
    std::array<char, 32> out{};
    std::snprintf(out.data(), out.size(), "%.1f ms", microseconds.get<double>() / 1000.0);
    return out.data();
}

std::string hash(const json& sha256) {
    return cell(sha256).substr(0, 16);
}

// "greeting 1.0.0, generation 2, 0123456789abcdef", without what is not known. `side` is "" for the
// code a report is about, and "from_" for the code that served before.
std::string code_of(const json& report, const std::string& side) {
    std::string out = cell(report["plugin"]);
    if (const std::string version = report.value(side + "version", ""); !version.empty())
        out += " " + version;
    if (report[side + "generation"].get<std::uint64_t>() > 0)
        out += ", generation " + cell(report[side + "generation"]);
    if (const std::string sha256 = hash(report[side + "sha256"]); !sha256.empty())
        out += ", " + sha256;
    return out;
}

std::uint64_t grown(const json& window, const char* name) {
    return window["after"][name].get<std::uint64_t>() - window["before"][name].get<std::uint64_t>();
}

void show_window(const json& report) {
    const json& window = report["window"];
    if (window.is_null() || !window["closed"].get<bool>()) return;
    print_line("swap       " + ms(window["took_us"]) +
               " with requests in both generations: " + std::to_string(grown(window, "accepted")) +
               " accepted, " + std::to_string(grown(window, "replied")) + " answered, " +
               std::to_string(grown(window, "error_replied")) + " refused, " +
               std::to_string(grown(window, "client_gone")) + " client gone; in flight " +
               cell(window["before"]["in_flight"]) + " before, " +
               cell(window["after"]["in_flight"]) + " after" +
               (window["after"]["balanced"].get<bool>() ? "; nothing lost" : "; DOES NOT ADD UP"));
    if (window["stuck"] != 0) {
        print_line("stuck      " + cell(window["stuck"]) + " requests in generation " +
                   cell(report["from_generation"]) + "; exportctl plugin show " +
                   cell(report["plugin"]) + " names them");
    }
}

void show_contract(const json& contract) {
    for (const char* kind : {"added", "removed", "narrowed"}) {
        if (!contract[kind].empty())
            print_line("contract   " + std::string(kind) + ": " + join(contract[kind]));
    }
}

void show_refusal(const json& report) {
    const json& refusal = report["refusal"];
    std::fflush(stdout);
    print_note("REFUSED    " + code_of(report, "") + " at " + cell(refusal["stage"]) + " (" +
               cell(refusal["code"]) + ")");
    print_note("  expected " + cell(refusal["expected"]));
    print_note("  found    " + cell(refusal["found"]));
    print_note("  do       " + cell(refusal["hint"]));
    if (report["from_generation"].get<std::uint64_t>() > 0)
        print_line(code_of(report, "from_") + " goes on serving");
}

// "0123456789abcdef (greeting 1.0.0) at 2026-11-25T12:00:00Z: why".
std::string quarantined_file(const json& file) {
    const std::string version = cell(file["version"]);
    return hash(file["sha256"]) + " (" + cell(file["plugin"]) + (version.empty() ? "" : " ") +
           version + ") at " + cell(file["at"]) + ": " + cell(file["reason"]);
}

std::string or_dash(const std::string& text) {
    return text.empty() ? "-" : text;
}

}  // namespace

void show_plugins(const json& plugins) {
    std::vector<std::vector<std::string>> rows;
    for (const json& plugin : plugins) {
        std::string methods;
        for (const json& method : plugin["methods"])
            methods += (methods.empty() ? "" : " ") + cell(method["name"]);
        const std::string state =
            plugin["bake_left_ms"].is_null()
                ? "committed"
                : "baking, " + std::to_string(plugin["bake_left_ms"].get<std::int64_t>() / 1000) +
                      " s left";
        rows.push_back({cell(plugin["name"]), cell(plugin["version"]), cell(plugin["generation"]),
                        state, hash(plugin["sha256"]), cell(plugin["build_id"]).substr(0, 12),
                        cell(plugin["handled"]), cell(plugin["faults"]), methods});
    }
    print_table({"PLUGIN", "VERSION", "GENERATION", "STATE", "SHA256", "BUILD-ID", "HANDLED",
                 "FAULTS", "METHODS"},
                rows);
}

void show_plugin(const json& plugin) {
    print_fields({{"plugin", cell(plugin["name"]) + " " + cell(plugin["version"])},
                  {"file", cell(plugin["file"])},
                  {"build-id", cell(plugin["build_id"])},
                  {"sha256", cell(plugin["sha256"])},
                  {"committed", cell(plugin["committed_sha256"])},
                  {"pinned", plugin["pinned"].is_null() ? "no" : "by " + cell(plugin["pinned"])},
                  {"unmapped", cell(plugin["unmapped"]) + " earlier generations"}});
    print_line("");
    std::vector<std::vector<std::string>> rows;
    for (const json& generation : plugin["generations"]) {
        rows.push_back(
            {cell(generation["generation"]), cell(generation["state"]), cell(generation["version"]),
             hash(generation["sha256"]), cell(generation["handled"]), cell(generation["faults"]),
             ms(generation["p50_us"]), ms(generation["p99_us"]),
             generation["pinned_by"].empty() ? "can be unmapped" : join(generation["pinned_by"])});
    }
    print_table({"GENERATION", "STATE", "VERSION", "SHA256", "HANDLED", "FAULTS", "P50", "P99",
                 "UNLOADING"},
                rows);
    for (const json& generation : plugin["generations"]) {
        const std::string state = cell(generation["state"]);
        if (state == "active" || state == "baking") continue;
        for (const json& holder : generation["holders"]) {
            print_line("");
            print_line("generation " + cell(generation["generation"]) + " is held by " +
                       cell(holder["who"]) + ": request " + cell(holder["request_id"]) + ", for " +
                       cell(holder["running_ms"]) + " ms");
        }
    }
}

void show_reload_step(const json& step) {
    std::string name = cell(step["name"]);
    name.resize(std::max<std::size_t>(name.size(), 10), ' ');
    const std::string took = ms(step["took_us"]);
    const std::string blanks(took.size() < 9 ? 9 - took.size() : 0, ' ');
    print_line(name + " ok " + blanks + took + "  " + cell(step["detail"]));
    std::fflush(stdout);
}

void show_reload_end(const json& report) {
    const std::string outcome = cell(report["outcome"]);
    const std::string what = code_of(report, "");
    show_contract(report["contract"]);
    show_window(report);
    if (outcome == "refused") {
        show_refusal(report);
    } else if (outcome == "unchanged") {
        print_line("UNCHANGED  " + code_of(report, "from_") +
                   ": the same file and configuration already serve");
    } else if (outcome == "unpinned") {
        print_line("UNPINNED   " + what +
                   ": the configured file counts again at the next reload or start");
    } else if (outcome == "would_publish") {
        print_line("ACCEPTED   " + what + ": a reload would publish it; nothing has changed");
    } else if (outcome == "baking") {
        print_line("BAKING     " + what + "; generation " + cell(report["from_generation"]) +
                   " stays warm until the bake is over");
    } else if (outcome == "rolled_back") {
        print_line("TAKEN BACK " + what + ": " + cell(report["rolled_back_because"]));
    } else {
        print_line("COMMITTED  " + what);
    }
}

void show_history(const json& history) {
    std::vector<std::vector<std::string>> rows;
    for (const json& item : history["items"]) {
        rows.push_back({cell(item["at"]), cell(item["plugin"]), or_dash(cell(item["version"])),
                        item["generation"] == 0 ? "-" : cell(item["generation"]),
                        or_dash(hash(item["sha256"])), cell(item["trigger"]), cell(item["outcome"]),
                        cell(item["detail"])});
    }
    print_table({"AT", "PLUGIN", "VERSION", "GENERATION", "SHA256", "TRIGGER", "OUTCOME", "DETAIL"},
                rows);
    for (const json& file : history["quarantined"]) {
        print_line("");
        print_line("quarantined " + quarantined_file(file));
    }
}

void show_quarantine(const json& files) {
    for (const json& file : files["items"]) print_line("quarantined " + quarantined_file(file));
    if (files["items"].empty()) print_line("no file is quarantined");
}

void show_lifted(const json& file) {
    print_line("lifted " + quarantined_file(file));
    print_line("load it with: exportctl plugin reload " + cell(file["plugin"]));
}

}  // namespace export_worker::exportctl
