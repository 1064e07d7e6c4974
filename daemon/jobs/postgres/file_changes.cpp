#include "daemon/jobs/postgres/file_changes.hpp"

#include <vector>

#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs::pg {

using postgres::Connection;
using postgres::Rows;
using postgres::UnixTime;

Result<void> lock_file_version(Connection& connection) {
    return connection.change("SELECT 1 FROM file_version FOR NO KEY UPDATE");
}

Result<void> record_withdrawn(Connection& connection, std::span<const std::string> job_ids,
                              const Now& now) {
    if (job_ids.empty()) return {};
    return connection.change(
        "WITH next AS (UPDATE file_version SET version = version + 1 RETURNING version) INSERT "
        "INTO "
        "file_change SELECT version, job_id, $2 FROM next CROSS JOIN unnest($1::text[]) AS f "
        "(job_id)",
        job_ids, UnixTime{now.us});
}

Result<void> forget_file_changes(Connection& connection, const Now& now) {
    return connection.change(
        "DELETE FROM file_change WHERE (version, job_id) IN (SELECT version, job_id FROM "
        "file_change WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        UnixTime{now.us - us_of(limits::kFileChangesKept)},
        static_cast<std::int64_t>(limits::kHousekeepingBatch) * 5);
}

Result<void> FileChanges::start() {
    EW_CHECK(follow());
    threads_.start([this] { run(); });
    return {};
}

bool FileChanges::is_current() const {
    return is_known_.load() &&
           database_.clock().steady() - asked_at_.load() <= limits::kFileCacheTime;
}

void FileChanges::run() {
    name_this_thread("withdrawn files");
    const Clock& clock = database_.clock();
    SteadyTime next = clock.steady() + limits::kFileChangesInterval;
    bool is_failing = false;  // The log says so once.
    while (threads_.wait_for(clock.block_for(limits::kFileChangesInterval))) {
        if (clock.steady() < next) continue;
        next = clock.steady() + limits::kFileChangesInterval;
        const auto followed = follow();
        if (!followed && !is_failing)
            log_warn("withdrawn files: {}; files are read from the database",
                     followed.error().message);
        is_failing = !followed;
    }
}

Result<void> FileChanges::follow() {
    const SteadyTime asked_at = database_.clock().steady();
    EW_TRY(const Version last, database_.read([](Connection& connection) -> Result<Version> {
        EW_TRY(const Rows rows,
               connection.query("SELECT version, pg_postmaster_start_time() FROM file_version"));
        if (rows.empty())
            return fail(ErrorCode::kDataLoss, "PostgreSQL: table file_version is empty");
        return Version{rows.front().integer(0), rows.front().unix_us(1)};
    }));
    if (known_ != last) EW_CHECK(forget_changed(last));
    // Longer ago than changes are kept, some may be gone.
    if (asked_at - asked_at_.load() > limits::kFileChangesKept / 2) cache_.forget_all();
    known_ = last;
    asked_at_ = asked_at;
    is_known_ = true;
    return {};
}

Result<void> FileChanges::forget_changed(const Version& last) {
    const bool is_history_lost =
        !known_ || known_->server_start_us != last.server_start_us || known_->number > last.number;
    if (is_history_lost) {
        cache_.forget_all();
        return {};
    }
    EW_TRY(const std::vector<std::string> job_ids,
           database_.read([&](Connection& connection) -> Result<std::vector<std::string>> {
               EW_TRY(const Rows rows,
                      connection.query("SELECT job_id FROM file_change WHERE version > $1 LIMIT $2",
                                       known_->number, limits::kFileChangesMax + 1));
               return rows.texts();
           }));
    if (static_cast<std::int64_t>(job_ids.size()) > limits::kFileChangesMax) {
        cache_.forget_all();
    } else {
        cache_.forget(job_ids);
    }
    return {};
}

}  // namespace export_worker::jobs::pg
