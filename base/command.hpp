// Another program, run to its end with a bound: what it prints, and how it ends.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace export_worker {

struct CommandEnd {
    int status = 0;      // Its exit status; 128 + N when signal N ended it.
    std::string output;  // Standard output and standard error, at most kCommandOutputBytesMax.
};

// Runs `words`: the program, found in PATH, and its arguments, with /dev/null as standard input and
// a process group of its own. After `timeout` the group is killed. Errors: kNotFound, no such
// program; kFailedPrecondition, it cannot be run; kDeadlineExceeded, it took longer than `timeout`.
// [any-thread]
[[nodiscard]] Result<CommandEnd> run_command(const std::vector<std::string>& words,
                                             std::chrono::milliseconds timeout);

}  // namespace export_worker
