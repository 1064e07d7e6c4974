// The verbs of exportctl in one table: what is parsed, the help, completions and the manual page
// are made from it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
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
    kExitInterrupted = 130,                  // Ctrl-C; the daemon goes on.
};

// Name and meaning of each, for the help and the manual page.
struct ExitStatus {
    ExitCode code;
    const char* name;  // As JSON errors have it.
    const char* meaning;
};
[[nodiscard]] std::span<const ExitStatus> exit_statuses();

inline constexpr const char* kConfigVariable = "EXPORT_WORKER_CONFIG";
inline constexpr const char* kConfigDefault = "/etc/export-worker/export-worker.ini";

struct Context {
    std::string config_path;
    bool config_given = false;  // By --config or EXPORT_WORKER_CONFIG.
    bool json = false;          // Answers for programs, on stdout, one JSON value.
};

// What a flag takes; decides how its value is checked and completed.
enum class Kind { kSwitch, kText, kNumber, kLength, kFile, kDirectory };

struct Flag {
    const char* name;
    Kind kind;
    std::string_view value;  // What the value is called in the help; empty for a switch.
    std::string_view help;
    // The value when it is absent, for the help; empty: none, or the help says it.
    std::string_view default_value = {};
    // Values it takes, separated by blanks; empty: any. Of a kNumber: words that it takes, too.
    std::string_view choices = {};
};

struct Command {
    std::string_view words;      // "catalog import"
    std::string_view arguments;  // "NAME FILE"; "[NAME]" may be absent.
    std::string_view flags;  // Names of its own, separated by blanks; "!" behind a required one.
    std::string_view exclusive;  // Pairs that contradict each other: "hold|release".
    std::string_view help;
    std::string_view examples;  // One a line, without the program's name.
    // `arguments.words` without the command's own words. Returns an ExitCode.
    int (*run)(const Context& context, const options::Arguments& arguments);
};

[[nodiscard]] std::span<const Command> commands();
[[nodiscard]] std::span<const Flag> all_flags();
// Aborts for a name that is not in all_flags().
[[nodiscard]] const Flag& flag_named(std::string_view name);
// Those that every verb takes.
[[nodiscard]] std::span<const std::string_view> global_flags();

struct OwnFlag {
    const Flag* flag;
    bool required;
};
// A command's own flags, in the order of the table.
[[nodiscard]] std::vector<OwnFlag> flags_of(const Command& command);
// The parts of a list of the table: "a b" with ' ', "hold|release" with '|'.
[[nodiscard]] std::vector<std::string_view> split(std::string_view list, char separator = ' ');
// The fewest and the most arguments it takes.
[[nodiscard]] std::pair<std::size_t, std::size_t> argument_counts(const Command& command);
// The command that `words` begin with, or nullptr.
[[nodiscard]] const Command* find_command(std::span<const std::string> words);
// The commands whose words begin with `words` and go on behind them.
[[nodiscard]] std::vector<const Command*> commands_below(std::span<const std::string> words);

}  // namespace export_worker::exportctl
