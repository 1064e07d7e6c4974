// exportctl. Exit status: see ExitCode in command.hpp.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "exportctl/command_line.hpp"
#include "exportctl/help.hpp"
#include "exportctl/output.hpp"
#include "exportctl/terminal.hpp"

namespace {

namespace options = export_worker::options;
namespace exportctl = export_worker::exportctl;
using exportctl::complain;

int print_help(const exportctl::CommandLine& line) {
    const std::size_t terminal = exportctl::columns_of(STDOUT_FILENO);
    const std::size_t columns = terminal == 0 ? 80 : terminal;
    exportctl::print_lines(line.command == nullptr ? exportctl::help_of_verbs(line.words, columns)
                                                   : exportctl::help_of(*line.command, columns));
    return exportctl::kExitOk;
}

int run_words(const std::vector<std::string>& words) {
    if (std::ranges::find(words, "--json") != words.end()) exportctl::report_errors_as_json();
    const auto line = exportctl::parse_command_line(words);
    if (!line) return complain(exportctl::kExitUsage, line.error().message);
    if (line->version) {
        exportctl::print_line("exportctl " EXPORT_WORKER_VERSION);
        return exportctl::kExitOk;
    }
    if (line->help) return print_help(*line);
    return line->command->run(line->context, line->arguments);
}

int run_main(const std::vector<std::string>& words) {
    const int status = run_words(words);
    const auto flushed = options::flush_output();
    if (flushed || status == exportctl::kExitOutput) return status;
    return complain(exportctl::kExitOutput, flushed.error().message);
}

}  // namespace

int main(int argc, char** argv) {
    return options::run_program("exportctl",
                                [&] { return run_main(options::words_of(argc, argv)); });
}
