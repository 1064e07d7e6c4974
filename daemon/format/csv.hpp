// Delimited text as RFC 4180 has it: CRLF, quotes only where needed, quotes doubled inside them.
#pragma once

#include <string>
#include <string_view>

namespace export_worker::format {

// One cell, without the delimiter behind it.
void append_csv_cell(std::string& out, std::string_view cell, char delimiter);

}  // namespace export_worker::format
