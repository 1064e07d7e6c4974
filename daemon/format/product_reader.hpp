// One product's JSON text, read once from front to back for the values an export needs.
//
// Finding a value costs no allocation and nothing is converted: numbers and texts stay as they are
// written. The parser is simdjson's On Demand (Keiser, Lemire: On-demand JSON, 2023).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/model/product.hpp"

namespace export_worker::format {

struct Value {
    enum class Kind : std::uint8_t { kAbsent, kNull, kText, kNumber, kBoolean, kList, kJson };
    Kind kind = Kind::kAbsent;
    std::uint8_t keys = 0;  // On the way to it; see ProductReader.
    std::string_view raw;   // Its JSON text.
    std::string_view text;  // As a cell shows it: unescaped; a list of scalars joined with '|'.
};

// [one-owner]
class ProductReader {
public:
    struct Variant {
        std::string_view key;
        std::optional<bool> is_published;
        std::span<const Value> values;  // Its own only.
    };

    // `paths`: what to look for below "properties", by number. A key may itself hold dots; of two
    // ways to a path, the one of fewer and so longer keys wins.
    explicit ProductReader(const std::vector<std::string>& paths);
    ~ProductReader();
    ProductReader(const ProductReader&) = delete;
    ProductReader& operator=(const ProductReader&) = delete;

    // Everything below is valid until the next read(), and borrows the product's body. The body may
    // be moved to a buffer with room behind it. Errors: kDataLoss when the stored product is not
    // JSON.
    [[nodiscard]] Result<void> read(model::Product& product);

    [[nodiscard]] std::span<const Value> values() const;
    [[nodiscard]] const std::vector<Variant>& variants() const;
    [[nodiscard]] const Value& labels() const;
    // Texts of the labels.
    [[nodiscard]] bool has_label(std::string_view label) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace export_worker::format
