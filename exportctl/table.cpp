#include "exportctl/table.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "exportctl/terminal.hpp"

namespace export_worker::exportctl {
namespace {

constexpr std::size_t kGap = 2;

using Widths = std::vector<std::size_t>;

std::size_t widest_word(std::string_view text) {
    std::size_t widest = 0;
    for (const std::string& line : wrap(text, 1)) widest = std::max(widest, width_of(line));
    return widest;
}

// `measure` of the widest cell of each column.
template <typename Measure>
Widths widths_of(const Row& headers, const std::vector<Row>& rows, Measure measure) {
    Widths out;
    for (const std::string& header : headers) out.push_back(measure(header));
    for (const Row& row : rows) {
        for (std::size_t index = 0; index < row.size(); ++index)
            out[index] = std::max(out[index], measure(row[index]));
    }
    return out;
}

std::size_t total_of(const Widths& widths) {
    return std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1));
}

// Takes from the widest column that can give until all fit. False: they cannot.
bool shrink(Widths& widths, const Widths& floors, std::size_t columns) {
    for (std::size_t total = total_of(widths); total > columns; --total) {
        std::size_t widest = widths.size();
        for (std::size_t index = 0; index < widths.size(); ++index) {
            if (widths[index] <= floors[index]) continue;
            if (widest == widths.size() || widths[index] > widths[widest]) widest = index;
        }
        if (widest == widths.size()) return false;
        --widths[widest];
    }
    return true;
}

void add_row(const Row& row, const Widths& widths, std::vector<std::string>& out) {
    std::vector<std::vector<std::string>> cells;
    std::size_t lines = 1;
    for (std::size_t index = 0; index < row.size(); ++index) {
        const bool fits = width_of(row[index]) <= widths[index];
        cells.push_back(fits ? Row{row[index]} : wrap(row[index], widths[index]));
        lines = std::max(lines, cells.back().size());
    }
    for (std::size_t number = 0; number < lines; ++number) {
        std::string line;
        std::size_t end = 0;
        for (std::size_t index = 0; index < cells.size(); ++index) {
            if (number < cells[index].size() && !cells[index][number].empty()) {
                line.append(end - width_of(line), ' ');
                line += cells[index][number];
            }
            end += widths[index] + kGap;
        }
        out.push_back(std::move(line));
    }
}

std::optional<Table> grid(const Row& headers, const std::vector<Row>& rows, std::size_t columns) {
    Widths widths = widths_of(headers, rows, width_of);
    if (columns > 0 && !shrink(widths, widths_of(headers, rows, widest_word), columns))
        return std::nullopt;
    Table out;
    add_row(headers, widths, out.lines);
    out.header_lines = out.lines.size();
    for (const Row& row : rows) add_row(row, widths, out.lines);
    return out;
}

// The first cell on a line of its own, the others indented below it.
std::optional<Table> stacked(const Row& headers, const std::vector<Row>& rows,
                             std::size_t columns) {
    if (headers.size() < 3 || columns <= kGap) return std::nullopt;
    const Row tail_headers(headers.begin() + 1, headers.end());
    std::vector<Row> tails;
    tails.reserve(rows.size());
    for (const Row& row : rows) tails.emplace_back(row.begin() + 1, row.end());
    Widths widths = widths_of(tail_headers, tails, width_of);
    if (!shrink(widths, widths_of(tail_headers, tails, widest_word), columns - kGap))
        return std::nullopt;
    const auto indented = [&](const Row& tail, std::vector<std::string>& out) {
        std::vector<std::string> lines;
        add_row(tail, widths, lines);
        for (const std::string& line : lines) out.push_back(std::string(kGap, ' ') + line);
    };
    Table out;
    out.lines.push_back(headers.front());
    indented(tail_headers, out.lines);
    out.header_lines = out.lines.size();
    for (std::size_t index = 0; index < rows.size(); ++index) {
        out.lines.push_back(rows[index].front());
        indented(tails[index], out.lines);
    }
    return out;
}

Table records(const Row& headers, const std::vector<Row>& rows, std::size_t columns) {
    Table out;
    if (rows.empty()) {
        std::string names;
        for (const std::string& header : headers) names += header + " ";
        out.lines = wrap(names, columns);
        out.header_lines = out.lines.size();
    }
    for (const Row& row : rows) {
        if (!out.lines.empty()) out.lines.emplace_back();
        for (std::size_t index = 0; index < row.size(); ++index) {
            const std::string line =
                headers[index] + (row[index].empty() ? ":" : ": ") + row[index];
            if (width_of(line) <= columns) {
                out.lines.push_back(line);
                continue;
            }
            std::string indent;
            for (const std::string& part : wrap(line, columns > kGap ? columns - kGap : 1)) {
                out.lines.push_back(indent + part);
                indent.assign(kGap, ' ');
            }
        }
    }
    return out;
}

}  // namespace

Table lay_out(const Row& headers, const std::vector<Row>& rows, std::size_t columns) {
    if (auto table = grid(headers, rows, columns)) return std::move(*table);
    if (auto table = stacked(headers, rows, columns)) return std::move(*table);
    return records(headers, rows, columns);
}

std::vector<std::string> wrap(std::string_view text, std::size_t columns) {
    std::vector<std::string> out;
    std::size_t width = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        const std::string_view word = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (word.empty()) continue;
        const std::size_t word_width = width_of(word);
        if (out.empty() || width + 1 + word_width > columns) {
            out.emplace_back(word);
            width = word_width;
        } else {
            out.back() += " " + std::string(word);
            width += 1 + word_width;
        }
    }
    if (out.empty()) out.emplace_back();
    return out;
}

}  // namespace export_worker::exportctl
