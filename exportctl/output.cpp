#include "exportctl/output.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "base/json.hpp"
#include "base/text.hpp"
#include "exportctl/command.hpp"

namespace export_worker::exportctl {
namespace {

std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

void write_line(std::FILE* out, std::string_view text) {
    std::fprintf(out, "%s\n", escape_controls(text).c_str());
}

void print_row(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
    std::string line;
    for (std::size_t index = 0; index < cells.size(); ++index) {
        line += cells[index];
        if (index + 1 < cells.size()) line.append(widths[index] - width_of(cells[index]) + 2, ' ');
    }
    print_line(line);
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
    std::vector<std::size_t> widths;
    widths.reserve(headers.size());
    for (const std::string& header : headers) widths.push_back(width_of(header));
    for (const auto& row : rows) {
        for (std::size_t index = 0; index < row.size(); ++index)
            widths[index] = std::max(widths[index], width_of(row[index]));
    }
    print_row(headers, widths);
    for (const auto& row : rows) print_row(row, widths);
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

bool read_number(const options::Arguments& arguments, const char* flag, const std::string& field,
                 nlohmann::json& params, std::string_view expected) {
    if (!arguments.has(flag)) return true;
    const auto number = parse_unsigned(arguments.get(flag));
    if (!number) {
        complain(kExitUsage, std::string("--") + flag + ": expected " + std::string(expected) +
                                 ", found '" + printable(arguments.get(flag)) + "'");
        return false;
    }
    params[field] = *number;
    return true;
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

nlohmann::json split_commas(const std::string& text) {
    nlohmann::json out = nlohmann::json::array();
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        if (end > begin) out.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return out;
}

ProgressBar::ProgressBar(bool quiet) : active_(!quiet && ::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
    if (drawn_) std::fprintf(stderr, "\n");
}

void ProgressBar::update(std::int64_t done, std::int64_t total, std::string_view word) {
    if (!active_) return;
    const std::string text = escape_controls(word);
    constexpr int kWidth = 30;
    drawn_ = true;
    if (total <= 0) {
        std::fprintf(stderr, "\r\033[K%lld  %s", static_cast<long long>(done), text.c_str());
        return;
    }
    const int filled = static_cast<int>(std::min<std::int64_t>(kWidth, done * kWidth / total));
    const std::string bar = std::string(static_cast<std::size_t>(filled), '#') +
                            std::string(static_cast<std::size_t>(kWidth - filled), '.');
    std::fprintf(stderr, "\r\033[K[%s] %3lld%%  %lld/%lld  %s", bar.c_str(),
                 static_cast<long long>(std::min<std::int64_t>(100, done * 100 / total)),
                 static_cast<long long>(done), static_cast<long long>(total), text.c_str());
}

}  // namespace export_worker::exportctl
