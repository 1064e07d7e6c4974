#include "daemon/jobs/postgres/postgres_job_files.hpp"

#include <algorithm>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/postgres/file_changes.hpp"
#include "daemon/jobs/postgres/settings.hpp"
#include "daemon/jobs/postgres/withdraw_file.hpp"

namespace export_worker::jobs::pg {

using postgres::Connection;
using postgres::Row;
using postgres::Rows;
using postgres::UnixTime;

Result<std::vector<UnpublishedFile>> PostgresJobFiles::unpublished_files() {
    return database_.read([&](Connection& connection) -> Result<std::vector<UnpublishedFile>> {
        EW_TRY(const Rows rows,
               connection.query("SELECT file_key, job_id FROM file WHERE state = 'intended' AND "
                                "NOT EXISTS (SELECT 1 FROM job WHERE job.job_id = file.job_id AND "
                                "job.epoch = file.epoch AND job.claim_token = file.claim_token "
                                "AND job.status = 'in_progress')"));
        return rows.each([](const Row& row) {
            return UnpublishedFile{row.string(0), row.string(1)};
        });
    });
}

Result<std::vector<model::FileKey>> PostgresJobFiles::deletable_files() {
    return database_.read_at(
        [&](Connection& connection, const Now& at) -> Result<std::vector<model::FileKey>> {
            EW_TRY(const Rows rows,
                   connection.query("SELECT file_key FROM file WHERE state = 'expiring' AND "
                                    "delete_after <= $1 ORDER BY delete_after LIMIT $2",
                                    UnixTime{at.us},
                                    static_cast<std::int64_t>(limits::kHousekeepingBatch)));
            return rows.texts();
        });
}

// Links that were made while they lived longer end when they were to end.
Result<void> PostgresJobFiles::set_link_lifetime(std::chrono::seconds lifetime) {
    return database_.write_until_known([&](Connection& connection, const Now& now) -> Result<void> {
        EW_TRY(const auto before_us, lock_setting(connection, kLinkLifetime));
        if (before_us && *before_us > us_of(lifetime)) {
            EW_TRY(const auto end_us, read_setting(connection, kLinksEnd));
            const std::int64_t old_end_us =
                now.us + *before_us + us_of(limits::kFileDeletionMargin);
            EW_CHECK(
                write_setting(connection, kLinksEnd, std::max(end_us.value_or(0), old_end_us)));
        }
        return write_setting(connection, kLinkLifetime, us_of(lifetime));
    });
}

Result<void> PostgresJobFiles::forget_files(std::span<const model::FileKey> keys) {
    return database_.write_until_known([&](Connection& connection, const Now&) {
        return connection.change(
            "DELETE FROM file WHERE file_key = ANY ($1::text[]) AND state <> 'live'", keys);
    });
}

Result<bool> PostgresJobFiles::has_files() {
    return database_.read([](Connection& connection) -> Result<bool> {
        EW_TRY(const Rows rows, connection.query("SELECT 1 FROM file LIMIT 1"));
        return !rows.empty();
    });
}

Result<bool> PostgresJobFiles::is_orphan(const model::FileKey& key, std::string_view job_id) {
    return database_.read([&](Connection& connection) -> Result<bool> {
        EW_TRY(const Rows rows,
               connection.query("SELECT 1 FROM job WHERE job_id = $1 AND NOT EXISTS (SELECT 1 FROM "
                                "file WHERE file_key = $2)",
                                job_id, key));
        return !rows.empty();
    });
}

Result<std::vector<PublishedFile>> PostgresJobFiles::published_files(const model::FileKey& after) {
    return database_.read([&](Connection& connection) -> Result<std::vector<PublishedFile>> {
        EW_TRY(const Rows rows,
               connection.query("SELECT file_key, job_id, organization_id, bytes, file.sha256 FROM "
                                "file JOIN job USING (job_id) WHERE state = 'live' AND file_key > "
                                "$1 ORDER BY file_key LIMIT $2",
                                after, static_cast<std::int64_t>(limits::kFsckPage)));
        return rows.each([](const Row& row) {
            return PublishedFile{row.string(0), row.string(1), row.string(2),
                                 static_cast<std::uint64_t>(row.integer(3)), row.string(4)};
        });
    });
}

Result<void> PostgresJobFiles::withdraw_file(const model::FileKey& key, std::string_view reason) {
    return database_.write_until_known([&](Connection& connection, const Now& now) -> Result<void> {
        EW_CHECK(lock_file_version(connection));
        EW_TRY(const std::string job_id, pg::withdraw_file(connection, key, "withdrawn",
                                                           database_.instance_id(), reason, now));
        if (job_id.empty()) return {};
        return record_withdrawn(connection, std::span(&job_id, 1), now);
    });
}

Result<std::optional<std::chrono::microseconds>> PostgresJobFiles::oldest_file_age() {
    using Age = std::optional<std::chrono::microseconds>;
    return database_.read_at([&](Connection& connection, const Now& at) -> Result<Age> {
        EW_TRY(const Rows rows,
               connection.query("SELECT completed_at FROM job WHERE job_id = (SELECT job_id FROM "
                                "file WHERE state = 'live' ORDER BY intended_at LIMIT 1)"));
        if (rows.empty()) return Age();
        return Age(std::chrono::microseconds(at.wall_us - rows.front().unix_us(0)));
    });
}

}  // namespace export_worker::jobs::pg
