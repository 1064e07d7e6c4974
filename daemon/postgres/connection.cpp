#include "daemon/postgres/connection.hpp"

#include <poll.h>
#include <libpq-fe.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <vector>

#include "base/fault_point.hpp"
#include "base/text.hpp"
#include "daemon/postgres/sqlstate.hpp"

namespace export_worker::postgres {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMessageBytesMax = 500;

// libpq's messages have several lines.
std::string one_line(const char* message) {
    std::string text = without_line_end(message == nullptr ? "" : message);
    std::ranges::replace(text, '\n', ' ');
    return printable(text, kMessageBytesMax);
}

// PgBouncer, which has no SQLSTATE for it: settings of a session are "options".
Error connect_error(const std::string& message) {
    if (message.find("unsupported startup parameter") == std::string::npos)
        return {ErrorCode::kUnavailable, "PostgreSQL: " + message};
    return {
        ErrorCode::kFailedPrecondition,
        "PostgreSQL: " + message + ": a pooler is between; set pooler = transaction in [database]"};
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const ConnectOptions& options) {
    EW_TRY(const Keywords keywords, connect_keywords(options));
    std::vector<const char*> names;
    std::vector<const char*> values;
    for (const auto& [name, value] : keywords) {
        names.push_back(name.c_str());
        values.push_back(value.c_str());
    }
    names.push_back(nullptr);
    values.push_back(nullptr);
    std::unique_ptr<Connection> out(
        new Connection(options, PQconnectdbParams(names.data(), values.data(), 1)));
    if (PQstatus(out->connection_) != CONNECTION_OK)
        return fail(connect_error(one_line(PQerrorMessage(out->connection_))));
    EW_CHECK(out->check_server());
    PQsetNoticeReceiver(out->connection_, &Connection::record_notice, out.get());
    if (PQsetnonblocking(out->connection_, 1) != 0)
        return fail(ErrorCode::kUnavailable, "PostgreSQL: the socket cannot be set up");
    return out;
}

Connection::~Connection() {
    PQfinish(connection_);
}

Result<void> Connection::check_server() const {
    const int version = PQserverVersion(connection_);
    if (version < limits::kPostgresServerVersionMin)
        return fail(ErrorCode::kFailedPrecondition,
                    "PostgreSQL: expected version " +
                        std::to_string(limits::kPostgresServerVersionMin / 10'000) +
                        " or later, found " + std::to_string(version / 10'000));
    const char* encoding = PQparameterStatus(connection_, "server_encoding");
    if (encoding == nullptr || std::string_view(encoding) != "UTF8")
        return fail(ErrorCode::kFailedPrecondition,
                    "PostgreSQL: expected a database with encoding UTF8, found " +
                        printable(encoding == nullptr ? "none" : encoding) +
                        "; create it with ENCODING 'UTF8' TEMPLATE template0");
    return {};
}

Result<Rows> Connection::run(const char* sql, const Parameters& parameters) {
    constexpr int kBinary = 1;
    const milliseconds patience = limits::kPostgresStatementTimeout;
    if (PQtransactionStatus(connection_) == PQTRANS_IDLE) must_run_again_ = false;
    if (options_.pooler == Pooler::kTransaction)
        return answer(PQsendQueryParams(connection_, sql, parameters.count(), parameters.types(),
                                        parameters.data(), parameters.lengths(),
                                        parameters.formats(), kBinary),
                      patience);
    EW_TRY(const std::string name, prepare(sql, parameters));
    return answer(
        PQsendQueryPrepared(connection_, name.c_str(), parameters.count(), parameters.data(),
                            parameters.lengths(), parameters.formats(), kBinary),
        patience);
}

Result<std::string> Connection::prepare(const char* sql, const Parameters& parameters) {
    if (const auto known = prepared_.find(sql); known != prepared_.end()) return known->second;
    const std::string name = "s" + std::to_string(prepared_.size());
    EW_TRY(const Rows prepared, answer(PQsendPrepare(connection_, name.c_str(), sql,
                                                     parameters.count(), parameters.types()),
                                       limits::kPostgresStatementTimeout));
    (void)prepared;
    prepared_.emplace(sql, name);
    return name;
}

Result<void> Connection::execute(const std::string& sql, milliseconds patience) {
    EW_TRY(const Rows last, answer(PQsendQuery(connection_, sql.c_str()), patience));
    (void)last;
    return {};
}

Result<std::int64_t> Connection::begin(Access access) {
    must_run_again_ = false;
    std::string sql = access == Access::kReadOnly ? "BEGIN READ ONLY;" : "BEGIN;";
    if (options_.pooler == Pooler::kTransaction) {
        for (const auto& [name, value] : session_settings(options_)) {
            if (name == "default_transaction_isolation") continue;  // Too late for this one.
            sql.append("SET LOCAL ").append(name).append(" = ").append(value).append(";");
        }
    }
    sql += "SELECT (extract(epoch FROM database_now()) * 1000000)::bigint";
    const auto now =
        answer(PQsendQuery(connection_, sql.c_str()), limits::kPostgresStatementTimeout);
    if (!now) {
        rollback();
        return fail(now.error());
    }
    return now->text_integer();
}

Result<void> Connection::commit() {
    warning_.clear();
    const auto committed =
        answer(PQsendQuery(connection_, "COMMIT"), limits::kPostgresStatementTimeout);
    if (!committed) {
        const bool is_known = !sqlstate_.empty() && !is_commit_unknown(sqlstate_);
        return fail(is_known ? committed.error().code : ErrorCode::kUnknownOutcome,
                    "commit: " + committed.error().message);
    }
    // The server says so without an error when a statement before had failed.
    if (committed->command() != "COMMIT")
        return fail(ErrorCode::kInternal, "commit: the transaction had failed before");
    // A commit that has waited for a synchronous standby in vain ends with a warning: it has
    // happened here, and may be gone after a failover.
    if (!warning_.empty()) return fail(ErrorCode::kUnknownOutcome, "commit: " + warning_);
    if (fault_loses_answer("database.commit_answer"))
        return fail(ErrorCode::kUnknownOutcome, "commit: its answer was lost");
    return {};
}

void Connection::rollback() {
    if (lost_ || PQtransactionStatus(connection_) == PQTRANS_IDLE) return;
    const bool again = must_run_again_;  // Of what failed, not of this.
    if (!answer(PQsendQuery(connection_, "ROLLBACK"), limits::kPostgresStatementTimeout))
        lost_ = true;
    must_run_again_ = again;
}

bool Connection::has_failed() const {
    return lost_ || PQtransactionStatus(connection_) == PQTRANS_INERROR;
}

Result<Rows> Connection::answer(int sent, milliseconds patience) {
    sqlstate_.clear();
    if (lost_ || sent == 0) return fail(lost(PQerrorMessage(connection_)));
    const SteadyTime until =
        std::chrono::steady_clock::now() + patience + limits::kPostgresAnswerMargin;
    std::optional<Rows> last;
    std::optional<Error> error;
    for (;;) {
        EW_CHECK(wait_for_answer(until));
        pg_result* result = PQgetResult(connection_);
        if (result == nullptr) break;
        last.emplace(result);
        const ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && !error)
            error = error_of(result);
    }
    if (PQstatus(connection_) != CONNECTION_OK) lost_ = true;
    if (error) return fail(std::move(*error));
    if (!last) return fail(lost("no answer"));
    return std::move(*last);
}

Result<void> Connection::wait_for_answer(SteadyTime until) {
    while (PQisBusy(connection_) != 0) {
        const int left_to_send = PQflush(connection_);
        if (left_to_send < 0) return fail(lost(PQerrorMessage(connection_)));
        EW_CHECK(wait_for_socket(left_to_send > 0, until));
        // What the server said before it closed the connection is an answer.
        if (PQconsumeInput(connection_) == 0 && PQisBusy(connection_) != 0)
            return fail(lost(PQerrorMessage(connection_)));
    }
    return {};
}

Result<void> Connection::wait_for_socket(bool writing, SteadyTime until) {
    pollfd socket{PQsocket(connection_), static_cast<short>(writing ? POLLIN | POLLOUT : POLLIN),
                  0};
    for (;;) {
        const auto left =
            std::chrono::duration_cast<milliseconds>(until - std::chrono::steady_clock::now());
        if (left.count() <= 0) return fail(lost("no answer in time"));
        const int ready = ::poll(&socket, 1, static_cast<int>(left.count()));
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return fail(lost("poll failed"));
    }
}

void Connection::record_notice(void* connection, const pg_result* notice) {
    const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity == nullptr || std::string_view(severity) != "WARNING") return;
    static_cast<Connection*>(connection)->warning_ =
        one_line(PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY));
}

Error Connection::error_of(const pg_result* result) {
    const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    // libpq's own, when the connection has ended.
    if (state == nullptr) return lost(PQresultErrorMessage(result));
    sqlstate_ = state;
    must_run_again_ = is_retried(sqlstate_);
    if (ends_connection(sqlstate_)) lost_ = true;
    const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    return {code_of(sqlstate_), "PostgreSQL: " + one_line(message) + " (" + sqlstate_ + ")"};
}

Error Connection::lost(const std::string& why) {
    lost_ = true;
    return {ErrorCode::kUnavailable,
            "PostgreSQL: the connection has ended: " + one_line(why.c_str())};
}

}  // namespace export_worker::postgres
