#include "daemon/control/maintenance_methods.hpp"

#include <array>

#include "base/json.hpp"
#include "base/json_fields.hpp"
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

constexpr std::array<ControlRow, 4> kMethods{{{"control.fsck", fsck},
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
