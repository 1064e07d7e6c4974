// --check-config and --check-syntax, the same in each program.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/options/config_file.hpp"

namespace export_worker::options {

enum class CheckExtent { kSyntax, kConfig };

// What a program finds out about what its configuration names.
struct ConfigCheck {
    std::vector<Error> complaints;      // What stands in the way of a start, and what to do.
    std::vector<std::string> warnings;  // What a start goes on with, and requests suffer from.
    std::vector<std::string> notes;     // What was not looked at, or may pass.
};

// Prints it. Returns the exit status of a start that meets the gravest of its complaints: 78 if one
// stays until an operator changes something, 75 if all can pass by themselves.
[[nodiscard]] int report_check(const char* program, const std::string& path,
                               const ConfigCheck& found);

// What a program knows of its configuration.
template <typename Config>
struct CheckedProgram {
    const char* name;
    std::function<Result<Config>(const std::string& path, Problems* problems)> read;
    std::function<ConfigCheck(const Config& config, const Problems& told)> check;
    // Prints; returns the exit status that belongs to it.
    std::function<int(const Error& problem)> tell;
};

// Prints everything that is wrong with the file at `path` and, with kConfig, with what it names.
// Returns the exit status.
template <typename Config>
int run_check(const std::string& path, CheckExtent extent, const CheckedProgram<Config>& program) {
    Problems problems;
    const Result<Config> config = program.read(path, &problems);
    if (!config) problems.push_back(config.error());
    int status = 0;
    for (const Error& problem : problems) status = std::max(status, program.tell(problem));
    if (!config || (status != 0 && extent == CheckExtent::kSyntax)) return status;
    if (auto log = init_log(config->log_level, config->log_format); !log)
        return program.tell(log.error());
    ConfigCheck found;
    if (extent == CheckExtent::kConfig) found = program.check(*config, problems);
    if (status == 0) return report_check(program.name, path, found);
    // The file has mistakes: what only may be wrong is left out.
    ConfigCheck sure;
    sure.complaints = std::move(found.complaints);
    return sure.complaints.empty() ? status
                                   : std::max(status, report_check(program.name, path, sure));
}

}  // namespace export_worker::options
