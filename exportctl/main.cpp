// exportctl. Exit status: see ExitCode in command.hpp.
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>

#include "base/text.hpp"
#include "exportctl/command.hpp"

namespace {

namespace options = export_worker::options;
using export_worker::exportctl::Command;
using export_worker::exportctl::commands;
using export_worker::exportctl::complain;
using export_worker::exportctl::kExitOk;
using export_worker::exportctl::kExitUsage;

constexpr std::size_t kVerbWordsMax = 3;
constexpr std::string_view kGlobalFlags = " config json help version ";

bool is_listed(std::string_view flags, std::string_view name) {
    return (" " + std::string(flags) + " ").find(" " + std::string(name) + " ") !=
           std::string::npos;
}

void print_help() {
    std::printf("Usage: exportctl [--config FILE] [--json] VERB ...\n\nVerbs:\n");
    for (const Command& command : commands()) {
        const std::string left = std::string(command.words) + " " + std::string(command.arguments);
        std::printf("  %-22s %s\n", left.c_str(), std::string(command.help).c_str());
    }
    std::printf(
        "\nexportctl VERB --help shows a verb's flags. Exit status: 0 done, 1 refused, 64 wrong "
        "command line, 65 some\n"
        "input was bad, 69 no daemon, 74 output lost, 78 bad configuration.\n");
}

void print_help(const Command& command) {
    std::printf("Usage: exportctl %s%s%s [FLAGS]\n\n%s\n\n", std::string(command.words).c_str(),
                command.arguments.empty() ? "" : " ", std::string(command.arguments).c_str(),
                std::string(command.help).c_str());
    std::vector<options::Flag> flags;
    for (const options::Flag& flag : export_worker::exportctl::all_flags()) {
        if (is_listed(command.flags, flag.name) || is_listed(kGlobalFlags, flag.name))
            flags.push_back(flag);
    }
    std::printf("%s", options::describe_flags(flags).c_str());
}

// The command whose words the line starts with; removes them.
const Command* find_command(std::vector<std::string>& words) {
    std::string asked;
    for (std::size_t count = 1; count <= std::min(words.size(), kVerbWordsMax); ++count) {
        asked += (count > 1 ? " " : "") + words[count - 1];
        const auto command = std::ranges::find(commands(), asked, &Command::words);
        if (command == commands().end()) continue;
        words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(count));
        return &*command;
    }
    return nullptr;
}

int unknown_verb(const std::vector<std::string>& words) {
    std::string asked;
    for (std::size_t index = 0; index < words.size() && index < 2; ++index)
        asked += (index > 0 ? " " : "") + words[index];
    std::vector<std::string_view> known;
    for (const Command& command : commands()) known.push_back(command.words);
    const auto near = export_worker::closest(asked, known.data(), known.size());
    return complain(kExitUsage, "no verb '" + export_worker::printable(asked) + "'" +
                                    (near ? "; did you mean '" + std::string(*near) + "'?"
                                          : "; exportctl --help lists them"));
}

int run_main(int argc, char** argv) {
    auto arguments = options::parse_arguments(options::words_of(argc, argv),
                                              export_worker::exportctl::all_flags());
    if (!arguments)
        return complain(kExitUsage, arguments.error().message + "; see exportctl --help");
    if (arguments->has("version")) {
        std::printf("exportctl %s\n", EXPORT_WORKER_VERSION);
        return kExitOk;
    }
    if (arguments->words.empty()) {
        print_help();
        return arguments->has("help") ? kExitOk : kExitUsage;
    }
    const std::vector<std::string> asked = arguments->words;
    const Command* command = find_command(arguments->words);
    if (command == nullptr) return unknown_verb(asked);
    if (arguments->has("help")) {
        print_help(*command);
        return kExitOk;
    }
    for (const auto& flag : arguments->flags) {
        if (!is_listed(command->flags, flag.first) && !is_listed(kGlobalFlags, flag.first)) {
            return complain(kExitUsage, std::string(command->words) + ": has no flag --" +
                                            flag.first + "; see exportctl " +
                                            std::string(command->words) + " --help");
        }
    }
    if (arguments->words.size() < command->arguments_min ||
        arguments->words.size() > command->arguments_max) {
        return complain(
            kExitUsage,
            std::string(command->words) + ": expected " +
                (command->arguments.empty() ? "no arguments" : std::string(command->arguments)) +
                ", found " + std::to_string(arguments->words.size()) + " words");
    }
    export_worker::exportctl::Context context;
    context.config_path = arguments->get("config", "/etc/export-worker/export-worker.ini");
    context.json = arguments->has("json");
    return command->run(context, *arguments);
}

}  // namespace

int main(int argc, char** argv) {
    return options::run_program("exportctl", [&] { return run_main(argc, argv); });
}
