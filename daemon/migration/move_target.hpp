// The schema that a registry is moved into, in one transaction under the lock that daemons take
// when they start: none of them sees a part of a move.
//
// A crash leaves what was committed before; the server rolls the transaction back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/migration/copied_tables.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::migration {

// A row of moved_registry.
struct RecordedMove {
    std::string move_id;
    std::string registry_id;
    bool is_undone = false;
    std::int64_t moved_us = 0;  // The database's time.
    TimeLine line;
    std::vector<TableDigest> tables;
};

// [one-owner]
class MoveTarget {
public:
    // Makes the tables or brings them up to date, then begins the transaction. Errors: those of
    // Connection::open() and migrate(); kFailedPrecondition while a daemon uses the schema.
    [[nodiscard]] static Result<MoveTarget> open(const postgres::ConnectOptions& options);

    [[nodiscard]] postgres::Connection& connection() { return *connection_; }
    [[nodiscard]] std::int64_t now_us() const { return now_us_; }  // The database's.
    // The move that brought what is there; nullopt: none, or it was undone.
    [[nodiscard]] Result<std::optional<RecordedMove>> find_move();
    [[nodiscard]] Result<std::optional<RecordedMove>> find_move(const std::string& move_id);
    // Tables of jobs, products or keys that have rows, by name.
    [[nodiscard]] Result<std::vector<std::string>> used_tables();

    // As after migrate(), but for the rows of moved_registry: their states become 'undone'.
    [[nodiscard]] Result<void> empty();
    // Before the rows are copied: what triggers would count comes with them. empty() was called.
    [[nodiscard]] Result<void> prepare();
    // After them.
    [[nodiscard]] Result<void> record(const RecordedMove& move);
    // Errors: kUnknownOutcome when the same command has to be run again to know.
    [[nodiscard]] Result<void> commit();

private:
    explicit MoveTarget(std::unique_ptr<postgres::Connection> connection)
        : connection_(std::move(connection)) {}
    [[nodiscard]] Result<void> begin();
    [[nodiscard]] Result<void> check_no_daemon();

    std::unique_ptr<postgres::Connection> connection_;
    std::int64_t now_us_ = 0;
};

}  // namespace export_worker::migration
