#include "daemon/auth/back_off.hpp"

#include <algorithm>
#include <cstdint>

#include "base/text.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {

std::chrono::seconds back_off_of(std::string_view retry_after) {
    constexpr std::uint64_t kMin = limits::kProviderBackOffMin.count();
    constexpr std::uint64_t kMax = limits::kProviderBackOffMax.count();
    constexpr std::uint64_t kDefault = limits::kProviderBackOffDefault.count();
    return std::chrono::seconds(
        std::clamp(parse_unsigned(retry_after).value_or(kDefault), kMin, kMax));
}

}  // namespace export_worker::auth
