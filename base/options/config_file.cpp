#include "base/options/config_file.hpp"

#include <algorithm>
#include <sstream>
#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>

#include "base/io.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"

namespace export_worker::options {

const std::string* Section::take(std::string_view key) {
    known_.emplace_back(key);
    const auto found = values_.find(std::string(key));
    return found == values_.end() ? nullptr : &found->second;
}

void Section::add_error(std::string_view key, std::string_view what) {
    bad_.push_back(file_ + ": [" + name_ + "] " + std::string(key) + ": " + std::string(what));
}

void Section::text(std::string_view key, std::string& target) {
    if (const std::string* value = take(key)) target = *value;
}

void Section::required_text(std::string_view key, std::string& target) {
    text(key, target);
    if (target.empty() && missing_.empty()) {
        missing_ =
            file_ + ": [" + name_ + "] " + std::string(key) + ": missing; this section needs it";
    }
}

void Section::directory(std::string_view key, std::string& target) {
    required_text(key, target);
    if (target.empty()) return;
    if (!target.starts_with('/'))
        return add_error(key, "expected an absolute path, found '" + printable(target) + "'");
    while (target.size() > 1 && target.ends_with('/')) target.pop_back();
    if (target == "/") add_error(key, "expected a directory of its own, found /");
}

bool Section::read_number(std::string_view key, std::uint64_t& value, std::uint64_t min,
                          std::uint64_t max) {
    const std::string* found = take(key);
    if (found == nullptr) return false;
    const auto parsed = parse_unsigned(*found);
    if (!parsed || *parsed < min || *parsed > max) {
        add_error(key, "expected a number from " + std::to_string(min) + " to " +
                           std::to_string(max) + ", found '" + printable(*found) + "'");
        return false;
    }
    value = *parsed;
    return true;
}

void Section::octal_mode(std::string_view key, unsigned& target) {
    std::string mode;
    text(key, mode);
    if (mode.empty()) return;
    unsigned value = 0;
    for (const char digit : mode) {
        if (digit < '0' || digit > '7') value = 0777'7777;
        value = value * 8 + static_cast<unsigned>(digit - '0');
    }
    if (value > 0777)
        return add_error(
            key, "expected an octal file mode such as 0660, found '" + printable(mode) + "'");
    target = value;
}

void Section::socket_mode(std::string_view key, unsigned& target, bool others_may) {
    unsigned mode = target;
    octal_mode(key, mode);
    const unsigned forbidden = others_may ? 0111 : 0117;
    if ((mode & 0600) == 0600 && (mode & forbidden) == 0) {
        target = mode;
        return;
    }
    add_error(key, std::string("expected the mode of a socket such as 0600 or 0660, read and write "
                               "for its owner") +
                       (others_may ? "" : ", nothing for others") + ", found " +
                       values_.at(std::string(key)));
}

void Section::boolean(std::string_view key, bool& target) {
    const std::string* value = take(key);
    if (value == nullptr) return;
    if (*value == "on" || *value == "true" || *value == "yes") {
        target = true;
    } else if (*value == "off" || *value == "false" || *value == "no") {
        target = false;
    } else {
        add_error(key, "expected on or off, found '" + printable(*value) + "'");
    }
}

void Section::choice(std::string_view key, std::string& target,
                     std::span<const std::string_view> choices) {
    const std::string* value = take(key);
    if (value == nullptr) return;
    std::string list;
    for (const std::string_view choice : choices) {
        if (*value == choice) {
            target = *value;
            return;
        }
        list += (list.empty() ? "" : ", ") + std::string(choice);
    }
    add_error(key, "expected one of " + list + ", found '" + printable(*value) + "'");
}

void Section::words(std::string_view key, std::vector<std::string>& target) {
    std::string text;
    this->text(key, text);
    std::vector<std::string> out;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find_first_of(" ,\t", begin), text.size());
        if (end > begin) out.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    if (!out.empty()) target = std::move(out);
}

std::map<std::string, std::string> Section::take_rest() {
    std::map<std::string, std::string> rest = values_;
    for (const std::string& key : known_) rest.erase(key);
    for (const auto& entry : rest) known_.push_back(entry.first);
    return rest;
}

bool is_told(const Problems& problems, std::string_view where) {
    return std::ranges::any_of(problems, [&](const Error& problem) {
        return problem.message.find(where) != std::string::npos;
    });
}

Result<void> Section::finish() {
    std::vector<std::string> found = bad_;
    const std::vector<std::string_view> known(known_.begin(), known_.end());
    for (const auto& entry : values_) {
        if (std::ranges::find(known, entry.first) != known.end()) continue;
        std::string what = file_ + ": [" + name_ + "] unknown key '" + printable(entry.first) + "'";
        if (problems_ != nullptr && is_told(*problems_, what)) continue;
        if (const auto near = closest(entry.first, known.data(), known.size())) {
            what += "; did you mean '" + std::string(*near) + "'?";
        }
        found.push_back(std::move(what));
    }
    // Last: what is missing is often there under a misspelt name.
    if (!missing_.empty()) found.push_back(missing_);
    if (found.empty()) return {};
    if (problems_ == nullptr) return fail(ErrorCode::kInvalidArgument, found.front());
    for (std::string& each : found)
        problems_->push_back({ErrorCode::kInvalidArgument, std::move(each)});
    return {};
}

namespace {

// With sections that have no key, which the library does not tell.
void add_sections(std::istringstream stream, ConfigValues& sections) {
    for (std::string line; std::getline(stream, line);) {
        line.erase(std::min(line.find('#'), line.size()));
        const std::size_t begin = line.find_first_not_of(" \t\r");
        const std::size_t end = line.find_last_not_of(" \t\r");
        if (begin == std::string::npos || line[begin] != '[' || line[end] != ']') continue;
        sections.try_emplace(line.substr(begin + 1, end - begin - 1));
    }
}

// What an editor shows nothing of, and a cut or damaged file has.
Result<void> check_text(const std::string& path, std::string_view text) {
    if (text.starts_with("\xef\xbb\xbf"))
        return fail(ErrorCode::kInvalidArgument,
                    path + ": begins with a byte order mark; save it as UTF-8 without one");
    const std::size_t nul = text.find('\0');
    if (nul == std::string_view::npos) return {};
    return fail(ErrorCode::kInvalidArgument, path + ": expected text, found a NUL at byte " +
                                                 std::to_string(nul) +
                                                 ": it is cut, damaged, or not UTF-8");
}

}  // namespace

Result<ConfigFile> ConfigFile::read(const std::string& path, Problems* problems) {
    EW_TRY(const std::string text, read_trusted_file(path, limits::kConfigFileBytesMax));
    EW_CHECK(check_text(path, text));
    ConfigFile file;
    file.problems_ = problems;
    file.path_ = path;
    std::istringstream stream(text);
    try {
        const boost::program_options::options_description none;
        const auto parsed = boost::program_options::parse_config_file(stream, none, true);
        for (const auto& option : parsed.options) {
            const std::size_t dot = option.string_key.rfind('.');
            if (dot == std::string::npos) {
                return fail(ErrorCode::kInvalidArgument, path + ": key '" +
                                                             printable(option.string_key) +
                                                             "' stands before the first [section]");
            }
            const std::string section = option.string_key.substr(0, dot);
            const std::string key = option.string_key.substr(dot + 1);
            const std::string value = option.value.empty() ? "" : option.value.front();
            if (!file.sections_[section].emplace(key, value).second) {
                return fail(ErrorCode::kInvalidArgument,
                            path + ": [" + section + "] " + key +
                                ": given twice; keep one of the two lines");
            }
        }
    } catch (const boost::program_options::error& error) {
        return fail(ErrorCode::kInvalidArgument, path + ": not an INI file: " + error.what());
    }
    add_sections(std::istringstream(text), file.sections_);
    if (file.sections_.empty())
        return fail(ErrorCode::kInvalidArgument,
                    path + ": expected sections such as [daemon], found " +
                        (text.empty() ? "an empty file" : "no section"));
    return file;
}

Section ConfigFile::section(const std::string& name) const {
    const auto found = sections_.find(name);
    return {path_, name,
            found == sections_.end() ? std::map<std::string, std::string>{} : found->second,
            problems_};
}

std::vector<Section> ConfigFile::sections(std::string_view prefix) const {
    std::vector<Section> out;
    const std::string start = std::string(prefix) + ".";
    for (const auto& [name, values] : sections_) {
        if (name.starts_with(start)) out.emplace_back(path_, name, values, problems_);
    }
    return out;
}

Result<void> ConfigFile::check_sections(std::span<const std::string_view> plain,
                                        std::span<const std::string_view> families) const {
    for (const auto& entry : sections_) {
        const std::string& name = entry.first;
        if (std::ranges::find(plain, name) != plain.end()) continue;
        const bool of_family = std::ranges::any_of(families, [&](std::string_view family) {
            return name.size() > family.size() + 1 && name.starts_with(family) &&
                   name[family.size()] == '.';
        });
        if (of_family) continue;
        std::string expected;
        for (const std::string_view one : plain) expected += " [" + std::string(one) + "]";
        for (const std::string_view one : families) expected += " [" + std::string(one) + ".NAME]";
        EW_CHECK(
            report({ErrorCode::kInvalidArgument, path_ + ": unknown section [" + printable(name) +
                                                     "]; expected one of" + expected}));
    }
    return {};
}

Result<void> ConfigFile::report(Error problem) const {
    if (problems_ == nullptr) return fail(std::move(problem));
    problems_->push_back(std::move(problem));
    return {};
}

}  // namespace export_worker::options
