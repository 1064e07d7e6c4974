// The command line: long flags, some with a value, and positional words. Boost.Program_options
// underneath.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker::options {

struct Flag {
    const char* name;   // Without the dashes.
    const char* value;  // What its value is called in the help, or nullptr for a switch.
    const char* help;
};

struct Arguments {
    std::map<std::string, std::string> flags;  // A switch has an empty value.
    std::vector<std::string> words;            // Everything that is no flag, in order.

    [[nodiscard]] bool has(std::string_view flag) const {
        return flags.contains(std::string(flag));
    }
    // The flag's value, or `otherwise` when it was not given.
    [[nodiscard]] std::string get(std::string_view flag, std::string_view otherwise = "") const;
};

// `words` without the program's name. Errors: kInvalidArgument, saying what was not understood.
[[nodiscard]] Result<Arguments> parse_arguments(const std::vector<std::string>& words,
                                                std::span<const Flag> flags);

// One line a flag, aligned, for --help.
[[nodiscard]] std::string describe_flags(std::span<const Flag> flags);

// The status of programs whose standard output could not be written (EX_IOERR).
inline constexpr int kExitOutputLost = 74;

// Writes what is buffered for standard output. Errors: kDataLoss when any of the output is lost.
[[nodiscard]] Result<void> flush_output();

// What main() returns: the status of `body`, after its output is written. Says on stderr what is
// wrong and returns 70 (EX_SOFTWARE) when an exception leaves `body`, and kExitOutputLost when
// output is lost. `program` is the name in front of the message. Ignores SIGXFSZ.
[[nodiscard]] int run_program(const char* program, const std::function<int()>& body);

// argv as strings, less the program's name.
[[nodiscard]] std::vector<std::string> words_of(int argc, char** argv);

}  // namespace export_worker::options
