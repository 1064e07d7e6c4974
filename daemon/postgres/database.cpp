#include "daemon/postgres/database.hpp"

#include <thread>

#include "base/backoff.hpp"
#include "daemon/postgres/limits.hpp"
#include "daemon/postgres/session_check.hpp"

namespace export_worker::postgres {
namespace {

Result<void> check_against_another(Connection& connection, const ConnectOptions& options) {
    if (options.pooler == Pooler::kTransaction) return {};
    EW_TRY(const std::unique_ptr<Connection> another, Connection::open(options));
    return check_sessions(connection, *another);
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const DatabaseOptions& options,
                                                 const Migrations& migrations) {
    std::unique_ptr<Database> out(new Database(options));
    EW_TRY(std::unique_ptr<Connection> connection, out->pool_.borrow());
    EW_CHECK(check_against_another(*connection, options.connect));
    auto migrated = migrate(*connection, options.connect.schema, migrations);
    out->pool_.give_back(std::move(connection));
    EW_CHECK(std::move(migrated));
    return out;
}

bool Database::wait_for_next_try(int tries, SteadyTime began) {
    if (tries >= limits::kPostgresTriesMax ||
        std::chrono::steady_clock::now() - began >= limits::kPostgresRetryTimeMax)
        return false;
    std::this_thread::sleep_for(
        full_jitter(limits::kPostgresRetryBase, limits::kPostgresRetryMax, tries));
    return true;
}

void Database::record_write(const Error* error) {
    const bool is_ours =
        error != nullptr &&
        (error->code == ErrorCode::kUnavailable || error->code == ErrorCode::kResourceExhausted ||
         error->code == ErrorCode::kDeadlineExceeded || error->code == ErrorCode::kDataLoss ||
         error->code == ErrorCode::kUnknownOutcome);
    // What the caller has asked wrongly says nothing about the database.
    if (error != nullptr && !is_ours) return;
    if (is_ours) write_errors_.fetch_add(1);
    const std::lock_guard lock(problem_mutex_);
    problem_ = is_ours ? error->message : "";
}

Problem Database::problem() const {
    const std::lock_guard lock(problem_mutex_);
    if (problem_.empty()) return {};
    return {problem_,
            "see that the server runs, can be reached and has room; the next write that "
            "succeeds ends this alarm"};
}

}  // namespace export_worker::postgres
