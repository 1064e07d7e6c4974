#include "daemon/sqlite/database.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/assert.hpp"
#include "base/disk_space.hpp"
#include "base/fault_point.hpp"
#include "base/io.hpp"
#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "daemon/sqlite/limits.hpp"

namespace export_worker::sqlite {
namespace {

constexpr std::int64_t kFrameHeaderBytes = 24;  // SQLite, "WAL Frame Format".
constexpr const char* kAutoVacuum = "PRAGMA auto_vacuum";
constexpr std::int64_t kIncremental = 2;  // Of kAutoVacuum.
constexpr const char* kPageCount = "PRAGMA page_count";
constexpr const char* kFreePages = "PRAGMA freelist_count";

// An error of a damaged file names it already.
std::string with_path(const std::string& path, const std::string& message) {
    return message.starts_with(path) ? message : path + ": " + message;
}

// Anything else that has the name stays until an operator moves it.
Result<void> check_kind(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return {};
    const char* const found = S_ISDIR(info.st_mode)   ? "a directory"
                              : S_ISLNK(info.st_mode) ? "a symbolic link"
                                                      : "another kind of file";
    return fail(ErrorCode::kFailedPrecondition, path + ": expected a database file, found " +
                                                    found +
                                                    "; move it away and put the file there, or "
                                                    "restore a backup");
}

Result<void> check_identity(Connection& connection, const DatabaseOptions& options) {
    EW_TRY(const std::int64_t application_id, connection.query_integer("PRAGMA application_id"));
    EW_TRY(const std::int64_t version, connection.query_integer("PRAGMA user_version"));
    EW_TRY(const std::int64_t tables,
           connection.query_integer("SELECT count(*) FROM sqlite_schema"));
    if (tables > 0 && application_id != options.application_id) {
        return fail(ErrorCode::kDataLoss,
                    options.path +
                        ": expected a database of this program, found another one's; "
                        "move the file away or correct state_dir");
    }
    const auto known = static_cast<std::int64_t>(options.migrations.size());
    if (version == kMovedSchemaVersion) {
        return fail(ErrorCode::kFailedPrecondition,
                    options.path +
                        ": its rows were moved to PostgreSQL; set [database] kind = postgres, or "
                        "undo the move (exportctl migrate --undo)");
    }
    if (version > known) {
        return fail(ErrorCode::kFailedPrecondition,
                    options.path + ": expected schema version " + std::to_string(known) +
                        " or older, found " + std::to_string(version) +
                        "; it was written by a newer version of this program: install that "
                        "version, or restore a backup");
    }
    return {};
}

std::string quoted(std::string_view name) {
    std::string out = "\"";
    for (const char each : name) out += each == '"' ? std::string("\"\"") : std::string(1, each);
    return out + "\"";
}

// The way to the first row of each table and index. More is not read: a file may be large, and what
// is damaged beyond is found by the statement that comes there.
Result<void> check_first_rows(Connection& connection) {
    Statement rows =
        connection.statement("SELECT name, tbl_name, type FROM sqlite_schema WHERE rootpage > 0");
    std::vector<std::string> first_rows;
    for (;;) {
        EW_TRY(const bool found, rows.step());
        if (!found) break;
        first_rows.push_back("SELECT * FROM " + quoted(rows.text(1)) +
                             (rows.text(2) == "index" ? " INDEXED BY " + quoted(rows.text(0))
                                                      : std::string(" NOT INDEXED")) +
                             " LIMIT 1");
    }
    for (const std::string& first_row : first_rows) {
        auto read = connection.execute(first_row);
        // A partial index cannot be read so; SQLite refuses that as a mistake in the statement.
        if (!read && read.error().code == ErrorCode::kDataLoss) return read;
    }
    return {};
}

Result<void> check_file(Connection& connection, const DatabaseOptions& options) {
    EW_CHECK(check_identity(connection, options));
    return check_first_rows(connection);
}

// What prepare() does to a file that this program must leave as it is.
Result<void> check_schema(Connection& connection, const DatabaseOptions& options) {
    EW_CHECK(check_file(connection, options));
    EW_TRY(const std::int64_t version, connection.query_integer("PRAGMA user_version"));
    const auto known = static_cast<std::int64_t>(options.migrations.size());
    if (version == known) return {};
    return fail(ErrorCode::kFailedPrecondition,
                options.path + ": expected schema version " + std::to_string(known) + ", found " +
                    std::to_string(version) +
                    "; start the daemon of this version once, which migrates the file");
}

Result<void> migrate(Connection& connection, const DatabaseOptions& options) {
    EW_TRY(const std::int64_t version, connection.query_integer("PRAGMA user_version"));
    for (auto next = static_cast<std::size_t>(version); next < options.migrations.size(); ++next) {
        // One transaction a step, schema and version together: a crash leaves one version or the
        // other.
        const std::string step =
            "BEGIN IMMEDIATE;" + std::string(options.migrations[next]) +
            "; PRAGMA application_id=" + std::to_string(options.application_id) +
            "; PRAGMA user_version=" + std::to_string(next + 1);
        fault_point("database.before_migration");
        auto done = connection.execute(step);
        fault_point("database.in_migration");
        if (done) done = connection.execute("COMMIT");
        if (!done) {
            (void)connection.execute("ROLLBACK");
            return done;
        }
        fault_point("database.after_migration");
        log_info("{}: schema version {}", options.path, next + 1);
    }
    return {};
}

Result<void> prepare(Connection& connection, const DatabaseOptions& options) {
    // Both only for a new file, before its first table. In an older one the next VACUUM minds the
    // second.
    EW_CHECK(connection.execute("PRAGMA page_size=" + std::to_string(options.page_bytes) +
                                "; PRAGMA auto_vacuum=INCREMENTAL"));
    EW_CHECK(check_file(connection, options));
    EW_CHECK(connection.execute("PRAGMA journal_mode=WAL; PRAGMA journal_size_limit=" +
                                std::to_string(limits::kDatabaseJournalBytesMax)));
    return migrate(connection, options);
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const DatabaseOptions& options) {
    std::error_code ignored;
    if (options.must_exist && !std::filesystem::exists(options.path, ignored)) {
        return fail(ErrorCode::kNotFound,
                    options.path + ": expected a database of this program, found none");
    }
    EW_CHECK(check_kind(options.path));
    // SQLite gives the files beside it the database's mode when it makes them.
    EW_CHECK(make_private_file(options.path));
    for (const char* beside : {"-wal", "-shm", "-journal"})
        EW_CHECK(make_private(options.path + beside));
    EW_TRY(std::unique_ptr<Connection> writer,
           Connection::open(options.path, Connection::Mode::kReadWrite));
    if (options.durability == Durability::kUnsyncedForTest)
        EW_CHECK(writer->execute("PRAGMA synchronous=OFF"));
    const auto ready =
        options.must_exist ? check_schema(*writer, options) : prepare(*writer, options);
    if (!ready) return fail(ready.error().code, with_path(options.path, ready.error().message));
    EW_TRY(const std::int64_t page_bytes, writer->query_integer("PRAGMA page_size"));
    std::unique_ptr<Database> database(new Database(options, std::move(writer), page_bytes));
    EW_CHECK(database->readers_.open_first());
    return database;
}

Result<void> Database::check(const DatabaseOptions& options) {
    std::error_code ignored;
    EW_CHECK(check_kind(options.path));
    if (!std::filesystem::exists(options.path, ignored)) return {};
    EW_TRY(const std::unique_ptr<Connection> connection,
           Connection::open(options.path, Connection::Mode::kQueryOnly));
    const auto known = check_file(*connection, options);
    if (known) return {};
    return fail(known.error().code, with_path(options.path, known.error().message));
}

Database::Database(const DatabaseOptions& options, std::unique_ptr<Connection> writer,
                   std::int64_t page_bytes)
    : path_(options.path),
      writer_(std::move(writer)),
      opened_(file_id(path_)),
      readers_(path_, opened_, options.read_time_max),
      log_bytes_max_(options.log_bytes_max),
      log_bytes_copy_max_(options.log_bytes_copy_max),
      frame_bytes_(page_bytes + kFrameHeaderBytes),
      thread_([this] { run_writer(); }) {}

Database::~Database() {
    {
        const std::lock_guard lock(tasks_mutex_);
        stopping_ = true;
    }
    tasks_changed_.notify_all();
    thread_.join();
    readers_.close_idle();
}

std::shared_ptr<Database::Task> Database::enqueue(std::function<bool(Connection&)> work,
                                                  Failure failure) {
    auto task = std::make_shared<Task>();
    task->work = std::move(work);
    task->failure = failure;
    return enqueue(std::move(task));
}

std::shared_ptr<Database::Task> Database::enqueue(std::shared_ptr<Task> task) {
    EW_ASSERT(std::this_thread::get_id() != thread_.get_id());
    {
        const std::lock_guard lock(tasks_mutex_);
        EW_ASSERT(!stopping_);
        tasks_.push_back(task);
    }
    tasks_changed_.notify_one();
    return task;
}

Result<void> Database::wait_for(Task& task) {
    {
        std::unique_lock lock(task.mutex);
        task.changed.wait(lock, [&] { return task.done; });
    }
    if (task.commit_error) return fail(*task.commit_error);
    return {};
}

void Database::end_task(Task& task) {
    {
        const std::lock_guard lock(task.mutex);
        task.done = true;
    }
    task.changed.notify_one();
}

void Database::run_writer() {
    name_this_thread(path_.substr(path_.rfind('/') + 1));
    std::vector<std::shared_ptr<Task>> group;
    while (take_group(group)) {
        if (group.empty()) {
            shrink();
            continue;
        }
        if (group.front()->is_alone) {
            (void)group.front()->work(*writer_);
            end_task(*group.front());
        } else {
            run_group(group);
        }
        bound_log();
        if (!next_shrink_)
            next_shrink_ = std::chrono::steady_clock::now() + limits::kDatabaseShrinkDelay;
        group.clear();
    }
}

bool Database::take_group(std::vector<std::shared_ptr<Task>>& group) {
    std::unique_lock lock(tasks_mutex_);
    const auto has_work = [this] { return stopping_ || !tasks_.empty(); };
    if (!next_shrink_) {
        tasks_changed_.wait(lock, has_work);
    } else if (std::chrono::steady_clock::now() >= *next_shrink_ ||
               !tasks_changed_.wait_until(lock, *next_shrink_, has_work)) {
        return !stopping_ || !tasks_.empty();
    }
    if (tasks_.empty()) return false;
    do {
        group.push_back(tasks_.front());
        tasks_.pop_front();
    } while (!tasks_.empty() && !group.front()->is_alone && !tasks_.front()->is_alone &&
             group.size() < limits::kDatabaseGroupCommitMax);
    return true;
}

void Database::run_group(const std::vector<std::shared_ptr<Task>>& group) {
    Result<void> committed = writer_->execute("BEGIN IMMEDIATE");
    if (committed) {
        const bool whole =
            std::ranges::all_of(group, [&](const auto& task) { return run_task(*task); });
        fault_point("database.before_commit");
        readers_.begin_commit();
        committed = whole ? commit() : writer_->execute("ROLLBACK");
        // Otherwise once bound_log() has copied the log: whoever reads before keeps no snapshot.
        if (!log_is_due()) readers_.end_commit();
        if (committed && !whole)
            committed = fail(ErrorCode::kInternal, "a write of this transaction failed half-way");
        fault_point("database.after_commit");
        if (!committed) (void)writer_->execute("ROLLBACK");
    }
    record_commit(committed);
    for (const std::shared_ptr<Task>& task : group) {
        if (!committed) task->commit_error = committed.error();
        end_task(*task);
    }
    if (!committed) log_error("{}: commit failed: {}", path_, committed.error().message);
}

Result<void> Database::commit() {
    auto committed = writer_->execute("COMMIT");
    // A full disk, or a database that is busy, is found before the log is whole; an I/O error may
    // come after that.
    const bool is_known = !committed && committed.error().code != ErrorCode::kDataLoss &&
                          committed.error().code != ErrorCode::kInternal;
    if (is_known) return committed;
    if (committed && !fault_loses_answer("database.commit_answer")) return {};
    // The log may have the transaction all the same: then a crash makes it visible.
    return fail(ErrorCode::kUnknownOutcome,
                "commit: " + (committed ? "its answer was lost" : committed.error().message) +
                    "; whether it is in the log is unknown");
}

void Database::record_commit(const Result<void>& committed) {
    if (!committed) ++write_errors_;
    if (committed && problem_.empty()) return;
    const std::lock_guard lock(problem_mutex_);
    problem_ = committed ? "" : committed.error().message;
}

Problem Database::problem() const {
    if (file_id(path_) != opened_) {
        return {path_ +
                    ": was deleted or replaced while the daemon runs, which still has its data and "
                    "loses it when it ends",
                "before it ends: exportctl backup DIRECTORY; then stop it, exportctl restore "
                "DIRECTORY --force, and start it. The restart ends this alarm"};
    }
    const std::lock_guard lock(problem_mutex_);
    if (problem_.empty()) return {};
    return {with_path(path_, problem_),
            "look at the disk under state_dir; the next write that succeeds ends this alarm"};
}

bool Database::run_task(Task& task) {
    if (task.failure == Failure::kBeforeChanges) {
        const std::int64_t before = writer_->total_changes();
        if (task.work(*writer_)) return true;
        return writer_->in_transaction() && writer_->total_changes() == before;
    }
    EW_ASSERT(writer_->statement("SAVEPOINT task").run().has_value());
    // A full disk makes SQLite give up the whole transaction; then there is no savepoint to go back
    // to.
    if (!task.work(*writer_) && !writer_->statement("ROLLBACK TO task").run()) return false;
    return writer_->statement("RELEASE task").run().has_value();
}

Result<void> Database::backup(const std::string& path, const std::function<bool()>& keep_going) {
    const std::string part = path + ".part";
    if (::unlink(part.c_str()) != 0 && errno != ENOENT)
        return fail(errno_error("delete " + part, errno));
    auto copied = make_private_file(part);
    if (copied) {
        copied = read_as(Readers::Use::kCopy, [&](Connection& connection) {
            return connection.copy_to(part, keep_going);
        });
    }
    fault_point("backup.before_rename");
    if (copied) copied = publish_file(part, path);
    if (copied) return {};
    for (const char* beside : {"", "-journal", "-wal", "-shm"})
        (void)::unlink((part + beside).c_str());
    return copied;
}

void Database::bound_log() {
    if (!log_is_due()) return;
    // Reads that begin behind it read the file alone, and then the log can begin anew.
    readers_.begin_commit();
    const auto done = writer_->checkpoint();
    readers_.end_commit();
    if (!done) log_warn("{}: {}", path_, done.error().message);
    const std::int64_t bytes = writer_->log_pages() * frame_bytes_;
    const bool is_copying = readers_.is_copying();
    if (bytes < (is_copying ? log_bytes_copy_max_ : log_bytes_max_)) {
        log_bytes_tolerated_ = 0;
    } else if (bytes >= log_bytes_tolerated_) {
        log_bytes_tolerated_ = empty_log(is_copying) ? 0 : bytes + log_bytes_max_;
    }
}

bool Database::empty_log(bool stop_copies) {
    const auto end = std::chrono::steady_clock::now() + limits::kDatabaseLogWaitMax;
    bool is_empty = false;
    readers_.begin_commit();  // None of those that begin now keeps the log.
    while (!is_empty && std::chrono::steady_clock::now() < end) {
        readers_.stop_queries(limits::kDatabaseReadOverLogMax);
        if (stop_copies) readers_.stop_copies();
        const auto done = writer_->empty_log(limits::kDatabaseLogWaitStep);
        if (!done) {
            log_warn("{}: {}", path_, done.error().message);
            break;
        }
        is_empty = *done;
    }
    readers_.end_commit();
    if (!is_empty)
        log_warn("{}: its write-ahead log is larger than {} MiB and still in use by a reader",
                 path_, log_bytes_max_ >> 20);
    return is_empty;
}

Result<std::int64_t> Database::run_alone(
    const std::function<Result<std::int64_t>(Connection&)>& work) {
    Result<std::int64_t> out = fail(ErrorCode::kInternal, "database: not run");
    auto task = std::make_shared<Task>();
    task->is_alone = true;
    task->work = [&](Connection& connection) {
        out = work(connection);
        return out.has_value();
    };
    EW_CHECK(wait_for(*enqueue(std::move(task))));
    return out;
}

void Database::shrink() {
    next_shrink_.reset();
    const auto mode = writer_->query_integer(kAutoVacuum);
    const auto pages = writer_->query_integer(kPageCount);
    const auto free_pages = writer_->query_integer(kFreePages);
    if (!mode || *mode != kIncremental || !pages || !free_pages) return;
    if (*free_pages <= std::max(limits::kDatabaseFreePagesMin, *pages / 8)) return;
    if (auto done = free_some_pages(); !done) {
        log_warn("{}: {}", path_, done.error().message);
        return;
    }
    bound_log();
    next_shrink_ = std::chrono::steady_clock::now() + limits::kDatabaseShrinkPause;
}

Result<void> Database::free_some_pages() {
    readers_.begin_commit();
    auto done = writer_->execute("PRAGMA incremental_vacuum(" +
                                 std::to_string(limits::kDatabaseShrinkPages) + ")");
    readers_.end_commit();
    return done;
}

Result<void> Database::compact(std::chrono::milliseconds pause_max,
                               const std::function<bool()>& keep_going) {
    EW_TRY(const std::int64_t mode,
           run_alone([](Connection& connection) { return connection.query_integer(kAutoVacuum); }));
    if (mode != kIncremental) {
        EW_CHECK(run_alone([&](Connection&) -> Result<std::int64_t> {
            EW_CHECK(vacuum(pause_max));
            return 0;
        }));
        fault_point("compact.written_anew");
    }
    for (std::int64_t free_pages = 1; free_pages > 0;) {
        if (keep_going && !keep_going())
            return fail(ErrorCode::kCancelled, "compact " + path_ + ": stopped");
        EW_TRY(free_pages, run_alone([this](Connection& connection) -> Result<std::int64_t> {
                   EW_CHECK(free_some_pages());
                   return connection.query_integer(kFreePages);
               }));
        fault_point("compact.some_freed");
    }
    // The file gets shorter when the log is copied into it.
    EW_CHECK(run_alone([this](Connection& connection) -> Result<std::int64_t> {
        EW_CHECK(connection.checkpoint());
        const bool is_large =
            connection.log_pages() * frame_bytes_ > limits::kDatabaseJournalBytesMax;
        return is_large && !empty_log(false) ? 1 : 0;
    }));
    return {};
}

// Twice: what is in use goes to a temporary file, and from there into the log.
Result<void> Database::check_room_to_vacuum(std::int64_t bytes) const {
    const std::string directory = path_.substr(0, path_.rfind('/') + 1);
    const auto wanted =
        static_cast<std::uint64_t>(2 * bytes + limits::kDatabaseCompactFreeBytesMin);
    EW_TRY(const DiskSpace disk, read_disk_space(directory));
    if (disk.free_bytes >= wanted) return {};
    return fail(ErrorCode::kResourceExhausted,
                "compact " + path_ + ": expected " + std::to_string(wanted) + " bytes free in " +
                    directory + ", found " + std::to_string(disk.free_bytes) +
                    "; free space and try again");
}

Result<void> Database::vacuum(std::chrono::milliseconds pause_max) {
    EW_TRY(const std::int64_t pages, writer_->query_integer(kPageCount));
    EW_TRY(const std::int64_t free_pages, writer_->query_integer(kFreePages));
    EW_CHECK(check_room_to_vacuum((pages - free_pages) * (frame_bytes_ - kFrameHeaderBytes)));
    readers_.begin_commit();
    writer_->time_limit().begin(pause_max);
    auto done = writer_->execute("VACUUM");
    writer_->time_limit().end();
    readers_.end_commit();
    if (done || done.error().code != ErrorCode::kDeadlineExceeded) return done;
    return fail(ErrorCode::kDeadlineExceeded,
                "compact " + path_ + ": writes would have waited for longer than " +
                    std::to_string(pause_max.count()) +
                    " ms; nothing was changed; allow a longer pause at a quiet time");
}

}  // namespace export_worker::sqlite
