// Where keys, members and opaque sessions are kept. Of keys and sessions only the SHA-256.
//
// KeyStore and MemberStore hold everything of it in memory, where requests look it up, and have the
// rules; this has the rows. One conformance suite
// (tests/unit/daemon/auth/auth_store_conformance.hpp) runs against every implementation; SQLite's
// is daemon/auth/sqlite, that of several daemons daemon/auth/postgres. Errors of all of them,
// beside those named: kResourceExhausted (disk full), kUnavailable, kDataLoss, kInternal; of writes
// kUnknownOutcome: the commit may have happened.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "base/problem.hpp"
#include "base/result.hpp"
#include "daemon/auth/auth_changes.hpp"
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

    // Records that several daemons share: `follower` gets what has changed since the store was
    // opened before this returns, and from then on every change, of this process, too, until
    // unfollow(). One of this process: before the write returns. Of another daemon: within about a
    // second. A write after which less is allowed returns when every daemon's follower has it.
    // Records of one process: nothing changes behind its back, and it is never called. Errors:
    // those of reads.
    [[nodiscard]] virtual Result<void> follow(AuthFollower& /*follower*/) { return {}; }
    virtual void unfollow() {}  // Returns once it is not called any more.
    // What the follower was told may be answered from. False: other daemons cannot be heard of, and
    // may have revoked anything. Always true of records of one process.
    [[nodiscard]] virtual bool is_current() const { return true; }

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
