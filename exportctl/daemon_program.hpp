// The daemon's program, for commands that need what only it has: the code that judges plugins and
// opens databases.
#pragma once

#include <string>
#include <vector>

#include "exportctl/command.hpp"

namespace export_worker::exportctl {

// Becomes it: the program that --daemon names, or the one beside this one, with `words`. Returns
// only, with the exit status, when it cannot be run.
int run_daemon_program(const Context& context, const options::Arguments& arguments,
                       std::vector<std::string> words);

}  // namespace export_worker::exportctl
