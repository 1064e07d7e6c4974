// exportctl. Exit status: see ExitCode in command.hpp.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "exportctl/command_line.hpp"
#include "exportctl/completion.hpp"
#include "exportctl/help.hpp"
#include "exportctl/input.hpp"
#include "exportctl/limits.hpp"
#include "exportctl/man_page.hpp"
#include "exportctl/output.hpp"
#include "exportctl/terminal.hpp"

namespace {

namespace options = export_worker::options;
namespace exportctl = export_worker::exportctl;
using exportctl::complain;

// For the shells' completion scripts.
int run_complete(std::span<const std::string> words) {
    for (const exportctl::Candidate& each : exportctl::complete(words))
        std::printf("%s\t%s\n", each.word.c_str(), each.help.c_str());
    return exportctl::kExitOk;
}

// For the build: the page of this name; all but exportctl.1 are made from standard input.
int run_man(const std::string& name) {
    std::string text;
    if (name != "exportctl.1") {
        auto input = exportctl::Input::open("-");
        if (!input) return input.error();
        auto all = input->read_all(export_worker::limits::kManInputBytesMax);
        if (!all) return complain(exportctl::kExitRefused, all.error().message);
        text = std::move(*all);
    }
    const auto page = exportctl::man_page(name, EXPORT_WORKER_VERSION, text);
    if (!page) return complain(exportctl::kExitUsage, page.error().message);
    std::fputs(page->c_str(), stdout);
    return exportctl::kExitOk;
}

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
    int status = exportctl::kExitOk;
    if (!words.empty() && words[0] == "_complete") {
        status = run_complete(std::span(words).subspan(1));
    } else if (words.size() == 2 && words[0] == "_man") {
        status = run_man(words[1]);
    } else {
        status = run_words(words);
    }
    const auto flushed = options::flush_output();
    if (flushed || status == exportctl::kExitOutput) return status;
    return complain(exportctl::kExitOutput, flushed.error().message);
}

}  // namespace

int main(int argc, char** argv) {
    return options::run_program("exportctl",
                                [&] { return run_main(options::words_of(argc, argv)); });
}
