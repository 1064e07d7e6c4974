#include "daemon/export/fsck.hpp"

#include <algorithm>

#include "daemon/export/limits.hpp"
#include "daemon/jobs/file_key.hpp"

namespace export_worker::exports {
namespace {

class Fsck {
public:
    Fsck(const ExportDeps& deps, const FsckOptions& options, const std::atomic<bool>& stopping,
         const std::function<void(const FsckReport&)>& progress)
        : deps_(deps), options_(options), stopping_(stopping), progress_(progress) {}

    Result<FsckReport> run() {
        const auto done = check_everything();
        progress_(report_);
        EW_CHECK(done);
        return std::move(report_);
    }

private:
    // A published file that has to be withdrawn.
    struct Lost {
        model::FileKey key;
        std::string job_id;
        std::string why;  // "damaged: expected 5 bytes, found 4"
    };

    Result<void> check_everything() {
        auto checked = check_published();
        if (checked && options_.apply) checked = check_bound();
        for (const Lost& lost : lost_) {
            if (checked) {
                checked = withdraw(lost);
            } else {
                note(problem_of(lost));
            }
        }
        EW_CHECK(checked);
        EW_CHECK(check_unpublished());
        return check_orphans();
    }

    Result<void> check_published() {
        model::FileKey after;
        for (;;) {
            EW_TRY(const auto page, deps_.jobs->files().published_files(after));
            if (page.empty()) return {};
            for (const jobs::PublishedFile& file : page) {
                EW_CHECK(go_on());
                EW_CHECK(check_file(file));
            }
            after = page.back().key;
            progress_(report_);
        }
    }

    Result<void> check_file(const jobs::PublishedFile& file) {
        ++report_.files;
        const auto inspected = deps_.files->inspect(file.key, options_.hashes);
        if (!inspected) return record_unreadable(file.key, file.job_id, inspected.error());
        const auto& facts = *inspected;
        std::string problem;
        std::string detail;
        if (!facts) {
            problem = "missing";
            detail = "the job has a file that is not there";
        } else if (facts->bytes != file.bytes) {
            problem = "damaged";
            detail = "expected " + std::to_string(file.bytes) + " bytes, found " +
                     std::to_string(facts->bytes);
        } else if (!facts->sha256.empty() && facts->sha256 != file.sha256) {
            problem = "damaged";
            detail = "expected SHA-256 " + file.sha256 + ", found " + facts->sha256;
        }
        if (facts && !facts->sha256.empty())
            report_.hashed_bytes += static_cast<std::int64_t>(facts->bytes);
        if (problem.empty()) return {};
        ++report_.lost;
        Lost lost{file.key, file.job_id, problem + ": " + detail};
        if (options_.apply) {
            lost_.push_back(std::move(lost));
        } else {
            note(problem_of(lost));
        }
        return {};
    }

    static FsckProblem problem_of(const Lost& lost) {
        const std::size_t colon = lost.why.find(": ");
        return {
            lost.why.substr(0, colon),
            lost.key,
            lost.job_id,
            lost.why.substr(colon + 2),
            "withdraw it: no link is minted any more, and the file is deleted once the links to "
            "it have ended",
            false};
    }

    // Before the first file is withdrawn.
    Result<void> check_bound() const {
        const std::int64_t share = report_.files * limits::kFsckWithdrawnPercentMax / 100;
        const std::int64_t bound =
            options_.max_withdrawn.value_or(std::max(limits::kFsckWithdrawnMin, share));
        if (report_.lost <= bound) return {};
        return fail(ErrorCode::kFailedPrecondition,
                    "fsck: expected at most " + std::to_string(bound) + " of " +
                        std::to_string(report_.files) + " files to be missing or damaged, found " +
                        std::to_string(report_.lost) + "; nothing was changed. Is " +
                        deps_.files->where() +
                        " the right store, and is it mounted? If these files are gone for good: "
                        "exportctl fsck --apply --max-withdrawn " +
                        std::to_string(report_.lost));
    }

    Result<void> withdraw(const Lost& lost) {
        auto withdrawn = go_on();
        if (withdrawn) withdrawn = deps_.jobs->files().withdraw_file(lost.key, lost.why);
        FsckProblem problem = problem_of(lost);
        problem.repaired = withdrawn.has_value();
        note(std::move(problem));
        return withdrawn;
    }

    // A store that does not answer says nothing about this file.
    Result<void> record_unreadable(const model::FileKey& key, const std::string& job_id,
                                   const Error& why) {
        if (why.code == ErrorCode::kUnavailable) return fail(why);
        note({"unreadable", key, job_id, why.message,
              "none: make it readable, or move it away and run fsck again", false});
        return {};
    }

    Result<void> check_unpublished() {
        EW_TRY(const auto files, deps_.jobs->files().unpublished_files());
        for (const jobs::UnpublishedFile& file : files) {
            EW_CHECK(go_on());
            EW_CHECK(check_unpublished_file(file));
        }
        return {};
    }

    // An attempt names its file before it begins it: many never were. The sweep forgets those.
    Result<void> check_unpublished_file(const jobs::UnpublishedFile& file) {
        const auto facts = deps_.files->inspect(file.key, false);
        if (!facts && facts.error().code == ErrorCode::kUnavailable) return fail(facts.error());
        if (facts && !*facts) return {};
        return repair({"unpublished", file.key, file.job_id,
                       "an attempt has ended without publishing it", "delete it", false});
    }

    Result<void> check_orphans() {
        const std::int64_t old_unix_s =
            deps_.clock->unix_us() / 1'000'000 - options_.orphan_grace.count();
        Result<void> checked;
        auto listed = deps_.files->list([&](const files::ListedFile& file) {
            checked = check_listed(file, old_unix_s);
            return checked;
        });
        EW_CHECK(checked);
        if (!listed && listed.error().code == ErrorCode::kFailedPrecondition)
            return record_unreadable("", "", listed.error());
        return listed;
    }

    Result<void> check_listed(const files::ListedFile& file, std::int64_t old_unix_s) {
        EW_CHECK(go_on());
        const std::string job_id = jobs::job_id_of(file.key);
        bool orphan = false;
        if (!job_id.empty()) {
            EW_TRY(orphan, deps_.jobs->files().is_orphan(file.key, job_id));
        }
        if (!orphan) {
            EW_TRY(const bool known, is_known(job_id));
            report_.foreign += known ? 0 : 1;
            return {};
        }
        if (file.modified_unix_s >= old_unix_s) return {};
        return repair({"orphan", file.key, job_id, "no job points to it", "delete it", false});
    }

    Result<bool> is_known(const std::string& job_id) {
        if (job_id.empty()) return false;
        const auto job = deps_.jobs->reader().find(model::OrganizationScope::every(), job_id);
        if (job) return true;
        if (job.error().code == ErrorCode::kNotFound) return false;
        return fail(job.error());
    }

    // Deletes the file when that was asked for. What was done is noted even if the registry fails
    // after it.
    Result<void> repair(FsckProblem problem) {
        Result<void> forgotten;
        if (options_.apply) {
            const auto removed = deps_.files->remove(problem.key);
            problem.repaired = removed.has_value();
            if (removed) {
                forgotten = deps_.jobs->files().forget_file(problem.key);
            } else {
                problem.detail += "; not deleted: " + removed.error().message;
            }
        }
        note(std::move(problem));
        return forgotten;
    }

    Result<void> go_on() const {
        if (stopping_.load()) return fail(ErrorCode::kUnavailable, "the daemon is stopping");
        return {};
    }

    void note(FsckProblem problem) {
        ++report_.problems;
        report_.repaired += problem.repaired ? 1 : 0;
        if (report_.listed.size() < limits::kFsckProblemsMax)
            report_.listed.push_back(std::move(problem));
    }

    const ExportDeps& deps_;
    const FsckOptions& options_;
    const std::atomic<bool>& stopping_;
    const std::function<void(const FsckReport&)>& progress_;
    FsckReport report_;
    std::vector<Lost> lost_;  // To be withdrawn.
};

}  // namespace

Result<FsckReport> check_exports(const ExportDeps& deps, const FsckOptions& options,
                                 const std::atomic<bool>& stopping,
                                 const std::function<void(const FsckReport&)>& progress) {
    return Fsck(deps, options, stopping, progress).run();
}

}  // namespace export_worker::exports
