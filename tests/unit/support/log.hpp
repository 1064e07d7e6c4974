// What the code under test has logged since the test began.
#pragma once

#include <string_view>

namespace export_worker::testing {

// True if a line holds `text`. Of the newest 10,000 lines.
[[nodiscard]] bool has_logged(std::string_view text);

}  // namespace export_worker::testing
