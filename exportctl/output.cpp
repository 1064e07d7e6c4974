#include "exportctl/output.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "base/json.hpp"
#include "base/text.hpp"
#include "exportctl/table.hpp"
#include "exportctl/terminal.hpp"

namespace export_worker::exportctl {
namespace {

enum class Style { kPlain, kBold, kRed };

bool errors_as_json = false;

void write_line(std::FILE* out, std::string_view text, Style style = Style::kPlain) {
    const std::string line = escape_controls(text);
    if (style == Style::kPlain || !takes_colors(::fileno(out))) {
        std::fprintf(out, "%s\n", line.c_str());
    } else {
        std::fprintf(out, "\033[%sm%s\033[0m\n", style == Style::kBold ? "1" : "31", line.c_str());
    }
}

}  // namespace

void print_line(std::string_view text) {
    write_line(stdout, text);
}

void print_note(std::string_view text) {
    write_line(stderr, text);
}

void print_lines(std::string_view text) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        print_line(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

void print_table(const std::vector<std::string>& headers,
                 std::vector<std::vector<std::string>> rows) {
    for (auto& row : rows) {
        for (std::string& cell : row) cell = escape_controls(cell);
    }
    const Table table = lay_out(headers, rows, columns_of(STDOUT_FILENO));
    for (std::size_t index = 0; index < table.lines.size(); ++index)
        write_line(stdout, table.lines[index],
                   index < table.header_lines ? Style::kBold : Style::kPlain);
}

void print_fields(const std::vector<std::pair<std::string, std::string>>& fields) {
    std::size_t width = 0;
    for (const auto& field : fields)
        width = std::max(width, width_of(escape_controls(field.first)));
    for (const auto& [name, value] : fields) {
        const std::string shown = escape_controls(name);
        print_line(shown + ":" + std::string(width - width_of(shown) + 1, ' ') + value);
    }
}

void print_json(const nlohmann::json& value) {
    print_line(dump_json(value));
}

std::string cell(const nlohmann::json& value) {
    if (value.is_null()) return "-";
    if (value.is_string()) return value.get<std::string>();
    return dump_json(value);
}

void put_number(const options::Arguments& arguments, const char* flag, const std::string& field,
                nlohmann::json& params) {
    if (const auto number = parse_unsigned(arguments.get(flag))) params[field] = *number;
}

std::optional<std::int64_t> parse_length(std::string_view text) {
    constexpr std::array<std::pair<char, std::uint64_t>, 4> kUnits{
        {{'s', 1}, {'m', 60}, {'h', 3'600}, {'d', 86'400}}};
    std::uint64_t unit_s = 1;
    for (const auto& [letter, seconds] : kUnits) {
        if (!text.ends_with(letter)) continue;
        unit_s = seconds;
        text.remove_suffix(1);
        break;
    }
    const auto count = parse_unsigned(text);
    if (!count || *count > INT64_MAX / unit_s) return std::nullopt;
    return static_cast<std::int64_t>(*count * unit_s);
}

void put_length(const options::Arguments& arguments, const char* flag, const std::string& field,
                nlohmann::json& params) {
    if (const auto seconds = parse_length(arguments.get(flag))) params[field] = *seconds;
}

nlohmann::json split_commas(const std::string& text) {
    nlohmann::json out = nlohmann::json::array();
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        if (end > begin) out.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return out;
}

int complain(ExitCode code, std::string_view text, std::string_view wire_code) {
    if (errors_as_json) {
        print_note(dump_json(
            {{"error", {{"code", wire_code}, {"message", text}, {"status", int{code}}}}}));
    } else {
        std::fflush(stdout);
        write_line(stderr, "exportctl: " + std::string(text), Style::kRed);
    }
    return code;
}

int complain(ExitCode code, std::string_view text) {
    const auto status = std::ranges::find(exit_statuses(), code, &ExitStatus::code);
    return complain(code, text, status->name);
}

void report_errors_as_json() {
    errors_as_json = true;
}

}  // namespace export_worker::exportctl
