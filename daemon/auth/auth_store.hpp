// Where keys, members and opaque sessions are kept. Of keys and sessions only the SHA-256.
//
// KeyStore and MemberStore hold everything of it in memory, where requests look it up, and have the
// rules; this has the rows. One conformance suite
// (tests/unit/daemon/auth/auth_store_conformance.hpp) runs against every implementation; SQLite's
// is daemon/auth/sqlite. Errors of all of them, beside those named: kResourceExhausted (disk full),
// kUnavailable, kDataLoss, kInternal; of writes kUnknownOutcome: the commit may have happened.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "base/problem.hpp"
#include "base/result.hpp"
#include "daemon/auth/key_records.hpp"
#include "daemon/auth/member_records.hpp"
#include "daemon/auth/session_records.hpp"

namespace export_worker::auth {

// Owns its parts. [any-thread]
class AuthStore {
public:
    virtual ~AuthStore() = default;

    [[nodiscard]] virtual KeyRecords& keys() = 0;
    [[nodiscard]] virtual MemberRecords& members() = 0;
    [[nodiscard]] virtual SessionRecords& sessions() = 0;

    // A copy of the records as they are now, whole and consistent, at `path` (replaced). Errors:
    // kCancelled once `keep_going` returns false (null: to the end).
    [[nodiscard]] virtual Result<void> backup(const std::string& path,
                                              const std::function<bool()>& keep_going = {}) = 0;
    // Gives free space of the records back to the disk. Errors: kDeadlineExceeded when writes would
    // have to wait for longer than `pause_max`, kResourceExhausted when the disk lacks the room for
    // it, kCancelled once `keep_going` returns false.
    [[nodiscard]] virtual Result<void> compact(std::chrono::milliseconds pause_max,
                                               const std::function<bool()>& keep_going) = 0;
    // Why the last write could not be made durable, or that the database is gone.
    [[nodiscard]] virtual Problem problem() const = 0;
    // Commits that failed since the start.
    [[nodiscard]] virtual std::uint64_t write_errors() const = 0;
};

}  // namespace export_worker::auth
