#include "daemon/jobs/postgres/postgres_job_store.hpp"

#include <atomic>
#include <cstdint>
#include <utility>

#include "daemon/jobs/postgres/job_database.hpp"
#include "daemon/jobs/postgres/postgres_job_accesses.hpp"
#include "daemon/jobs/postgres/postgres_job_files.hpp"
#include "daemon/jobs/postgres/postgres_job_queue.hpp"
#include "daemon/jobs/postgres/postgres_job_reader.hpp"
#include "daemon/jobs/postgres/postgres_job_requests.hpp"
#include "daemon/jobs/postgres/postgres_job_retention.hpp"
#include "daemon/jobs/postgres/postgres_organizations.hpp"
#include "daemon/jobs/postgres/postgres_outbox.hpp"

namespace export_worker::jobs {
namespace {

class PostgresJobStore final : public JobStore {
public:
    PostgresJobStore(std::unique_ptr<pg::JobDatabase> database, const PostgresStoreOptions& options)
        : database_(std::move(database)),
          schema_(options.database.connect.schema),
          reader_(*database_, unwritten_holds_, fenced_, options.lookup_cache) {}
    Result<void> begin() {
        EW_CHECK(organizations_.read_request_quotas());
        EW_CHECK(outbox_.begin());
        return reader_.start();
    }

    JobReader& reader() override { return reader_; }
    JobRequests& requests() override { return requests_; }
    JobQueue& queue() override { return queue_; }
    JobFiles& files() override { return files_; }
    JobRetention& retention() override { return retention_; }
    JobAccesses& accesses() override { return accesses_; }
    Organizations& organizations() override { return organizations_; }
    Outbox& outbox() override { return outbox_; }

    Result<void> backup(const std::string&, const std::function<bool()>&) override {
        return fail(ErrorCode::kFailedPrecondition,
                    "backup: the job registry is in PostgreSQL; run pg_dump --format=custom "
                    "--schema=" +
                        schema_ + ", or pg_basebackup for the whole server");
    }
    Result<void> compact(std::chrono::milliseconds, const std::function<bool()>&) override {
        return fail(ErrorCode::kFailedPrecondition,
                    "compact: the job registry is in PostgreSQL, whose autovacuum reuses free "
                    "space; run VACUUM (FULL) on a table to give it back to the disk");
    }
    Problem problem() const override { return database_->database().problem(); }
    std::uint64_t write_errors() const override { return database_->database().write_errors(); }

private:
    UnwrittenHolds unwritten_holds_;
    const std::unique_ptr<pg::JobDatabase> database_;
    const std::string schema_;
    std::atomic<std::int64_t> fenced_{0};
    pg::PostgresJobReader reader_;
    pg::PostgresJobRequests requests_{*database_, unwritten_holds_};
    pg::PostgresJobQueue queue_{*database_, unwritten_holds_, fenced_};
    pg::PostgresJobFiles files_{*database_};
    pg::PostgresJobRetention retention_{*database_};
    pg::PostgresJobAccesses accesses_{*database_};
    pg::PostgresOrganizations organizations_{*database_, unwritten_holds_};
    pg::PostgresOutbox outbox_{*database_};
};

}  // namespace

Result<std::unique_ptr<JobStore>> open_postgres_job_store(const PostgresStoreOptions& options,
                                                          cluster::Membership& membership,
                                                          const Clock& clock,
                                                          const JobPolicy& policy) {
    EW_TRY(std::unique_ptr<pg::JobDatabase> database,
           pg::JobDatabase::open(options, membership, clock, policy));
    auto store = std::make_unique<PostgresJobStore>(std::move(database), options);
    EW_CHECK(store->begin());
    return std::unique_ptr<JobStore>(std::move(store));
}

}  // namespace export_worker::jobs
