#include "daemon/migration/copied_tables.hpp"

#include <filesystem>
#include <string_view>
#include <utility>

#include "base/crypto/sha256.hpp"
#include "base/fault_point.hpp"
#include "base/hex.hpp"
#include "daemon/auth/sqlite/auth_schema.hpp"
#include "daemon/catalog/sqlite/catalog_schema.hpp"
#include "daemon/jobs/sqlite/job_schema.hpp"
#include "daemon/jobs/sqlite/time_line.hpp"
#include "daemon/migration/copy_rows.hpp"
#include "daemon/migration/limits.hpp"
#include "daemon/sqlite/database.hpp"
#include "daemon/sqlite/integrity.hpp"

namespace export_worker::migration {
namespace {

constexpr std::array kFiles{SourceFile::kJobs, SourceFile::kCatalog, SourceFile::kAuth};

std::int64_t application_id_of(SourceFile file) {
    switch (file) {
        case SourceFile::kJobs: return jobs::kJobApplicationId;
        case SourceFile::kCatalog: return catalog::kCatalogApplicationId;
        case SourceFile::kAuth: return auth::kAuthApplicationId;
    }
    return 0;
}

// True: it is a moved one.
Result<bool> check_version(sqlite::Connection& connection, SourceFile file,
                           const std::string& path) {
    EW_TRY(const std::int64_t application_id, connection.query_integer("PRAGMA application_id"));
    if (application_id != application_id_of(file))
        return fail(ErrorCode::kFailedPrecondition,
                    path + ": expected a database of this program, found another one's");
    EW_TRY(const std::int64_t version, connection.query_integer("PRAGMA user_version"));
    if (version == sqlite::kMovedSchemaVersion) return true;
    const std::int64_t known = schema_version_of(file);
    if (version == known) return false;
    return fail(ErrorCode::kFailedPrecondition,
                path + ": expected schema version " + std::to_string(known) + ", found " +
                    std::to_string(version) +
                    (version < known ? "; start the daemon of this version once with [database] "
                                       "kind = sqlite, which brings it up to date, and stop it"
                                     : "; it was written by a newer version of this program: "
                                       "install that version"));
}

// A damaged file is told from one that was moved here by hand by its own words.
Result<std::unique_ptr<sqlite::Connection>> open_file(const std::string& path,
                                                      Source::Check check) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored))
        return fail(ErrorCode::kFailedPrecondition,
                    path + ": expected a database of this program, found none");
    if (check == Source::Check::kPages) EW_CHECK(sqlite::check_integrity(path));
    EW_TRY(std::unique_ptr<sqlite::Connection> connection,
           sqlite::Connection::open(path, sqlite::Connection::Mode::kQueryOnly));
    EW_CHECK(connection->execute("BEGIN"));
    return connection;
}

// The rows of a table, encoded, and their digest.
class TableReader {
public:
    TableReader(Source& source, const Table& table, const TimeLine& line)
        : table_(table), rows_(source.file(table.file).statement(table.select)), encoder_(table) {
        const std::string_view sql = table.select;
        if (sql.find("?2") != std::string_view::npos) {
            rows_.bind(line.offset_us, line.now_us);
        } else if (sql.find("?1") != std::string_view::npos) {
            rows_.bind(line.offset_us);
        }
    }

    // Adds at most `rows_max` rows to `out`, which ends once it has kMovePieceBytes.
    [[nodiscard]] Result<std::int64_t> read(std::int64_t rows_max, std::string& out) {
        std::int64_t count = 0;
        while (count < rows_max && out.size() < limits::kMovePieceBytes) {
            if (at_end_) break;
            EW_TRY(const bool more, rows_.step());
            at_end_ = !more;
            if (at_end_) break;
            const std::size_t before = out.size();
            EW_CHECK(encoder_.append(rows_, out));
            hash_.update(std::string_view(out).substr(before));
            ++count;
        }
        count_ += count;
        return count;
    }
    [[nodiscard]] bool at_end() const { return at_end_; }
    [[nodiscard]] std::int64_t count() const { return count_; }
    [[nodiscard]] CopiedTable finish() {
        return {{table_.name, count_, to_hex(hash_.finish())}, encoder_.replaced()};
    }

private:
    const Table& table_;
    sqlite::Statement rows_;
    RowEncoder encoder_;
    crypto::Sha256 hash_;
    std::int64_t count_ = 0;
    bool at_end_ = false;
};

std::string columns_of(const Table& table) {
    std::string out;
    for (const Column& column : table.columns)
        out += (out.empty() ? "" : ", ") + std::string(column.name);
    return out;
}

// One COPY: at most kMoveRowsMax rows.
Result<void> copy_some(TableReader& reader, postgres::Connection& target, const std::string& sql) {
    std::string piece;
    std::int64_t left = limits::kMoveRowsMax;
    bool has_begun = false;
    bool has_ended = false;
    EW_TRY(const std::int64_t taken,
           target.copy_in(
               sql,
               [&]() -> Result<std::string_view> {
                   piece = std::exchange(has_begun, true) ? "" : copy_head();
                   if (has_ended) return std::string_view();
                   EW_TRY(const std::int64_t read, reader.read(left, piece));
                   left -= read;
                   has_ended = reader.at_end() || left == 0;
                   if (has_ended) piece += copy_end();
                   return std::string_view(piece);
               },
               limits::kMoveAnswerMax));
    (void)taken;
    return {};
}

}  // namespace

std::int64_t schema_version_of(SourceFile file) {
    switch (file) {
        case SourceFile::kJobs: return static_cast<std::int64_t>(jobs::kJobMigrations.size());
        case SourceFile::kCatalog:
            return static_cast<std::int64_t>(catalog::kCatalogMigrations.size());
        case SourceFile::kAuth: return static_cast<std::int64_t>(auth::kAuthMigrations.size());
    }
    return 0;
}

Result<Source> Source::open(const std::string& state_dir, Check check) {
    Source out;
    for (const SourceFile file : kFiles) {
        const std::string path = state_dir + "/" + name_of(file);
        auto& connection = out.files_[static_cast<std::size_t>(file)];
        EW_TRY(connection, open_file(path, check));
        EW_TRY(const bool is_moved, check_version(*connection, file, path));
        if (is_moved) ++out.moved_;
    }
    return out;
}

Result<std::string> Source::registry_id() {
    sqlite::Statement row = file(SourceFile::kJobs).statement("SELECT registry_id FROM registry");
    EW_TRY(const bool found, row.step());
    if (found) return row.string(0);
    return fail(ErrorCode::kDataLoss, "jobs.db: expected a row in table registry, found none");
}

Result<TimeLine> Source::time_line(const Clock& clock, std::int64_t database_now_us) {
    EW_TRY(const std::int64_t now_us,
           jobs::read_time_line(file(SourceFile::kJobs), clock, jobs::kernel_boot_id()));
    return TimeLine{now_us - database_now_us, now_us};
}

Result<CopiedTable> copy_table(Source& source, postgres::Connection& target, const Table& table,
                               const TimeLine& line, const OnRows& on_rows) {
    const std::string sql = std::string("COPY ") + table.name + " (" + columns_of(table) +
                            ") FROM STDIN (FORMAT binary)";
    TableReader reader(source, table, line);
    while (!reader.at_end()) {
        EW_CHECK(copy_some(reader, target, sql));
        fault_point("migrate.copying");
        on_rows("copied", table.name, reader.count());
    }
    return reader.finish();
}

Result<TableDigest> digest_source(Source& source, const Table& table, const TimeLine& line,
                                  const OnRows& on_rows) {
    TableReader reader(source, table, line);
    std::string rows;
    while (!reader.at_end()) {
        rows.clear();
        EW_TRY(const std::int64_t read, reader.read(limits::kMoveRowsMax, rows));
        (void)read;
        on_rows("compared", table.name, reader.count());
    }
    return reader.finish().source;
}

Result<TableDigest> digest_target(postgres::Connection& target, const Table& table,
                                  const OnRows& on_rows) {
    RowHash hash;
    EW_TRY(const std::int64_t rows,
           target.copy_out(
               "COPY (SELECT " + columns_of(table) + " FROM " + table.name + " ORDER BY " +
                   table.order + ") TO STDOUT (FORMAT binary)",
               [&](std::string_view piece) -> Result<void> {
                   hash.take(piece);
                   return {};
               },
               limits::kMoveAnswerMax));
    on_rows("compared", table.name, rows);
    return TableDigest{table.name, rows, hash.finish()};
}

}  // namespace export_worker::migration
