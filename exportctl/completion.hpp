// What can stand at the end of a command line that is being typed. The shells' scripts
// (exportctl/completions) ask the program: exportctl _complete WORD ...
#pragma once

#include <span>
#include <string>
#include <vector>

namespace export_worker::exportctl {

// A candidate with what it means; or alone ":files" or ":directories", which the shell lists
// itself.
struct Candidate {
    std::string word;
    std::string help;
};

// `words` without the program's name; the last is what is typed so far, maybe empty. A "=" that
// bash has split off is skipped. Asks no daemon.
[[nodiscard]] std::vector<Candidate> complete(std::span<const std::string> words);

}  // namespace export_worker::exportctl
