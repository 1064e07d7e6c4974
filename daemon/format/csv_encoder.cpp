#include <algorithm>

#include "daemon/format/csv.hpp"
#include "daemon/format/row_encoder.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::format {
namespace {

using model::CsvProfile;

class CsvEncoder final : public RowEncoder {
public:
    explicit CsvEncoder(EncoderDeps deps)
        : RowEncoder(std::move(deps)),
          profile_(deps_.spec->profile),
          delimiter_(profile_ == CsvProfile::kExcelEu ? ';'
                     : profile_ == CsvProfile::kTsv   ? '\t'
                                                      : ',') {
        bytes_.reserve(limits::kFileWriteBufferBytes + 64 * 1024);
    }

    Result<void> begin() override {
        if (profile_ == CsvProfile::kExcel || profile_ == CsvProfile::kExcelEu)
            bytes_ += "\xef\xbb\xbf";
        const std::size_t first = bytes_.size();
        for (const Column& column : deps_.columns) {
            if (&column != &deps_.columns.front()) bytes_ += delimiter_;
            append_csv_cell(bytes_, header_of(column), delimiter_);
        }
        end_line(first);
        return {};
    }

    Result<void> finish() override { return flush(bytes_, true); }

protected:
    Result<void> append_row(const Row& row) override {
        const std::size_t first = bytes_.size();
        for (const Column& column : deps_.columns) {
            if (&column != &deps_.columns.front()) bytes_ += delimiter_;
            EW_TRY(const Cell value, cell(column, row));
            if (value.kind == Cell::Kind::kNumber && profile_ == CsvProfile::kExcelEu) {
                append_decimal_comma(value.text);
            } else {
                append_csv_cell(bytes_, value.text, delimiter_);
            }
        }
        end_line(first);
        return flush(bytes_, false);
    }

private:
    // A line of one empty cell is written as "" so that it is not an empty line.
    void end_line(std::size_t first) {
        if (bytes_.size() == first) bytes_ += "\"\"";
        bytes_ += "\r\n";
    }
    void append_decimal_comma(std::string_view number) {
        const std::size_t first = bytes_.size();
        bytes_ += number;
        std::replace(bytes_.begin() + static_cast<std::ptrdiff_t>(first), bytes_.end(), '.', ',');
    }

    const CsvProfile profile_;
    const char delimiter_;
    std::string bytes_;
};

}  // namespace

std::unique_ptr<ProductEncoder> make_csv_encoder(EncoderDeps deps) {
    return std::make_unique<CsvEncoder>(std::move(deps));
}

}  // namespace export_worker::format
