// --check-config and --check-syntax, the same in each program.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/options/config_file.hpp"

namespace export_worker::options {

enum class CheckExtent { kSyntax, kConfig };

// What a program knows of its configuration. `Found` has `complaints`.
template <typename Config, typename Found>
struct CheckedProgram {
    std::function<Result<Config>(const std::string& path, Problems* problems)> read;
    std::function<Found(const Config& config, const Problems& told)> check;
    // Prints; both return the exit status that belongs to it.
    std::function<int(const Error& problem)> tell;
    std::function<int(const std::string& path, const Found& found)> report;
};

// Prints everything that is wrong with the file at `path` and, with kConfig, with what it names.
// Returns the exit status.
template <typename Config, typename Found>
int run_check(const std::string& path, CheckExtent extent,
              const CheckedProgram<Config, Found>& program) {
    Problems problems;
    const Result<Config> config = program.read(path, &problems);
    if (!config) problems.push_back(config.error());
    int status = 0;
    for (const Error& problem : problems) status = std::max(status, program.tell(problem));
    if (!config || (status != 0 && extent == CheckExtent::kSyntax)) return status;
    if (auto log = init_log(config->log_level, config->log_format); !log)
        return program.tell(log.error());
    Found found;
    if (extent == CheckExtent::kConfig) found = program.check(*config, problems);
    if (status == 0) return program.report(path, found);
    // The file has mistakes: what only may be wrong is left out.
    Found sure;
    sure.complaints = std::move(found.complaints);
    return sure.complaints.empty() ? status : std::max(status, program.report(path, sure));
}

}  // namespace export_worker::options
