// What people see: lines, tables, errors.
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
#include "exportctl/command.hpp"

namespace export_worker::exportctl {

// One line on standard output or standard error.
void print_line(std::string_view text);
void print_note(std::string_view text);
// The lines of a text that has line ends of its own, each as print_line() does.
void print_lines(std::string_view text);
// As lay_out() in table.hpp has it, for the terminal behind standard output.
void print_table(const std::vector<std::string>& headers,
                 std::vector<std::vector<std::string>> rows);
// "name: value" lines, values aligned.
void print_fields(const std::vector<std::pair<std::string, std::string>>& fields);
// One line; characters that print_line() would escape are escaped as JSON has it.
void print_json(const nlohmann::json& value);
// Text as it is, null as "-", the rest as JSON.
[[nodiscard]] std::string cell(const nlohmann::json& value);

// Sets params[field] to the number that the flag has; leaves it alone when the flag is absent.
void put_number(const options::Arguments& arguments, const char* flag, const std::string& field,
                nlohmann::json& params);
// "90", "90s", "15m", "1h" or "30d" in seconds; nullopt for another text.
[[nodiscard]] std::optional<std::int64_t> parse_length(std::string_view text);
// As put_number(), the seconds of such a text.
void put_length(const options::Arguments& arguments, const char* flag, const std::string& field,
                nlohmann::json& params);

// "a,b" as ["a", "b"]; empty parts are dropped.
[[nodiscard]] nlohmann::json split_commas(const std::string& text);

// An error on standard error: "exportctl: text", or after report_errors_as_json() one JSON object
// {"error": {"code", "message", "status"}}. Returns `code`.
int complain(ExitCode code, std::string_view text);
// The same with a code of the wire protocol in place of the status's name.
int complain(ExitCode code, std::string_view text, std::string_view wire_code);
// For --json; at the start, before any other thread.
void report_errors_as_json();

}  // namespace export_worker::exportctl
