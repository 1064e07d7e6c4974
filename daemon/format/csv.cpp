#include "daemon/format/csv.hpp"

#include <array>
#include <cstring>

namespace export_worker::format {
namespace {

// What makes quotes necessary whatever the delimiter is.
constexpr std::array<bool, 256> kSpecial = [] {
    std::array<bool, 256> out{};
    out['"'] = out['\r'] = out['\n'] = true;
    return out;
}();

bool needs_quotes(std::string_view cell, char delimiter) {
    for (const char c : cell) {
        if (kSpecial[static_cast<unsigned char>(c)] || c == delimiter) return true;
    }
    return false;
}

}  // namespace

void append_csv_cell(std::string& out, std::string_view cell, char delimiter) {
    if (!needs_quotes(cell, delimiter)) {
        out += cell;
        return;
    }
    out += '"';
    for (;;) {
        const std::size_t quote = cell.find('"');
        if (quote == std::string_view::npos) break;
        out += cell.substr(0, quote + 1);
        out += '"';
        cell.remove_prefix(quote + 1);
    }
    out += cell;
    out += '"';
}

}  // namespace export_worker::format
