// A connection to a PostgreSQL server and the statements it has prepared.
//
// Every wait is bounded: the server ends what takes longer than the session's time-outs, and an
// answer that does not come after that ends the connection. When it ends, the server rolls back
// what was not committed.
//
// [one-owner]: a connection belongs to one thread at a time, and its Rows may outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/postgres/connect_options.hpp"
#include "daemon/postgres/limits.hpp"
#include "daemon/postgres/parameters.hpp"
#include "daemon/postgres/rows.hpp"

struct pg_conn;

namespace export_worker::postgres {

class Connection {
public:
    // Tries the addresses that `options` names, each for kPostgresConnectTimeout. Errors: those of
    // connect_keywords(); kUnavailable; kFailedPrecondition for a server that is too old or does
    // not store UTF-8, and for a pooler that takes no settings of a session.
    [[nodiscard]] static Result<std::unique_ptr<Connection>> open(const ConnectOptions& options);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // One statement with the parameters $1, $2, .... `sql` must be a literal: it is prepared when
    // it runs first, under its address, unless a pooler is between. Errors: code_of() its SQLSTATE;
    // kUnavailable when the connection ends.
    template <typename... Values>
    [[nodiscard]] Result<Rows> query(const char* sql, const Values&... values) {
        return run(sql, Parameters(values...));
    }
    // The same for a statement without rows, whatever number it changes.
    template <typename... Values>
    [[nodiscard]] Result<void> change(const char* sql, const Values&... values) {
        EW_TRY(const Rows changed, query(sql, values...));
        (void)changed;
        return {};
    }
    // One or more statements without parameters or rows. `patience`: how long they may take; the
    // server's own bounds are the session's.
    [[nodiscard]] Result<void> execute(
        const std::string& sql,
        std::chrono::milliseconds patience = limits::kPostgresStatementTimeout);

    // COPY ... FROM STDIN: sends what `next` returns, until that is empty; each piece is borrowed
    // until the next call. Returns how many rows were taken. `patience`: how long the server may
    // take for a piece, and for what follows the last. An error of `next` ends the statement and
    // comes back.
    using NextPiece = std::function<Result<std::string_view>()>;
    [[nodiscard]] Result<std::int64_t> copy_in(const std::string& sql, const NextPiece& next,
                                               std::chrono::milliseconds patience);
    // COPY ... TO STDOUT: gives each piece to `take`, which borrows it for the call. Returns how
    // many rows there were. An error of `take` comes back; the connection is lost then.
    using TakePiece = std::function<Result<void>(std::string_view)>;
    [[nodiscard]] Result<std::int64_t> copy_out(const std::string& sql, const TakePiece& take,
                                                std::chrono::milliseconds patience);

    // Begins a transaction; its time on the database's clock, microseconds since 1970.
    enum class Access : std::uint8_t { kReadOnly, kReadWrite };
    [[nodiscard]] Result<std::int64_t> begin(Access access);
    // Errors: as those of statements if it has not happened, else kUnknownOutcome: it may have.
    [[nodiscard]] Result<void> commit();
    void rollback();

    // Has it ended, or is it of no more use?
    [[nodiscard]] bool is_lost() const { return lost_; }
    // Does the server take no more of this transaction, or is the connection lost?
    [[nodiscard]] bool has_failed() const;
    // The last statement that failed was given up for others' sake; the transaction may run again.
    [[nodiscard]] bool must_run_again() const { return must_run_again_; }
    [[nodiscard]] Pooler pooler() const { return options_.pooler; }
    [[nodiscard]] const std::string& schema() const { return options_.schema; }

private:
    Connection(ConnectOptions options, pg_conn* connection)
        : options_(std::move(options)), connection_(connection) {}
    [[nodiscard]] Result<void> check_server() const;
    [[nodiscard]] Result<Rows> run(const char* sql, const Parameters& parameters);
    // The name `sql` is prepared under.
    [[nodiscard]] Result<std::string> prepare(const char* sql, const Parameters& parameters);
    // What `sent` (libpq's 1 or 0) leads to: the last result, with an error as an error.
    [[nodiscard]] Result<Rows> answer(int sent, std::chrono::milliseconds patience);
    // Sends `sql`, which then waits for pieces, or has some.
    [[nodiscard]] Result<void> begin_copy(const std::string& sql,
                                          std::chrono::milliseconds patience);
    [[nodiscard]] Result<void> send_pieces(const NextPiece& next,
                                           std::chrono::milliseconds patience);
    // As libpq's `put` has it, which answers 0 while there is no room. Errors: kUnavailable.
    [[nodiscard]] Result<void> put(const std::function<int()>& put, SteadyTime until);
    // Sends what is left to send and reads until an answer is whole. Errors: kUnavailable.
    [[nodiscard]] Result<void> wait_for_answer(SteadyTime until);
    [[nodiscard]] Result<void> wait_for_socket(bool writing, SteadyTime until);
    // What libpq would print on stderr.
    static void record_notice(void* connection, const pg_result* notice);
    [[nodiscard]] Error error_of(const pg_result* result);
    [[nodiscard]] Error lost(const std::string& why);

    const ConnectOptions options_;
    pg_conn* const connection_;
    std::unordered_map<const char*, std::string> prepared_;  // Names by the address of the text.
    bool lost_ = false;
    bool must_run_again_ = false;
    std::string warning_;   // Of the server, since the last commit began.
    std::string sqlstate_;  // Of the last statement; empty: it succeeded, or there was no answer.
};

}  // namespace export_worker::postgres
