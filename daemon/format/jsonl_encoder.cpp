#include "daemon/format/row_encoder.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::format {
namespace {

class JsonlEncoder final : public RowEncoder {
public:
    explicit JsonlEncoder(EncoderDeps deps) : RowEncoder(std::move(deps)) {
        bytes_.reserve(limits::kFileWriteBufferBytes + 64 * 1024);
        for (const Column& column : deps_.columns) {
            std::string key;
            append_json_text(key, column.asked.header);
            keys_.push_back(std::move(key));
        }
    }

    Result<void> begin() override { return {}; }
    Result<void> finish() override { return flush(bytes_, true); }

protected:
    Result<void> append_nested(const model::Product& product) override {
        bytes_ += product.body;
        bytes_ += '\n';
        return flush(bytes_, false);
    }

    Result<void> append_row(const Row& row) override {
        bytes_ += '{';
        for (std::size_t index = 0; index < deps_.columns.size(); ++index) {
            if (index > 0) bytes_ += ',';
            bytes_ += keys_[index];
            bytes_ += ':';
            EW_TRY(const Cell value, cell(deps_.columns[index], row));
            if (value.kind == Cell::Kind::kEmpty) {
                bytes_ += "null";
            } else if (!value.raw.empty()) {
                bytes_ += value.raw;
            } else {
                append_json_text(bytes_, value.text);
            }
        }
        bytes_ += "}\n";
        return flush(bytes_, false);
    }

private:
    std::vector<std::string> keys_;  // Headers as JSON texts.
    std::string bytes_;
};

}  // namespace

std::unique_ptr<ProductEncoder> make_jsonl_encoder(EncoderDeps deps) {
    return std::make_unique<JsonlEncoder>(std::move(deps));
}

}  // namespace export_worker::format
