#include "base/options/arguments.hpp"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/value_semantic.hpp>

#include "base/text.hpp"

namespace export_worker::options {

std::string Arguments::get(std::string_view flag, std::string_view otherwise) const {
    const auto found = flags.find(std::string(flag));
    return found == flags.end() ? std::string(otherwise) : found->second;
}

namespace {

std::string unknown_flag(const std::string& name, std::span<const Flag> flags) {
    std::vector<std::string> known;
    for (const Flag& flag : flags) known.push_back(std::string("--") + flag.name);
    const std::vector<std::string_view> views(known.begin(), known.end());
    const auto near = closest(name, views.data(), views.size());
    return "unknown flag '" + printable(name) + "'" +
           (near ? "; did you mean " + std::string(*near) + "?" : "");
}

}  // namespace

Result<Arguments> parse_arguments(const std::vector<std::string>& words,
                                  std::span<const Flag> flags) {
    namespace po = boost::program_options;
    po::options_description description;
    for (const Flag& flag : flags) {
        if (flag.value != nullptr) {
            description.add_options()(flag.name, po::value<std::string>(), flag.help);
        } else {
            description.add_options()(flag.name, flag.help);
        }
    }
    Arguments out;
    try {
        // No guessing: an abbreviated flag would change its meaning when a longer one is added.
        const int style =
            po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
        const auto parsed = po::command_line_parser(words).options(description).style(style).run();
        for (const auto& option : parsed.options) {
            if (option.position_key >= 0) {
                out.words.insert(out.words.end(), option.value.begin(), option.value.end());
            } else if (!out.flags
                            .emplace(option.string_key,
                                     option.value.empty() ? "" : option.value.front())
                            .second) {
                return fail(ErrorCode::kInvalidArgument,
                            "--" + option.string_key + ": given twice");
            }
        }
    } catch (const po::unknown_option& error) {
        return fail(ErrorCode::kInvalidArgument, unknown_flag(error.get_option_name(), flags));
    } catch (const po::error& error) {
        return fail(ErrorCode::kInvalidArgument, error.what());
    }
    return out;
}

std::string describe_flags(std::span<const Flag> flags) {
    std::size_t width = 0;
    const auto left_of = [](const Flag& flag) {
        return std::string("  --") + flag.name +
               (flag.value != nullptr ? std::string(" ") + flag.value : "");
    };
    for (const Flag& flag : flags) width = std::max(width, left_of(flag).size());
    std::string out;
    for (const Flag& flag : flags) {
        std::string line = left_of(flag);
        line.append(width + 2 - line.size(), ' ');
        out += line + flag.help + "\n";
    }
    return out;
}

std::vector<std::string> words_of(int argc, char** argv) {
    return argc > 0 ? std::vector<std::string>(argv + 1, argv + argc) : std::vector<std::string>{};
}

Result<void> flush_output() {
    errno = 0;
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return {};
    return fail(ErrorCode::kDataLoss,
                "write standard output: " +
                    std::string(errno != 0 ? std::strerror(errno) : "an earlier write failed"));
}

int run_program(const char* program, const std::function<int()>& body) {
    constexpr int kExitSoftware = 70;
    int status = kExitSoftware;
    ::signal(SIGXFSZ, SIG_IGN);  // A file at its limit is an error of write(), not the end.
    try {
        status = body();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: unexpected error: %s\n", program, error.what());
    } catch (...) {
        std::fprintf(stderr, "%s: unexpected error of an unknown type\n", program);
    }
    const auto flushed = flush_output();
    if (flushed || status == kExitOutputLost) return status;
    std::fprintf(stderr, "%s: %s\n", program, flushed.error().message.c_str());
    return kExitOutputLost;
}

}  // namespace export_worker::options
