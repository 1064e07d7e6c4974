#include "daemon/jobs/sqlite/sqlite_job_store.hpp"

#include <atomic>
#include <cstdint>

#include "daemon/jobs/sqlite/job_database.hpp"
#include "daemon/jobs/sqlite/job_schema.hpp"
#include "daemon/jobs/sqlite/sqlite_job_accesses.hpp"
#include "daemon/jobs/sqlite/sqlite_job_files.hpp"
#include "daemon/jobs/sqlite/sqlite_job_queue.hpp"
#include "daemon/jobs/sqlite/sqlite_job_reader.hpp"
#include "daemon/jobs/sqlite/sqlite_job_requests.hpp"
#include "daemon/jobs/sqlite/sqlite_job_retention.hpp"
#include "daemon/jobs/sqlite/sqlite_organizations.hpp"
#include "daemon/jobs/sqlite/sqlite_outbox.hpp"
#include "daemon/jobs/unwritten_holds.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

class SqliteJobStore final : public JobStore {
public:
    explicit SqliteJobStore(std::unique_ptr<JobDatabase> database)
        : database_(std::move(database)) {}
    Result<void> read_request_quotas() { return organizations_.read_request_quotas(); }

    JobReader& reader() override { return reader_; }
    JobRequests& requests() override { return requests_; }
    JobQueue& queue() override { return queue_; }
    JobFiles& files() override { return files_; }
    JobRetention& retention() override { return retention_; }
    JobAccesses& accesses() override { return accesses_; }
    Organizations& organizations() override { return organizations_; }
    Outbox& outbox() override { return outbox_; }

    Result<void> backup(const std::string& path, const std::function<bool()>& keep_going) override {
        return database_->database().backup(path, keep_going);
    }
    Result<void> compact(std::chrono::milliseconds pause_max,
                         const std::function<bool()>& keep_going) override {
        return database_->database().compact(pause_max, keep_going);
    }
    Problem problem() const override { return database_->database().problem(); }
    std::uint64_t write_errors() const override { return database_->database().write_errors(); }

private:
    UnwrittenHolds unwritten_holds_;
    const std::unique_ptr<JobDatabase> database_;  // Its writes use the holds.
    std::atomic<std::int64_t> fenced_{0};
    SqliteJobReader reader_{*database_, unwritten_holds_, fenced_};
    SqliteJobRequests requests_{*database_, unwritten_holds_};
    SqliteJobQueue queue_{*database_, unwritten_holds_, fenced_};
    SqliteJobFiles files_{*database_};
    SqliteJobRetention retention_{*database_};
    SqliteJobAccesses accesses_{*database_};
    SqliteOrganizations organizations_{*database_, unwritten_holds_};
    SqliteOutbox outbox_{*database_};
};

}  // namespace

Result<std::unique_ptr<JobStore>> open_sqlite_job_store(const std::string& path, const Clock& clock,
                                                        const JobPolicy& policy,
                                                        sqlite::Durability durability) {
    EW_TRY(std::unique_ptr<JobDatabase> database,
           JobDatabase::open(path, clock, policy, durability));
    auto store = std::make_unique<SqliteJobStore>(std::move(database));
    EW_CHECK(store->read_request_quotas());
    return std::unique_ptr<JobStore>(std::move(store));
}

Result<void> check_sqlite_job_store(const std::string& path) {
    return sqlite::Database::check(
        {.path = path, .application_id = kJobApplicationId, .migrations = kJobMigrations});
}

Result<RegistryFacts> read_registry(const std::string& path) {
    EW_CHECK(check_sqlite_job_store(path));
    EW_TRY(const std::unique_ptr<sqlite::Connection> connection,
           sqlite::Connection::open(path, sqlite::Connection::Mode::kQueryOnly));
    RegistryFacts out;
    EW_TRY(const std::int64_t tables,
           connection->query_integer(
               "SELECT count(*) FROM sqlite_schema WHERE name IN ('registry', 'file')"));
    if (tables != 2) return out;
    sqlite::Statement row = connection->statement("SELECT registry_id FROM registry");
    EW_TRY(const bool found, row.step());
    if (found) out.id = row.string(0);
    sqlite::Statement rows = connection->statement(
        "SELECT file_key FROM file WHERE state = 'live' ORDER BY file_key LIMIT ?1");
    rows.bind(static_cast<std::int64_t>(limits::kFsckPage));
    EW_TRY(out.published,
           sqlite::read_all(rows, [](const sqlite::Statement& each) { return each.string(0); }));
    return out;
}

}  // namespace export_worker::jobs
