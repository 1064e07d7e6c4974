// Comparing secrets, and forgetting them.
#pragma once

#include <string>
#include <string_view>

namespace export_worker::crypto {

// Takes the same time whatever differs; only the lengths are not secret.
[[nodiscard]] bool equal_constant_time(std::string_view a, std::string_view b);
// Overwrites the characters in a way the compiler may not drop, then empties the string.
void wipe(std::string& secret);

}  // namespace export_worker::crypto
