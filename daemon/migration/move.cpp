#include "daemon/migration/move.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/crypto/uuid.hpp"
#include "base/fault_point.hpp"
#include "daemon/migration/move_mark.hpp"
#include "daemon/migration/move_target.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::migration {
namespace {

constexpr std::array kFiles{SourceFile::kJobs, SourceFile::kCatalog, SourceFile::kAuth};

std::string join(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

// Durable when it returns.
Result<void> set_version(const std::string& state_dir, SourceFile file, std::int64_t version) {
    EW_TRY(const auto connection, sqlite::Connection::open(state_dir + "/" + name_of(file),
                                                           sqlite::Connection::Mode::kReadWrite));
    EW_TRY(const std::int64_t before, connection->query_integer("PRAGMA user_version"));
    if (before == version) return {};
    return connection->execute("PRAGMA user_version=" + std::to_string(version));
}

// From here on no daemon starts on the files.
Result<void> mark_files(const MoveRequest& request) {
    for (const SourceFile file : kFiles) {
        EW_CHECK(set_version(request.state_dir, file, sqlite::kMovedSchemaVersion));
        fault_point("migrate.file_marked");
    }
    return {};
}

// The mark first: it says how to go back.
Result<void> write_mark(const MoveRequest& request, const RecordedMove& move) {
    MoveMark mark{
        move.move_id, move.registry_id, request.target.schema, to_iso8601(move.moved_us), {}};
    for (const SourceFile file : kFiles)
        mark.schema_versions[static_cast<std::size_t>(file)] = schema_version_of(file);
    EW_CHECK(write_move_mark(request.mark_path, mark));
    fault_point("migrate.marked");
    return mark_files(request);
}

std::string names_of(const std::vector<TableDigest>& tables) {
    std::vector<std::string> names;
    names.reserve(tables.size());
    for (const TableDigest& each : tables) names.push_back(each.table);
    return join(names);
}

// Those of `now` that are otherwise than in `then`.
std::vector<TableDigest> changed(const std::vector<TableDigest>& then,
                                 const std::vector<TableDigest>& now) {
    std::vector<TableDigest> out;
    for (const TableDigest& each : now) {
        if (std::ranges::find(then, each) == then.end()) out.push_back(each);
    }
    return out;
}

Result<std::vector<TableDigest>> digest_files(Source& source, const TimeLine& line,
                                              const OnRows& on_rows) {
    std::vector<TableDigest> out;
    for (const Table& table : tables()) {
        EW_TRY(TableDigest digest, digest_source(source, table, line, on_rows));
        out.push_back(std::move(digest));
    }
    return out;
}

// Without the tables that a daemon writes when it only starts and stops.
Result<std::vector<TableDigest>> digest_lasting(MoveTarget& target, const OnRows& on_rows) {
    std::vector<TableDigest> out;
    for (const Table& table : tables()) {
        if (table.changes_at_start) continue;
        EW_TRY(TableDigest digest, digest_target(target.connection(), table, on_rows));
        out.push_back(std::move(digest));
    }
    return out;
}

Result<std::int64_t> count_running(Source& source) {
    return source.file(SourceFile::kJobs)
        .query_integer(
            "SELECT count(*) FROM job WHERE status = 'in_progress' AND runner = 'daemon'");
}

// Copies, compares and commits. The schema is empty.
Result<MoveReport> copy_all(const MoveRequest& request, Source& source, MoveTarget& target) {
    RecordedMove move;
    move.move_id = crypto::make_uuid7(target.now_us());
    move.moved_us = target.now_us();
    EW_TRY(move.registry_id, source.registry_id());
    EW_TRY(move.line, source.time_line(*request.clock, target.now_us()));
    EW_CHECK(target.prepare());
    MoveReport out;
    for (const Table& table : tables()) {
        EW_TRY(CopiedTable copied,
               copy_table(source, target.connection(), table, move.line, request.on_rows));
        out.replaced += copied.replaced;
        move.tables.push_back(std::move(copied.source));
    }
    fault_point("migrate.copied");
    for (std::size_t index = 0; index < tables().size(); ++index) {
        EW_TRY(const TableDigest there,
               digest_target(target.connection(), tables()[index], request.on_rows));
        const TableDigest& here = move.tables[index];
        if (there != here)
            return fail(ErrorCode::kDataLoss,
                        here.table + ": expected " + std::to_string(here.rows) +
                            " rows of SHA-256 " + here.sha256 + ", found " +
                            std::to_string(there.rows) + " of " + there.sha256 +
                            " in PostgreSQL; nothing was moved");
    }
    EW_CHECK(target.record(move));
    EW_TRY(out.running, count_running(source));
    fault_point("migrate.compared");
    EW_CHECK(target.commit());
    fault_point("migrate.committed");
    source.close();
    EW_CHECK(write_mark(request, move));
    out.registry_id = move.registry_id;
    out.tables = std::move(move.tables);
    return out;
}

// Everything is copied. A mark that is there stays as it is: the program that wrote it knew the
// versions of the files.
Result<MoveReport> finish(const MoveRequest& request, Source& source, RecordedMove move,
                          bool has_mark) {
    MoveReport out;
    out.was_done = true;
    EW_TRY(out.running, count_running(source));
    source.close();
    EW_CHECK(has_mark ? mark_files(request) : write_mark(request, move));
    out.registry_id = std::move(move.registry_id);
    out.tables = std::move(move.tables);
    return out;
}

// A copy of this registry is there, and nothing is marked: the end of a move was cut off, and
// perhaps a daemon has run on the files since.
Result<MoveReport> go_on(const MoveRequest& request, Source& source, MoveTarget& target,
                         RecordedMove move) {
    EW_TRY(const auto files, digest_files(source, move.line, request.on_rows));
    if (changed(move.tables, files).empty()) return finish(request, source, std::move(move), false);
    EW_TRY(const auto there, digest_lasting(target, request.on_rows));
    const auto written = changed(move.tables, there);
    if (!written.empty())
        return fail(ErrorCode::kFailedPrecondition,
                    "both the files of " + request.state_dir +
                        " and PostgreSQL have taken writes since they were copied (" +
                        names_of(written) +
                        "); keep one of them: name another [database] schema to move the files "
                        "again");
    EW_CHECK(target.empty());
    return copy_all(request, source, target);
}

Result<void> check_unused(MoveTarget& target, const std::string& schema) {
    EW_TRY(const auto used, target.used_tables());
    if (used.empty()) return {};
    return fail(ErrorCode::kFailedPrecondition,
                "schema " + schema + ": expected no jobs, products and keys, found rows in " +
                    join(used) + "; name another [database] schema");
}

tl::unexpected<Error> moved_elsewhere(const MoveRequest& request, const std::string& schema) {
    return fail(ErrorCode::kFailedPrecondition,
                request.state_dir + ": was moved to PostgreSQL before, to a schema " +
                    (schema.empty() ? std::string("of which there is no mark") : schema) +
                    " that is not this one; name that one in [database]");
}

// The versions of the files go back before the mark, so that a crash leaves a mark to go on from.
Result<UndoReport> free_files(const MoveRequest& request, const MoveMark& mark) {
    for (const SourceFile file : kFiles) {
        EW_CHECK(set_version(request.state_dir, file,
                             mark.schema_versions[static_cast<std::size_t>(file)]));
        fault_point("migrate.file_freed");
    }
    EW_CHECK(remove_move_mark(request.mark_path));
    return UndoReport{mark.registry_id};
}

}  // namespace

Result<MoveReport> move_to_postgres(const MoveRequest& request) {
    EW_TRY(const std::optional<MoveMark> mark, read_move_mark(request.mark_path));
    EW_TRY(Source source,
           Source::open(request.state_dir, mark ? Source::Check::kSchema : Source::Check::kPages));
    EW_TRY(MoveTarget target, MoveTarget::open(request.target));
    if (mark) {
        EW_TRY(std::optional<RecordedMove> move, target.find_move(mark->move_id));
        if (!move) return moved_elsewhere(request, mark->schema);
        if (move->is_undone)
            return fail(ErrorCode::kFailedPrecondition,
                        request.state_dir +
                            ": the way back from PostgreSQL was interrupted; end "
                            "it first: exportctl migrate --undo");
        return finish(request, source, std::move(*move), true);
    }
    if (source.moved() > 0) return moved_elsewhere(request, "");
    EW_TRY(std::optional<RecordedMove> move, target.find_move());
    EW_TRY(const std::string registry_id, source.registry_id());
    if (move && move->registry_id == registry_id)
        return go_on(request, source, target, std::move(*move));
    EW_CHECK(check_unused(target, request.target.schema));
    EW_CHECK(target.empty());
    return copy_all(request, source, target);
}

Result<bool> is_moved(const std::string& state_dir, const std::string& mark_path) {
    EW_TRY(const std::optional<MoveMark> mark, read_move_mark(mark_path));
    if (!mark) return false;
    EW_TRY(const Source source, Source::open(state_dir, Source::Check::kSchema));
    return source.moved() == kSourceFiles;
}

Result<UndoReport> undo_move(const MoveRequest& request) {
    EW_TRY(const std::optional<MoveMark> mark, read_move_mark(request.mark_path));
    if (!mark)
        return fail(ErrorCode::kFailedPrecondition,
                    request.state_dir + ": was not moved to PostgreSQL; there is nothing to undo");
    EW_TRY(MoveTarget target, MoveTarget::open(request.target));
    EW_TRY(const std::optional<RecordedMove> move, target.find_move(mark->move_id));
    if (!move) return moved_elsewhere(request, mark->schema);
    if (move->is_undone) return free_files(request, *mark);
    EW_TRY(const auto there, digest_lasting(target, request.on_rows));
    const auto written = changed(move->tables, there);
    if (!written.empty())
        return fail(ErrorCode::kFailedPrecondition,
                    "PostgreSQL has taken writes since the move (" + names_of(written) +
                        "), which the files of " + request.state_dir +
                        " do not have; there is no way back any more");
    EW_CHECK(target.empty());
    EW_CHECK(target.commit());
    fault_point("migrate.emptied");
    return free_files(request, *mark);
}

}  // namespace export_worker::migration
