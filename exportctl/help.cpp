#include "exportctl/help.hpp"

#include <algorithm>
#include <vector>

#include "exportctl/table.hpp"
#include "exportctl/terminal.hpp"

namespace export_worker::exportctl {
namespace {

struct Entry {
    std::string left;
    std::string right;
};

std::string paragraph(std::string_view text, std::size_t columns) {
    std::string out;
    for (const std::string& line : wrap(text, columns)) out += line + "\n";
    return out;
}

// Two columns, the left one as wide as its entries. Where that leaves too little for the right one,
// it begins below the left.
std::string list(const std::vector<Entry>& entries, std::size_t columns) {
    constexpr std::size_t kIndent = 2;
    constexpr std::size_t kRightMin = 40;
    std::size_t left = 0;
    for (const Entry& entry : entries) left = std::max(left, width_of(entry.left));
    left += 2 * kIndent;
    if (columns < left + kRightMin) left = 3 * kIndent;
    std::string out;
    for (const Entry& entry : entries) {
        std::string line(kIndent, ' ');
        line += entry.left;
        if (width_of(line) + kIndent > left) {
            out += line + "\n";
            line.clear();
        }
        for (const std::string& part : wrap(entry.right, columns > left ? columns - left : 1)) {
            line.append(left - width_of(line), ' ');
            out += line + part + "\n";
            line.clear();
        }
    }
    return out;
}

std::string flag_list(const char* title, const std::vector<const Flag*>& flags,
                      std::size_t columns) {
    if (flags.empty()) return "";
    std::vector<Entry> entries;
    entries.reserve(flags.size());
    for (const Flag* flag : flags) entries.push_back({name_of(*flag), describe(*flag)});
    return "\n" + std::string(title) + ":\n" + list(entries, columns);
}

std::vector<const Flag*> own_flags(const Command& command, bool required) {
    std::vector<const Flag*> out;
    for (const OwnFlag& each : flags_of(command)) {
        if (each.required == required) out.push_back(each.flag);
    }
    return out;
}

std::vector<const Flag*> shared_flags() {
    std::vector<const Flag*> out;
    for (const std::string_view name : global_flags()) out.push_back(&flag_named(name));
    return out;
}

std::string exit_status_list(std::size_t columns) {
    std::vector<Entry> entries;
    for (const ExitStatus& status : exit_statuses())
        entries.push_back({std::to_string(status.code), status.meaning});
    return "\nExit status:\n" + list(entries, columns);
}

}  // namespace

std::string synopsis_of(const Command& command) {
    std::string out = "exportctl " + std::string(command.words);
    if (!command.arguments.empty()) out += " " + std::string(command.arguments);
    for (const Flag* flag : own_flags(command, true)) out += " " + name_of(*flag);
    return own_flags(command, false).empty() ? out : out + " [FLAGS]";
}

std::string name_of(const Flag& flag) {
    return std::string("--") + flag.name + (flag.value.empty() ? "" : " ") +
           std::string(flag.value);
}

std::string describe(const Flag& flag) {
    std::string out(flag.help);
    if (!flag.choices.empty() && flag.kind == Kind::kText) {
        std::string names;
        for (const std::string_view choice : split(flag.choices))
            names += (names.empty() ? "" : ", ") + std::string(choice);
        out += ": " + names;
    }
    if (!flag.default_value.empty()) out += " (default: " + std::string(flag.default_value) + ")";
    return out;
}

std::string help_of_verbs(std::span<const std::string> words, std::size_t columns) {
    std::vector<Entry> entries;
    for (const Command* command : commands_below(words)) {
        const std::string arguments(command->arguments);
        entries.push_back({std::string(command->words) + (arguments.empty() ? "" : " ") + arguments,
                           std::string(command->help)});
    }
    std::string group;
    for (const std::string& word : words) group += word + " ";
    std::string out =
        paragraph("Usage: exportctl [--config FILE] [--json] " + group + "VERB ...", columns) +
        "\nVerbs:\n" + list(entries, columns);
    if (words.empty())
        out +=
            flag_list("Flags of every verb", shared_flags(), columns) + exit_status_list(columns);
    return out + "\n" +
           paragraph("exportctl " + group + "VERB --help shows a verb's flags and examples.",
                     columns);
}

std::string help_of(const Command& command, std::size_t columns) {
    std::string out = paragraph("Usage: " + synopsis_of(command), columns) + "\n" +
                      paragraph(command.help, columns);
    out += flag_list("Required", own_flags(command, true), columns) +
           flag_list("Flags", own_flags(command, false), columns) +
           flag_list("Flags of every verb", shared_flags(), columns) + "\nExamples:\n";
    for (const std::string_view example : split(command.examples, '\n'))
        out += "  exportctl " + std::string(example) + "\n";
    return out;
}

}  // namespace export_worker::exportctl
