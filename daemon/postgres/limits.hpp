// Limits of daemon/postgres. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

inline constexpr int kPostgresServerVersionMin = 140'000;  // As libpq has it: 14.0.
inline constexpr std::size_t kPostgresConnectionsDefault = 8;
// For one address of a server; the next of its addresses follows.
inline constexpr std::chrono::seconds kPostgresConnectTimeout{3};
// The server ends a statement, a wait for a lock and a forgotten transaction after so long.
inline constexpr std::chrono::milliseconds kPostgresStatementTimeout{5'000};
inline constexpr std::chrono::milliseconds kPostgresLockTimeout{2'000};
inline constexpr std::chrono::milliseconds kPostgresIdleTransactionTimeout{5'000};
// An answer that has not come so long after the server's own bound never comes: the connection is
// given up.
inline constexpr std::chrono::milliseconds kPostgresAnswerMargin{2'000};
// A step of the schema may build an index.
inline constexpr std::chrono::milliseconds kPostgresMigrationTimeout{300'000};
// Unanswered bytes, and silence of an idle peer, on TCP.
inline constexpr std::chrono::milliseconds kPostgresTcpUserTimeout{5'000};
inline constexpr std::chrono::seconds kPostgresKeepaliveIdle{5};
// A caller waits so long for a connection, then fails.
inline constexpr std::chrono::milliseconds kPostgresBorrowWaitMax{5'000};
// Writes of one transaction of a batch, and tries of a commit whose outcome is unknown.
inline constexpr std::size_t kBatchWritesMax = 256;
inline constexpr int kBatchTriesMax = 4;
// Lookups that go together: keys of one statement, and statements at once.
inline constexpr std::size_t kLookupKeysMax = 64;
inline constexpr std::size_t kLookupRoundsMax = 2;
// A caller waits so long for the round that answers it, then fails.
inline constexpr std::chrono::milliseconds kLookupWaitMax{10'000};
// After a connection could not be made: before the next one is tried, with jitter.
inline constexpr std::chrono::milliseconds kPostgresReconnectBase{50};
inline constexpr std::chrono::milliseconds kPostgresReconnectMax{2'000};
// A transaction that the server gave up for others (40001, 40P01), or whose connection ended before
// its commit, runs so often, with jitter between, and not again once so much time has passed.
inline constexpr int kPostgresTriesMax = 6;
inline constexpr std::chrono::milliseconds kPostgresRetryBase{5};
inline constexpr std::chrono::milliseconds kPostgresRetryMax{200};
inline constexpr std::chrono::milliseconds kPostgresRetryTimeMax{10'000};

}  // namespace export_worker::limits
