// The cells of one row: a column's value, in the column's format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/format/columns.hpp"
#include "daemon/format/product_reader.hpp"
#include "daemon/model/product.hpp"

namespace export_worker::format {

struct Cell {
    enum class Kind : std::uint8_t { kEmpty, kText, kNumber, kBoolean, kDate, kJson };
    Kind kind = Kind::kEmpty;
    std::string_view
        text;              // Numbers as decimal text, dates as YYYY-MM-DD, booleans as true, false.
    std::string_view raw;  // As JSON; empty when `text` is not what the product says.
    bool mismatched = false;  // The column's format did not fit: `text` is the value as it is.
};

// One row: a product, and one of its variants or none.
struct Row {
    const model::Product* product = nullptr;
    const ProductReader* reader = nullptr;
    const ProductReader::Variant* variant = nullptr;
    // A variant without a value of its own has the product's.
    bool inherits = true;
};

// Makes cells. [one-owner]; a cell is valid until the next one is made.
class CellMaker {
public:
    [[nodiscard]] Cell make(const Column& column, const Row& row);

private:
    [[nodiscard]] Cell system_cell(const Column& column, const Row& row);
    [[nodiscard]] Cell formatted(const Column& column, Cell cell);
    std::string scratch_;
};

// The value a property has in this row.
[[nodiscard]] const Value& property_of(std::size_t slot, const Row& row);

// `text` of is_decimal() with exactly `decimals` digits behind the point, halves away from zero.
[[nodiscard]] std::string round_decimal(std::string_view text, int decimals);
// Would a spreadsheet run this text? It begins with = + - @, one of their full-width forms, a tab,
// a carriage return or a line feed (OWASP, CSV Injection), and is not simply a number.
[[nodiscard]] bool is_formula(std::string_view text);
void append_json_text(std::string& out, std::string_view text);

}  // namespace export_worker::format
