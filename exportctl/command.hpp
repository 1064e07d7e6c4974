// A verb of exportctl: its words, its flags, and what it does.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/options/arguments.hpp"
#include "base/result.hpp"

namespace export_worker::exportctl {

// Stable: scripts depend on them.
enum ExitCode : int {
    kExitOk = 0,
    kExitRefused = 1,                        // The daemon, or the job's outcome, said no.
    kExitUsage = 64,                         // The command line is wrong.
    kExitBadData = 65,                       // Some input lines were bad; the good ones were taken.
    kExitUnavailable = 69,                   // No daemon answers.
    kExitOutput = options::kExitOutputLost,  // Standard output could not be written.
    kExitConfig = 78,                        // The configuration cannot be used.
};

struct Context {
    std::string config_path;
    bool json = false;  // Answers for programs, on stdout, one JSON value.
};

struct Command {
    std::string_view words;      // "catalog import"
    std::string_view arguments;  // "FILE", for the help
    std::size_t arguments_min;
    std::size_t arguments_max;
    std::string_view flags;  // Names of its own flags, separated by blanks.
    std::string_view help;
    // `arguments.words` without the command's own words. Returns an ExitCode.
    int (*run)(const Context& context, const options::Arguments& arguments);
};

[[nodiscard]] std::span<const Command> commands();
[[nodiscard]] std::span<const options::Flag> all_flags();

// Prints "exportctl: text" on stderr and returns `code`.
int complain(ExitCode code, std::string_view text);

}  // namespace export_worker::exportctl
