#include "daemon/jobs/sqlite_job_store.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "base/crypto/uuid.hpp"
#include "base/in_memory_error.hpp"
#include "base/io.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "daemon/jobs/claims.hpp"
#include "daemon/jobs/housekeeping.hpp"
#include "daemon/jobs/job_files.hpp"
#include "daemon/jobs/job_rows.hpp"
#include "daemon/jobs/job_schema.hpp"
#include "daemon/jobs/leases.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/outbox.hpp"
#include "daemon/jobs/quotas.hpp"
#include "daemon/jobs/reports.hpp"
#include "daemon/jobs/retention_clock.hpp"
#include "daemon/jobs/submissions.hpp"
#include "daemon/model/limits.hpp"
#include "daemon/sqlite/database.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using model::JobRunner;
using model::JobStatus;
using model::Lease;
using model::OrganizationScope;
using nlohmann::json;
using sqlite::Connection;
using sqlite::Statement;

// What JobStore::list() asks for, behind the organization.
#define EW_JOB_FILTER " AND (?2 IS NULL OR status = ?2) AND (?3 = '' OR job_type = ?3)"
#define EW_JOB_PAGE " ORDER BY created_us DESC, job_id DESC LIMIT ?4 OFFSET ?5"

class SqliteJobStore final : public JobStore {
public:
    SqliteJobStore(std::unique_ptr<sqlite::Database> database, const Clock& clock,
                   const JobPolicy& policy)
        : database_(std::move(database)),
          clock_(clock),
          policy_(policy),
          instance_id_(crypto::make_uuid7(clock.unix_us())),
          opened_wall_us_(clock.unix_us()),
          opened_(clock.steady()),
          request_quotas_(clock) {}

    // A number of its own for every start: process ids come again, and so do boots.
    Result<void> enter_instance() {
        const Now at = now();
        std::string boot_id;
        if (auto read = read_file("/proc/sys/kernel/random/boot_id", 64))
            boot_id = without_line_end(std::move(*read));
        return database_->write([&](Connection& connection) -> Result<void> {
            EW_CHECK(connection
                         .statement("INSERT INTO instance (instance_id, pid, boot_id, version, "
                                    "started_us) VALUES (?1, ?2, ?3, ?4, ?5)")
                         .bind(instance_id_, static_cast<std::int64_t>(::getpid()), boot_id,
                               policy_.version, at.wall_us)
                         .run());
            return connection
                .statement(
                    "DELETE FROM instance WHERE started_us < ?1 AND instance_id NOT IN "
                    "(SELECT owner FROM job WHERE status = 'in_progress')")
                .bind(at.wall_us - us_of(limits::kJobTimesMax))
                .run();
        });
    }

    Result<void> read_registry_id() {
        EW_TRY(registry_id_, database_->read([](Connection& connection) -> Result<std::string> {
            Statement row = connection.statement("SELECT registry_id FROM registry");
            EW_TRY(const bool found, row.step());
            if (!found)
                return fail(ErrorCode::kDataLoss,
                            "jobs.db: expected a row in table registry, found none; restore "
                            "a backup");
            return row.string(0);
        }));
        return {};
    }

    const std::string& registry_id() const override { return registry_id_; }

    Result<Pending<CreatedJob>> begin_create(NewJob job) override {
        const Now at = now();
        const std::string job_id = crypto::make_uuid7(at.wall_us);
        // All that needs no database happens before: the writer is one thread for everybody.
        EW_TRY(JobDraft draft, draft_job(job, job_id, policy_, at));
        return database_->begin_write(
            [job = std::move(job), draft = std::move(draft), at](Connection& connection) mutable {
                return insert_job(connection, job, std::move(draft), at);
            },
            sqlite::Database::Failure::kBeforeChanges);
    }

    Result<Job> find(const OrganizationScope& scope, std::string_view job_id) override {
        return database_->read(
            [&](Connection& connection) { return load(connection, scope, job_id); });
    }

    Result<void> find_file(const OrganizationScope& scope, std::string_view job_id,
                           model::JobFile& file) override {
        return database_->read([&](Connection& connection) -> Result<void> {
            Statement row = connection.statement(
                "SELECT organization_id, job_type, status, file_url, filename, "
                "content_type, sha256 FROM job "
                "WHERE job_id = ?1 AND (?2 IS NULL OR organization_id = ?2)");
            EW_TRY(const bool found, row.bind(job_id, scope.organization_id()).step());
            if (!found) return not_found();
            file.organization_id.assign(row.text(0));
            file.job_type.assign(row.text(1));
            file.status.assign(row.text(2));
            file.file_url.assign(row.text(3));
            file.filename.assign(row.text(4));
            file.content_type.assign(row.text(5));
            file.sha256.assign(row.text(6));
            return {};
        });
    }

    Result<JobPage> list(const OrganizationScope& scope, const JobFilter& filter) override {
        const std::optional<std::string_view> status =
            filter.status ? std::optional(model::to_string(*filter.status)) : std::nullopt;
        return database_->read([&](Connection& connection) -> Result<JobPage> {
            JobPage page;
            // A statement for each, so that an organization's listing looks at its own jobs only.
            const bool one = scope.organization_id().has_value();
            {
                Statement count = connection.statement(
                    one ? "SELECT count(*) FROM job WHERE organization_id = ?1" EW_JOB_FILTER
                        : "SELECT count(*) FROM job WHERE ?1 IS NULL" EW_JOB_FILTER);
                EW_TRY(const bool counted,
                       count.bind(scope.organization_id(), status, filter.job_type).step());
                page.total = counted ? count.integer(0) : 0;
            }
            Statement rows = connection.statement(
                one ? "SELECT " EW_JOB_COLUMNS
                      " FROM job WHERE organization_id = ?1" EW_JOB_FILTER EW_JOB_PAGE
                    : "SELECT " EW_JOB_COLUMNS
                      " FROM job WHERE ?1 IS NULL" EW_JOB_FILTER EW_JOB_PAGE);
            rows.bind(scope.organization_id(), status, filter.job_type,
                      static_cast<std::int64_t>(filter.limit),
                      static_cast<std::int64_t>(filter.offset));
            std::size_t bytes = 0;
            for (;;) {
                EW_TRY(const bool more, rows.step());
                if (!more) return page;
                bytes += job_bytes(rows);
                if (bytes > limits::kJobsPageBytesMax && !page.jobs.empty()) return page;
                page.jobs.push_back(read_job(rows));
            }
        });
    }

    Result<Job> request_cancel(const OrganizationScope& scope, std::string_view job_id,
                               std::string_view actor) override {
        const Now at = now();
        return database_->write([&](Connection& connection) -> Result<Job> {
            EW_TRY(const Job job, load_row(connection, scope, job_id));
            if (model::is_final(job.status)) {
                return fail(ErrorCode::kConflict,
                            "The job is already " + std::string(model::to_string(job.status)));
            }
            // Nobody runs a pending job, and nobody of ours runs an external one: both are
            // cancelled here and now.
            const bool ours_and_running =
                job.status == JobStatus::kInProgress && job.runner == JobRunner::kDaemon;
            const char* sql =
                ours_and_running
                    ? "UPDATE job SET cancel_us = coalesce(cancel_us, ?2) WHERE job_id = ?1"
                    : "UPDATE job SET cancel_us = ?2, status = 'cancelled', completed_us = ?2 "
                      "WHERE job_id = ?1";
            EW_CHECK(connection.statement(sql).bind(job_id, at.wall_us).run());
            if (ours_and_running) {
                EW_CHECK(append_event(
                    connection, {job.job_id, "cancel_requested", std::string(actor), "", 1}, at));
            } else {
                EW_CHECK(record_end_of(connection, job_id, actor, at));
            }
            return load(connection, scope, job_id);
        });
    }

    Result<Job> retry(const OrganizationScope& scope, std::string_view job_id,
                      std::string_view actor) override {
        const Now at = now();
        return database_->write([&](Connection& connection) -> Result<Job> {
            EW_TRY(const Job job, load_row(connection, scope, job_id));
            EW_CHECK(check_runs_here(job));
            if (job.status != JobStatus::kFailed && job.status != JobStatus::kCancelled) {
                return fail(ErrorCode::kConflict,
                            "Only a failed or cancelled export can be retried; this job is " +
                                std::string(model::to_string(job.status)));
            }
            EW_CHECK(check_job_quotas(connection, job.organization_id, job.runner));
            EW_CHECK(
                connection
                    .statement("UPDATE job SET status = 'pending', attempt = 0, crashes = 0, "
                               "interruptions = 0, cancel_us = NULL, held = 0, deadline_us = NULL, "
                               "deadline_length_us = NULL, due_us = ?2, completed_us = NULL, "
                               "error_message = '', stage = '', "
                               "processed_items = 0 WHERE job_id = ?1")
                    .bind(job_id, at.us)
                    .run());
            EW_CHECK(
                append_event(connection, {job.job_id, "retried", std::string(actor), "", 1}, at));
            return load(connection, scope, job_id);
        });
    }

    Result<Job> hold(const OrganizationScope& scope, std::string_view job_id,
                     std::string_view actor) override {
        return set_held(scope, job_id, actor, true);
    }
    Result<Job> release_hold(const OrganizationScope& scope, std::string_view job_id,
                             std::string_view actor) override {
        return set_held(scope, job_id, actor, false);
    }

    Result<Pending<Job>> begin_report(const OrganizationScope& scope, std::string job_id,
                                      ProgressReport report, std::string actor) override {
        if (report.mark_completed && report.mark_failed) {
            return fail(ErrorCode::kInvalidArgument,
                        "mark_completed and mark_failed: expected at most one of them");
        }
        return database_->begin_write([scope, job_id = std::move(job_id),
                                       report = std::move(report), actor = std::move(actor),
                                       at = now()](Connection& connection) -> Result<Job> {
            EW_TRY(const Job job, load_row(connection, scope, job_id));
            if (job.runner != JobRunner::kExternal) {
                return fail(ErrorCode::kConflict, "The job is run by the daemon itself");
            }
            if (model::is_final(job.status)) {
                return fail(ErrorCode::kConflict,
                            "The job is already " + std::string(model::to_string(job.status)));
            }
            EW_CHECK(apply_report(connection, job, report, actor, at));
            return load_row(connection, scope, job_id);
        });
    }

    Result<Page<model::JobEvent>> events(const OrganizationScope& scope, std::string_view job_id,
                                         std::int64_t after) override {
        return database_->read(
            [&](Connection& connection) { return events_after(connection, scope, job_id, after); });
    }

    Result<void> add_events(std::span<const NewEvent> events) override {
        const Now at = now();
        return database_->write([&](Connection& connection) -> Result<void> {
            for (const NewEvent& event : events) EW_CHECK(append_event(connection, event, at));
            return {};
        });
    }

    Result<void> set_organization(const OrganizationPolicy& policy) override {
        const auto written = database_->write(
            [&](Connection& connection) { return jobs::set_organization(connection, policy); });
        if (written || policy.held) unwritten_holds_.set(policy.organization_id, !written);
        if (!written && policy.held)
            return fail(in_memory_error("The organization '" + policy.organization_id + "' is held",
                                        written.error()));
        EW_CHECK(written);
        request_quotas_.set(policy.organization_id, policy.requests_per_second_max);
        return {};
    }

    Result<Page<OrganizationState>> organizations(std::string_view after) override {
        EW_TRY(auto page, database_->read([&](Connection& connection) {
            return organization_states(connection, after);
        }));
        for (OrganizationState& state : page.items) add_unwritten_hold(state);
        return page;
    }

    Result<OrganizationState> organization(std::string_view id) override {
        EW_TRY(auto state, database_->read([&](Connection& connection) {
            return organization_state(connection, id);
        }));
        add_unwritten_hold(state);
        return state;
    }

    Result<void> admit_request(std::string_view organization_id) override {
        return request_quotas_.admit(organization_id);
    }

    Result<void> read_request_quotas() {
        return database_->read([&](Connection& connection) -> Result<void> {
            Statement rows = connection.statement(
                "SELECT organization_id, requests_per_second_max FROM organization WHERE "
                "requests_per_second_max IS NOT NULL");
            return sqlite::for_each_row(rows, [&](const Statement& row) {
                request_quotas_.set(row.text(0), static_cast<int>(row.integer(1)));
            });
        });
    }

    Result<std::optional<ClaimedJob>> claim() override {
        const Now at = now();
        {
            // Workers that find nothing look every second: not through the writer.
            EW_TRY(const bool any, has_pending());
            if (!any) return std::optional<ClaimedJob>();
        }
        return database_->write([&](Connection& connection) {
            return claim_next(connection, policy_, unwritten_holds_.json(), instance_id_, at);
        });
    }

    Result<bool> heartbeat(const Lease& lease, const Progress& progress) override {
        return counted(database_->write(
            [&](Connection& connection) { return jobs::heartbeat(connection, lease, progress); }));
    }

    Result<void> intend_file(const Lease& lease, const model::FileKey& key) override {
        const Now at = now();
        return counted(database_->write(
            [&](Connection& connection) { return jobs::intend_file(connection, lease, key, at); }));
    }

    Result<void> complete(const Lease& lease, const Completion& completion) override {
        const Now at = now();
        return counted(database_->write([&](Connection& connection) {
            return jobs::complete(connection, lease, completion, instance_id_, at);
        }));
    }

    Result<void> give_up_attempt(const Lease& lease, std::string_view error, bool permanent,
                                 std::int64_t delay_us) override {
        const Now at = now();
        return counted(database_->write([&](Connection& connection) {
            return jobs::give_up_attempt(connection, lease, error, permanent, delay_us,
                                         instance_id_, at);
        }));
    }

    Result<void> release(const Lease& lease) override {
        const Now at = now();
        return counted(database_->write([&](Connection& connection) {
            return jobs::release(connection, lease, instance_id_, at);
        }));
    }

    Result<void> cancelled(const Lease& lease) override {
        const Now at = now();
        return counted(database_->write([&](Connection& connection) {
            return jobs::cancelled(connection, lease, instance_id_, at);
        }));
    }

    Result<std::size_t> rescue() override {
        const Now at = now();
        std::size_t all = 0;
        for (std::size_t some = limits::kHousekeepingBatch; some == limits::kHousekeepingBatch;
             all += some) {
            EW_TRY(some, database_->write([&](Connection& connection) {
                return rescue_jobs(connection, instance_id_, at);
            }));
        }
        return all;
    }

    Result<std::size_t> enforce_limits() override {
        const Now at = now();
        return database_->write([&](Connection& connection) {
            return jobs::enforce_limits(connection, instance_id_, at);
        });
    }

    Result<void> restart_silence() override {
        const Now at = now();
        return database_->write(
            [&](Connection& connection) { return jobs::restart_silence(connection, at); });
    }

    Result<bool> check_retention_clock(std::chrono::seconds tolerance) override {
        const Now at = now();
        return database_->write([&](Connection& connection) {
            return jobs::check_retention_clock(connection, tolerance, at);
        });
    }

    Result<bool> resume_retention() override {
        const Now at = now();
        return database_->write(
            [&](Connection& connection) { return jobs::resume_retention(connection, at); });
    }

    Result<std::optional<RetentionPause>> retention_pause() override {
        return database_->read(
            [](Connection& connection) { return jobs::retention_pause(connection); });
    }

    Result<std::size_t> expire_files(std::chrono::seconds age) override {
        const Now at = now();
        return database_->write([&](Connection& connection) {
            return jobs::expire_files(connection, instance_id_, age, at);
        });
    }

    Result<Pruned> prune(std::chrono::seconds age) override {
        const Now at = now();
        return database_->write(
            [&](Connection& connection) { return prune_jobs(connection, age, at); });
    }

    Result<std::vector<PublishedFile>> published_files(const model::FileKey& after) override {
        return database_->read(
            [&](Connection& connection) { return jobs::published_files(connection, after); });
    }

    Result<void> withdraw_file(const model::FileKey& key, std::string_view reason) override {
        const Now at = now();
        return database_->write([&](Connection& connection) {
            return jobs::withdraw_file(connection, key, "withdrawn", instance_id_, reason, at);
        });
    }

    Result<std::vector<model::Notice>> unpublished_notices() override {
        return database_->read(
            [](Connection& connection) { return jobs::unpublished_notices(connection); });
    }

    Result<void> mark_published(std::int64_t last_sequence) override {
        return database_->write([&](Connection& connection) {
            return jobs::mark_published(connection, last_sequence);
        });
    }

    Result<std::vector<model::Notice>> due_notices() override {
        const Now at = now();
        return database_->read(
            [&](Connection& connection) { return jobs::due_notices(connection, at); });
    }

    Result<void> mark_delivery(std::int64_t sequence, Delivery delivery, std::string_view answer,
                               std::int64_t delay_us) override {
        const std::int64_t due_us = now().us + delay_us;
        return database_->write([&](Connection& connection) {
            return jobs::mark_delivery(connection, sequence, delivery, answer, due_us);
        });
    }

    Result<Page<model::Notice>> notices(const OrganizationScope& scope,
                                        std::int64_t after) override {
        return database_->read(
            [&](Connection& connection) { return notices_after(connection, scope, after); });
    }

    Result<void> backup(const std::string& path, const std::function<bool()>& keep_going) override {
        return database_->backup(path, keep_going);
    }
    std::string problem() const override { return database_->problem(); }
    std::uint64_t write_errors() const override { return database_->write_errors(); }

    Result<std::vector<UnpublishedFile>> unpublished_files() override {
        return database_->read(
            [](Connection& connection) { return jobs::unpublished_files(connection); });
    }

    Result<void> forget_file(const model::FileKey& key) override {
        return database_->write(
            [&](Connection& connection) { return jobs::forget_file(connection, key); });
    }

    Result<bool> is_orphan(const model::FileKey& key, std::string_view job_id) override {
        return database_->read(
            [&](Connection& connection) { return jobs::is_orphan(connection, key, job_id); });
    }

    Result<WaitingJobs> waiting(std::size_t queues_max) override {
        return database_->read(
            [&](Connection& connection) { return waiting_jobs(connection, queues_max); });
    }

    Result<std::optional<std::chrono::microseconds>> oldest_file_age() override {
        return database_->read(
            [this](Connection& connection) { return jobs::oldest_file_age(connection, now()); });
    }

    Result<JobCounts> counts() override {
        return database_->read([&](Connection& connection) -> Result<JobCounts> {
            JobCounts out;
            Statement rows =
                connection.statement("SELECT status, count(*) FROM job GROUP BY status");
            {
                Statement waiting = connection.statement(
                    "SELECT (SELECT min(due_us) FROM job WHERE status = 'pending' AND runner = "
                    "'daemon' AND held = 0), (SELECT count(*) FROM notice WHERE delivery = "
                    "'pending')");
                EW_TRY(const bool found, waiting.step());
                if (found && waiting.integer(0) > 0 && waiting.integer(0) <= now().us)
                    out.oldest_due_us = wall_of(waiting.integer(0));
                if (found) out.notices_pending = waiting.integer(1);
            }
            out.fenced = fenced_.load();
            EW_CHECK(sqlite::for_each_row(rows, [&](const Statement& row) {
                const std::string_view status = row.text(0);
                std::int64_t& slot = status == "pending"       ? out.pending
                                     : status == "in_progress" ? out.in_progress
                                     : status == "failed"      ? out.failed
                                     : status == "cancelled"   ? out.cancelled
                                                               : out.completed;
                slot += row.integer(1);
            }));
            return out;
        });
    }

private:
    // Wall time, and time that no setting of the wall clock moves.
    [[nodiscard]] Now now() const {
        const auto lived =
            std::chrono::duration_cast<std::chrono::microseconds>(clock_.steady() - opened_);
        return {opened_wall_us_ + lived.count(), clock_.unix_us()};
    }
    [[nodiscard]] std::int64_t wall_of(std::int64_t us) const {
        const Now at = now();
        return at.wall_us - (at.us - us);
    }

    // A worker's write that came too late has changed nothing; how often that happens is a metric.
    template <typename T>
    Result<T> counted(Result<T> result) {
        if (!result && result.error().code == ErrorCode::kConflict) fenced_.fetch_add(1);
        return result;
    }

    Result<bool> has_pending() {
        return database_->read([](Connection& connection) -> Result<bool> {
            Statement row = connection.statement(
                "SELECT 1 FROM job WHERE status = 'pending' AND runner = 'daemon' AND held = 0 "
                "LIMIT 1");
            return row.step();
        });
    }

    void add_unwritten_hold(OrganizationState& state) const {
        if (unwritten_holds_.contains(state.policy.organization_id)) state.policy.held = true;
    }

    static Result<void> check_runs_here(const Job& job) {
        if (job.runner == JobRunner::kDaemon) return {};
        return fail(ErrorCode::kConflict,
                    "Only an export that the daemon runs can be held or retried; this job is a "
                    "worker's");
    }

    Result<Job> set_held(const OrganizationScope& scope, std::string_view job_id,
                         std::string_view actor, bool held) {
        const Now at = now();
        return database_->write([&](Connection& connection) -> Result<Job> {
            EW_TRY(const Job job, load_row(connection, scope, job_id));
            EW_CHECK(check_runs_here(job));
            if (job.status != JobStatus::kPending)
                return fail(ErrorCode::kConflict,
                            "Only a pending export can be held; this job is " +
                                std::string(model::to_string(job.status)));
            if (job.held == held) return load(connection, scope, job_id);
            EW_CHECK(connection
                         .statement("UPDATE job SET held = ?2, deadline_us = iif(?2, NULL, "
                                    "max(due_us, ?3) + deadline_length_us) WHERE job_id = ?1")
                         .bind(job_id, held ? 1 : 0, at.us)
                         .run());
            EW_CHECK(append_event(
                connection, {job.job_id, held ? "held" : "released", std::string(actor), "", 1},
                at));
            return load(connection, scope, job_id);
        });
    }

    std::unique_ptr<sqlite::Database> database_;
    const Clock& clock_;
    const JobPolicy policy_;
    const std::string instance_id_;
    std::string registry_id_;
    const std::int64_t opened_wall_us_;
    const SteadyTime opened_;
    RequestQuotas request_quotas_;
    UnwrittenHolds unwritten_holds_;
    std::atomic<std::int64_t> fenced_{0};
};

}  // namespace

Result<std::unique_ptr<JobStore>> open_sqlite_job_store(const std::string& path, const Clock& clock,
                                                        const JobPolicy& policy,
                                                        sqlite::Durability durability) {
    EW_TRY(std::unique_ptr<sqlite::Database> database,
           sqlite::Database::open({.path = path,
                                   .application_id = kJobApplicationId,
                                   .migrations = kJobMigrations,
                                   .durability = durability}));
    auto store = std::make_unique<SqliteJobStore>(std::move(database), clock, policy);
    EW_CHECK(store->read_registry_id());
    EW_CHECK(store->read_request_quotas());
    EW_CHECK(store->enter_instance());
    return std::unique_ptr<JobStore>(std::move(store));
}

Result<void> check_sqlite_job_store(const std::string& path) {
    return sqlite::Database::check(
        {.path = path, .application_id = kJobApplicationId, .migrations = kJobMigrations});
}

}  // namespace export_worker::jobs
