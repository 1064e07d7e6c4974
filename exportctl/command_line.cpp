#include "exportctl/command_line.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/text.hpp"
#include "exportctl/help.hpp"
#include "exportctl/output.hpp"

namespace export_worker::exportctl {
namespace {

using options::Arguments;

tl::unexpected<Error> wrong(std::string text) {
    return fail(ErrorCode::kInvalidArgument, std::move(text));
}

std::string join(std::span<const std::string> words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
    return out;
}

std::string usage(const Command& command) {
    return "; usage: " + synopsis_of(command);
}

Result<Arguments> parse_flags(const std::vector<std::string>& words) {
    std::vector<options::Flag> flags;
    for (const Flag& flag : all_flags()) {
        const bool is_help = std::string_view(flag.name) == "help";
        flags.push_back({is_help ? "help,h" : flag.name,
                         flag.kind == Kind::kSwitch ? nullptr : flag.value.data(),
                         flag.help.data()});
    }
    return options::parse_arguments(words, flags);
}

// `words` begin with no verb.
tl::unexpected<Error> unknown_verb(std::span<const std::string> words) {
    const std::string asked = join(words.first(std::min<std::size_t>(words.size(), 2)));
    const std::string what = "no verb '" + printable(asked) + "'";
    if (const auto below = commands_below(words); !below.empty()) {
        std::string names;
        for (const Command* command : below)
            names += (names.empty() ? "" : ", ") + std::string(command->words);
        return wrong(what + "; expected one of " + names);
    }
    std::vector<std::string_view> known;
    for (const Command& command : commands()) known.push_back(command.words);
    const auto near = closest(asked, known.data(), known.size());
    return wrong(what + (near ? "; did you mean '" + std::string(*near) + "'?"
                              : "; exportctl --help lists them"));
}

// "a whole number or 'none'": what the value must be; empty when it is.
std::string expected_instead(const Flag& flag, const std::string& value) {
    if (flag.kind == Kind::kNumber) {
        if (value == flag.choices && !value.empty()) return "";
        if (parse_unsigned(value)) return "";
        return "a whole number" +
               (flag.choices.empty() ? "" : " or '" + std::string(flag.choices) + "'");
    }
    if (flag.kind == Kind::kLength)
        return parse_length(value) ? "" : "seconds, or a number and s, m, h or d such as 90d";
    const bool is_path = flag.kind == Kind::kFile || flag.kind == Kind::kDirectory;
    if (!value.empty() || flag.kind == Kind::kSwitch) return "";
    return is_path ? "a path" : "a text";
}

Result<void> check_flags(const Command& command, const Arguments& arguments) {
    const auto own = flags_of(command);
    for (const auto& [name, value] : arguments.flags) {
        const auto listed = std::ranges::find(own, &flag_named(name), &OwnFlag::flag);
        if (listed == own.end() && std::ranges::find(global_flags(), name) == global_flags().end())
            return wrong(std::string(command.words) + ": has no flag --" + name + usage(command));
        if (const std::string expected = expected_instead(flag_named(name), value);
            !expected.empty())
            return wrong("--" + name + ": expected " + expected + ", found " +
                         (value.empty() ? "none" : "'" + printable(value) + "'"));
    }
    for (const OwnFlag& each : own) {
        if (!each.required || !arguments.get(each.flag->name).empty()) continue;
        return wrong(std::string(command.words) + ": expected --" + each.flag->name + " " +
                     std::string(each.flag->value) + usage(command));
    }
    for (const std::string_view pair : split(command.exclusive)) {
        const auto flags = split(pair, '|');
        if (arguments.has(flags[0]) && arguments.has(flags[1]))
            return wrong(std::string(command.words) + ": expected --" + std::string(flags[0]) +
                         " or --" + std::string(flags[1]) + ", found both");
    }
    return {};
}

Result<void> check_arguments(const Command& command, std::size_t count) {
    const auto [fewest, most] = argument_counts(command);
    if (count >= fewest && count <= most) return {};
    return wrong(std::string(command.words) + ": expected " +
                 (most == 0 ? "no arguments" : std::string(command.arguments)) + ", found " +
                 (count == 0 ? "none" : std::to_string(count) + (count == 1 ? " word" : " words")) +
                 usage(command));
}

Context context_of(const Arguments& arguments) {
    const char* variable = std::getenv(kConfigVariable);
    const std::string from_environment = variable == nullptr ? "" : variable;
    Context out;
    out.config_given = arguments.has("config") || !from_environment.empty();
    out.config_path = arguments.get(
        "config", from_environment.empty() ? std::string_view(kConfigDefault) : from_environment);
    out.json = arguments.has("json");
    return out;
}

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string>& words) {
    auto parsed = parse_flags(words);
    if (!parsed) return wrong(parsed.error().message + "; see exportctl --help");
    CommandLine out;
    out.arguments = std::move(*parsed);
    out.version = out.arguments.has("version");
    out.help = out.arguments.has("help");
    out.context = context_of(out.arguments);
    std::vector<std::string>& rest = out.arguments.words;
    if (!rest.empty() && rest.front() == "help") {
        out.help = true;
        rest.erase(rest.begin());
    }
    out.words = rest;
    if (out.version) return out;
    out.command = find_command(rest);
    if (out.command == nullptr) {
        if (out.help && !commands_below(rest).empty()) return out;
        if (rest.empty()) return wrong("expected a verb; exportctl --help lists them");
        return unknown_verb(rest);
    }
    rest.erase(rest.begin(),
               rest.begin() + static_cast<std::ptrdiff_t>(split(out.command->words).size()));
    if (out.help) return out;
    EW_CHECK(check_arguments(*out.command, rest.size()));
    EW_CHECK(check_flags(*out.command, out.arguments));
    return out;
}

}  // namespace export_worker::exportctl
