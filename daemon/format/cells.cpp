#include "daemon/format/cells.hpp"

#include <algorithm>
#include <array>

#include "base/clock.hpp"
#include "base/text.hpp"

namespace export_worker::format {
namespace {

using model::CellFormat;
using Kind = Cell::Kind;

Cell text_cell(std::string_view text) {
    return {text.empty() ? Kind::kEmpty : Kind::kText, text, {}, false};
}
Cell boolean_cell(bool value) {
    const std::string_view text = value ? "true" : "false";
    return {Kind::kBoolean, text, text, false};
}

Cell cell_of(const Value& value) {
    switch (value.kind) {
        case Value::Kind::kAbsent:
        case Value::Kind::kNull: return {};
        case Value::Kind::kText: return {Kind::kText, value.text, value.raw, false};
        case Value::Kind::kNumber: return {Kind::kNumber, value.text, value.raw, false};
        case Value::Kind::kBoolean: return {Kind::kBoolean, value.text, value.raw, false};
        case Value::Kind::kList: return {Kind::kText, value.text, value.raw, false};
        case Value::Kind::kJson: return {Kind::kJson, value.text, value.raw, false};
    }
    return {};
}

// The variant's price when it has one, else the product's; of several brands or periods the one
// that began last, then the first brand.
const model::Price* price_of(const Column& column, const Row& row) {
    const model::Price* best = nullptr;
    const auto better = [&](const model::Price& price) {
        if (best == nullptr) return true;
        if (price.variant_key.empty() != best->variant_key.empty())
            return best->variant_key.empty();
        if (price.effective_from_us != best->effective_from_us)
            return price.effective_from_us > best->effective_from_us;
        return price.brand_key < best->brand_key;
    };
    const std::string_view variant_key = row.variant == nullptr ? "" : row.variant->key;
    for (const model::Price& price : row.product->prices) {
        const bool mine = row.variant == nullptr ? price.variant_key.empty()
                          : row.inherits
                              ? price.variant_key.empty() || price.variant_key == variant_key
                              : price.variant_key == variant_key;
        if (mine && price.price_type == column.path && price.currency == column.currency &&
            better(price))
            best = &price;
    }
    return best;
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// YYYY-MM-DD, alone or with a time behind it.
bool begins_with_date(std::string_view text) {
    constexpr std::string_view kShape = "0000-00-00";
    if (text.size() < kShape.size()) return false;
    for (std::size_t index = 0; index < kShape.size(); ++index) {
        const bool fits =
            kShape[index] == '0' ? is_digit(text[index]) : text[index] == kShape[index];
        if (!fits) return false;
    }
    return text.size() == kShape.size() || text[kShape.size()] == 'T' || text[kShape.size()] == ' ';
}

Cell mismatch(Cell cell) {
    cell.mismatched = true;
    return cell;
}

}  // namespace

const Value& property_of(std::size_t slot, const Row& row) {
    if (row.variant == nullptr) return row.reader->values()[slot];
    const Value& own = row.variant->values[slot];
    if (own.kind != Value::Kind::kAbsent || !row.inherits) return own;
    return row.reader->values()[slot];
}

Cell CellMaker::make(const Column& column, const Row& row) {
    const Cell cell = column.source == ColumnSource::kProperty
                          ? cell_of(property_of(column.slot, row))
                          : system_cell(column, row);
    if (column.asked.format == CellFormat::kAuto || cell.kind == Kind::kEmpty) return cell;
    return formatted(column, cell);
}

Cell CellMaker::system_cell(const Column& column, const Row& row) {
    const model::Product& product = *row.product;
    switch (column.source) {
        case ColumnSource::kKey: return text_cell(product.key);
        case ColumnSource::kProductType: return text_cell(product.product_type);
        case ColumnSource::kIsPublished:
            return boolean_cell(row.variant != nullptr && row.variant->is_published
                                    ? *row.variant->is_published
                                    : product.is_published);
        case ColumnSource::kVariantKey:
            return row.variant == nullptr ? Cell{} : text_cell(row.variant->key);
        case ColumnSource::kRowType:
            return text_cell(row.variant == nullptr ? "product" : "variant");
        case ColumnSource::kVersion:
            scratch_ = std::to_string(product.version);
            return {Kind::kNumber, scratch_, scratch_, false};
        case ColumnSource::kUpdatedAt:
            scratch_ = to_iso8601(product.updated_us);
            return text_cell(scratch_);
        case ColumnSource::kPublishStatus: return text_cell(product.publish_status);
        case ColumnSource::kLabels: return cell_of(row.reader->labels());
        case ColumnSource::kPrice: {
            const model::Price* price = price_of(column, row);
            if (price == nullptr) return {};
            return {Kind::kNumber, price->amount, price->amount, false};
        }
        case ColumnSource::kProperty: break;
    }
    return {};
}

Cell CellMaker::formatted(const Column& column, Cell cell) {
    switch (column.asked.format) {
        case CellFormat::kAuto: return cell;
        case CellFormat::kText:
            cell.kind = Kind::kText;
            // As JSON it is a text now, too.
            if (!cell.raw.starts_with('"')) cell.raw = {};
            return cell;
        case CellFormat::kNumber: {
            if (!is_decimal(cell.text)) {
                // Larger exponents than anybody has decimals for stay as they are.
                return cell.kind == Kind::kNumber && column.asked.decimals < 0 ? cell
                                                                               : mismatch(cell);
            }
            if (column.asked.decimals >= 0) {
                scratch_ = round_decimal(cell.text, column.asked.decimals);
                return {Kind::kNumber, scratch_, scratch_, false};
            }
            cell.kind = Kind::kNumber;
            // "+5" and "007" are numbers to people, and none in JSON.
            scratch_ = round_decimal(cell.text, -1);
            return {Kind::kNumber, scratch_, scratch_, false};
        }
        case CellFormat::kDate:
            if (!begins_with_date(cell.text)) return mismatch(cell);
            return {Kind::kDate, cell.text.substr(0, 10), {}, false};
        case CellFormat::kYesNo:
            if (cell.text == "true") return text_cell("yes");
            if (cell.text == "false") return text_cell("no");
            return mismatch(cell);
        case CellFormat::kJson:
            if (cell.raw.empty()) {
                scratch_.clear();
                append_json_text(scratch_, cell.text);
                cell.raw = scratch_;
            }
            return {Kind::kJson, cell.raw, cell.raw, false};
    }
    return cell;
}

std::string round_decimal(std::string_view text, int decimals) {
    const bool negative = text.front() == '-';
    if (negative || text.front() == '+') text.remove_prefix(1);
    const std::size_t point = std::min(text.find('.'), text.size());
    std::string digits(text.substr(0, point));
    std::string rest(text.substr(std::min(point + 1, text.size())));
    bool up = false;
    if (decimals >= 0) {
        const auto wanted = static_cast<std::size_t>(decimals);
        up = rest.size() > wanted && rest[wanted] >= '5';
        rest.resize(wanted, '0');
    }
    const std::size_t whole = digits.size();
    digits += rest;
    for (std::size_t index = digits.size(); up && index-- > 0;) {
        up = digits[index] == '9';
        digits[index] = up ? '0' : static_cast<char>(digits[index] + 1);
    }
    if (up) digits.insert(digits.begin(), '1');
    std::string out = digits.substr(0, whole + (digits.size() - whole - rest.size()));
    const std::string behind = digits.substr(out.size());
    out.erase(0, std::min(out.find_first_not_of('0'), out.size() - 1));
    if (!behind.empty()) out += "." + behind;
    const bool zero = out.find_first_not_of("0.") == std::string::npos;
    return negative && !zero ? "-" + out : out;
}

bool is_formula(std::string_view text) {
    if (text.empty()) return false;
    constexpr std::array<std::string_view, 4> kFullWidth{"\xef\xbc\x9d", "\xef\xbc\x8b",
                                                         "\xef\xbc\x8d", "\xef\xbc\xa0"};
    switch (text.front()) {
        case '=':
        case '@':
        case '\t':
        case '\r':
        case '\n':
        case '\0': return true;
        case '+':
        case '-': return !is_decimal(text);
        case '\xef':
            return std::ranges::any_of(
                kFullWidth, [&](std::string_view sign) { return text.starts_with(sign); });
        default: return false;
    }
}

void append_json_text(std::string& out, std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
        switch (c) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default:
                if (static_cast<unsigned char>(c) < 0x20) {
                    out += "\\u00";
                    out += kHex[static_cast<unsigned char>(c) >> 4U];
                    out += kHex[static_cast<unsigned char>(c) & 15U];
                } else {
                    out += c;
                }
        }
    }
    out += '"';
}

}  // namespace export_worker::format
