// One table after the other, from the SQLite files into the schema, with a SHA-256 of what was read
// and of what is there.
//
// Memory does not grow with the tables. A crash leaves nothing: all of it is one transaction.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/migration/tables.hpp"
#include "daemon/postgres/connection.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::migration {

// What times of the registry's own line are measured with, in microseconds. One move has one.
struct TimeLine {
    std::int64_t offset_us = 0;  // The line's time less the database's.
    std::int64_t now_us = 0;     // The line's, at the move.
};

struct TableDigest {
    bool operator==(const TableDigest&) const = default;

    std::string table;
    std::int64_t rows = 0;
    std::string sha256;  // Of its rows in the binary format of COPY, in the order of their keys.
};

// `rows` so far of `table`; `what`: "copied", "compared".
using OnRows = std::function<void(const char* what, const char* table, std::int64_t rows)>;

// The three files, as they are while it lives. [one-owner]
class Source {
public:
    // Checks that they are of the schema version that this program knows, or moved ones; with
    // kPages also that each of their pages is whole. No process has them open. Errors:
    // kFailedPrecondition (missing, older, newer), kDataLoss (damaged), those of opening them.
    enum class Check : std::uint8_t { kSchema, kPages };
    [[nodiscard]] static Result<Source> open(const std::string& state_dir, Check check);

    [[nodiscard]] sqlite::Connection& file(SourceFile file) {
        return *files_[static_cast<std::size_t>(file)];
    }
    [[nodiscard]] Result<std::string> registry_id();
    // Nothing of it is to be read any more.
    void close() { files_ = {}; }
    // How many of the files have the version of moved ones.
    [[nodiscard]] int moved() const { return moved_; }
    // Errors: those of reads.
    [[nodiscard]] Result<TimeLine> time_line(const Clock& clock, std::int64_t database_now_us);

private:
    std::array<std::unique_ptr<sqlite::Connection>, kSourceFiles> files_;
    int moved_ = 0;
};

// The schema version that this program's steps lead to.
[[nodiscard]] std::int64_t schema_version_of(SourceFile file);

// Errors of all: those of both databases; of the first two also those of RowEncoder::append().
struct CopiedTable {
    TableDigest source;
    std::int64_t replaced = 0;  // RowEncoder::replaced()
};
[[nodiscard]] Result<CopiedTable> copy_table(Source& source, postgres::Connection& target,
                                             const Table& table, const TimeLine& line,
                                             const OnRows& on_rows);
[[nodiscard]] Result<TableDigest> digest_source(Source& source, const Table& table,
                                                const TimeLine& line, const OnRows& on_rows);
[[nodiscard]] Result<TableDigest> digest_target(postgres::Connection& target, const Table& table,
                                                const OnRows& on_rows);

}  // namespace export_worker::migration
