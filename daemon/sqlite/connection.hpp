// A connection to a database file and its prepared statements.
//
// [one-owner]: a connection and its statements belong to one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.hpp"
#include "daemon/sqlite/time_limit.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace export_worker::sqlite {

// A prepared statement between two resets. Columns are valid until the next step() or destruction.
class Statement {
public:
    explicit Statement(sqlite3_stmt* statement);
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    ~Statement();  // Resets and unbinds; the connection keeps the compiled form.

    // Binds the parameters ?1, ?2, ... in order. Text is borrowed until destruction.
    template <typename... Values>
    Statement& bind(const Values&... values) {
        int index = 0;
        (bind_one(++index, values), ...);
        return *this;
    }
    // True: a row is there. Errors: kConflict for a broken constraint, kResourceExhausted for a
    // full disk, kDataLoss for a damaged file, kUnavailable when busy, kDeadlineExceeded once the
    // connection's time_limit() is over, else kInternal.
    [[nodiscard]] Result<bool> step();
    // For statements without rows.
    [[nodiscard]] Result<void> run();

    [[nodiscard]] bool is_null(int column) const;
    [[nodiscard]] std::int64_t integer(int column) const;
    [[nodiscard]] std::optional<std::int64_t> optional_integer(int column) const;
    [[nodiscard]] std::string_view text(int column) const;  // NULL reads as empty.
    [[nodiscard]] std::string string(int column) const { return std::string(text(column)); }

private:
    void bind_one(int index, std::int64_t value);
    void bind_one(int index, int value) { bind_one(index, static_cast<std::int64_t>(value)); }
    void bind_one(int index, std::string_view value);
    void bind_one(int index, const std::string& value) { bind_one(index, std::string_view(value)); }
    void bind_one(int index, const char* value) { bind_one(index, std::string_view(value)); }
    void bind_one(int index, std::nullopt_t);
    template <typename T>
    void bind_one(int index, const std::optional<T>& value) {
        if (value) {
            bind_one(index, *value);
        } else {
            bind_one(index, std::nullopt);
        }
    }

    sqlite3_stmt* statement_;
};

class Connection {
public:
    enum class Mode { kReadWrite, kQueryOnly };

    // Errors: kDataLoss when the file is no database or damaged, and those of the file system.
    [[nodiscard]] static Result<std::unique_ptr<Connection>> open(const std::string& path,
                                                                  Mode mode);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // One or more statements without parameters or rows.
    [[nodiscard]] Result<void> execute(const std::string& sql);
    // Compiled on first use and kept. `sql` must be a literal: its address is the key. Wrong SQL
    // aborts.
    [[nodiscard]] Statement statement(const char* sql);
    // Rows changed by the last statement that ran.
    [[nodiscard]] std::int64_t changes() const;
    // False once SQLite has given up the transaction by itself, as it does when the disk is full.
    [[nodiscard]] bool in_transaction() const;
    // Rows changed since it was opened, by triggers, too.
    [[nodiscard]] std::int64_t total_changes() const;
    // Copies the whole database, as this connection sees it now, into a new file. Errors:
    // kCancelled once `keep_going` returns false, which is asked every kDatabaseCopyPages (null: to
    // the end).
    [[nodiscard]] Result<void> copy_to(const std::string& path,
                                       const std::function<bool()>& keep_going = {});
    // Bounds statements and copies; without begin() there is no bound.
    [[nodiscard]] TimeLimit& time_limit() { return time_limit_; }
    // Pages that the log had after this connection's last commit.
    [[nodiscard]] std::int64_t log_pages() const { return log_pages_; }
    // Copies what no reader needs any more from the log into the database.
    [[nodiscard]] Result<void> checkpoint();
    // Copies the whole log and empties it. False: a reader has used it for longer than `patience`.
    [[nodiscard]] Result<bool> empty_log(std::chrono::milliseconds patience);
    // The first column of the first row.
    [[nodiscard]] Result<std::int64_t> query_integer(const std::string& sql);

private:
    explicit Connection(sqlite3* database) : database_(database) {}
    [[nodiscard]] Result<void> copy_pages(const std::string& path,
                                          const std::function<bool()>& keep_going);
    sqlite3* database_;
    std::unordered_map<const char*, sqlite3_stmt*> statements_;
    TimeLimit time_limit_;
    std::int64_t log_pages_ = 0;
};

}  // namespace export_worker::sqlite
