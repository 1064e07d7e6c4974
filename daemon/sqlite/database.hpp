// One database file of this process: a writer thread with the only writing connection, and
// query-only readers.
//
// Writes from all threads queue up; the writer runs as many as are waiting (up to
// kDatabaseGroupCommitMax) in one transaction, so that one sync to disk serves them all. It is also
// the only one to checkpoint: the WAL-reset bug of SQLite 3.7.0 to 3.51.2 needs a checkpoint and a
// commit at the same instant, which cannot happen here (docs/decisions/0004-one-sqlite-writer.md).
//
// The log is bounded: once it is larger than `log_bytes_max`, writes wait until no reader uses it,
// readers are stopped that take too long (readers.hpp), and it is emptied.
//
// A file of version 0.2 or later shrinks by itself: pages that have become free go back to the disk
// in small steps between the writes (auto_vacuum = INCREMENTAL). compact() makes such a file of an
// older one.
//
// A crash loses nothing that write() has returned, and keeps nothing of a write that has not.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/problem.hpp"
#include "base/result.hpp"
#include "daemon/sqlite/connection.hpp"
#include "daemon/sqlite/durability.hpp"
#include "daemon/sqlite/file_id.hpp"
#include "daemon/sqlite/limits.hpp"
#include "daemon/sqlite/readers.hpp"

namespace export_worker::sqlite {

// The schema version of a file whose rows are somewhere else now: no program has so many steps, so
// each one refuses the file.
inline constexpr std::int64_t kMovedSchemaVersion = 1'000'000;

struct DatabaseOptions {
    std::string path;
    std::int64_t application_id =
        0;  // Written into a new file; another one in an old file is refused.
    std::span<const char* const> migrations;  // Index + 1 is the schema version each one leads to.
    int page_bytes = 4096;                    // For a new file.
    Durability durability = Durability::kSynced;
    std::chrono::milliseconds read_time_max = limits::kDatabaseReadTimeMax;
    std::int64_t log_bytes_max = limits::kDatabaseLogBytesMax;
    std::int64_t log_bytes_copy_max = limits::kDatabaseLogBytesCopyMax;  // During a backup().
    // For programs beside the one that owns the file: neither creates nor migrates it.
    bool must_exist = false;
};

class Database {
public:
    // Creates or migrates the file. Errors: kDataLoss (damaged or foreign), kFailedPrecondition
    // (written by a newer version), and those of the file system. With `must_exist` also kNotFound,
    // and kFailedPrecondition for an older version.
    [[nodiscard]] static Result<std::unique_ptr<Database>> open(const DatabaseOptions& options);
    // Whether open() would take the file, without changing it; a missing file is fine. Reads what
    // open() does: the header, the schema, and of each table and index the way to its first row.
    // Errors: as open().
    [[nodiscard]] static Result<void> check(const DatabaseOptions& options);
    ~Database();  // Finishes queued writes, checkpoints, closes.
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    // Runs `work(Connection&)` on the writer thread inside a transaction of its own; blocks until
    // it is durable. An error from `work` undoes its changes and comes back. kUnknownOutcome: the
    // disk gave an error to the commit; the log may have it or not, and only running the same work
    // again, with the same ids, tells. [any-thread], not from inside `work`.
    template <typename Work>
    [[nodiscard]] auto write(Work&& work) -> decltype(work(std::declval<Connection&>())) {
        decltype(work(std::declval<Connection&>())) out =
            fail(ErrorCode::kInternal, "database: not run");
        const std::shared_ptr<Task> task = enqueue(
            [&](Connection& connection) -> bool {
                out = work(connection);
                return out.has_value();
            },
            Failure::kUndone);
        if (auto committed = wait_for(*task); !committed) return fail(std::move(committed.error()));
        return out;
    }

    // What becomes of the changes of a write that fails.
    enum class Failure {
        kUndone,  // Its savepoint is rolled back, and only it. Costs a copy of each page it
                  // touches.
        // It has none: it fails before its first change, or the disk does and everything fails.
        // Should it fail otherwise, the writes that share its transaction fail with it.
        kBeforeChanges,
    };
    // write() in two halves, so that one thread can have many under way: what comes back waits
    // until the write is durable, and is to be called once; the write happens even when it is not.
    // `work` owns what it uses.
    template <typename Work>
    [[nodiscard]] auto begin_write(Work work, Failure failure = Failure::kUndone)
        -> std::function<decltype(work(std::declval<Connection&>()))()> {
        using Out = decltype(work(std::declval<Connection&>()));
        auto out = std::make_shared<Out>(fail(ErrorCode::kInternal, "database: not run"));
        auto task = enqueue(
            [out, work = std::move(work)](Connection& connection) mutable -> bool {
                *out = work(connection);
                return out->has_value();
            },
            failure);
        return [out = std::move(out), task = std::move(task)]() -> Out {
            if (auto committed = wait_for(*task); !committed)
                return fail(std::move(committed.error()));
            return std::move(*out);
        };
    }

    // Runs `work(Connection&)` with a query-only connection, once one of kDatabaseReadersMax is
    // free. Rows committed before the call are visible. Its statements fail with kDeadlineExceeded
    // after `read_time_max`, or kDatabaseReadOverLogMax if the log is too large. [any-thread], not
    // from inside `work`.
    template <typename Work>
    [[nodiscard]] auto read(Work&& work) -> decltype(work(std::declval<Connection&>())) {
        return read_as(Readers::Use::kQuery, std::forward<Work>(work));
    }

    // Why the last commit failed, or that the path no longer names the file that is open. Then
    // reads, writes and backup() go on with the file that is open, and it is gone with this object.
    // [any-thread]
    [[nodiscard]] Problem problem() const;
    // Commits that failed since the start. [any-thread]
    [[nodiscard]] std::uint64_t write_errors() const { return write_errors_.load(); }

    // Copies the file as it is now to `path`, which is replaced once the copy is whole and on disk;
    // writes go on meanwhile. Errors: as for reads, those of the file system, kDeadlineExceeded
    // once the log has grown to `log_bytes_copy_max` meanwhile, and kCancelled once `keep_going`,
    // which is asked now and then, returns false (null: to the end). [any-thread]
    [[nodiscard]] Result<void> backup(const std::string& path,
                                      const std::function<bool()>& keep_going = {});

    // Gives all free pages back to the disk; writes go on in between. A file of an older version is
    // written anew, and writes wait meanwhile; reads do not. Errors: kDeadlineExceeded when that
    // would take longer than `pause_max` (nothing has changed then), kResourceExhausted when the
    // disk lacks the room, kCancelled once `keep_going` returns false (null: to the end), and those
    // of the file system. [any-thread]
    [[nodiscard]] Result<void> compact(std::chrono::milliseconds pause_max,
                                       const std::function<bool()>& keep_going = {});

private:
    // Shared with the caller: the writer still touches it while the caller wakes up.
    struct Task {
        std::function<bool(Connection&)> work;
        Failure failure = Failure::kUndone;
        bool is_alone = false;  // Runs outside of a transaction.
        std::optional<Error> commit_error;
        // Not a semaphore: the library's spins before it sleeps, and a disk is never that fast.
        std::mutex mutex;
        std::condition_variable changed;
        bool done = false;  // Guarded by mutex.
    };

    template <typename Work>
    [[nodiscard]] auto read_as(Readers::Use use, Work&& work)
        -> decltype(work(std::declval<Connection&>())) {
        auto reader = readers_.borrow(use);
        if (!reader) return fail(std::move(reader.error()));
        auto out = work(*reader->connection);
        readers_.give_back(std::move(*reader), out.has_value());
        return out;
    }

    Database(const DatabaseOptions& options, std::unique_ptr<Connection> writer,
             std::int64_t page_bytes);
    [[nodiscard]] std::shared_ptr<Task> enqueue(std::function<bool(Connection&)> work,
                                                Failure failure);
    [[nodiscard]] std::shared_ptr<Task> enqueue(std::shared_ptr<Task> task);
    [[nodiscard]] static Result<void> wait_for(Task& task);
    static void end_task(Task& task);
    // On the writer thread, between two transactions.
    [[nodiscard]] Result<std::int64_t> run_alone(
        const std::function<Result<std::int64_t>(Connection&)>& work);
    // What is to run next; nothing when it is time to shrink. False: the database closes.
    [[nodiscard]] bool take_group(std::vector<std::shared_ptr<Task>>& group);
    void run_writer();
    void record_commit(const Result<void>& committed);
    void run_group(const std::vector<std::shared_ptr<Task>>& group);
    [[nodiscard]] Result<void> commit();
    // False: the transaction is lost.
    [[nodiscard]] bool run_task(Task& task);
    // Gives some free pages back, if there are too many.
    void shrink();
    [[nodiscard]] Result<void> free_some_pages();
    [[nodiscard]] Result<void> check_room_to_vacuum(std::int64_t bytes) const;
    [[nodiscard]] Result<void> vacuum(std::chrono::milliseconds pause_max);
    // After a commit, once those who waited for it know.
    void bound_log();
    [[nodiscard]] bool log_is_due() const {
        return writer_->log_pages() >= limits::kDatabaseCheckpointPages;
    }
    // False: readers have used the log for longer than kDatabaseLogWaitMax.
    [[nodiscard]] bool empty_log(bool stop_copies);

    const std::string path_;
    std::unique_ptr<Connection> writer_;  // Writer thread only, once it runs.

    std::mutex tasks_mutex_;
    std::condition_variable tasks_changed_;
    std::deque<std::shared_ptr<Task>> tasks_;  // Guarded by tasks_mutex_.
    bool stopping_ = false;                    // Guarded by tasks_mutex_.

    const std::optional<FileId> opened_;  // What path_ named then.
    Readers readers_;
    const std::int64_t log_bytes_max_;
    const std::int64_t log_bytes_copy_max_;
    const std::int64_t frame_bytes_;  // A page in the log.
    // How large the log is before readers are waited for again. Writer thread only.
    std::int64_t log_bytes_tolerated_ = 0;
    // When to look at the free pages; nullopt: nothing was written since. Writer thread only.
    std::optional<SteadyTime> next_shrink_;

    std::atomic<std::uint64_t> write_errors_{0};
    mutable std::mutex problem_mutex_;
    std::string problem_;  // Guarded by problem_mutex_, written by the writer thread alone.

    std::thread thread_;  // Last: it uses everything above.
};

}  // namespace export_worker::sqlite
