#include "daemon/control/care_methods.hpp"

#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <functional>

#include "base/clock.hpp"
#include "base/io.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "daemon/control/refuse.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;

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

Result<json> started(const Result<void>& begun) {
    EW_CHECK(begun);
    return json{{"started", true}};
}

Result<json> fsck(const ControlParts& parts, const json& params) {
    if (!parts.export_parts)
        return invalid_argument("fsck: this daemon runs no exports ([export] workers = 0)");
    exports::FsckOptions options;
    options.apply = flag_of(params, "apply");
    options.hashes = !flag_of(params, "no_hashes");
    options.orphan_grace = parts.orphan_grace;
    return started(parts.task.start(
        "fsck",
        [of = *parts.export_parts, options](const std::atomic<bool>& stopping,
                                            const auto& progress) -> Result<json> {
            exports::FsckReport last;
            const auto report = exports::check_exports(
                of, options, stopping, [&](const exports::FsckReport& so_far) {
                    last = so_far;
                    progress({{"files", so_far.files}, {"problems", so_far.problems}});
                });
            // Whoever asked has to know what was found and repaired before the error.
            if (!report) progress(report_json(last));
            EW_CHECK(report);
            return report_json(*report);
        }));
}

struct DatabaseCopy {
    std::string file;
    std::function<Result<void>(const std::string& path)> backup;
};

// Jobs before products: a job never refers to a product that is not there, and the other way round
// nothing refers at all.
std::vector<DatabaseCopy> databases(const ControlParts& parts) {
    return {{"jobs.db", [&of = parts.jobs](const auto& path) { return of.backup(path); }},
            {"catalog.db", [&of = parts.catalog](const auto& path) { return of.backup(path); }},
            {"auth.db", [&of = parts.auth_database](const auto& path) { return of.backup(path); }},
            {"plugins.db",
             [&of = parts.plugins.history()](const auto& path) { return of.backup(path); }}};
}

bool is_same_file(const std::string& one, const std::string& other) {
    struct stat a {};
    struct stat b {};
    return ::stat(one.c_str(), &a) == 0 && ::stat(other.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

// A database that is replaced while a program has it open is lost, and so is one whose -wal stays
// behind.
Result<void> check_backup_target(const std::string& directory, const std::string& state_dir,
                                 const std::vector<DatabaseCopy>& copies) {
    const auto refused = [&](const std::string& why) {
        return fail(ErrorCode::kInvalidArgument, "directory: " + printable(directory) + " " + why +
                                                     "; name a directory for backups only");
    };
    if (is_same_file(directory, state_dir)) return refused("is the state_dir of this daemon");
    std::error_code ignored;
    if (std::filesystem::exists(directory + "/lock", ignored))
        return refused("is the state_dir of a daemon (it has the file lock)");
    for (const DatabaseCopy& copy : copies) {
        const std::string path = directory + "/" + copy.file;
        if (is_same_file(path, state_dir + "/" + copy.file))
            return refused("has this daemon's own " + copy.file);
        if (std::filesystem::is_directory(path, ignored))
            return refused("has a directory named " + copy.file);
        if (std::filesystem::exists(path + "-wal", ignored))
            return refused("has a " + copy.file + " in use (with " + copy.file + "-wal)");
    }
    return {};
}

std::string new_name(const std::string& directory, const DatabaseCopy& copy) {
    return directory + "/" + copy.file + ".new";
}

Result<void> copy_all(const std::string& directory, const std::vector<DatabaseCopy>& copies,
                      const std::function<void(json)>& progress) {
    for (const DatabaseCopy& copy : copies) {
        progress({{"file", copy.file}});
        EW_CHECK(copy.backup(new_name(directory, copy)));
    }
    for (const DatabaseCopy& copy : copies)
        EW_CHECK(publish_file(new_name(directory, copy), directory + "/" + copy.file));
    return {};
}

// An older backup stays whole until every new copy is on disk.
Result<json> write_backup(const std::string& directory, const std::vector<DatabaseCopy>& copies,
                          const std::function<void(json)>& progress) {
    EW_CHECK(make_directories(directory, 0700));
    auto copied = copy_all(directory, copies, progress);
    json files = json::array();
    for (const DatabaseCopy& copy : copies) {
        std::error_code ignored;
        if (!copied) std::filesystem::remove(new_name(directory, copy), ignored);
        files.push_back(copy.file);
    }
    EW_CHECK(copied);
    return json{{"directory", directory}, {"files", std::move(files)}};
}

Result<json> backup(const ControlParts& parts, const json& params) {
    const std::string directory = text_of(params, "directory");
    if (!directory.starts_with('/'))
        return invalid_argument("directory: expected an absolute path, found '" +
                                printable(directory) + "'");
    auto copies = databases(parts);
    EW_CHECK(check_backup_target(directory, parts.state_dir, copies));
    return started(parts.task.start("backup", [directory, copies = std::move(copies)](
                                                  const std::atomic<bool>&, const auto& progress) {
        return write_backup(directory, copies, progress);
    }));
}

Result<json> task(const ControlParts& parts, const json&) {
    return parts.task.state();
}

Result<json> retention_resume(const ControlParts& parts, const json&) {
    EW_TRY(const bool was_paused, parts.jobs.resume_retention());
    return json{{"was_paused", was_paused}};
}

struct Row {
    std::string_view name;
    ControlMethod run;
};
constexpr std::array<Row, 4> kMethods{{{"control.fsck", fsck},
                                       {"control.backup", backup},
                                       {"control.retention_resume", retention_resume},
                                       {"control.task", task}}};

}  // namespace

ControlMethod find_care_method(std::string_view method) {
    for (const Row& row : kMethods) {
        if (row.name == method) return row.run;
    }
    return nullptr;
}

}  // namespace export_worker::control
