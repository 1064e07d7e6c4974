#include "daemon/postgres/session_check.hpp"

#include <cstdint>
#include <string>

#include "base/text.hpp"

namespace export_worker::postgres {
namespace {

// A pooler has many sessions: the two connections may get different ones for a while.
constexpr int kRounds = 8;

tl::unexpected<Error> refused(const std::string& found) {
    return fail(ErrorCode::kFailedPrecondition,
                "PostgreSQL: pooler: expected sessions of this process's own, found " + found +
                    "; with PgBouncer in transaction mode between, set pooler = transaction in "
                    "[database]");
}

bool is_no_answer(const Error& error) {
    return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kDeadlineExceeded;
}

// The server says that a name is taken or unknown, or the statement of the other one answers.
Result<void> expect_own(const Result<Rows>& rows, std::int64_t own) {
    if (!rows && is_no_answer(rows.error())) return fail(rows.error());
    if (!rows)
        return refused("that prepared statements get lost or clash: " + rows.error().message);
    if (rows->front().integer(0) != own)
        return refused("that the prepared statement of another connection answered");
    return {};
}

Result<void> check_statements(Connection& a, Connection& b) {
    for (int round = 0; round < kRounds; ++round) {
        // The first statement of each, so both have the same name.
        EW_CHECK(expect_own(a.query("SELECT 1::bigint"), 1));
        EW_CHECK(expect_own(b.query("SELECT 2::bigint"), 2));
    }
    return {};
}

Result<void> check_settings(Connection& connection) {
    EW_TRY(const Rows rows, connection.query("SELECT current_setting('search_path')"));
    const std::string expected = '"' + connection.schema() + '"';
    const std::string found = rows.front().string(0);
    if (found == expected) return {};
    return refused("search_path " + printable(found) + " instead of " + expected);
}

}  // namespace

Result<void> check_sessions(Connection& a, Connection& b) {
    if (a.pooler() == Pooler::kTransaction) return {};
    EW_CHECK(check_statements(a, b));
    EW_CHECK(check_settings(a));
    return check_settings(b);
}

}  // namespace export_worker::postgres
