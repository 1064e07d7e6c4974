#include "daemon/jobs/sqlite/sqlite_job_files.hpp"

#include <algorithm>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/settings.hpp"
#include "daemon/jobs/sqlite/withdraw_file.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {

using sqlite::Connection;
using sqlite::Statement;

Result<std::vector<UnpublishedFile>> SqliteJobFiles::unpublished_files() {
    return database_.read([&](Connection& connection) -> Result<std::vector<UnpublishedFile>> {
        Statement rows = connection.statement(
            "SELECT file_key, job_id FROM file WHERE state = 'intended' AND NOT EXISTS "
            "(SELECT 1 FROM job WHERE job.job_id = file.job_id AND job.epoch = file.epoch AND "
            "job.status = 'in_progress')");
        return sqlite::read_all(rows, [](const Statement& row) {
            return UnpublishedFile{row.string(0), row.string(1)};
        });
    });
}

Result<std::vector<model::FileKey>> SqliteJobFiles::deletable_files() {
    return database_.read([&](Connection& connection) {
        return sqlite::select_texts(
            connection,
            "SELECT file_key FROM file WHERE state = 'expiring' AND delete_after_us <= ?1 ORDER BY "
            "delete_after_us LIMIT ?2",
            database_.now().us, static_cast<std::int64_t>(limits::kHousekeepingBatch));
    });
}

// Links that were made while they lived longer end when they were to end.
Result<void> SqliteJobFiles::set_link_lifetime(std::chrono::seconds lifetime) {
    return database_.write_until_known([&](Connection& connection, const Now& now) -> Result<void> {
        EW_TRY(const auto before_us, read_setting(connection, kLinkLifetime));
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

Result<void> SqliteJobFiles::forget_files(std::span<const model::FileKey> keys) {
    return database_.write_until_known([&](Connection& connection, const Now&) -> Result<void> {
        for (const model::FileKey& key : keys) {
            EW_CHECK(
                connection.statement("DELETE FROM file WHERE file_key = ?1 AND state <> 'live'")
                    .bind(key)
                    .run());
        }
        return {};
    });
}

Result<bool> SqliteJobFiles::has_files() {
    return database_.read([](Connection& connection) {
        return connection
            .statement(
                "SELECT 1 WHERE EXISTS (SELECT 1 FROM file WHERE state = 'live') OR EXISTS (SELECT "
                "1 FROM file WHERE state = 'intended') OR EXISTS (SELECT 1 FROM file WHERE state = "
                "'expiring')")
            .step();
    });
}

Result<bool> SqliteJobFiles::is_orphan(const model::FileKey& key, std::string_view job_id) {
    return database_.read([&](Connection& connection) -> Result<bool> {
        Statement row = connection.statement(
            "SELECT 1 FROM job WHERE job_id = ?1 AND NOT EXISTS "
            "(SELECT 1 FROM file WHERE file_key = ?2)");
        row.bind(job_id, key);
        return row.step();
    });
}

Result<std::vector<PublishedFile>> SqliteJobFiles::published_files(const model::FileKey& after) {
    return database_.read([&](Connection& connection) -> Result<std::vector<PublishedFile>> {
        Statement rows = connection.statement(
            "SELECT file_key, job_id, organization_id, bytes, file.sha256 FROM file JOIN job USING "
            "(job_id) WHERE state = 'live' AND file_key > ?1 ORDER BY file_key LIMIT ?2");
        rows.bind(after, static_cast<std::int64_t>(limits::kFsckPage));
        return sqlite::read_all(rows, [](const Statement& row) {
            return PublishedFile{row.string(0), row.string(1), row.string(2),
                                 static_cast<std::uint64_t>(row.integer(3)), row.string(4)};
        });
    });
}

Result<void> SqliteJobFiles::withdraw_file(const model::FileKey& key, std::string_view reason) {
    return database_.write_until_known([&](Connection& connection, const Now& now) {
        return jobs::withdraw_file(connection, key, "withdrawn", database_.instance_id(), reason,
                                   now);
    });
}

Result<std::optional<std::chrono::microseconds>> SqliteJobFiles::oldest_file_age() {
    return database_.read(
        [&](Connection& connection) -> Result<std::optional<std::chrono::microseconds>> {
            Statement row = connection.statement(
                "SELECT completed_us FROM job WHERE job_id = (SELECT job_id FROM file WHERE state "
                "= 'live' "
                "ORDER BY intended_us LIMIT 1)");
            EW_TRY(const bool found, row.step());
            if (!found) return std::optional<std::chrono::microseconds>();
            return std::optional(
                std::chrono::microseconds(database_.now().wall_us - row.integer(0)));
        });
}

}  // namespace export_worker::jobs
