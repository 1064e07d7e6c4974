// What people see: lines, tables, a progress bar, sizes.
//
// Everything that exportctl prints about a job, a key or a file goes through print_line() and
// print_note(), which escape what could move the cursor or begin another line (base/text.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "base/options/arguments.hpp"

namespace export_worker::exportctl {

// One line on standard output or standard error.
void print_line(std::string_view text);
void print_note(std::string_view text);
// The lines of a text that has line ends of its own, each as print_line() does.
void print_lines(std::string_view text);
// Columns as wide as their widest cell, two blanks between them. Widths count characters, not
// bytes.
void print_table(const std::vector<std::string>& headers,
                 std::vector<std::vector<std::string>> rows);
// "name: value" lines, values aligned.
void print_fields(const std::vector<std::pair<std::string, std::string>>& fields);
// One line; characters that print_line() would escape are escaped as JSON has it.
void print_json(const nlohmann::json& value);
// Text as it is, null as "-", the rest as JSON.
[[nodiscard]] std::string cell(const nlohmann::json& value);

// Sets params[field] to the flag's number; leaves it alone when the flag is absent. `expected`:
// what the number is, for messages. Prints what is wrong and returns false when it is no decimal
// number.
[[nodiscard]] bool read_number(const options::Arguments& arguments, const char* flag,
                               const std::string& field, nlohmann::json& params,
                               std::string_view expected = "a whole number");
// "90", "90s", "15m", "1h" or "30d" in seconds; nullopt for another text.
[[nodiscard]] std::optional<std::int64_t> parse_length(std::string_view text);

// "a,b" as ["a", "b"]; empty parts are dropped.
[[nodiscard]] nlohmann::json split_commas(const std::string& text);

// One line on stderr that is rewritten in place; silent when stderr is no terminal or `quiet`.
class ProgressBar {
public:
    explicit ProgressBar(bool quiet);
    ~ProgressBar();  // Ends the line.
    // `total` 0: unknown.
    void update(std::int64_t done, std::int64_t total, std::string_view word);

private:
    bool active_;
    bool drawn_ = false;
};

}  // namespace export_worker::exportctl
