#include "daemon/migration/move_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <span>
#include <utility>

#include "base/crypto/sha256.hpp"
#include "base/fault_point.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/unique_fd.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/jobs/postgres/file_changes.hpp"
#include "daemon/jobs/postgres/job_schema.hpp"
#include "daemon/migration/limits.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::migration {
namespace {

using postgres::Connection;
using postgres::Row;
using postgres::Rows;

constexpr std::string_view kLocal = "file://";

struct LocalFile {
    std::string job_id;
    model::FileKey key;
    std::string file_url;
    std::string content_type;
    std::int64_t bytes = 0;
    std::string sha256;
};

Result<std::vector<LocalFile>> local_files(postgres::Database& database, const std::string& after) {
    return database.read([&](Connection& connection) -> Result<std::vector<LocalFile>> {
        EW_TRY(const Rows rows,
               connection.query("SELECT job.job_id, file_key, file_url, content_type, "
                                "coalesce(bytes, 0), coalesce(file.sha256, '') FROM job JOIN file "
                                "USING (job_id) WHERE job.job_id > $1 AND runner = 'daemon' AND "
                                "state = 'live' AND file_url LIKE 'file://%' ORDER BY job.job_id "
                                "LIMIT $2",
                                after, limits::kMovedFilesBatch));
        return rows.each([](const Row& row) {
            return LocalFile{row.string(0), row.string(1),  row.string(2),
                             row.string(3), row.integer(4), row.string(5)};
        });
    });
}

// One file, and what became of it: a reason to leave it, or where it is now. Errors: those of the
// store, which the next file would meet as well.
struct Upload {
    std::string file_url;
    std::string reason;  // Empty: it is there.
};

Upload left(std::string reason) {
    return {{}, std::move(reason)};
}

// Feeds the file to `pending`. Returns its SHA-256.
Result<std::string> send(int fd, const std::string& path, files::PendingFile& pending) {
    crypto::Sha256 hash;
    std::string piece(limits::kMovedFilePieceBytes, '\0');
    for (;;) {
        const ssize_t got = ::read(fd, piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("read " + path, errno));
        if (got == 0) return to_hex(hash.finish());
        const std::string_view bytes(piece.data(), static_cast<std::size_t>(got));
        hash.update(bytes);
        EW_CHECK(pending.append(bytes));
    }
}

Result<Upload> upload(const LocalFile& file, files::FileStore& to) {
    const auto decoded =
        signing::percent_decode(std::string_view(file.file_url).substr(kLocal.size()));
    if (!decoded) return left("its file_url cannot be read");
    const UniqueFd fd(::open(decoded->c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return left(errno_error("open " + *decoded, errno).message);
    EW_TRY(const auto pending,
           to.create({file.key, file.content_type, static_cast<std::uint64_t>(file.bytes)}));
    EW_TRY(const std::string sha256, send(fd.get(), *decoded, *pending));
    if (sha256 != file.sha256)
        return left("expected the SHA-256 " + file.sha256 + ", found " + sha256 +
                    "; exportctl fsck withdraws the damaged file");
    EW_TRY(const model::FileReceipt receipt, pending->commit());
    fault_point("migrate.uploaded");
    EW_TRY(const auto there, to.inspect(file.key, false));
    if (!there || there->bytes != static_cast<std::uint64_t>(file.bytes) ||
        receipt.sha256 != sha256)
        return left("the object in " + to.where() + " is not what was sent");
    return Upload{receipt.file_url, {}};
}

// False: the job names another place by now, or none.
Result<bool> name_new_place(postgres::Database& database, const LocalFile& file,
                            const std::string& file_url) {
    return database.write([&](Connection& connection, std::int64_t now_us) -> Result<bool> {
        // Daemons that remember where the file was ask again.
        EW_CHECK(jobs::pg::lock_file_version(connection));
        EW_TRY(const Rows found,
               connection.query("SELECT metadata FROM job WHERE job_id = $1 AND file_url = $2 FOR "
                                "NO KEY UPDATE",
                                file.job_id, file.file_url));
        if (found.empty()) return false;
        nlohmann::json metadata = parse_json(found.front().text(0));
        if (!metadata.is_object())
            return fail(ErrorCode::kDataLoss, "job " + file.job_id + ": its metadata is no object");
        metadata["file_url"] = file_url;
        EW_CHECK(connection.change("UPDATE job SET file_url = $2, metadata = $3 WHERE job_id = $1",
                                   file.job_id, file_url, dump_json(metadata)));
        EW_CHECK(jobs::pg::record_withdrawn(connection, std::span(&file.job_id, 1),
                                            jobs::Now{now_us, now_us}));
        return true;
    });
}

Result<void> move_one(postgres::Database& database, files::FileStore& to, const LocalFile& file,
                      FilesReport& report) {
    EW_TRY(Upload uploaded, upload(file, to));
    if (!uploaded.reason.empty()) {
        if (++report.left <= limits::kMovedFilesListed)
            report.listed.push_back({file.job_id, file.file_url, std::move(uploaded.reason)});
        return {};
    }
    EW_TRY(const bool is_named, name_new_place(database, file, uploaded.file_url));
    fault_point("migrate.file_moved");
    if (!is_named) return {};
    ++report.files;
    report.bytes += file.bytes;
    return {};
}

}  // namespace

Result<FilesReport> move_files(const postgres::DatabaseOptions& options, files::FileStore& to,
                               const OnFiles& on_files) {
    EW_TRY(const auto database,
           postgres::Database::open(options, {"jobs", jobs::pg::kJobMigrations}));
    FilesReport report;
    std::string after;
    for (;;) {
        EW_TRY(const auto some, local_files(*database, after));
        if (some.empty()) return report;
        for (const LocalFile& file : some) {
            EW_CHECK(move_one(*database, to, file, report));
            on_files(report);
        }
        after = some.back().job_id;
    }
}

}  // namespace export_worker::migration
