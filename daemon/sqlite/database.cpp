#include "daemon/sqlite/database.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/assert.hpp"
#include "base/fault_point.hpp"
#include "base/io.hpp"
#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "daemon/sqlite/limits.hpp"

namespace export_worker::sqlite {
namespace {

tl::unexpected<Error> at_path(const std::string& path, const Error& error) {
    return fail(error.code, path + ": " + error.message);
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
    if (version > known) {
        return fail(ErrorCode::kFailedPrecondition,
                    options.path + ": expected schema version " + std::to_string(known) +
                        " or older, found " + std::to_string(version) +
                        "; it was written by a newer version of this program: install that "
                        "version, or restore a backup");
    }
    return {};
}

// What prepare() does to a file that this program must leave as it is.
Result<void> check_schema(Connection& connection, const DatabaseOptions& options) {
    EW_CHECK(check_identity(connection, options));
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
    EW_CHECK(connection.execute("PRAGMA page_size=" + std::to_string(options.page_bytes)));
    EW_CHECK(check_identity(connection, options));
    EW_CHECK(connection.execute(
        "PRAGMA journal_mode=WAL; PRAGMA journal_size_limit=" +
        std::to_string(limits::kDatabaseJournalBytesMax) +
        "; PRAGMA wal_autocheckpoint=" + std::to_string(limits::kDatabaseCheckpointPages)));
    return migrate(connection, options);
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const DatabaseOptions& options) {
    std::error_code ignored;
    if (options.must_exist && !std::filesystem::exists(options.path, ignored)) {
        return fail(ErrorCode::kNotFound,
                    options.path + ": expected a database of this program, found none");
    }
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
    if (!ready) {
        if (ready.error().message.starts_with(options.path)) return fail(ready.error());
        return at_path(options.path, ready.error());
    }
    return std::unique_ptr<Database>(new Database(options.path, std::move(writer)));
}

Result<void> Database::check(const DatabaseOptions& options) {
    std::error_code ignored;
    if (!std::filesystem::exists(options.path, ignored)) return {};
    EW_TRY(const std::unique_ptr<Connection> connection,
           Connection::open(options.path, Connection::Mode::kQueryOnly));
    auto known = check_identity(*connection, options);
    if (!known && !known.error().message.starts_with(options.path))
        return at_path(options.path, known.error());
    return known;
}

Database::Database(std::string path, std::unique_ptr<Connection> writer)
    : path_(std::move(path)),
      writer_(std::move(writer)),
      opened_(file_id(path_)),
      thread_([this] { run_writer(); }) {}

std::optional<Database::FileId> Database::file_id(const std::string& path) {
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0) return std::nullopt;
    return FileId{found.st_dev, found.st_ino};
}

Database::~Database() {
    {
        const std::lock_guard lock(tasks_mutex_);
        stopping_ = true;
    }
    tasks_changed_.notify_all();
    thread_.join();
    idle_readers_.clear();
}

std::shared_ptr<Database::Task> Database::enqueue(std::function<bool(Connection&)> work,
                                                  Failure failure) {
    EW_ASSERT(std::this_thread::get_id() != thread_.get_id());
    auto task = std::make_shared<Task>();
    task->work = std::move(work);
    task->failure = failure;
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

void Database::run_writer() {
    name_this_thread(path_.substr(path_.rfind('/') + 1));
    std::vector<std::shared_ptr<Task>> group;
    for (;;) {
        {
            std::unique_lock lock(tasks_mutex_);
            tasks_changed_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            while (!tasks_.empty() && group.size() < limits::kDatabaseGroupCommitMax) {
                group.push_back(tasks_.front());
                tasks_.pop_front();
            }
        }
        run_group(group);
        group.clear();
    }
}

void Database::run_group(const std::vector<std::shared_ptr<Task>>& group) {
    Result<void> committed = writer_->execute("BEGIN IMMEDIATE");
    if (committed) {
        const bool whole =
            std::ranges::all_of(group, [&](const auto& task) { return run_task(*task); });
        fault_point("database.before_commit");
        commits_.fetch_add(1);
        end_idle_snapshots();
        committed = whole ? commit() : writer_->execute("ROLLBACK");
        commits_.fetch_add(1);
        if (committed && !whole)
            committed = fail(ErrorCode::kInternal, "a write of this transaction failed half-way");
        fault_point("database.after_commit");
        if (!committed) (void)writer_->execute("ROLLBACK");
    }
    record_commit(committed);
    for (const std::shared_ptr<Task>& task : group) {
        if (!committed) task->commit_error = committed.error();
        {
            const std::lock_guard lock(task->mutex);
            task->done = true;
        }
        task->changed.notify_one();
    }
    if (!committed) log_error("{}: commit failed: {}", path_, committed.error().message);
}

Result<void> Database::commit() {
    auto committed = writer_->execute("COMMIT");
    if (!committed && committed.error().code != ErrorCode::kDataLoss) return committed;
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

std::string Database::problem() const {
    if (file_id(path_) != opened_) {
        return path_ +
               ": was deleted or replaced while the daemon runs; what it writes now is lost when "
               "it ends: stop it, then restore the file from a backup";
    }
    const std::lock_guard lock(problem_mutex_);
    return problem_.empty() ? "" : path_ + ": " + problem_;
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
        copied = read([&](Connection& connection) { return connection.copy_to(part, keep_going); });
    }
    fault_point("backup.before_rename");
    if (copied) copied = publish_file(part, path);
    if (copied) return {};
    for (const char* beside : {"", "-journal", "-wal", "-shm"})
        (void)::unlink((part + beside).c_str());
    return copied;
}

Result<Database::Reader> Database::borrow_reader() {
    EW_TRY(Reader reader, take_reader());
    const std::uint64_t now = commits_.load();
    if (reader.snapshot == now) return reader;
    end_snapshot(reader);
    if (now % 2 == 0 && reader.connection->statement("BEGIN").run()) reader.snapshot = now;
    return reader;
}

Result<Database::Reader> Database::take_reader() {
    {
        std::unique_lock lock(readers_mutex_);
        reader_returned_.wait(lock, [this] {
            return !idle_readers_.empty() || readers_open_ < limits::kDatabaseReadersMax;
        });
        if (!idle_readers_.empty()) {
            Reader reader = std::move(idle_readers_.back());
            idle_readers_.pop_back();
            return reader;
        }
        ++readers_open_;
    }
    auto opened = Connection::open(path_, Connection::Mode::kQueryOnly);
    if (opened) return Reader{std::move(*opened)};
    {
        const std::lock_guard lock(readers_mutex_);
        --readers_open_;
    }
    reader_returned_.notify_one();
    return fail(std::move(opened.error()));
}

void Database::return_reader(Reader reader, bool keep_snapshot) {
    if (!keep_snapshot) end_snapshot(reader);
    {
        const std::lock_guard lock(readers_mutex_);
        // With the mutex held: the writer, who has it after it began a commit, finds every old one.
        if (reader.snapshot != commits_.load()) end_snapshot(reader);
        idle_readers_.push_back(std::move(reader));
    }
    reader_returned_.notify_one();
}

void Database::end_snapshot(Reader& reader) {
    reader.snapshot = kNone;
    Connection& connection = *reader.connection;
    // What fails to end in order, on a broken disk, is given up.
    if (connection.in_transaction() && !connection.statement("COMMIT").run())
        (void)connection.execute("ROLLBACK");
}

void Database::end_idle_snapshots() {
    const std::lock_guard lock(readers_mutex_);
    for (Reader& reader : idle_readers_) end_snapshot(reader);
}

}  // namespace export_worker::sqlite
