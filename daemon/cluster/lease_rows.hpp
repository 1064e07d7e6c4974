// The rows of this life of the daemon: its lease, and the leader's. Private to daemon/cluster; each
// inside one transaction. All times are the database's.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "daemon/cluster/change_feed.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::cluster {

struct NewLife {
    std::string id = {};
    std::string before =
        {};  // The id that this process had before, whose life is over; empty: none.
    std::string name = {};
    std::string version = {};
    std::string file_hashes = {};
    std::int64_t started_us = 0;
    std::array<std::int64_t, kChangeKinds> seen{};
};
[[nodiscard]] Result<void> enter_life(postgres::Connection& connection, const NewLife& life,
                                      std::chrono::microseconds lease_length);

struct LeaseState {
    std::string id = {};
    std::array<std::int64_t, kChangeKinds> seen{};  // Ignored on another timeline than `timeline`.
    std::optional<std::int64_t> clock_offset_us = {};
    std::string timeline = {};  // The database's, at the last renewal; empty: unknown.
    bool reads_timeline = false;
};
struct Renewal {
    std::int64_t database_us = 0;
    std::int64_t lease_left_us = 0;  // Before this renewal; below 0: the lease had ended.
    std::array<std::int64_t, kChangeKinds> versions{};
    std::optional<std::int64_t> term;  // This instance leads.
    bool is_leader_free = false;       // No daemon leads now.
    std::string timeline;              // Empty: unknown.
};
// nullopt: this life is over, by an eviction or because others took it for dead.
[[nodiscard]] Result<std::optional<Renewal>> renew_lease(postgres::Connection& connection,
                                                         const LeaseState& state,
                                                         std::chrono::microseconds lease_length);
// How long a leader leads after a renewal: kLeaderLength, and no longer than its lease, so that the
// jobs of a leader that dies are put back as soon as those of any other daemon.
[[nodiscard]] std::chrono::microseconds leader_length(std::chrono::microseconds lease_length);
// The new term; nullopt: another one leads.
[[nodiscard]] Result<std::optional<std::int64_t>> take_lead(postgres::Connection& connection,
                                                            const std::string& id,
                                                            std::chrono::microseconds lease_length);
// For a daemon that stops: no other daemon waits for it any more.
[[nodiscard]] Result<void> end_life(postgres::Connection& connection, const std::string& id);

// May this role read the timeline?
[[nodiscard]] Result<bool> may_read_timeline(postgres::Connection& connection);

// Those that may still answer from a memory without `version`.
struct Unaware {
    std::int64_t instances = 0;
    std::chrono::microseconds longest{0};  // Until the last of their leases ends.
};
[[nodiscard]] Result<Unaware> count_unaware(postgres::Connection& connection, ChangeKind kind,
                                            std::int64_t version, const std::string& own_id);

}  // namespace export_worker::cluster
