// The query-only connections of one database file, lent to one read at a time.
//
// A reader keeps its snapshot until the next commit begins: as long as nothing changes, a read
// takes and gives back no lock of the file. While a commit is under way none is kept, because a log
// that always has a reader is never reset and grows. For the same reason each read has a time
// limit, and the writer can shorten those of the reads that keep the log from being emptied.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/sqlite/connection.hpp"
#include "daemon/sqlite/file_id.hpp"

namespace export_worker::sqlite {

// [any-thread], but for what says otherwise. All readers are given back before its end.
class Readers {
public:
    enum class Use : std::uint8_t {
        kQuery,  // Bounded by `query_time_max`.
        kCopy,   // Of the whole file: as long as it takes, or until stop_copies().
    };
    struct Reader {
        std::unique_ptr<Connection> connection;
        std::uint64_t snapshot = kNone;  // What commits_ was when it was taken.
        Use use = Use::kQuery;
    };

    // `opened`: the file of the writer. Once `path` does not name it any more, no connection is
    // opened, and those that are open serve alone.
    Readers(std::string path, std::optional<FileId> opened,
            std::chrono::milliseconds query_time_max);

    // Opens one that stays, so that a file whose name goes can be read. Errors: those of
    // Connection::open() and of a read.
    [[nodiscard]] Result<void> open_first();

    // Waits until one of kDatabaseReadersMax is free. Rows committed before the call are visible.
    // Errors: those of Connection::open().
    [[nodiscard]] Result<Reader> borrow(Use use);
    // `keep_snapshot`: not after an error.
    void give_back(Reader reader, bool keep_snapshot);

    // Between these two, no idle reader keeps a snapshot. Twice is once. [one-owner]
    void begin_commit();
    void end_commit();

    // Stops queries that have run for longer than `time_max`, now or once they have.
    void stop_queries(std::chrono::milliseconds time_max);
    void stop_copies();
    [[nodiscard]] bool is_copying() const { return copies_.load() > 0; }

    void close_idle();

private:
    static constexpr std::uint64_t kNone = 1;  // Odd, as no snapshot is.

    [[nodiscard]] Result<Reader> take(Use use);  // Its snapshot may be old.
    void lend(Reader& reader, Use use);          // With the mutex held.
    static void end_snapshot(Reader& reader);
    struct Lent {
        Connection* connection;
        Use use;
    };

    const std::string path_;
    const std::optional<FileId> opened_;
    const std::chrono::milliseconds query_time_max_;
    std::mutex mutex_;
    std::condition_variable returned_;
    // All guarded by mutex_:
    std::size_t open_ = 0;
    std::vector<Reader> idle_;
    std::vector<Lent> lent_;
    std::atomic<unsigned> copies_{0};
    // Twice their number, and one more while one is under way. Written by the writer thread.
    std::atomic<std::uint64_t> commits_{0};
};

}  // namespace export_worker::sqlite
