// Reads of the job registry: one job, lists, what happened, how many. [any-thread]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/jobs/page.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/organization_scope.hpp"

namespace export_worker::jobs {

struct JobFilter {
    std::optional<model::JobStatus> status = {};
    std::string job_type = {};  // Empty: any.
    std::size_t limit = 50;
    std::size_t offset = 0;  // So many are passed over; their number is work.
    // Only jobs that are older than the one with this id, which need not exist any more; empty:
    // from the newest on.
    std::string after = {};
};

struct JobPage {
    std::vector<model::Job> jobs;  // Newest first; their entries are left out.
    std::int64_t total = 0;        // Matching the filter, whatever `after` and `offset` leave out.
    bool more = false;             // Something follows the last one.
};

struct JobCounts {
    std::int64_t pending = 0;
    std::int64_t in_progress = 0;
    std::int64_t completed = 0;
    std::int64_t failed = 0;
    std::int64_t cancelled = 0;
    std::int64_t oldest_due_us = 0;    // Since when the longest waiting job could run; 0: none.
    std::int64_t fenced = 0;           // Writes refused because a lease was lost.
    std::int64_t notices_pending = 0;  // Not yet delivered.
};

// Jobs of the daemon that wait, by whose they are.
struct WaitingJobs {
    struct Queue {
        std::string organization_id;
        std::int64_t pending = 0;
    };
    std::vector<Queue> longest;  // The longest first.
    std::int64_t others = 0;     // Jobs of the organizations that are not among them.
};

// Errors: those of job_store.hpp, and kNotFound for unknown jobs and for those outside the scope
// alike.
class JobReader {
public:
    virtual ~JobReader() = default;

    // Which registry this is: 32 hex digits, the same for ever. A copy of it has the same.
    [[nodiscard]] virtual const std::string& registry_id() const = 0;
    [[nodiscard]] virtual Result<model::Job> find(const model::OrganizationScope& scope,
                                                  std::string_view job_id) = 0;
    // The same for minting a link; fills `file`, reusing its buffers.
    [[nodiscard]] virtual Result<void> find_file(const model::OrganizationScope& scope,
                                                 std::string_view job_id, model::JobFile& file) = 0;
    // Ends before the filter's limit when the texts reach kJobsPageBytesMax.
    [[nodiscard]] virtual Result<JobPage> list(const model::OrganizationScope& scope,
                                               const JobFilter& filter) = 0;
    // The job's events after number `after`, at most kJobEventsPage: what it went through, oldest
    // first, then links and downloads, oldest first. A number is the place in this list: it tells
    // which of both kinds are before it.
    [[nodiscard]] virtual Result<Page<model::JobEvent>> events(
        const model::OrganizationScope& scope, std::string_view job_id, std::int64_t after) = 0;
    // Notices after `after`, oldest first, at most kNoticesPage: for a subscriber that missed some.
    [[nodiscard]] virtual Result<Page<model::Notice>> notices(const model::OrganizationScope& scope,
                                                              std::int64_t after) = 0;
    [[nodiscard]] virtual Result<JobCounts> counts() = 0;
    // The `queues_max` longest queues, and the rest together.
    [[nodiscard]] virtual Result<WaitingJobs> waiting(std::size_t queues_max) = 0;
};

}  // namespace export_worker::jobs
