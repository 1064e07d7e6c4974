// The help of exportctl, made from the table of commands.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "exportctl/command.hpp"

namespace export_worker::exportctl {

// Lines of at most `columns` characters, as far as words allow, each with its line end.
// All verbs whose words begin with `words`; none: of all, and what they have in common.
[[nodiscard]] std::string help_of_verbs(std::span<const std::string> words, std::size_t columns);
[[nodiscard]] std::string help_of(const Command& command, std::size_t columns);

// "exportctl key rotate ID --overlap TIME [FLAGS]".
[[nodiscard]] std::string synopsis_of(const Command& command);
// "--overlap TIME".
[[nodiscard]] std::string name_of(const Flag& flag);
// Help, values and default of a flag in one sentence.
[[nodiscard]] std::string describe(const Flag& flag);

}  // namespace export_worker::exportctl
