// Exit statuses of the daemon and the shim (sysexits.h). systemd starts a service again after
// kExitTryAgain and never after kExitUsage or kExitConfig (RestartPreventExitStatus in
// etc/systemd).
#pragma once

#include "base/error.hpp"

namespace export_worker {

inline constexpr int kExitUsage = 64;     // EX_USAGE
inline constexpr int kExitSoftware = 70;  // EX_SOFTWARE
inline constexpr int kExitTryAgain = 75;  // EX_TEMPFAIL
inline constexpr int kExitConfig = 78;    // EX_CONFIG

// The exit status of a start that failed with `code`: kExitConfig if it fails until an operator
// changes something (configuration, permissions, files it names, a damaged database), kExitTryAgain
// for what can pass by itself (a full disk, an address in use, a store or a database away).
[[nodiscard]] int start_exit_status(ErrorCode code);

}  // namespace export_worker
