#include "daemon/format/product_encoder.hpp"

#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "daemon/format/row_encoder.hpp"

namespace export_worker::format {

std::unique_ptr<ProductEncoder> make_encoder(EncoderDeps deps) {
    switch (deps.spec->format) {
        case model::ExportFormat::kJsonl: return make_jsonl_encoder(std::move(deps));
        case model::ExportFormat::kXlsx: return make_xlsx_encoder(std::move(deps));
        case model::ExportFormat::kCsv: break;
    }
    return make_csv_encoder(std::move(deps));
}

std::string columns_hash(const std::vector<Column>& columns) {
    crypto::Sha256 digest;
    for (const Column& column : columns) {
        // Lengths in front, so that no two lists of columns read alike.
        for (const std::string& part : {column.asked.property, column.asked.header,
                                        std::to_string(static_cast<int>(column.asked.format)),
                                        std::to_string(column.asked.decimals)}) {
            digest.update(std::to_string(part.size()) + ":" + part);
        }
    }
    return to_hex(digest.finish());
}

}  // namespace export_worker::format
