// Limits of daemon/control. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr int kOrganizationWeightMax = 100;

// One field of an audit line; the rest is cut off.
inline constexpr std::size_t kAuditTextBytesMax = 512;
inline constexpr std::size_t kAuditValueBytesMax = 128;  // Of `detail`; longer: its size only.
inline constexpr std::size_t kAuditIdBytesMax = 16;      // Of a key or a session; longer: hidden.

inline constexpr std::chrono::milliseconds kAlarmInterval{
    1'000};  // Between looks at what is wrong.

// Requests of operators inside plugins at once; more: overloaded.
inline constexpr unsigned kOperatorCallsMax = 8;
// At a stop, for those that run; then they are left behind.
inline constexpr std::chrono::milliseconds kOperatorCallsEndTimeout{1'000};

// A backup that crosses the control socket.
inline constexpr std::size_t kBackupPieceBytes = 1024 * 1024;  // Of a file, in one reply.
inline constexpr std::chrono::seconds kBackupIdleMax{60};      // Between two reads; then it ends.
inline constexpr std::chrono::seconds kBackupTimeMax{3'600};   // Of all of it; then it ends.
// Must stay free beside the copies that a backup makes; otherwise it is refused.
inline constexpr std::uint64_t kBackupFreeBytesMin = 16 * 1024 * 1024;

// For how long writes may wait while `compact` writes a database anew; pause_max_s sets another.
inline constexpr std::chrono::seconds kCompactPauseDefault{10};
inline constexpr std::chrono::seconds kCompactPauseMax{3'600};

inline constexpr std::size_t kSentFilesMax = 4;  // Plugin files being sent at once.
inline constexpr std::chrono::seconds kSentFileIdleMax{
    60};  // Without a piece; then it is given up.

inline constexpr std::size_t kAuditsPendingMax = 64;  // More: the oldest's outcome is "unknown".

}  // namespace export_worker::limits
