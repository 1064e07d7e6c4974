#include "daemon/export/fsck.hpp"

#include "daemon/export/limits.hpp"

namespace export_worker::exports {
namespace {

class Fsck {
public:
    Fsck(const ExportParts& parts, const FsckOptions& options, const std::atomic<bool>& stopping,
         const std::function<void(const FsckReport&)>& progress)
        : parts_(parts), options_(options), stopping_(stopping), progress_(progress) {}

    Result<FsckReport> run() {
        EW_CHECK(check_published());
        EW_CHECK(check_unpublished());
        EW_CHECK(check_orphans());
        progress_(report_);
        return std::move(report_);
    }

private:
    Result<void> check_published() {
        model::FileKey after;
        for (;;) {
            EW_TRY(const auto page, parts_.jobs->published_files(after));
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
        EW_TRY(const auto facts, parts_.files->inspect(file.key, options_.hashes));
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
        FsckFinding finding{problem,
                            file.key,
                            file.job_id,
                            detail,
                            "withdraw it: no link is minted any more, and the file is deleted",
                            false};
        if (options_.apply) {
            EW_CHECK(parts_.jobs->withdraw_file(file.key, problem + ": " + detail));
            EW_CHECK(drop(file.key));
            finding.repaired = true;
        }
        note(std::move(finding));
        return {};
    }

    Result<void> check_unpublished() {
        EW_TRY(const auto files, parts_.jobs->unpublished_files());
        for (const jobs::UnpublishedFile& file : files) {
            EW_CHECK(go_on());
            FsckFinding finding{"unpublished",     file.key,
                                file.lease.job_id, "an attempt has ended without publishing it",
                                "delete it",       false};
            if (options_.apply) {
                EW_CHECK(drop(file.key));
                finding.repaired = true;
            }
            note(std::move(finding));
        }
        return {};
    }

    Result<void> check_orphans() {
        const std::int64_t old_unix_s =
            parts_.clock->unix_us() / 1'000'000 - options_.orphan_grace.count();
        return parts_.files->list([&](const files::ListedFile& file) -> Result<void> {
            EW_CHECK(go_on());
            const std::string job_id = job_id_of(file.key);
            bool orphan = false;
            if (!job_id.empty()) {
                EW_TRY(orphan, parts_.jobs->is_orphan(file.key, job_id));
            }
            if (!orphan) {
                EW_TRY(const bool known, is_known(job_id));
                report_.foreign += known ? 0 : 1;
                return {};
            }
            if (file.modified_unix_s >= old_unix_s) return {};
            FsckFinding finding{"orphan",    file.key, job_id, "no job points to it",
                                "delete it", false};
            if (options_.apply) {
                EW_TRY(const bool existed, parts_.files->remove(file.key));
                finding.repaired = existed;
            }
            note(std::move(finding));
            return {};
        });
    }

    Result<bool> is_known(const std::string& job_id) {
        if (job_id.empty()) return false;
        const auto job = parts_.jobs->find(model::OrganizationScope::every(), job_id);
        if (job) return true;
        if (job.error().code == ErrorCode::kNotFound) return false;
        return fail(job.error());
    }

    Result<void> drop(const model::FileKey& key) {
        EW_TRY(const bool existed, parts_.files->remove(key));
        (void)existed;
        return parts_.jobs->forget_file(key);
    }

    Result<void> go_on() const {
        if (stopping_.load()) return fail(ErrorCode::kUnavailable, "the daemon is stopping");
        return {};
    }

    void note(FsckFinding finding) {
        ++report_.problems;
        report_.repaired += finding.repaired ? 1 : 0;
        if (report_.findings.size() < limits::kFsckFindingsMax)
            report_.findings.push_back(std::move(finding));
    }

    const ExportParts& parts_;
    const FsckOptions& options_;
    const std::atomic<bool>& stopping_;
    const std::function<void(const FsckReport&)>& progress_;
    FsckReport report_;
};

}  // namespace

Result<FsckReport> check_exports(const ExportParts& parts, const FsckOptions& options,
                                 const std::atomic<bool>& stopping,
                                 const std::function<void(const FsckReport&)>& progress) {
    return Fsck(parts, options, stopping, progress).run();
}

}  // namespace export_worker::exports
