// Tables and paragraphs that fit a number of columns. Nothing is cut off.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace export_worker::exportctl {

using Row = std::vector<std::string>;

struct Table {
    std::size_t header_lines = 0;
    std::vector<std::string> lines = {};  // The header first.
};

// At most `columns` wide, 0: any width. In this order: one line a row, columns as wide as their
// widest cell and two blanks between them; cells broken at their blanks; the first cell on a line
// of its own; "HEADER: cell", broken at blanks (without rows: the headers). Only a word can be
// wider than `columns`. No cell has control characters, no row has more cells than `headers`.
[[nodiscard]] Table lay_out(const Row& headers, const std::vector<Row>& rows, std::size_t columns);

// The text's lines when broken at blanks; only a word is wider than `columns`.
[[nodiscard]] std::vector<std::string> wrap(std::string_view text, std::size_t columns);

}  // namespace export_worker::exportctl
