// Rows in the binary format of COPY: what is sent of a SQLite row, and what a SHA-256 of a table is
// made of on both sides.
//
// Pure: no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/crypto/sha256.hpp"
#include "base/result.hpp"
#include "daemon/migration/tables.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::migration {

// What is before the first row of a COPY, and behind its last one.
[[nodiscard]] std::string_view copy_head();
[[nodiscard]] std::string_view copy_end();

// [one-owner]
class RowEncoder {
public:
    explicit RowEncoder(const Table& table) : table_(table) {}  // Outlives it.

    // Adds the row to `out`. Errors: kInvalidArgument for a key that PostgreSQL cannot store,
    // kDataLoss for a number that its column has no room for; both name table and row.
    [[nodiscard]] Result<void> append(const sqlite::Statement& row, std::string& out);
    // Texts that were changed, because PostgreSQL cannot store them.
    [[nodiscard]] std::int64_t replaced() const { return replaced_; }

private:
    [[nodiscard]] Result<void> append_value(const sqlite::Statement& row, int index,
                                            std::string& out);
    [[nodiscard]] Result<void> append_text(const sqlite::Statement& row, int index,
                                           std::string& out);
    // "product 'acme', 'key 1': body"
    [[nodiscard]] std::string place(const sqlite::Statement& row, int index) const;

    const Table& table_;
    std::int64_t replaced_ = 0;
};

// The SHA-256 of the rows of a COPY TO, which comes in pieces of any length. [one-owner]
class RowHash {
public:
    void take(std::string_view piece);
    [[nodiscard]] std::string finish();  // Hex. Once.

private:
    std::string
        held_;  // The head while it is not whole; later the last bytes, which may be the end.
    bool has_head_ = false;
    crypto::Sha256 hash_;
};

}  // namespace export_worker::migration
