// CSV as RFC 4180 has it: commas, CRLF, quotes only where needed, quotes doubled inside them.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace export_worker::format {

void append_csv_cell(std::string& out, std::string_view cell);
// A whole line with its CRLF. A line of one empty cell is written as "" so that it is not an empty
// line.
void append_csv_row(std::string& out, std::span<const std::string> cells);

}  // namespace export_worker::format
