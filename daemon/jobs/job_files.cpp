#include "daemon/jobs/job_files.hpp"

#include "daemon/jobs/limits.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {

using sqlite::Connection;
using sqlite::Statement;

Result<std::vector<PublishedFile>> published_files(Connection& connection,
                                                   const model::FileKey& after) {
    Statement rows = connection.statement(
        "SELECT file_key, job_id, organization_id, bytes, file.sha256 FROM file JOIN job USING "
        "(job_id) WHERE state = 'live' AND file_key > ?1 ORDER BY file_key LIMIT ?2");
    rows.bind(after, static_cast<std::int64_t>(limits::kFsckPage));
    return sqlite::read_all(rows, [](const Statement& row) {
        return PublishedFile{row.string(0), row.string(1), row.string(2),
                             static_cast<std::uint64_t>(row.integer(3)), row.string(4)};
    });
}

Result<std::vector<UnpublishedFile>> unpublished_files(Connection& connection) {
    Statement rows = connection.statement(
        "SELECT file_key, job_id, epoch FROM file WHERE state <> 'live' AND NOT EXISTS "
        "(SELECT 1 FROM job WHERE job.job_id = file.job_id AND job.epoch = file.epoch AND "
        "job.status = 'in_progress')");
    return sqlite::read_all(rows, [](const Statement& row) {
        return UnpublishedFile{row.string(0), {row.string(1), row.integer(2)}};
    });
}

Result<void> forget_file(Connection& connection, const model::FileKey& key) {
    return connection.statement("DELETE FROM file WHERE file_key = ?1 AND state <> 'live'")
        .bind(key)
        .run();
}

Result<bool> is_orphan(Connection& connection, const model::FileKey& key, std::string_view job_id) {
    Statement row = connection.statement(
        "SELECT 1 FROM job WHERE job_id = ?1 AND NOT EXISTS "
        "(SELECT 1 FROM file WHERE file_key = ?2)");
    row.bind(job_id, key);
    return row.step();
}

}  // namespace export_worker::jobs
