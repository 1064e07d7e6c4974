#include "daemon/jobs/job_rows.hpp"

#include <nlohmann/json.hpp>

namespace export_worker::jobs {
namespace {

using model::Job;
using model::JobEntry;
using model::JobRunner;
using model::JobStatus;
using model::Lease;
using model::OrganizationScope;
using nlohmann::json;
using sqlite::Connection;
using sqlite::Statement;

}  // namespace

Job read_job(const Statement& row) {
    Job job;
    job.job_id = row.string(0);
    job.organization_id = row.string(1);
    job.job_type = row.string(2);
    job.runner = row.text(3) == "daemon" ? JobRunner::kDaemon : JobRunner::kExternal;
    job.status = model::parse_job_status(row.text(4)).value_or(JobStatus::kFailed);
    job.epoch = row.integer(5);
    job.attempt = static_cast<int>(row.integer(6));
    job.cancel_requested = row.integer(7) != 0;
    job.spec_json = row.string(8);
    job.total_items = row.integer(9);
    job.processed_items = row.integer(10);
    job.failed_items = row.integer(11);
    job.warned_items = row.integer(12);
    job.stage = row.string(13);
    job.message = row.string(14);
    job.metadata_json = row.string(15);
    job.error_message = row.string(16);
    job.triggered_by = row.string(17);
    job.created_us = row.integer(18);
    job.started_us = row.optional_integer(19);
    job.completed_us = row.optional_integer(20);
    return job;
}

std::string entry_to_json(const JobEntry& entry) {
    json out = {{"entity_key", entry.entity_key},
                {"entity_type", entry.entity_type},
                {"error_type", entry.error_type},
                {"message", entry.message},
                {"step", entry.step},
                {"at_us", entry.at_us}};
    if (!entry.details_json.empty())
        out["details"] = json::parse(entry.details_json, nullptr, false);
    return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

JobEntry entry_from_json(std::string_view text) {
    const json in = json::parse(text, nullptr, false);
    JobEntry entry;
    if (!in.is_object()) return entry;
    entry.entity_key = in.value("entity_key", "");
    entry.entity_type = in.value("entity_type", "job");
    entry.error_type = in.value("error_type", "");
    entry.message = in.value("message", "");
    entry.step = in.value("step", "");
    entry.at_us = in.value("at_us", std::int64_t{0});
    if (in.contains("details")) entry.details_json = in["details"].dump();
    return entry;
}

tl::unexpected<Error> not_found() {
    return fail(ErrorCode::kNotFound, "Job not found");
}
tl::unexpected<Error> lease_lost(const Lease& lease) {
    return fail(ErrorCode::kConflict, "job " + lease.job_id + ": the lease with epoch " +
                                          std::to_string(lease.epoch) + " is no longer valid");
}

Result<Job> load(Connection& connection, const OrganizationScope& scope, std::string_view job_id) {
    Job job;
    {
        Statement row = connection.statement(
            "SELECT " EW_JOB_COLUMNS
            " FROM job WHERE job_id = ?1 AND (?2 IS NULL OR organization_id = ?2)");
        EW_TRY(const bool found, row.bind(job_id, scope.organization_id()).step());
        if (!found) return not_found();
        job = read_job(row);
    }
    Statement entries = connection.statement(
        "SELECT kind, body FROM job_entry WHERE job_id = ?1 ORDER BY kind, number");
    entries.bind(job_id);
    for (;;) {
        EW_TRY(const bool more, entries.step());
        if (!more) return job;
        (entries.text(0) == "error" ? job.errors : job.warnings)
            .push_back(entry_from_json(entries.text(1)));
    }
}

}  // namespace export_worker::jobs
