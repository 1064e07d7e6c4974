// Limits of daemon/control. A name ends in unit and bound; the comment says what happens at it.
#pragma once

namespace export_worker::limits {

inline constexpr int kOrganizationWeightMax = 100;

}  // namespace export_worker::limits
