// Do the registry and the store agree? Rows against files, files against their recorded size and
// hash, files against rows. Reads everything first; repairs only what it is told to.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/export/export_runner.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::exports {

struct FsckProblem {
    // missing: a job's file is not there. damaged: not what was published. unreadable: left alone.
    // unpublished: there, and of an attempt that ended. orphan: of a known job, and nothing points
    // to it.
    std::string problem;
    model::FileKey key;
    std::string job_id;
    std::string detail;
    std::string repair;  // What --apply does about it.
    bool repaired = false;
};

struct FsckOptions {
    bool apply = false;
    bool hashes = true;  // Read every file where that costs no transfer, and compare the hash.
    std::chrono::seconds orphan_grace = limits::kOrphanGraceDefault;
    // How many files may be missing or damaged; more, and nothing is repaired: it may be the wrong
    // store. Absent: kFsckWithdrawnMin, or a tenth of all files.
    std::optional<std::int64_t> max_withdrawn = {};
};

struct FsckReport {
    std::int64_t files = 0;  // Published ones that were looked at.
    std::int64_t hashed_bytes = 0;
    std::int64_t foreign = 0;  // Files of no job this registry knows: left alone.
    std::int64_t lost = 0;     // Of `files`: missing or damaged.
    std::int64_t problems = 0;
    std::int64_t repaired = 0;
    std::vector<FsckProblem> listed;  // The first kFsckProblemsMax.
};

// `progress` is called now and then, and at the end, before an error too. Ends with kUnavailable
// once `stopping`. Errors: registry, store as a whole; kFailedPrecondition: more files are lost
// than may be withdrawn, and nothing was changed. [any-thread], beside running workers.
[[nodiscard]] Result<FsckReport> check_exports(
    const ExportDeps& deps, const FsckOptions& options, const std::atomic<bool>& stopping,
    const std::function<void(const FsckReport&)>& progress);

}  // namespace export_worker::exports
