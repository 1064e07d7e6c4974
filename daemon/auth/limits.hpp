// Limits of daemon/auth. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

inline constexpr std::size_t kApiKeysMax = 100'000;

inline constexpr std::size_t kJwksKeysMax = 32;
inline constexpr std::size_t kJwksBytesMax = 256 * 1024;
inline constexpr std::size_t kJwtKidBytesMax = 256;
inline constexpr std::size_t kJwtDepthMax = 8;
inline constexpr std::size_t kJwtValuesMax = 16'384;  // Of a token's parts and of a key set.
inline constexpr std::size_t kSubjectBytesMax = 128;
inline constexpr std::size_t kMembershipsMax = 64;  // In one token.
inline constexpr std::size_t kMemberRolesMax = 32;
inline constexpr std::size_t kMembersMax = 100'000;
inline constexpr std::size_t kSessionsMax = 100'000;  // Opaque, and not over.
inline constexpr std::chrono::seconds kSessionLengthMax{366 * 86'400};
inline constexpr std::size_t kTokensCachedMax = 10'000;         // The oldest goes.
inline constexpr std::chrono::seconds kJwksRefreshSoonest{10};  // However many unknown kids come.
inline constexpr std::chrono::milliseconds kSessionAskTimeout{3'000};
inline constexpr int kSessionAskFailuresMax = 5;  // In a row; then nobody is asked for a while.
inline constexpr std::chrono::seconds kSessionAskPause{10};

}  // namespace export_worker::limits
