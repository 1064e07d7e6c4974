#include "daemon/format/csv.hpp"

namespace export_worker::format {

void append_csv_cell(std::string& out, std::string_view cell) {
    if (cell.find_first_of("\",\r\n") == std::string_view::npos) {
        out += cell;
        return;
    }
    out += '"';
    for (const char c : cell) {
        if (c == '"') out += '"';
        out += c;
    }
    out += '"';
}

void append_csv_row(std::string& out, std::span<const std::string> cells) {
    if (cells.size() == 1 && cells[0].empty()) {
        out += "\"\"\r\n";
        return;
    }
    for (std::size_t index = 0; index < cells.size(); ++index) {
        if (index > 0) out += ',';
        append_csv_cell(out, cells[index]);
    }
    out += "\r\n";
}

}  // namespace export_worker::format
