// Limits of daemon/cluster. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

// How long a daemon that shares a database with others may be silent before its jobs run elsewhere,
// and how often it says that it lives.
inline constexpr std::chrono::seconds kLeaseLengthDefault{10};
inline constexpr std::chrono::seconds kLeaseLengthMin{5};
inline constexpr std::chrono::seconds kLeaseLengthMax{60};
inline constexpr std::chrono::milliseconds kLeaseInterval{1'000};
// A daemon takes its own lease for ended so much sooner than the database does.
inline constexpr std::chrono::seconds kLeaseMargin{2};
// A leader that has not renewed for so long, or for as long as its lease, leads no more.
inline constexpr std::chrono::seconds kLeaderLength{10};
// One for the lease alone, one for everything else.
inline constexpr std::size_t kMembershipConnections = 2;
inline constexpr std::chrono::milliseconds kSeenPollInterval{10};
inline constexpr std::chrono::milliseconds kFollowInterval{20};  // Between two looks for changes.
inline constexpr std::size_t kInstancesListedMax = 1'000;
inline constexpr std::chrono::seconds kDatabaseCheckInterval{30};
// An older snapshot keeps dead rows from being removed: an alarm.
inline constexpr std::chrono::seconds kSnapshotAgeMax{300};
// Links are dated by the daemon's clock. More off the database's: an alarm.
inline constexpr std::chrono::seconds kClockOffsetMax{2};

}  // namespace export_worker::limits
