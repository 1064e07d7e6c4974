#include "daemon/control/maintenance_methods.hpp"

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "daemon/control/limits.hpp"
#include "daemon/control/params.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;

Result<json> started(const Result<void>& begun) {
    EW_CHECK(begun);
    return json{{"started", true}};
}

Result<json> fsck(const ControlDeps& deps, const json& params) {
    if (!deps.export_deps)
        return invalid_argument("fsck: this daemon runs no exports ([export] workers = 0)");
    exports::FsckOptions options;
    options.apply = flag_of(params, "apply");
    options.hashes = !flag_of(params, "no_hashes");
    options.orphan_grace = deps.orphan_grace;
    EW_TRY(options.max_withdrawn,
           JsonFields(params).optional_integer("max_withdrawn", {0, INT64_MAX}));
    return started(deps.task.start(
        "fsck",
        [of = *deps.export_deps, options](const std::atomic<bool>& stopping,
                                          const auto& progress) -> Result<json> {
            exports::FsckReport last;
            const auto report = exports::check_exports(
                of, options, stopping, [&](const exports::FsckReport& so_far) {
                    last = so_far;
                    progress({{"files", so_far.files}, {"problems", so_far.problems}});
                });
            // Whoever asked has to know what was found and repaired before the error.
            if (!report) progress(fsck_json(last));
            EW_CHECK(report);
            return fsck_json(*report);
        }));
}

using Compact = std::function<Result<void>(std::chrono::milliseconds pause_max,
                                           const std::function<bool()>& keep_going)>;

struct Compactable {
    const char* name;
    Compact compact;
};

// They outlive the task, which `deps` need not.
std::vector<Compactable> databases_of(const ControlDeps& deps) {
    const auto compact_of = [](auto& database) -> Compact {
        return [&database](std::chrono::milliseconds pause_max, const auto& keep_going) {
            return database.compact(pause_max, keep_going);
        };
    };
    return {{"jobs.db", compact_of(deps.jobs)},
            {"catalog.db", compact_of(deps.catalog)},
            {"auth.db", compact_of(deps.auth)},
            {"plugins.db", compact_of(deps.plugins.history())}};
}

std::int64_t bytes_of(const std::string& path) {
    std::int64_t out = 0;
    for (const char* end : {"", "-wal"}) {
        std::error_code error;
        const auto bytes = std::filesystem::file_size(path + end, error);
        if (!error) out += static_cast<std::int64_t>(bytes);
    }
    return out;
}

// One that cannot be compacted leaves the others alone.
json compact_one(const Compactable& database, const std::string& path,
                 std::chrono::milliseconds pause_max, const std::function<bool()>& keep_going) {
    json row = {{"database", database.name}, {"bytes_before", bytes_of(path)}};
    const auto done = database.compact(pause_max, keep_going);
    row["bytes_after"] = bytes_of(path);
    if (!done) row["error"] = done.error().message;
    return row;
}

Result<json> compact(const ControlDeps& deps, const json& params) {
    EW_TRY(const auto pause, seconds_of(params, "pause_max_s"));
    const std::chrono::seconds pause_max = pause.value_or(limits::kCompactPauseDefault);
    if (pause_max < std::chrono::seconds(1) || pause_max > limits::kCompactPauseMax)
        return invalid_argument("pause_max_s: expected 1 to " +
                                std::to_string(limits::kCompactPauseMax.count()) +
                                " seconds, found " + std::to_string(pause_max.count()));
    return started(deps.task.start(
        "compact",
        [databases = databases_of(deps), directory = deps.state_dir + "/", pause_max](
            const std::atomic<bool>& stopping, const auto& progress) -> Result<json> {
            json rows = json::array();
            for (const Compactable& database : databases) {
                progress({{"databases", rows.size()}});
                rows.push_back(compact_one(database, directory + database.name, pause_max,
                                           [&] { return !stopping.load(); }));
            }
            return json{{"databases", std::move(rows)}};
        }));
}

json prune_json(const jobs::Pruned& pruned) {
    return {{"files", pruned.files}, {"jobs", pruned.jobs}, {"notices", pruned.notices}};
}

Result<json> prune(const ControlDeps& deps, const json&) {
    return started(
        deps.task.start("prune",
                        [&housekeeper = deps.housekeeper](const std::atomic<bool>& stopping,
                                                          const auto& progress) -> Result<json> {
                            EW_TRY(const jobs::Pruned pruned,
                                   housekeeper.prune_now([&](const jobs::Pruned& so_far) {
                                       progress(prune_json(so_far));
                                       return !stopping.load();
                                   }));
                            return prune_json(pruned);
                        }));
}

Result<json> task(const ControlDeps& deps, const json&) {
    return deps.task.state();
}

Result<json> retention_resume(const ControlDeps& deps, const json&) {
    EW_TRY(const bool was_paused, deps.jobs.retention().resume_retention());
    return json{{"was_paused", was_paused}};
}

constexpr std::array<ControlRow, 5> kMethods{{{"control.compact", compact},
                                              {"control.fsck", fsck},
                                              {"control.prune", prune},
                                              {"control.retention_resume", retention_resume},
                                              {"control.task", task}}};

}  // namespace

json fsck_json(const exports::FsckReport& report) {
    json listed = json::array();
    for (const exports::FsckProblem& problem : report.listed) {
        listed.push_back({{"problem", problem.problem},
                          {"key", problem.key},
                          {"job_id", problem.job_id},
                          {"detail", problem.detail},
                          {"repair", problem.repair},
                          {"repaired", problem.repaired}});
    }
    return {{"files", report.files},       {"hashed_bytes", report.hashed_bytes},
            {"foreign", report.foreign},   {"lost", report.lost},
            {"problems", report.problems}, {"repaired", report.repaired},
            {"listed", std::move(listed)}};
}

ControlMethod find_maintenance_method(std::string_view method) {
    return find_in(kMethods, method);
}

}  // namespace export_worker::control
