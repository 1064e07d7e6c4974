// The configuration file all three programs share: INI, read with Boost.Program_options.
//
//   [section]
//   key = value        # a '#' starts a comment anywhere in a line
//
// Every key must be read by the program: a Section remembers which were, and finish() refuses the
// rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker::options {

// Values as they are written, by section and key.
using ConfigValues = std::map<std::string, std::map<std::string, std::string>>;

// What is wrong with a file, for those who want to know all of it.
using Problems = std::vector<Error>;
// Whether one of them is about `where`: "[http] listen", or "[store.a]".
[[nodiscard]] bool is_told(const Problems& problems, std::string_view where);

// One [section], read key by key. Problems are kept and reported by finish(), so a reader is a
// plain list of calls. A key that is absent leaves its target alone: the default lives in the
// target.
class Section {
public:
    // `problems`: where finish() puts what is wrong; null: it fails. Outlives the section.
    Section(std::string file, std::string name, std::map<std::string, std::string> values,
            Problems* problems = nullptr)
        : file_(std::move(file)),
          name_(std::move(name)),
          values_(std::move(values)),
          problems_(problems) {}

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] bool has(std::string_view key) const {
        return values_.contains(std::string(key));
    }
    void text(std::string_view key, std::string& target);
    // Text that may not be absent or empty.
    void required_text(std::string_view key, std::string& target);
    // The absolute path of a directory, without slashes at its end; required, and not the root.
    void directory(std::string_view key, std::string& target);
    // Decimal, `min` to `max` inclusive.
    template <typename Integer>
    void number(std::string_view key, Integer& target, std::uint64_t min, std::uint64_t max) {
        std::uint64_t value = 0;
        if (read_number(key, value, min, max)) target = static_cast<Integer>(value);
    }
    // A file mode such as 0660.
    void octal_mode(std::string_view key, unsigned& target);
    // The mode of a socket: read and write for its owner, nothing to execute, and for others only
    // if they `may`.
    void socket_mode(std::string_view key, unsigned& target, bool others_may);
    // on, off, true, false, yes, no.
    void boolean(std::string_view key, bool& target);
    // One of `choices`.
    void choice(std::string_view key, std::string& target,
                std::span<const std::string_view> choices);
    // Words with blanks or commas between them. None there: `target` stays as it is.
    void words(std::string_view key, std::vector<std::string>& target);
    // Hands over every remaining key, known or not: for sections another party reads.
    [[nodiscard]] std::map<std::string, std::string> take_rest();
    // Records a problem found by the caller: "section.key: expected ..., found ...".
    void add_error(std::string_view key, std::string_view what);

    // Errors: kInvalidArgument, the first problem, naming file, section and key; an unknown key
    // comes with the closest known one. Problems that are collected are no errors.
    [[nodiscard]] Result<void> finish();

private:
    const std::string* take(std::string_view key);
    bool read_number(std::string_view key, std::uint64_t& value, std::uint64_t min,
                     std::uint64_t max);

    std::string file_;
    std::string name_;
    std::map<std::string, std::string> values_;
    Problems* problems_;
    std::vector<std::string> known_;  // Keys asked for, for the suggestion.
    std::vector<std::string> bad_;    // Bad values.
    std::string missing_;             // The first required key that is not there.
};

class ConfigFile {
public:
    // Errors: kNotFound, kInvalidArgument (syntax, no section, a key outside a section, a key given
    // twice, too large), those of read_trusted_file(). `problems`: collects
    // what its sections and report() find wrong; null: the first is the error. Outlives the file.
    [[nodiscard]] static Result<ConfigFile> read(const std::string& path,
                                                 Problems* problems = nullptr);

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] const ConfigValues& values() const { return sections_; }
    // Those that were collected so far.
    [[nodiscard]] std::size_t problem_count() const {
        return problems_ == nullptr ? 0 : problems_->size();
    }
    // Collects `problem`, or returns it as the error.
    [[nodiscard]] Result<void> report(Error problem) const;
    // The section, empty when the file has none of that name.
    [[nodiscard]] Section section(const std::string& name) const;
    // The sections named `prefix` + "." + something, sorted; each with its full name.
    [[nodiscard]] std::vector<Section> sections(std::string_view prefix) const;
    // Errors: kInvalidArgument when the file has a section that is neither one of `plain` nor
    // starts with one of `families` and a dot.
    [[nodiscard]] Result<void> check_sections(std::span<const std::string_view> plain,
                                              std::span<const std::string_view> families) const;

private:
    std::string path_;
    ConfigValues sections_;
    Problems* problems_ = nullptr;
};

}  // namespace export_worker::options
