#include "daemon/sqlite/connection.hpp"

#include <sqlite3.h>

#include <cerrno>

#include "base/assert.hpp"
#include "base/disk_space.hpp"
#include "base/text.hpp"
#include "daemon/sqlite/limits.hpp"

namespace export_worker::sqlite {
namespace {

// A file that cannot be opened, by the reason of the operating system (0: unknown).
ErrorCode code_of_open(int errno_value) {
    const ErrorCode code = errno_error({}, errno_value).code;
    return errno_value == 0 || code == ErrorCode::kNotFound ? ErrorCode::kFailedPrecondition : code;
}

ErrorCode code_of(int status, int errno_value = 0) {
    switch (status & 0xff) {
        case SQLITE_CONSTRAINT: return ErrorCode::kConflict;
        case SQLITE_FULL:
        case SQLITE_NOMEM:
        case SQLITE_TOOBIG: return ErrorCode::kResourceExhausted;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB: return ErrorCode::kDataLoss;
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return ErrorCode::kUnavailable;
        case SQLITE_INTERRUPT: return ErrorCode::kDeadlineExceeded;
        case SQLITE_CANTOPEN: return code_of_open(errno_value);
        case SQLITE_PERM:
        case SQLITE_READONLY: return ErrorCode::kFailedPrecondition;
        default: return ErrorCode::kInternal;
    }
}

// Callers read it: it names no file.
constexpr const char* kTooLong =
    "the request took longer in the database than it may; ask for less, or try again later";

int is_time_over(void* limit) {
    return static_cast<const TimeLimit*>(limit)->is_over() ? 1 : 0;
}

int record_log_pages(void* pages, sqlite3* /*database*/, const char* /*schema*/, int count) {
    *static_cast<std::int64_t*>(pages) = count;
    return SQLITE_OK;
}

// What to do about a full disk; empty: it is not full. SQLite has no word of it where it makes a
// -shm file: that ends as an I/O error.
std::string advice_for_full_disk(sqlite3* database, int status) {
    const int kind = status & 0xff;
    const char* const path = sqlite3_db_filename(database, "main");
    if ((kind != SQLITE_FULL && kind != SQLITE_IOERR) || path == nullptr || *path == '\0')
        return {};
    const auto disk = read_disk_space(path);
    const bool is_full =
        disk && (disk->free_bytes < limits::kDatabaseFullDiskBytes || !disk->has_inodes());
    if (kind == SQLITE_IOERR && !is_full && sqlite3_system_errno(database) != ENOSPC) return {};
    std::string out = kind == SQLITE_IOERR ? ", because the disk is full" : "";
    if (disk) out += " (" + std::to_string(disk->free_bytes / 1024) + " KiB are free)";
    return out + "; make room on the file system of " + path;
}

// The daemon goes on without what plugins.db says; without the others it is another installation.
std::string advice_on_damage(std::string_view path) {
    std::string out = "; restore a backup (exportctl restore DIRECTORY --force)";
    if (path.ends_with("/plugins.db"))
        out +=
            ", or move it away with its -wal and -shm: pins, commits and quarantines are then "
            "forgotten";
    return out;
}

tl::unexpected<Error> database_error(sqlite3* database, const std::string& tried) {
    const int status = sqlite3_extended_errcode(database);
    if (status == SQLITE_INTERRUPT) return fail(ErrorCode::kDeadlineExceeded, kTooLong);
    // SQLite quotes a damaged schema as it is.
    const std::string what = printable(sqlite3_errmsg(database), limits::kDatabaseErrorBytesMax);
    const std::string_view kind = sqlite3_errstr(status);
    std::string message = tried + ": " + what;
    if (kind != what) message += " (" + std::string(kind) + ")";
    message += advice_for_full_disk(database, status);
    const ErrorCode code = code_of(status, sqlite3_system_errno(database));
    const char* const path = sqlite3_db_filename(database, "main");
    if (code == ErrorCode::kDataLoss && path != nullptr)
        message = std::string(path) + ": " + message + advice_on_damage(path);
    return fail(code, std::move(message));
}

}  // namespace

Statement::Statement(sqlite3_stmt* statement) : statement_(statement) {}

Statement::~Statement() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

void Statement::bind_one(int index, std::int64_t value) {
    EW_ASSERT(sqlite3_bind_int64(statement_, index, value) == SQLITE_OK);
}

void Statement::bind_one(int index, std::string_view value) {
    // A null pointer would bind NULL; an empty view may have one.
    const char* data = value.data() == nullptr ? "" : value.data();
    EW_ASSERT(sqlite3_bind_text64(statement_, index, data, value.size(), nullptr, SQLITE_UTF8) ==
              SQLITE_OK);
}

void Statement::bind_one(int index, std::nullopt_t) {
    EW_ASSERT(sqlite3_bind_null(statement_, index) == SQLITE_OK);
}

Result<bool> Statement::step() {
    const int status = sqlite3_step(statement_);
    if (status == SQLITE_ROW) return true;
    if (status == SQLITE_DONE) return false;
    return database_error(sqlite3_db_handle(statement_), "database");
}

Result<void> Statement::run() {
    EW_TRY(const bool row, step());
    EW_ASSERT(!row);
    return {};
}

std::int64_t Statement::integer(int column) const {
    return sqlite3_column_int64(statement_, column);
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::optional<std::int64_t> Statement::optional_integer(int column) const {
    if (is_null(column)) return std::nullopt;
    return integer(column);
}

std::string_view Statement::text(int column) const {
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    if (data == nullptr) return {};
    return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, Mode mode) {
    // Readers open read-write too: a query-only connection must be able to make the -shm file.
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                      (mode == Mode::kReadWrite ? SQLITE_OPEN_CREATE : 0);
    // Statistics of memory that nobody reads would cost every allocation of SQLite's a lock.
    static const int without_statistics = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    EW_ASSERT(without_statistics == SQLITE_OK);
    sqlite3* database = nullptr;
    const int status = sqlite3_open_v2(path.c_str(), &database, flags, nullptr);
    std::unique_ptr<Connection> connection(new Connection(database));
    if (status != SQLITE_OK) return database_error(database, "open " + path);
    sqlite3_extended_result_codes(database, 1);
    sqlite3_busy_timeout(database, limits::kDatabaseBusyTimeoutMs);
    sqlite3_progress_handler(database, limits::kDatabaseReadSteps, is_time_over,
                             &connection->time_limit_);
    // What a savepoint needs to be undone stays in memory up to 64 KiB (SQLite's own bound) and
    // then goes to a file: in memory alone it is a list, and the cost of a large write grows with
    // the square of its rows.
    const std::string setup =
        mode == Mode::kReadWrite
            ? "PRAGMA trusted_schema=OFF; PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; "
              "PRAGMA temp_store=FILE; PRAGMA cache_size=-" +
                  std::to_string(limits::kDatabaseWriterCacheKib) + ";"
            // No checkpoint by a reader, not even when it closes: the writer is the only one.
            : "PRAGMA trusted_schema=OFF; PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0;";
    if (mode == Mode::kQueryOnly)
        sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    if (auto done = connection->execute(setup); !done)
        return fail(done.error().code, done.error().message.starts_with(path)
                                           ? done.error().message
                                           : path + ": " + done.error().message);
    // Takes the place of SQLite's own automatic checkpoints.
    if (mode == Mode::kReadWrite)
        sqlite3_wal_hook(database, record_log_pages, &connection->log_pages_);
    return connection;
}

Connection::~Connection() {
    for (const auto& entry : statements_) sqlite3_finalize(entry.second);
    sqlite3_close_v2(database_);
}

Result<void> Connection::execute(const std::string& sql) {
    if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
        return database_error(database_, "database");
    }
    return {};
}

Statement Connection::statement(const char* sql) {
    sqlite3_stmt*& compiled = statements_[sql];
    if (compiled == nullptr && sqlite3_prepare_v3(database_, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                                  &compiled, nullptr) != SQLITE_OK) {
        assertion_failed(sqlite3_errmsg(database_), sql, 0);
    }
    return Statement(compiled);
}

std::int64_t Connection::changes() const {
    return sqlite3_changes64(database_);
}

bool Connection::in_transaction() const {
    return sqlite3_get_autocommit(database_) == 0;
}

std::int64_t Connection::total_changes() const {
    return sqlite3_total_changes64(database_);
}

// In a transaction of its own, all steps copy the same state: without one, each write of others
// would make the copy begin again.
Result<void> Connection::copy_to(const std::string& path, const std::function<bool()>& keep_going) {
    const bool begins = !in_transaction();
    if (begins) EW_CHECK(execute("BEGIN"));
    // Only a statement that reads takes the snapshot; a step of the copy gives its own back.
    Result<void> copied;
    if (const auto begun = query_integer("SELECT count(*) FROM sqlite_schema"); begun)
        copied = copy_pages(path, keep_going);
    else
        copied = fail(begun.error());
    if (begins) (void)execute("ROLLBACK");  // It has changed nothing.
    return copied;
}

Result<void> Connection::copy_pages(const std::string& path,
                                    const std::function<bool()>& keep_going) {
    sqlite3* target = nullptr;
    const int opened = sqlite3_open_v2(
        path.c_str(), &target,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
        nullptr);
    const std::unique_ptr<sqlite3, int (*)(sqlite3*)> owner(target, sqlite3_close);
    if (opened != SQLITE_OK) return database_error(target, "create " + path);
    sqlite3_backup* backup = sqlite3_backup_init(target, "main", database_, "main");
    if (backup == nullptr) return database_error(target, "copy to " + path);
    int stepped = SQLITE_OK;
    while (stepped == SQLITE_OK && !time_limit_.is_over() && (!keep_going || keep_going()))
        stepped = sqlite3_backup_step(backup, limits::kDatabaseCopyPages);
    sqlite3_backup_finish(backup);
    if (stepped == SQLITE_OK && time_limit_.is_over())
        return fail(ErrorCode::kDeadlineExceeded,
                    "copy to " + path +
                        ": stopped, because the write-ahead log has grown too large meanwhile; try "
                        "again when less is written");
    if (stepped == SQLITE_OK) return fail(ErrorCode::kCancelled, "copy to " + path + ": stopped");
    if (stepped != SQLITE_DONE)
        return fail(code_of(stepped), "copy to " + path + ": " + sqlite3_errstr(stepped));
    return {};
}

Result<void> Connection::checkpoint() {
    const int done =
        sqlite3_wal_checkpoint_v2(database_, "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    // Another program's checkpoint of the same log is as good.
    if (done != SQLITE_OK && done != SQLITE_BUSY) return database_error(database_, "checkpoint");
    return {};
}

Result<bool> Connection::empty_log(std::chrono::milliseconds patience) {
    sqlite3_busy_timeout(database_, static_cast<int>(patience.count()));
    const int done =
        sqlite3_wal_checkpoint_v2(database_, "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    sqlite3_busy_timeout(database_, limits::kDatabaseBusyTimeoutMs);
    if ((done & 0xff) == SQLITE_BUSY) return false;
    if (done != SQLITE_OK) return database_error(database_, "checkpoint");
    log_pages_ = 0;
    return true;
}

Result<std::int64_t> Connection::query_integer(const std::string& sql) {
    sqlite3_stmt* compiled = nullptr;
    if (sqlite3_prepare_v2(database_, sql.c_str(), -1, &compiled, nullptr) != SQLITE_OK) {
        return database_error(database_, "database");
    }
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> owner(compiled, sqlite3_finalize);
    const int status = sqlite3_step(compiled);
    if (status != SQLITE_ROW) return database_error(database_, "database");
    return sqlite3_column_int64(compiled, 0);
}

}  // namespace export_worker::sqlite
