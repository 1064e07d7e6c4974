// What is behind a descriptor: how wide a terminal, and whether it shows colors.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace export_worker::exportctl {

// Columns of the terminal behind `fd`, 80 when it does not say; 0 when there is no terminal.
[[nodiscard]] std::size_t columns_of(int fd);
// A terminal that knows escape sequences (TERM is neither empty nor "dumb").
[[nodiscard]] bool takes_escapes(int fd);
// The same, and NO_COLOR is not set (https://no-color.org).
[[nodiscard]] bool takes_colors(int fd);

// Characters, not bytes: how wide UTF-8 is without double-width letters.
[[nodiscard]] std::size_t width_of(std::string_view text);
// At most `columns` characters.
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t columns);

}  // namespace export_worker::exportctl
