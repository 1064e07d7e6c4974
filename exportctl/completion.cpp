#include "exportctl/completion.hpp"

#include <algorithm>
#include <set>

#include "exportctl/command.hpp"
#include "exportctl/help.hpp"

namespace export_worker::exportctl {
namespace {

// What stands in front of the word that is typed.
struct Before {
    std::vector<std::string> words = {};  // Verb and arguments.
    std::set<std::string> flags = {};
    const Flag* open_flag = nullptr;  // Its value comes next.
};

const Flag* find_flag(std::string_view word) {
    if (!word.starts_with("--")) return nullptr;
    const auto found = std::ranges::find(
        all_flags(), word.substr(2), [](const Flag& flag) { return std::string_view(flag.name); });
    return found == all_flags().end() ? nullptr : &*found;
}

Before read_before(std::span<const std::string> words) {
    Before out;
    for (const std::string& word : words) {
        if (word == "=") continue;
        if (out.open_flag != nullptr) {
            out.open_flag = nullptr;
        } else if (word.starts_with('-') && word != "-") {
            const Flag* flag = find_flag(word);
            out.flags.insert(word.substr(0, word.find('=')));
            if (flag != nullptr && flag->kind != Kind::kSwitch) out.open_flag = flag;
        } else if (!out.words.empty() || word != "help") {
            out.words.push_back(word);
        }
    }
    return out;
}

void offer(std::string word, std::string_view typed, std::string_view help,
           std::vector<Candidate>& out) {
    if (word.starts_with(typed)) out.push_back({std::move(word), std::string(help)});
}

// `prefix` is "--format=" where that is part of the word.
std::vector<Candidate> values_of(const Flag& flag, const std::string& prefix,
                                 std::string_view typed) {
    if (flag.kind == Kind::kFile) return {{":files", ""}};
    if (flag.kind == Kind::kDirectory) return {{":directories", ""}};
    std::vector<Candidate> out;
    for (const std::string_view choice : split(flag.choices))
        offer(prefix + std::string(choice), typed, flag.help, out);
    return out;
}

std::vector<Candidate> flags_after(const Before& before, std::string_view typed) {
    std::vector<Candidate> out;
    const auto offer_flag = [&](const Flag& flag) {
        std::string word = std::string("--") + flag.name;
        if (!before.flags.contains(word)) offer(std::move(word), typed, describe(flag), out);
    };
    if (const Command* command = find_command(before.words)) {
        for (const OwnFlag& each : flags_of(*command)) offer_flag(*each.flag);
    }
    for (const std::string_view name : global_flags()) offer_flag(flag_named(name));
    return out;
}

std::vector<Candidate> verbs_after(const Before& before, std::string_view typed) {
    std::vector<Candidate> out;
    for (const Command* command : commands_below(before.words)) {
        const auto own = split(command->words);
        const std::string word(own[before.words.size()]);
        const bool is_last = own.size() == before.words.size() + 1;
        if (!out.empty() && out.back().word == word) continue;
        offer(word, typed, is_last ? command->help : "verbs of " + word, out);
    }
    if (before.words.empty()) offer("help", typed, "print help", out);
    return out;
}

std::vector<Candidate> arguments_after(const Command& command, std::size_t given) {
    const auto names = split(command.arguments);
    if (given >= names.size()) return {};
    if (names[given] == "FILE") return {{":files", ""}};
    if (names[given] == "DIRECTORY") return {{":directories", ""}};
    return {};
}

}  // namespace

std::vector<Candidate> complete(std::span<const std::string> words) {
    if (words.empty()) return {};
    const Before before = read_before(words.first(words.size() - 1));
    const std::string& last = words.back();
    const std::string typed = last == "=" ? "" : last;
    if (before.open_flag != nullptr) return values_of(*before.open_flag, "", typed);
    const std::size_t equals = typed.find('=');
    if (const Flag* flag = find_flag(typed.substr(0, equals));
        flag != nullptr && equals != std::string::npos)
        return values_of(*flag, typed.substr(0, equals + 1), typed);
    if (typed.starts_with('-')) return flags_after(before, typed);
    if (const Command* command = find_command(before.words))
        return arguments_after(*command, before.words.size() - split(command->words).size());
    return verbs_after(before, typed);
}

}  // namespace export_worker::exportctl
