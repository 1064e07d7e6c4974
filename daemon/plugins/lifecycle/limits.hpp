// Limits of daemon/plugins/lifecycle. A name ends in unit and bound; the comment says what happens
// at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr std::size_t kPluginMappedBytesMax = 256 * 1024 * 1024;  // Files of mapped images.
inline constexpr std::size_t kPluginReportsMax = 64;    // Reload reports kept in memory.
inline constexpr std::size_t kPluginHistoryMax = 500;   // Entries kept on disk per plugin.
inline constexpr std::size_t kPluginArtifactsKept = 8;  // Committed files kept for rolling back.
// Of a hash that an operator names; with fewer it may mean a file that was not meant.
inline constexpr std::size_t kPluginHashDigitsMin = 8;
inline constexpr std::chrono::milliseconds kWatchSettle{300};  // A file that is still changing.
// Deaths of the daemon in a row inside one call of a plugin file; then it is quarantined. In its
// probe; then only an operator's reload probes it again.
inline constexpr std::int64_t kPluginDeathsMax = 2;
// Crashes of one file inside handle() or on its own threads, as counted by starts within this time;
// then the next start goes back to the committed file before it.
inline constexpr std::int64_t kPluginCrashesMax = 2;
inline constexpr std::chrono::minutes kPluginCrashWindow{60};
// Calls into plugins that do not return; then no plugin is loaded any more.
inline constexpr std::size_t kPluginCallsHungMax = 8;
// Requests that have been in a generation for longer when the next one serves are stuck: a reload's
// report does not wait for them.
inline constexpr std::chrono::milliseconds kPluginStuckAfter{1'000};
// A start waits no longer for the configured files of plugins whose committed file serves.
inline constexpr std::chrono::milliseconds kPluginStartPatience{3'000};
// For all quiesce() and destroy() of a stop together, and for a load that it interrupts.
inline constexpr std::chrono::milliseconds kPluginStopTimeout{5'000};

}  // namespace export_worker::limits
