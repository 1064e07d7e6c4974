// Whether the server's sessions are this process's own, as Pooler::kNone says.
//
// A pooler in transaction mode lends a session to one client after another. What one client has
// prepared then answers another, without an error, and settings of a session are those of a
// stranger. Nothing may be written through such a connection.
#pragma once

#include "base/result.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::postgres {

// `a` and `b` have just been opened with the same options, and have prepared nothing. Does nothing
// for Pooler::kTransaction. Errors: kFailedPrecondition (a session was lent to others, or has not
// the settings that were asked for); kUnavailable and kDeadlineExceeded of the statements.
// [any-thread]
[[nodiscard]] Result<void> check_sessions(Connection& a, Connection& b);

}  // namespace export_worker::postgres
