// How long the identity provider is left alone after a 429.
#pragma once

#include <chrono>
#include <string_view>

namespace export_worker::auth {

// What the field Retry-After says in seconds, kProviderBackOffMin to kProviderBackOffMax;
// kProviderBackOffDefault when it is missing or a date.
[[nodiscard]] std::chrono::seconds back_off_of(std::string_view retry_after);

}  // namespace export_worker::auth
