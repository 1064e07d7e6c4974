// fsck, compact and prune: long work the daemon does beside its socket.
#include <chrono>
#include <thread>

#include "base/json.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/control_client.hpp"
#include "exportctl/interrupt.hpp"
#include "exportctl/output.hpp"
#include "exportctl/progress.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
using options::Arguments;

// Begins `method` and waits for its end. `word`: what the progress counts ("files").
int run_task(const Context& context, const char* method, const json& params, const char* word,
             int (*end)(const Context&, const json&)) {
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    if (const auto begun = client->call(method, params); !begun) return complain(begun.error());
    json state = {{"running", true}};
    {
        const InterruptGuard guard;
        ProgressBar bar(context.json);
        while (!interrupted()) {
            auto answer = client->call("control.task", json::object());
            if (!answer && interrupted()) break;
            if (!answer) return complain(answer.error());
            state = std::move(*answer);
            if (state["running"] == false) break;
            const json& progress = state["progress"];
            const bool counts = progress.contains(word) && progress[word].is_number();
            bar.update(0, 0, (counts ? cell(progress[word]) : "0") + " " + word);
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    }
    if (state["running"] == true)
        return complain(kExitInterrupted,
                        "stopped waiting; the daemon goes on with it, and its log says how it "
                        "ends");
    if (state.contains("error")) {
        if (state["progress"].contains("listed")) (void)end(context, state["progress"]);
        return complain(kExitRefused, state["error"]["message"].get<std::string>());
    }
    return end(context, state["result"]);
}

// What is left to do; empty: nothing.
std::string fsck_advice(const json& report, bool applied) {
    if (report["problems"] == report["repaired"]) return {};
    if (applied)
        return "the rest is as it was: the table says why and what to do; then run exportctl fsck "
               "--apply again";
    return "nothing was changed; exportctl fsck --apply repairs what has a repair" +
           (report["lost"] == 0 ? std::string()
                                : ", and withdraws " + cell(report["lost"]) + " files");
}

int show_fsck(const Context& context, const json& report, bool applied) {
    if (context.json) {
        print_json(report);
    } else {
        std::vector<std::vector<std::string>> rows;
        for (const json& problem : report["listed"]) {
            rows.push_back(
                {cell(problem["problem"]), cell(problem["key"]), cell(problem["detail"]),
                 (problem["repaired"] == true ? "done: " : "") + cell(problem["repair"])});
        }
        if (!rows.empty()) print_table({"PROBLEM", "FILE", "WHAT IS WRONG", "REPAIR"}, rows);
        print_line(cell(report["files"]) + " files checked, " + cell(report["hashed_bytes"]) +
                   " bytes read, " + cell(report["problems"]) + " problems, " +
                   cell(report["repaired"]) + " repaired, " + cell(report["foreign"]) +
                   " files of others left alone");
        if (const std::string advice = fsck_advice(report, applied); !advice.empty())
            print_line(advice);
    }
    return report["problems"] == report["repaired"] ? int{kExitOk} : int{kExitBadData};
}

int show_checked(const Context& context, const json& report) {
    return show_fsck(context, report, false);
}

int show_applied(const Context& context, const json& report) {
    return show_fsck(context, report, true);
}

int show_compact(const Context& context, const json& report) {
    bool is_whole = true;
    std::vector<std::vector<std::string>> rows;
    for (const json& row : report["databases"]) {
        const bool failed = row.contains("error");
        is_whole = is_whole && !failed;
        rows.push_back({cell(row["database"]), cell(row["bytes_before"]), cell(row["bytes_after"]),
                        failed ? cell(row["error"]) : "ok"});
    }
    if (context.json)
        print_json(report);
    else
        print_table({"DATABASE", "BYTES BEFORE", "BYTES AFTER", "RESULT"}, rows);
    return is_whole ? int{kExitOk} : int{kExitRefused};
}

int show_prune(const Context& context, const json& pruned) {
    if (context.json) {
        print_json(pruned);
    } else {
        print_line(cell(pruned["files"]) + " files have expired, " + cell(pruned["jobs"]) +
                   " jobs and " + cell(pruned["notices"]) + " notices are forgotten");
        if (pruned["files"] != 0)
            print_line("the files are deleted once the links to them have ended");
    }
    return kExitOk;
}

}  // namespace

int run_compact(const Context& context, const Arguments& arguments) {
    json params = json::object();
    put_length(arguments, "pause-max", "pause_max_s", params);
    return run_task(context, "control.compact", params, "databases", show_compact);
}

int run_prune(const Context& context, const Arguments&) {
    return run_task(context, "control.prune", json::object(), "jobs", show_prune);
}

int run_fsck(const Context& context, const Arguments& arguments) {
    json params = {{"apply", arguments.has("apply")}, {"no_hashes", arguments.has("no-hashes")}};
    if (arguments.has("max-withdrawn")) {
        if (!arguments.has("apply"))
            return complain(kExitUsage, "fsck: --max-withdrawn: expected --apply with it");
        put_number(arguments, "max-withdrawn", "max_withdrawn", params);
    }
    return run_task(context, "control.fsck", params, "files",
                    arguments.has("apply") ? show_applied : show_checked);
}

}  // namespace export_worker::exportctl
