// From the words of the command line to a command and its checked flags.
#pragma once

#include <string>
#include <vector>

#include "exportctl/command.hpp"

namespace export_worker::exportctl {

struct CommandLine {
    bool version = false;
    bool help = false;                 // Asked for; without a command: of the verbs below `words`.
    const Command* command = nullptr;  // Null: only with `version` or `help`.
    std::vector<std::string> words = {};  // Before they were taken apart.
    options::Arguments arguments = {};    // `words` without the command's own.
    Context context = {};
};

// `words` without the program's name. Everything that can be wrong without asking a daemon is
// refused: unknown verbs and flags, missing and contradictory ones, values of the wrong kind.
// Errors: kInvalidArgument, with what to do.
[[nodiscard]] Result<CommandLine> parse_command_line(const std::vector<std::string>& words);

}  // namespace export_worker::exportctl
