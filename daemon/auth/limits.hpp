// Limits of daemon/auth. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr std::size_t kApiKeysMax = 100'000;  // Neither revoked nor expired.
inline constexpr std::chrono::seconds kKeyLengthMax{10 * 366 * 86'400};
inline constexpr std::chrono::seconds kKeyOverlapMax{90 * 86'400};
inline constexpr std::chrono::seconds kKeyUseInterval{60};  // Between two writes of last uses.
inline constexpr std::size_t kKeyUsesPerWrite = 1'000;      // Written in one transaction.

inline constexpr std::size_t kPageRowsMax = 500;  // Keys, members or sessions of one answer.

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
// Verified JWTs, sessions of the provider, tokens the provider does not know: each. The oldest
// goes.
inline constexpr std::size_t kTokensCachedMax = 10'000;
inline constexpr std::chrono::seconds kJwksRefreshSoonest{10};  // However many unknown kids come.
inline constexpr std::chrono::milliseconds kSessionAskTimeout{3'000};
inline constexpr int kSessionAskFailuresMax =
    5;  // In a row; then the provider gets no requests for a while.
inline constexpr std::chrono::seconds kSessionAskPause{10};
// After a 429 the provider is left alone for as long as it says, within these bounds.
inline constexpr std::chrono::seconds kProviderBackOffMin{1};
inline constexpr std::chrono::seconds kProviderBackOffMax{60};
inline constexpr std::chrono::seconds kProviderBackOffDefault{10};
// A session that the provider knew still works for so long after session_cache_s while the provider
// cannot be asked.
inline constexpr std::chrono::seconds kSessionStaleMax{300};
// What may be a session of the provider: anything else is refused here.
inline constexpr std::size_t kSessionTokenBytesMin = 16;
inline constexpr std::size_t kSessionTokenBytesMax = 1024;
// Lookups of sessions that were never seen here, by client address (limit_group()) and, of clients
// without one, in all. More: rate_limited.
inline constexpr std::uint64_t kAddressLookupsPerSecond = 2;
inline constexpr std::uint64_t kAddressLookupsBurst = 20;
inline constexpr std::uint64_t kUnaddressedLookupsPerSecond = 20;
inline constexpr std::uint64_t kUnaddressedLookupsBurst = 200;

}  // namespace export_worker::limits
