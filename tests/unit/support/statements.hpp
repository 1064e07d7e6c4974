// What SQLite runs in this process: the texts of its statements, the steps of its virtual machine,
// and the pages it writes. The latter two measure work whatever else the machine does meanwhile.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>

#include "daemon/sqlite/connection.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::testing {

// Sees the connections that are opened after its first use.
class Statements {
public:
    static Statements& get() {
        static Statements statements;
        return statements;
    }

    // Texts that ran since the last call.
    [[nodiscard]] std::set<std::string> take_texts() {
        const std::lock_guard lock(mutex_);
        return std::exchange(texts_, {});
    }
    // Of all statements that have ended.
    [[nodiscard]] std::uint64_t steps() const { return steps_.load(); }
    // How many have ended; those of triggers belong to the one that made them run.
    [[nodiscard]] std::uint64_t runs() const { return runs_.load(); }
    // Written by all statements that have ended, into logs and temporary databases.
    [[nodiscard]] std::uint64_t pages_written() const { return pages_written_.load(); }

private:
    Statements() {
        // SQLite is configured by the first connection, before anything else initializes it.
        const TempDir dir;
        EXPECT_TRUE(
            sqlite::Connection::open(dir / "first.db", sqlite::Connection::Mode::kReadWrite));
        sqlite3_auto_extension(reinterpret_cast<void (*)()>(&watch));
    }
    static int watch(sqlite3* database, char** /*error*/, const void* /*routines*/) {
        return sqlite3_trace_v2(database, SQLITE_TRACE_STMT | SQLITE_TRACE_PROFILE, &see, nullptr);
    }
    static int see(unsigned event, void* /*context*/, void* subject, void* text) {
        auto* statement = static_cast<sqlite3_stmt*>(subject);
        if (event == SQLITE_TRACE_PROFILE) {
            get().runs_.fetch_add(1);
            get().steps_.fetch_add(static_cast<std::uint64_t>(
                sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1)));
            int pages = 0;
            int unused = 0;
            sqlite3_db_status(sqlite3_db_handle(statement), SQLITE_DBSTATUS_CACHE_WRITE, &pages,
                              &unused, 1);
            get().pages_written_.fetch_add(static_cast<std::uint64_t>(pages));
        } else if (const std::string_view of_trigger = static_cast<const char*>(text);
                   !of_trigger.starts_with("--")) {
            const std::lock_guard lock(get().mutex_);
            get().texts_.insert(sqlite3_sql(statement));
        }
        return 0;
    }

    std::atomic<std::uint64_t> steps_{0};
    std::atomic<std::uint64_t> runs_{0};
    std::atomic<std::uint64_t> pages_written_{0};
    std::mutex mutex_;
    std::set<std::string> texts_;  // Guarded by mutex_.
};

}  // namespace export_worker::testing
