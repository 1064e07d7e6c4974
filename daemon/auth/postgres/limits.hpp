// Limits of daemon/auth/postgres. A name ends in unit and bound; the comment says what happens at
// it.
#pragma once

namespace export_worker::limits {

// A write whose outcome is unknown is run so often before its caller is told.
inline constexpr int kAuthOutcomeTriesMax = 3;

}  // namespace export_worker::limits
