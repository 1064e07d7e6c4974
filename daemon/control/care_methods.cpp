#include "daemon/control/care_methods.hpp"

#include <array>

#include "base/io.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "daemon/control/refuse.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;
using server::MethodResult;

json report_json(const exports::FsckReport& report) {
    json findings = json::array();
    for (const exports::FsckFinding& finding : report.findings) {
        findings.push_back({{"problem", finding.problem},
                            {"key", finding.key},
                            {"job_id", finding.job_id},
                            {"detail", finding.detail},
                            {"repair", finding.repair},
                            {"repaired", finding.repaired}});
    }
    return {{"files", report.files},       {"hashed_bytes", report.hashed_bytes},
            {"foreign", report.foreign},   {"problems", report.problems},
            {"repaired", report.repaired}, {"findings", std::move(findings)}};
}

MethodResult started(const Result<void>& begun) {
    if (!begun) return refuse(begun.error());
    return json{{"started", true}};
}

MethodResult fsck(const ControlParts& parts, const json& params) {
    if (!parts.export_parts) return bad("fsck: this daemon runs no exports ([export] workers = 0)");
    exports::FsckOptions options;
    options.apply = flag_of(params, "apply");
    options.hashes = !flag_of(params, "no_hashes");
    options.orphan_grace = parts.orphan_grace;
    return started(parts.task.start(
        "fsck",
        [of = *parts.export_parts, options](const std::atomic<bool>& stopping,
                                            const auto& progress) -> Result<json> {
            EW_TRY(const exports::FsckReport report,
                   exports::check_exports(
                       of, options, stopping, [&](const exports::FsckReport& so_far) {
                           progress({{"files", so_far.files}, {"problems", so_far.problems}});
                       }));
            return report_json(report);
        }));
}

MethodResult backup(const ControlParts& parts, const json& params) {
    const std::string directory = text_of(params, "directory");
    if (!directory.starts_with('/'))
        return bad("directory: expected an absolute path, found '" + printable(directory) + "'");
    return started(parts.task.start(
        "backup",
        [&jobs = parts.jobs, &catalog = parts.catalog, &auth = parts.auth_database, directory](
            const std::atomic<bool>&, const auto& progress) -> Result<json> {
            EW_CHECK(make_directories(directory, 0700));
            // Jobs before products: a job never refers to a product that is not there, and the
            // other way round nothing refers at all.
            progress({{"file", "jobs.db"}});
            EW_CHECK(jobs.backup(directory + "/jobs.db"));
            progress({{"file", "catalog.db"}});
            EW_CHECK(catalog.backup(directory + "/catalog.db"));
            progress({{"file", "auth.db"}});
            EW_CHECK(auth.backup(directory + "/auth.db"));
            return json{{"directory", directory}};
        }));
}

MethodResult task(const ControlParts& parts, const json&) {
    return parts.task.state();
}

struct Row {
    std::string_view name;
    ControlMethod run;
};
constexpr std::array<Row, 3> kMethods{
    {{"control.fsck", fsck}, {"control.backup", backup}, {"control.task", task}}};

}  // namespace

ControlMethod find_care_method(std::string_view method) {
    for (const Row& row : kMethods) {
        if (row.name == method) return row.run;
    }
    return nullptr;
}

}  // namespace export_worker::control
