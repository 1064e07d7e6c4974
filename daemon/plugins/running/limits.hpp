// Limits of daemon/plugins/running. A name ends in unit and bound; the comment says what happens at
// it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr std::size_t kPluginNameBytesMax = 64;
inline constexpr std::size_t kPluginMethodsMax = 64;
inline constexpr std::size_t kPluginErrorBytesMax = 1024;
inline constexpr std::size_t kPluginCountersMax = 64;
// When to ask again after a plugin said `unavailable` and had done nothing, as for a store that is
// away: an operator has to act.
inline constexpr std::uint32_t kPluginUnavailableRetryMs = 10'000;
// For thread-local destructors of plugins at the end of the thread that creates and ends them.
inline constexpr std::chrono::milliseconds kPluginThreadEndTimeout{1'000};
inline constexpr std::size_t kPluginCrashesBytesMax = 64 * 1024;
inline constexpr std::size_t kPluginCrashLineBytesMax = 256;
// Images whose code is known to the crash handlers; crashes in the threads of others are not told.
inline constexpr std::size_t kPluginImagesMax = 1024;
// Of a crashed thread's stack, looked through for a plugin's code.
inline constexpr std::size_t kPluginCrashStackBytesMax = 64 * 1024;

inline constexpr std::size_t kShadowMembersMax = 16;  // That differ; of others nothing is kept.
inline constexpr std::size_t kShadowMemberBytesMax = 256;

}  // namespace export_worker::limits
