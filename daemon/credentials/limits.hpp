// Limits of daemon/credentials. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

inline constexpr std::chrono::milliseconds kCredentialTimeout{5'000};  // One fetch, all of it.
inline constexpr std::size_t kCredentialAnswerBytesMax = 64 * 1024;
inline constexpr std::chrono::milliseconds kCredentialWatchInterval{500};  // Looks at the files.
inline constexpr std::chrono::seconds kCredentialAhead{300};   // Renewed this long before the end.
inline constexpr std::chrono::seconds kCredentialRetryMin{1};  // After a failed fetch, doubling.
inline constexpr std::chrono::seconds kCredentialRetryMax{60};
// A source that returned the same credentials again is asked again after this long.
inline constexpr std::chrono::seconds kCredentialSameAgain{60};

}  // namespace export_worker::limits
