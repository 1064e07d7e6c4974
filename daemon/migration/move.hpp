// The move of a registry, its catalog and its keys from the SQLite files of a state directory into
// a PostgreSQL schema, and the way back.
//
// What a crash leaves, at any point: the files as they were and a schema without a part of them; or
// a whole copy, recorded in the schema, and files that are not marked or not all of them. The same
// call then ends it. Daemons do not start on files that are marked, and wait while a copy is made.
//
//   STATE/moved-to-postgres   the mark (move_mark.hpp); the schema versions of the three files are
//                             kMovedSchemaVersion then, so that older programs refuse them
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/migration/copied_tables.hpp"
#include "daemon/postgres/connect_options.hpp"

namespace export_worker::migration {

struct MoveRequest {
    std::string state_dir;            // The caller holds its lock.
    std::string mark_path;            // STATE/moved-to-postgres
    postgres::ConnectOptions target;  // Past a pooler, where there is a way.
    const Clock* clock = nullptr;
    OnRows on_rows;
};

struct MoveReport {
    bool was_done = false;  // By a call before this one; the files are marked now.
    std::string registry_id;
    std::vector<TableDigest> tables;  // Equal on both sides.
    std::int64_t replaced = 0;  // Texts that PostgreSQL cannot store as they were; 0 if was_done.
    std::int64_t running = 0;   // Jobs that the next daemon puts back.
};

// Errors: kFailedPrecondition (a daemon uses the schema, the schema has rows of its own, the files
// are of another version or were moved elsewhere), kDataLoss (a damaged file, or the two sides
// differ: nothing is committed then), those of RowEncoder::append(), of both databases, and
// kUnknownOutcome.
[[nodiscard]] Result<MoveReport> move_to_postgres(const MoveRequest& request);

// Whether such a move was ended: the mark is there, and each of the files is marked. Needs no lock.
// Errors: those of opening the files.
[[nodiscard]] Result<bool> is_moved(const std::string& state_dir, const std::string& mark_path);

struct UndoReport {
    std::string registry_id;
};
// The files serve again, and the schema is empty. Errors: kFailedPrecondition (there is no mark, a
// daemon uses the schema, or PostgreSQL has taken a write since the move), those of both databases
// and of the file system, and kUnknownOutcome.
[[nodiscard]] Result<UndoReport> undo_move(const MoveRequest& request);

}  // namespace export_worker::migration
