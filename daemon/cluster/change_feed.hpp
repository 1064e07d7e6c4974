// What daemons keep in memory and others may change: a version for each kind of it, raised in the
// transaction of the change.
//
// Pure: no database. Membership brings what a renewal of the lease has read.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::cluster {

enum class ChangeKind : std::uint8_t {
    kAuth,  // Keys, members, sessions.
    kFile,  // Files of finished jobs: withdrawn, expired, forgotten.
};
inline constexpr int kChangeKinds = 2;

// Where a kind stands.
struct Changes {
    bool operator==(const Changes&) const = default;

    std::int64_t version = 0;  // 0: nothing was ever changed.
    // Grows when the database may have lost versions (failover): what is in memory has to be read
    // again as a whole.
    std::int64_t history = 0;
};

// Raises the version of the kind in the caller's transaction; the new one. Other transactions that
// raise it wait until this one has ended. Its changes are found by this version.
[[nodiscard]] Result<std::int64_t> raise_change(postgres::Connection& connection, ChangeKind kind);
// What is committed.
[[nodiscard]] Result<std::int64_t> read_version(postgres::Connection& connection, ChangeKind kind);

// Is a memory that follows the changes good enough to answer from? Yes, while the last renewal of
// the lease all of whose changes are in memory was sent not long ago. [one-owner]
class FollowedChanges {
public:
    // A renewal that was sent at `sent` has read `version`.
    void renewed(SteadyTime sent, std::int64_t version);
    // Versions may have been lost.
    void lose_history();
    // Memory has everything up to `seen`. One of another history is nothing new.
    void follow(const Changes& seen);

    [[nodiscard]] const Changes& newest() const { return newest_; }
    // -1: nothing of this history is in memory.
    [[nodiscard]] std::int64_t seen() const { return seen_; }
    // When the last renewal that memory has caught up with was sent; nullopt: never.
    [[nodiscard]] std::optional<SteadyTime> current_at() const { return current_at_; }

private:
    struct Renewal {
        SteadyTime sent;
        std::int64_t version = 0;
    };
    Changes newest_;
    std::int64_t seen_ = -1;
    std::optional<SteadyTime> current_at_;
    std::optional<Renewal> ahead_;  // The first whose changes are not in memory.
};

}  // namespace export_worker::cluster
