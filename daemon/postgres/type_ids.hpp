// Numbers of the types of PostgreSQL that are used (pg_type.dat; they never change), and the format
// of its times. Private to daemon/postgres.
#pragma once

#include <cstdint>

namespace export_worker::postgres {

inline constexpr unsigned kBoolean = 16;
inline constexpr unsigned kBigint = 20;
inline constexpr unsigned kSmallint = 21;
inline constexpr unsigned kInteger = 23;
inline constexpr unsigned kText = 25;
inline constexpr unsigned kBigintArray = 1016;
inline constexpr unsigned kTextArray = 1009;
inline constexpr unsigned kTimestamptz = 1184;

// A timestamptz is microseconds since 2000-01-01T00:00:00Z.
inline constexpr std::int64_t kEpochUnixUs = 946'684'800'000'000;

}  // namespace export_worker::postgres
