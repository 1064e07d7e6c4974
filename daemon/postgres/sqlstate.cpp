#include "daemon/postgres/sqlstate.hpp"

#include <algorithm>
#include <array>

namespace export_worker::postgres {
namespace {

struct Meaning {
    std::string_view prefix;  // Of the SQLSTATE.
    ErrorCode code;
};

// PostgreSQL 15, appendix A. The first that fits counts: whole codes stand before their class.
constexpr std::array kMeanings{
    Meaning{"08", ErrorCode::kUnavailable},            // connection
    Meaning{"22021", ErrorCode::kInvalidArgument},     // text in another encoding
    Meaning{"22P05", ErrorCode::kInvalidArgument},     // untranslatable character
    Meaning{"23", ErrorCode::kConflict},               // broken constraint
    Meaning{"25006", ErrorCode::kUnavailable},         // a standby now
    Meaning{"25P03", ErrorCode::kUnavailable},         // idle in transaction for too long
    Meaning{"28", ErrorCode::kFailedPrecondition},     // authorization
    Meaning{"3D", ErrorCode::kFailedPrecondition},     // no such database
    Meaning{"3F", ErrorCode::kFailedPrecondition},     // no such schema
    Meaning{"40001", ErrorCode::kUnavailable},         // serialization failure
    Meaning{"40P01", ErrorCode::kUnavailable},         // deadlock
    Meaning{"40003", ErrorCode::kUnknownOutcome},      // completion unknown
    Meaning{"42501", ErrorCode::kFailedPrecondition},  // privilege
    Meaning{"42P01", ErrorCode::kFailedPrecondition},  // no such table: the schema is another one
    Meaning{"42703", ErrorCode::kFailedPrecondition},  // no such column
    Meaning{"42883", ErrorCode::kFailedPrecondition},  // no such function
    Meaning{"53300", ErrorCode::kUnavailable},         // too many connections
    Meaning{"53", ErrorCode::kResourceExhausted},      // disk, memory
    Meaning{"55P03", ErrorCode::kDeadlineExceeded},    // lock_timeout
    Meaning{"57014", ErrorCode::kDeadlineExceeded},    // statement_timeout
    Meaning{"57P", ErrorCode::kUnavailable},           // shutting down, starting
    Meaning{"58", ErrorCode::kUnavailable},            // system error outside the server
    Meaning{"XX001", ErrorCode::kDataLoss},            // damaged data
    Meaning{"XX002", ErrorCode::kDataLoss},            // damaged index
};

}  // namespace

ErrorCode code_of(std::string_view sqlstate) {
    const auto* const found = std::ranges::find_if(
        kMeanings, [&](const Meaning& meaning) { return sqlstate.starts_with(meaning.prefix); });
    return found == kMeanings.end() ? ErrorCode::kInternal : found->code;
}

bool is_retried(std::string_view sqlstate) {
    return sqlstate == "40001" || sqlstate == "40P01";
}

bool is_commit_unknown(std::string_view sqlstate) {
    // A deferred constraint and a serialization failure are answers: it has not happened.
    return !is_retried(sqlstate) && !sqlstate.starts_with("23");
}

bool ends_connection(std::string_view sqlstate) {
    return sqlstate.starts_with("08") || sqlstate.starts_with("57P") || sqlstate == "25P03" ||
           sqlstate == "25006";
}

}  // namespace export_worker::postgres
