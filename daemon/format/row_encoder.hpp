// What the encoders have in common: read a product, filter, go through its rows, keep the report.
// Private to daemon/format.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/format/cells.hpp"
#include "daemon/format/product_encoder.hpp"
#include "daemon/format/product_reader.hpp"

namespace export_worker::format {

class RowEncoder : public ProductEncoder {
public:
    explicit RowEncoder(EncoderDeps deps);
    Result<void> append(model::Product& product) final;
    const EncodeReport& report() const final { return report_; }

protected:
    [[nodiscard]] virtual Result<void> append_row(const Row& row) = 0;
    // The product as a whole; only for VariantMode::kNested.
    [[nodiscard]] virtual Result<void> append_nested(const model::Product& product);

    // The cell, after its format and the formula policy; counted where it was altered. Valid until
    // the next one.
    [[nodiscard]] Result<Cell> cell(const Column& column, const Row& row);
    // A header under the formula policy.
    [[nodiscard]] std::string header_of(const Column& column);
    void warn(const Row& row, const Column& column, const char* error_type, std::string message);
    // Hands what is in `bytes` to the sink once it is a buffer's worth.
    [[nodiscard]] Result<void> flush(std::string& bytes, bool all);

    EncoderDeps deps_;
    EncodeReport report_;

private:
    [[nodiscard]] bool keeps(const Row& row) const;
    [[nodiscard]] Result<void> append_rows(const model::Product& product);
    void skip(const model::Product& product, const Error& error);

    struct Term {
        std::size_t slot = 0;
        std::string value;
    };
    std::vector<Term> terms_;  // Of the filter: properties that must have a value.
    std::optional<ProductReader> reader_;
    CellMaker maker_;
    std::string guarded_;
};

[[nodiscard]] std::unique_ptr<ProductEncoder> make_csv_encoder(EncoderDeps deps);
[[nodiscard]] std::unique_ptr<ProductEncoder> make_jsonl_encoder(EncoderDeps deps);
[[nodiscard]] std::unique_ptr<ProductEncoder> make_xlsx_encoder(EncoderDeps deps);

}  // namespace export_worker::format
