#include "daemon/format/row_encoder.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/text.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::format {
namespace {

using model::FormulaPolicy;
using model::VariantMode;

// Numbers the property paths of columns and filter; the same path twice is one number.
std::size_t slot_of(std::vector<std::string>& paths, const std::string& path) {
    const auto found = std::ranges::find(paths, path);
    if (found != paths.end()) return static_cast<std::size_t>(found - paths.begin());
    paths.push_back(path);
    return paths.size() - 1;
}

}  // namespace

RowEncoder::RowEncoder(EncoderDeps deps) : deps_(std::move(deps)) {
    std::vector<std::string> paths;
    for (Column& column : deps_.columns) {
        if (column.source == ColumnSource::kProperty) column.slot = slot_of(paths, column.path);
    }
    for (const auto& term : deps_.spec->filter.properties)
        terms_.push_back({slot_of(paths, term.path), term.value});
    reader_.emplace(paths);
}

Result<void> RowEncoder::append(model::Product& product) {
    const model::ExportSpec& spec = *deps_.spec;
    const bool nested = spec.variants == VariantMode::kNested;
    // A whole product is written as it is stored: nothing in it needs to be looked at.
    if (nested && spec.filter.labels.empty() && terms_.empty()) {
        ++report_.products;
        ++report_.rows;
        return append_nested(product);
    }
    if (auto read = reader_->read(product); !read) {
        skip(product, read.error());
        return {};
    }
    for (const std::string& label : spec.filter.labels) {
        if (!reader_->has_label(label)) return {};
    }
    const std::int64_t rows_before = report_.rows;
    if (nested) {
        const Row whole{&product, &*reader_, nullptr, true};
        const bool kept =
            keeps(whole) || std::ranges::any_of(reader_->variants(), [&](const auto& variant) {
                return keeps({&product, &*reader_, &variant, true});
            });
        if (!kept) return {};
        ++report_.rows;
        EW_CHECK(append_nested(product));
    } else {
        EW_CHECK(append_rows(product));
    }
    if (report_.rows > rows_before) ++report_.products;
    return {};
}

Result<void> RowEncoder::append_rows(const model::Product& product) {
    const Row whole{&product, &*reader_, nullptr, true};
    const auto& variants = reader_->variants();
    if (deps_.spec->variants == VariantMode::kParentChild) {
        const bool kept = keeps(whole) || std::ranges::any_of(variants, [&](const auto& variant) {
                              return keeps({&product, &*reader_, &variant, true});
                          });
        if (!kept) return {};
        EW_CHECK(append_row(whole));
        ++report_.rows;
        for (const auto& variant : variants) {
            EW_CHECK(append_row({&product, &*reader_, &variant, false}));
            ++report_.rows;
        }
        return {};
    }
    if (variants.empty()) {
        if (!keeps(whole)) return {};
        ++report_.rows;
        return append_row(whole);
    }
    for (const auto& variant : variants) {
        const Row row{&product, &*reader_, &variant, true};
        if (!keeps(row)) continue;
        EW_CHECK(append_row(row));
        ++report_.rows;
    }
    return {};
}

Result<void> RowEncoder::append_nested(const model::Product&) {
    EW_ASSERT(false);  // parse_export_spec() refuses it for formats that cannot nest.
    return {};
}

bool RowEncoder::keeps(const Row& row) const {
    return std::ranges::all_of(
        terms_, [&](const Term& term) { return property_of(term.slot, row).text == term.value; });
}

Result<Cell> RowEncoder::cell(const Column& column, const Row& row) {
    Cell out = maker_.make(column, row);
    if (out.mismatched) {
        ++report_.mismatched_cells;
        warn(row, column, "format_mismatch",
             "'" + printable(out.text) + "' is not of the column's format; written as it is");
    }
    const bool text = out.kind == Cell::Kind::kText || out.kind == Cell::Kind::kJson;
    if (!text || deps_.spec->formulas == FormulaPolicy::kOff || !is_formula(out.text)) return out;
    if (deps_.spec->formulas == FormulaPolicy::kReject) {
        return fail(ErrorCode::kInvalidArgument,
                    "formulas: column '" + printable(column.asked.header) + "' of product '" +
                        printable(row.product->key) + "' begins like a formula: '" +
                        printable(out.text) + "'");
    }
    ++report_.guarded_cells;
    guarded_ = "'";
    guarded_ += out.text;
    out.text = guarded_;
    return out;
}

std::string RowEncoder::header_of(const Column& column) {
    const bool guard =
        deps_.spec->formulas != FormulaPolicy::kOff && is_formula(column.asked.header);
    return (guard ? "'" : "") + column.asked.header;
}

void RowEncoder::warn(const Row& row, const Column& column, const char* error_type,
                      std::string message) {
    if (report_.warnings.size() >= limits::kExportNotesMax) return;
    model::JobEntry entry;
    entry.entity_key = row.variant == nullptr ? row.product->key : std::string(row.variant->key);
    entry.entity_type = row.variant == nullptr ? "product" : "variant";
    entry.error_type = error_type;
    entry.message = "column '" + printable(column.asked.header) + "': " + std::move(message);
    report_.warnings.push_back(std::move(entry));
}

void RowEncoder::skip(const model::Product& product, const Error& error) {
    ++report_.skipped_products;
    if (report_.errors.size() >= limits::kExportNotesMax) return;
    model::JobEntry entry;
    entry.entity_key = product.key;
    entry.entity_type = "product";
    entry.error_type = "unreadable";
    entry.message = error.message;
    report_.errors.push_back(std::move(entry));
}

Result<void> RowEncoder::flush(std::string& bytes, bool all) {
    if (bytes.empty() || (!all && bytes.size() < limits::kFileWriteBufferBytes)) return {};
    EW_CHECK(deps_.sink->write(bytes));
    bytes.clear();
    return {};
}

}  // namespace export_worker::format
